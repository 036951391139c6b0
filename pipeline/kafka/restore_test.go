package kafka

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// TestGroupOffsetExpired: brokers forget the offsets of a group that was away for long; the position in
// the changelog is where it goes on.
func TestGroupOffsetExpired(t *testing.T) {
	t.Parallel()
	for _, kept := range []bool{true, false} {
		c := newCluster(t, 2, "count")
		perKey := c.load("count", 300, 20)
		dir := t.TempDir()
		store := openStore(t, dir)
		c.run(c.config(counter{"count"}, store), func(*running) {
			eventually(t, "all are committed", func() bool { return c.drained("count") })
		})
		if !kept {
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			store = openStore(t, t.TempDir())
		}
		eventually(t, "the group is gone", func() bool {
			_, err := kadm.NewClient(c.client).DeleteGroup(context.Background(), "handoff.count")
			return err == nil
		})
		for key, n := range c.load("count", 100, 20) {
			perKey[key] += n
		}
		c.run(c.config(counter{"count"}, store), func(*running) {
			eventually(t, "the rest is committed", func() bool { return c.drained("count") })
		})
		c.checkCounts(perKey)
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOldLocalStateIsRebuilt: what a local state lacks may be deletions that the changelog has dropped
// since, so an old one is not used.
func TestOldLocalStateIsRebuilt(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, "count")
	perKey := c.load("count", 50, 5)
	store := openStore(t, t.TempDir())
	c.run(c.config(counter{"count"}, store), func(*running) {
		eventually(t, "all are committed", func() bool { return c.drained("count") })
	})
	// A key that the changelog does not have stands for one whose deletion was dropped.
	back := store.Backing("count", 0)
	batch := back.Batch()
	if err := back.Scan(nil, nil, func(key, value []byte) bool {
		if ghost := bytes.Replace(key, []byte("shop|1"), []byte("gone|1"), 1); !bytes.Equal(ghost, key) {
			batch.Set(ghost, bytes.Clone(value))
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if err := batch.Apply(); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := state.ReadEntry(back, []byte("gone|1"), "n"); !ok || err != nil {
		t.Fatalf("the old entry is not there, this test shows nothing: %v", err)
	}
	for key, n := range c.load("count", 10, 5) {
		perKey[key] += n
	}
	cfg := c.config(counter{"count"}, store)
	ahead := schemas.ChangelogTombstones/2 + time.Hour
	cfg.Now = func() time.Time { return time.Now().Add(ahead) }
	c.run(cfg, func(*running) {
		eventually(t, "all are committed", func() bool { return c.drained("count") })
	})
	if _, ok, err := state.ReadEntry(back, []byte("gone|1"), "n"); ok || err != nil {
		t.Errorf("the old entry is still there: %v %v", ok, err)
	}
	c.checkCounts(perKey)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestChangelogBehindItsGroup: a changelog that lost what the group committed is not gone on from.
func TestChangelogBehindItsGroup(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, "count")
	c.load("count", 50, 5)
	store := openStore(t, t.TempDir())
	c.run(c.config(counter{"count"}, store), func(*running) {
		eventually(t, "all are committed", func() bool { return c.drained("count") })
	})
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteRecords(schemas.Changelog("count"), 0, -1); err != nil {
		t.Fatal(err)
	}
	store = openStore(t, t.TempDir())
	cfg := c.config(counter{"count"}, store)
	cfg.RestoreWait = 300 * time.Millisecond
	run := start(t, cfg)
	if err := run.ended(); err == nil || !strings.Contains(err.Error(), "the group stands at offset 50") {
		t.Errorf("Run: %v", err)
	}
	if run.runner.Ready() == nil {
		t.Error("it says it is ready")
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMailboxLostRecords: records that were deleted before they were processed are not skipped silently.
func TestMailboxLostRecords(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, "count")
	c.load("count", 50, 5)
	store := openStore(t, t.TempDir())
	c.run(c.config(counter{"count"}, store), func(*running) {
		eventually(t, "all are committed", func() bool { return c.drained("count") })
	})
	c.load("count", 50, 5)
	if err := c.DeleteRecords("handoff.count", 0, 80); err != nil {
		t.Fatal(err)
	}
	run := start(t, c.config(counter{"count"}, store))
	if err := run.ended(); err == nil || !strings.Contains(err.Error(), "never processed are gone") {
		t.Errorf("Run: %v", err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestBrokerAway: while no broker can be reached nothing is lost and nothing ends; it is not ready, and
// goes on by itself.
func TestBrokerAway(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, "count")
	store := openStore(t, t.TempDir())
	cfg := c.config(counter{"count"}, store)
	cfg.Brokers = []string{"127.0.0.1:1"}
	cfg.Options = append(cfg.Options, kgo.RetryTimeout(300*time.Millisecond))
	run := start(t, cfg)
	eventually(t, "it says why it is not ready", func() bool {
		err := run.runner.Ready()
		return err != nil && strings.Contains(err.Error(), "look up topics")
	})
	if err := run.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDrainIsBounded: a transaction that cannot end does not keep Run from ending, and nothing of it is
// lost or doubled.
func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, "count")
	store := openStore(t, t.TempDir())
	cfg := c.config(counter{"count"}, store)
	cfg.DrainWait, cfg.TransactionTimeout = 300*time.Millisecond, 2*time.Second
	run := start(t, cfg)
	h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.ConcurrentTransactions, Count: -1})
	perKey := c.load("count", 50, 5)
	eventually(t, "a transaction cannot end", func() bool { return h.Hits() > 0 })
	began := time.Now()
	if err := run.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	h.Remove()
	c.run(c.config(counter{"count"}, store), func(*running) {
		eventually(t, "all are committed", func() bool { return c.drained("count") })
	})
	c.checkCounts(perKey)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}
