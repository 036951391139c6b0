package clickhouse_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/sinks/clickhouse"
	"github.com/handoff-dev/handoff/sinks/clickhouse/embedded"
)

// childArgument makes the test binary be the engine's child process.
const childArgument = "engine-child"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childArgument {
		os.Exit(embedded.ChildMain(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// startEngine runs an engine on a directory, a temporary one when empty.
func startEngine(t *testing.T, dir string) *embedded.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	s, err := embedded.Start(ctx, embedded.Options{DataDir: dir, ExeArgs: []string{childArgument}, Progress: os.Stderr})
	if err != nil {
		t.Fatalf("start the embedded engine: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// connect opens the sink's database on an engine, migrated.
func connect(t *testing.T, s *embedded.Server) *clickhouse.DB {
	t.Helper()
	db := reach(t, s)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

// reach opens the sink's database on an engine as it is.
func reach(t *testing.T, s *embedded.Server) *clickhouse.DB {
	t.Helper()
	db, err := clickhouse.Open(clickhouse.Config{Addr: []string{s.Addr()}, Protocol: clickhouse.HTTP})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// one reads a single value.
func one[T any](t *testing.T, db *clickhouse.DB, sql string) (v T) {
	t.Helper()
	if err := db.Conn().QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}
