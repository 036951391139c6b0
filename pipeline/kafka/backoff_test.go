package kafka

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestBackoff(t *testing.T) {
	for n := range 100 {
		d := backoff(n)
		if d <= 0 || d > mostBackoff || n > 6 && d < mostBackoff/2 {
			t.Errorf("the %d-th failure waits %s", n, d)
		}
	}
}

// TestWaitsEndSoon: a coordinator that was loading for seconds is asked again within one: a client that
// has waited for longer and longer would be far into its longest wait by then.
func TestWaitsEndSoon(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]kmsg.Key{"of transactions": kmsg.InitProducerID, "of the group": kmsg.JoinGroup} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 1, "count")
			store := openStore(t, t.TempDir())
			loading := c.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: kerr.CoordinatorLoadInProgress, Count: -1})
			began := time.Now()
			run := start(t, c.config(counter{"count"}, store))
			eventually(t, "it has asked for a while", func() bool { return time.Since(began) > 4500*time.Millisecond && loading.Hits() > 0 })
			hits := loading.Hits()
			loading.Remove()
			if hits < 6 {
				t.Errorf("it asked %d times in %s", hits, time.Since(began))
			}
			back := time.Now()
			eventually(t, "it works", func() bool { return run.runner.Ready() == nil })
			t.Logf("it works %s after the coordinator has loaded", time.Since(back))
			if err := run.stop(); err != nil {
				t.Error(err)
			}
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
