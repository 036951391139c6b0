package check

import (
	"slices"
	"strings"
	"testing"
)

// layers are the module's top directories and which of them each may import. Within pipeline and
// schemas packages may import each other; in the others each directory below is a sibling that sees
// only itself.
var layers = map[string][]string{
	"schemas":    {"schemas"},
	"pipeline":   {"schemas", "pipeline"},
	"stages":     {"schemas", "pipeline"},
	"connectors": {"schemas", "pipeline"},
	"sinks":      {"schemas", "pipeline"},
	"cmd":        {"schemas", "pipeline", "stages", "connectors", "sinks", "cmd"},
	"bench":      {"schemas", "pipeline", "stages", "connectors", "sinks", "bench"},
	"examples":   {"schemas", "pipeline", "stages", "connectors", "sinks", "examples"},
}

// conformance is what connectors are tested by, not a connector: their tests and stand-ins share it.
const conformance = "connectors/desktest"

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range list(t, "./...") {
		for _, imported := range p.Imports {
			if why := forbidden(p.rel(), imported, false); why != "" {
				t.Errorf("%s imports %s: %s", p.rel(), rel(imported), why)
			}
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			if why := forbidden(p.rel(), imported, true); why != "" {
				t.Errorf("a test of %s imports %s: %s", p.rel(), rel(imported), why)
			}
		}
	}
}

// forbidden says why a package of ours may not import another; "" when it may.
func forbidden(from, imported string, test bool) string {
	if !ours(imported) {
		return ""
	}
	to := rel(imported)
	fromLayer, toLayer := top(from), top(to)
	allowed, ok := layers[fromLayer]
	switch {
	case !ok:
		return "there is no layer " + fromLayer + "; see layers"
	case slices.Contains(allowed, toLayer):
		return ""
	case fromLayer != toLayer:
		return "imports point one way: schemas, pipeline, then stages, connectors, sinks, then cmd"
	case within(to, conformance) && (test || within(from, conformance) || strings.HasSuffix(from, "/sim")):
		return ""
	case sibling(from) != sibling(to):
		return "siblings never import each other"
	case strings.HasSuffix(to, "/sim") && !test && !within(from, to):
		return "a stand-in is for tests and the demo"
	}
	return ""
}

func top(pkg string) string {
	layer, _, _ := strings.Cut(pkg, "/")
	return layer
}

// sibling is the first two elements of a package: what is one of its kind in its layer.
func sibling(pkg string) string {
	parts := strings.SplitN(pkg, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}

func within(pkg, parent string) bool {
	return pkg == parent || strings.HasPrefix(pkg, parent+"/")
}

// TestForbidden shows that the rule can be broken.
func TestForbidden(t *testing.T) {
	for _, c := range []struct {
		from, to string
		test, ok bool
	}{
		{"stages/consent", "pipeline/turn", false, true},
		{"stages/consent", "stages/consent/ledger", false, true},
		{"stages/consent", "stages/classify", false, false},
		{"stages/consent", "stages/classify", true, false},
		{"stages/consent", "connectors/twilio", false, false},
		{"pipeline/kafka", "pipeline/state", false, true},
		{"pipeline/kafka", "stages/deliver", false, false},
		{"pipeline/kafka", "stages/deliver", true, false},
		{"schemas", "schemas/handoffv1", false, true},
		{"schemas", "pipeline", false, false},
		{"connectors/twilio/sim", "connectors/twilio", false, true},
		{"connectors/twilio", "connectors/twilio/sim", true, true},
		{"connectors/twilio", "connectors/twilio/sim", false, false},
		{"connectors/twilio", "connectors/zendesk", false, false},
		{"connectors/zendesk/sim", "connectors/desktest/standin", false, true},
		{"connectors/zendesk", "connectors/desktest", true, true},
		{"connectors/zendesk", "connectors/desktest", false, false},
		{"cmd/handoff", "stages/consent", false, true},
		{"sinks/clickhouse", "sinks/clickhouse/embedded", true, true},
		{"sinks/clickhouse", "cmd/handoff/internal/config", false, false},
		{"new/place", "schemas", false, false},
	} {
		if why := forbidden(c.from, module+"/"+c.to, c.test); (why == "") != c.ok {
			t.Errorf("%s importing %s (test %v): %q, want allowed %v", c.from, c.to, c.test, why, c.ok)
		}
	}
}

// bans are modules and packages that must not be reached at all, not even through others.
var bans = []struct {
	from, reached, why string
}{
	{"pipeline", "github.com/twmb/franz-go", "the contract knows no Kafka"},
	{"pipeline", "github.com/cockroachdb/pebble", "the contract knows no Pebble"},
	{"pipeline/turn", "github.com/twmb/franz-go", "a stage knows no Kafka"},
	{"pipeline/turn", "github.com/cockroachdb/pebble", "a stage knows no Pebble"},
	{"stages/", "github.com/twmb/franz-go", "a stage knows no Kafka"},
	{"stages/", "github.com/cockroachdb/pebble", "a stage knows no Pebble"},
	{"schemas", "net/http", "the vocabulary does no I/O"},
}

func TestUnreachable(t *testing.T) {
	for _, p := range list(t, "./...") {
		for _, b := range bans {
			if p.rel() != b.from && (!strings.HasSuffix(b.from, "/") || !strings.HasPrefix(p.rel(), b.from)) {
				continue
			}
			if i := slices.IndexFunc(p.Deps, func(dep string) bool { return within(dep, b.reached) }); i >= 0 {
				t.Errorf("%s reaches %s: %s", p.rel(), p.Deps[i], b.why)
			}
		}
	}
}

// TestOneBinary: cmd/handoff is the only program besides the benchmark.
func TestOneBinary(t *testing.T) {
	for _, s := range sources(t) {
		if s.file.Name.Name == "main" && s.pkg != "cmd/handoff" && s.pkg != "bench" && top(s.pkg) != "examples" {
			t.Errorf("%s is another program; cmd/handoff is the only one", s.name)
		}
	}
}
