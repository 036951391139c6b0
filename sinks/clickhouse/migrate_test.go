package clickhouse

import (
	"errors"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"

	"github.com/handoff-dev/handoff/pipeline"
)

// allStatements renders every migration.
func allStatements(t *testing.T, cfg Config) []string {
	t.Helper()
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v %v", files, err)
	}
	var all []string
	for _, f := range files {
		list, err := cfg.render(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, list...)
	}
	return all
}

// withoutComments drops the lines that explain a statement.
func withoutComments(sql string) string {
	var kept []string
	for _, l := range strings.Split(sql, "\n") {
		if !strings.HasPrefix(l, "--") {
			kept = append(kept, l)
		}
	}
	return strings.TrimSpace(strings.Join(kept, "\n"))
}

// TestClusterLayout: on a cluster every definition names it, every engine is
// replicated, and nothing else changes.
func TestClusterLayout(t *testing.T) {
	plain := allStatements(t, Config{Database: "d"})
	cluster := allStatements(t, Config{Database: "d", Cluster: "c1", Replicated: true})
	definition := regexp.MustCompile(`^CREATE (TABLE IF NOT EXISTS|MATERIALIZED VIEW IF NOT EXISTS|OR REPLACE VIEW) d\.[a-z_0-9]+ ON CLUSTER c1\b|^ALTER TABLE d\.[a-z_0-9]+ ON CLUSTER c1 (ADD COLUMN IF NOT EXISTS|COMMENT COLUMN) `)
	engine := regexp.MustCompile(`ENGINE = (\w+)`)
	for i, s := range cluster {
		if s := withoutComments(s); !definition.MatchString(s) {
			t.Errorf("not repeatable or not on the cluster: %.80s", s)
		}
		if m := engine.FindStringSubmatch(s); m != nil && (m[1] != "ReplicatedMergeTree" && m[1] != "ReplicatedAggregatingMergeTree") {
			t.Errorf("engine %s", m[1])
		}
		back := strings.NewReplacer(" ON CLUSTER c1", "", "ENGINE = Replicated", "ENGINE = ").Replace(s)
		if back != plain[i] {
			t.Errorf("statement %d differs in more than the layout", i)
		}
	}
	if v := (versions{Config{Cluster: "c1", Replicated: true}}).CreateTable("d.v"); !strings.Contains(v, "ON CLUSTER c1") || !strings.Contains(v, "ReplicatedMergeTree") {
		t.Errorf("the versions' table: %s", v)
	}
}

// TestEveryTableRemembersTokens: a table without its window would count a
// replay twice, and one without a TTL by parts would rewrite whole days.
func TestEveryTableRemembersTokens(t *testing.T) {
	tables := 0
	for _, s := range allStatements(t, Config{Database: "d"}) {
		if !strings.Contains(s, "ENGINE = ") {
			continue
		}
		tables++
		for _, want := range []string{" non_replicated_deduplication_window = 10000", " replicated_deduplication_window = 10000", "ttl_only_drop_parts = 1", "PARTITION BY toYYYYMMDD(", "TTL "} {
			if !strings.Contains(s, want) {
				t.Errorf("%.60s lacks %s", withoutComments(s), want)
			}
		}
	}
	if tables != 9 {
		t.Errorf("%d tables", tables)
	}
}

func TestOldServersAreRefused(t *testing.T) {
	for v, ok := range map[proto.Version]bool{
		{Major: 23, Minor: 12}: false, {Major: 24, Minor: 7, Patch: 9}: false, {Major: 24, Minor: 8}: true, {Major: 26, Minor: 7}: true,
	} {
		if err := supported(v); (err == nil) != ok || err != nil && !errors.Is(err, pipeline.ErrPermanent) {
			t.Errorf("%v: %v", v, err)
		}
	}
}

func TestSteer(t *testing.T) {
	for code, permanent := range map[int32]bool{
		60: true, 81: true, 16: true, 47: true, 53: true, 115: true, 516: true, 497: true,
		159: false, 202: false, 241: false, 242: false, 252: false, 999: false, 394: false, 1001: false,
	} {
		err := steer(&driver.Exception{Code: code, Message: "m"})
		if errors.Is(err, pipeline.ErrPermanent) != permanent {
			t.Errorf("code %d: %v", code, err)
		}
	}
	if plain := errors.New("connection refused"); !errors.Is(steer(plain), plain) || errors.Is(steer(plain), pipeline.ErrPermanent) {
		t.Error("an error of the network")
	}
}
