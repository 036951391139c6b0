package kafkatest

import (
	"context"
	"os"
	"testing"
)

// ForTest is a cluster of a test's own, which ends with it. Without HANDOFF_TEST_KAFKA=start the test is skipped: a start
// takes seconds, and needs a JDK.
func ForTest(t testing.TB, cfg Config) *Cluster {
	t.Helper()
	if os.Getenv("HANDOFF_TEST_KAFKA") != "start" {
		t.Skip("HANDOFF_TEST_KAFKA=start has the test start a broker")
	}
	cfg.Java = append([]string{"-XX:TieredStopAtLevel=1"}, cfg.Java...)
	cfg.Progress = t.Output()
	c, err := Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}
