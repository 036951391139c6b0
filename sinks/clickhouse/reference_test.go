package clickhouse_test

import (
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/handoff-dev/handoff/sinks/clickhouse"
)

// TestReferenceIsTrue: the reference names every table and view that exists,
// with every column that data teams are meant for, and its examples run.
func TestReferenceIsTrue(t *testing.T) {
	db := connect(t, startEngine(t, ""))
	text, err := clickhouse.Reference()
	if err != nil {
		t.Fatal(err)
	}
	rows, err := db.Conn().Query(t.Context(), "SELECT name FROM system.tables WHERE database = 'handoff' AND engine != 'MaterializedView' AND name != 'schema_versions'")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text, "\n## "+name+" (") {
			t.Errorf("%s is not described", name)
		}
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	columns, err := db.Conn().Query(t.Context(), "SELECT table, name, comment FROM system.columns WHERE database = 'handoff' AND table IN ('messages', 'episode_events', 'consent_changes', 'consent_events', 'rule_runs', 'ticket_events', 'deliveries', 'rejected')")
	if err != nil {
		t.Fatal(err)
	}
	for columns.Next() {
		var table, name, comment string
		if err := columns.Scan(&table, &name, &comment); err != nil {
			t.Fatal(err)
		}
		_, section, _ := strings.Cut(text, "\n## "+table+" (")
		section, _, _ = strings.Cut(section, "\n## ")
		_, line, found := strings.Cut(section, "| "+name+" | `")
		line, _, _ = strings.Cut(line, "\n")
		switch {
		case !found:
			t.Errorf("%s.%s is not described", table, name)
		case !strings.HasSuffix(line, "| "+comment+" |"):
			t.Errorf("%s.%s is described otherwise than it says itself:\n%s\n%s", table, name, line, comment)
		}
	}
	if err := columns.Close(); err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```sql\n(.*?)\n```").FindAllStringSubmatch(text, -1)
	if len(examples) < 20 {
		t.Errorf("%d examples", len(examples))
	}
	for _, e := range examples {
		if err := db.Conn().Exec(t.Context(), e[1]); err != nil {
			t.Errorf("%s: %v", e[1], err)
		}
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	s := startEngine(t, "")
	before := goleak.IgnoreCurrent()
	db, err := clickhouse.Open(clickhouse.Config{Addr: []string{s.Addr()}, Protocol: clickhouse.HTTP})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	goleak.VerifyNone(t, before)
}
