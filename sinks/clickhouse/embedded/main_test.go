package embedded_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/sinks/clickhouse/embedded"
)

// childArgument makes the test binary be the engine's child process.
const childArgument = "engine-child"

// parentArgument makes the test binary start an engine, print its address and
// wait to be killed.
const parentArgument = "engine-parent"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case childArgument:
			os.Exit(embedded.ChildMain(os.Args[2:]))
		case parentArgument:
			beParent()
		case "server":
			beClickHouse(os.Args[2:])
		}
	}
	os.Exit(m.Run())
}

// startEngine runs an engine for one test.
func startEngine(t *testing.T, dataDir string) *embedded.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	s, err := embedded.Start(ctx, embedded.Options{DataDir: dataDir, ExeArgs: []string{childArgument}, Progress: os.Stderr})
	if err != nil {
		t.Fatalf("start the embedded engine: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the embedded engine: %v", err)
		}
	})
	return s
}

func address(s *embedded.Server) string { return fmt.Sprintf("http://%s/", s.Addr()) }
