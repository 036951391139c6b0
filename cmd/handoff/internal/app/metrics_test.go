package app

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/config"
	"github.com/handoff-dev/handoff/pipeline/kafka"
)

const (
	metricsPage = "../../../../docs/metrics.md"
	alertRules  = "../../../../deploy/prometheus/alerts.yaml"
)

// metric is what the document says of one, or what the binary has.
type metric struct {
	kind   string
	labels []string
}

// documented reads the tables of the document.
func documented(t *testing.T) map[string]metric {
	t.Helper()
	raw, err := os.ReadFile(metricsPage)
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `(handoff_[a-z_]+)` \\| (\\w+) \\| [^|]+ \\|([^|]*)\\| [^|]+ \\|$")
	all := map[string]metric{}
	for _, m := range row.FindAllStringSubmatch(string(raw), -1) {
		if _, twice := all[m[1]]; twice {
			t.Errorf("%s is documented twice", m[1])
		}
		labels := []string{}
		for _, l := range strings.Split(m[3], ",") {
			if l = strings.Trim(strings.TrimSpace(l), "`"); l != "" {
				labels = append(labels, l)
			}
		}
		slices.Sort(labels)
		all[m[1]] = metric{m[2], labels}
	}
	return all
}

// registered makes everything that a process can run, and returns the metrics of all of it.
func registered(t *testing.T) map[string]metric {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cfg, err := config.Load("", []string{"kafka.brokers=" + c.ListenAddrs()[0], "kafka.partitions=1", "kafka.replication=1", "kafka.unique_ids=true",
		"state_dir=" + filepath.Join(t.TempDir(), "state"), "http.listen=127.0.0.1:0", "clickhouse.address=127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := a.ApplyTopics(ctx, &strings.Builder{}); err != nil {
		t.Fatal(err)
	}
	table, err := kafka.OpenSettings(ctx, kafka.SettingsConfig{Connection: a.conn, Registerer: a.registry})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	front, err := a.gatewayParts(table)
	if err != nil {
		t.Fatal(err)
	}
	back, err := a.stageParts(ctx, StageNames(), table)
	if err != nil {
		t.Fatal(err)
	}
	all := descriptions(t, a.registry)
	if err := closeParts(append(front, back...), 10*time.Second); err != nil {
		t.Error(err)
	}
	return all
}

// descriptions asks a registry what it has, also what nothing was counted of yet.
func descriptions(t *testing.T, registry *prometheus.Registry) map[string]metric {
	t.Helper()
	kinds := map[string]string{}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		kinds[f.GetName()] = strings.ToLower(dto.MetricType_name[int32(f.GetType())])
	}
	form := regexp.MustCompile(`^Desc\{fqName: "([^"]+)", help: ".*", constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}\}$`)
	found := make(chan *prometheus.Desc)
	go func() {
		registry.Describe(found)
		close(found)
	}()
	all := map[string]metric{}
	for d := range found {
		m := form.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("a description of another form: %s", d)
		}
		if !strings.HasPrefix(m[1], "handoff_") {
			continue
		}
		labels := []string{}
		for _, l := range strings.Split(m[2]+","+m[3], ",") {
			if name, _, _ := strings.Cut(l, "="); name != "" {
				labels = append(labels, strings.TrimSpace(name))
			}
		}
		slices.Sort(labels)
		all[m[1]] = metric{kinds[m[1]], labels}
	}
	return all
}

// TestMetricsAreDocumented: the document has exactly the metrics that the binary has, with their types
// and labels.
func TestMetricsAreDocumented(t *testing.T) {
	said, has := documented(t), registered(t)
	for _, name := range slices.Sorted(maps.Keys(has)) {
		is, want := said[name], has[name]
		switch {
		case is.kind == "":
			t.Errorf("%s is not documented", name)
		case want.kind != "" && is.kind != want.kind, want.kind == "" && (is.kind == "counter") != strings.HasSuffix(name, "_total"):
			t.Errorf("%s is documented as a %s", name, is.kind)
		case fmt.Sprint(is.labels) != fmt.Sprint(want.labels):
			t.Errorf("%s is documented with labels %v, it has %v", name, is.labels, want.labels)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(said)) {
		if _, ok := has[name]; !ok {
			t.Errorf("%s is documented, and nothing registers it", name)
		}
	}
}

// TestAlertsAreOfMetrics: the rules use metrics and labels that there are, and the document names each.
func TestAlertsAreOfMetrics(t *testing.T) {
	raw, err := os.ReadFile(alertRules)
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.UnmarshalWithOptions(raw, &rules, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(metricsPage)
	if err != nil {
		t.Fatal(err)
	}
	said := documented(t)
	rows := regexp.MustCompile("(?m)^\\| `(Handoff\\w+)` \\|.*\\| (at once|\\d+ min) \\| (page|ticket) \\|").FindAllStringSubmatch(string(page), -1)
	severities := map[string]string{}
	for _, m := range rows {
		severities[m[1]] = m[3]
	}
	used := regexp.MustCompile(`handoff_[a-z_]+`)
	selected := regexp.MustCompile(`(handoff_[a-z_]+)\{([a-z]+)[!=]`)
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if severities[r.Alert] != r.Labels["severity"] || r.Annotations["summary"] == "" {
				t.Errorf("%s: severity %q, the document says %q; summary %q", r.Alert, r.Labels["severity"], severities[r.Alert], r.Annotations["summary"])
			}
			delete(severities, r.Alert)
			names := used.FindAllString(r.Expr, -1)
			if len(names) == 0 {
				t.Errorf("%s looks at nothing of ours", r.Alert)
			}
			for _, name := range names {
				if m, ok := said[name]; !ok && said[strings.TrimSuffix(name, "_bucket")].kind != "histogram" || ok && m.kind == "histogram" {
					t.Errorf("%s uses %s, which there is not", r.Alert, name)
				}
			}
			for _, m := range selected.FindAllStringSubmatch(r.Expr, -1) {
				if !slices.Contains(said[m[1]].labels, m[2]) {
					t.Errorf("%s selects %s by %s, which it does not have", r.Alert, m[1], m[2])
				}
			}
		}
	}
	for name := range severities {
		t.Errorf("%s is documented, and there is no such rule", name)
	}
}
