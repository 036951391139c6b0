package kafka

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// newCompactedWorld has a changelog whose deletions stay that long: none at all is what the real one
// comes to once its time for them is over.
func newCompactedWorld(t *testing.T, seed uint64, partitions int32, tombstones time.Duration) *world {
	t.Helper()
	w := newWorldOn(newClusterOf(t, 3, partitions), seed)
	if err := w.CreateTopic(schemas.Mailbox("mill"), partitions, roomy()); err != nil {
		t.Fatal(err)
	}
	if err := w.CreateTopic(schemas.Changelog("mill"), partitions, map[string]string{"cleanup.policy": "compact", "max.message.bytes": strconv.Itoa(maxBatchBytes), "delete.retention.ms": strconv.FormatInt(tombstones.Milliseconds(), 10)}); err != nil {
		t.Fatal(err)
	}
	return w
}

// records of the changelog.
func (w *world) changelogRecords() int { return len(w.flat(schemas.Changelog("mill"))) }

// TestCompactedChangelog: what is left of a changelog after compaction restores the same state, from
// nothing and from a store that has the older part.
func TestCompactedChangelog(t *testing.T) {
	t.Parallel()
	w := newCompactedWorld(t, seed(t), 3, schemas.ChangelogTombstones)
	w.start()
	w.feed(200)
	w.caughtUp()
	w.stop()
	older := crashed(w.fs, 100, 1)
	w.start()
	w.feed(200)
	w.caughtUp()
	w.stop()
	before := w.changelogRecords()
	w.Compact() // no transaction is open: kfake does not look
	if after := w.changelogRecords(); after >= before {
		t.Fatalf("compaction left %d of %d records", after, before)
	}
	for _, fs := range []vfs.FS{older, newMem()} {
		w.fs = fs
		w.start()
		w.feed(50)
		w.caughtUp()
		w.settled(&mill{})
		if err := w.run.stop(); err != nil {
			t.Fatal(err)
		}
		if w.audit.check() == 0 {
			t.Error("nothing was gone on from")
		}
		if err := w.store.Close(); err != nil {
			t.Fatal(err)
		}
		w.Compact()
		w.checkOutputs(&mill{})
	}
}

// TestTombstonesGone: a store from before keys and timers were deleted, and a changelog that does not
// tell of the deletions any more: the store is old enough to be rebuilt, and nothing comes back.
func TestTombstonesGone(t *testing.T) {
	t.Parallel()
	w := newCompactedWorld(t, seed(t), 2, 0)
	keys := []string{"shop|1", "shop|2", "shop|3", "shop|4"}
	w.start()
	for i := range 10 { // what stays, so that the log does not begin later
		w.produce(w.order(fmt.Sprintf("stays|%d", i), step{Do: "count", Name: "a"}))
	}
	w.caughtUp()
	for _, key := range keys {
		w.produce(w.order(key, step{Do: "count", Name: "a"}, step{Do: "count", Name: "b"},
			step{Do: "timer", Name: "far", In: 24 * time.Hour}, step{Do: "call", Name: "c"}))
	}
	w.caughtUp()
	w.stop()
	old := crashed(w.fs, 100, 1)
	w.start()
	for _, key := range keys {
		w.produce(w.order(key, step{Do: "delete", Name: "a"}, step{Do: "stop", Name: "far"}, step{Do: "end", Name: "c"}))
	}
	w.caughtUp()
	for range 2 { // the last batch of a log is never compacted
		for _, key := range keys {
			w.produce(w.order(key, step{Do: "count", Name: "b"}))
		}
		w.caughtUp()
	}
	w.stop()
	w.Compact()
	for p, f := range w.folds("mill", nil) {
		for k := range f.of(timerKind) {
			t.Fatalf("partition %d: the timer of %s is still in the changelog", p, k)
		}
	}
	w.fs = old
	w.store = w.open()
	for p := range w.partitions {
		part, err := state.NewPartition(state.Config{Stage: &mill{}, Partition: p, Partitions: w.partitions}, w.store.Backing("mill", p))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := part.NextTimer(); !ok {
			t.Fatal("the old store has no timers: this test shows nothing")
		}
		_, resume, err := state.ReadPosition(w.store.Backing("mill", p))
		if begins := w.PartitionInfo(schemas.Changelog("mill"), p).LogStartOffset; err != nil || resume.Next < begins {
			t.Fatalf("the changelog begins at %d, after the old store's place: this test shows nothing (%v)", begins, err)
		}
	}
	cfg := w.config(w.store)
	cfg.Now = func() time.Time { return time.Now().Add(schemas.ChangelogTombstones/2 + time.Hour) }
	w.cluster.run(cfg, func(*running) {
		for _, key := range keys {
			w.produce(w.order(key, step{Do: "count", Name: "b"}))
		}
		w.caughtUp()
	})
	w.checkStore("mill", w.store)
	w.checkOutputs(&mill{})
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestStoreOfAnotherChangelog: a store whose place lies outside the changelog, since that was cut off at
// its start, or is another one, is rebuilt from what there is, or refused when that is not enough.
func TestStoreOfAnotherChangelog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seed(t), 1)
	w.start()
	w.feed(60)
	w.caughtUp()
	w.stop()
	older := crashed(w.fs, 100, 1)
	ended := w.size(schemas.Changelog("mill"))
	w.start()
	// Every key is written again, so that the older part of the changelog is not needed.
	for key := range w.model(&mill{}).keys {
		w.produce(w.order(key, step{Do: "count", Name: "a"}))
	}
	w.caughtUp()
	w.stop()
	at, _, err := state.ReadPosition(w.openAt(older).Backing("mill", 0))
	if err != nil || at.Number == 0 {
		t.Fatalf("the older store: %+v %v", at, err)
	}
	if err := w.DeleteRecords(schemas.Changelog("mill"), 0, ended+1); err != nil {
		t.Fatal(err)
	}
	w.fs = older
	w.start()
	w.caughtUp()
	eventually(t, "it is ready", func() bool { return w.run.runner.Ready() == nil })
	w.stop() // compares the store with what the changelog has: nothing older is left in it
}

// openAt opens the store of another file system until the test ends.
func (w *world) openAt(fs vfs.FS) *state.Store {
	w.t.Helper()
	s, err := state.OpenStore(state.StoreConfig{Dir: "db", FS: crashed(fs, 100, 1)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return s
}
