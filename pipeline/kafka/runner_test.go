package kafka

import (
	"testing"
)

func TestCountsExactlyOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 4, "count")
	perKey := c.load("count", 5000, 100)
	store := openStore(t, t.TempDir())
	run := start(t, c.config(counter{"count"}, store))
	eventually(t, "everything is committed", func() bool { return c.drained("count") })
	eventually(t, "it is ready", func() bool { return run.runner.Ready() == nil })
	if err := run.stop(); err != nil {
		t.Fatal(err)
	}
	c.checkCounts(perKey)
	// A second life goes on from the local state.
	for key, n := range c.load("count", 1000, 100) {
		perKey[key] += n
	}
	run = start(t, c.config(counter{"count"}, store))
	eventually(t, "the rest is committed", func() bool { return c.drained("count") })
	if err := run.stop(); err != nil {
		t.Fatal(err)
	}
	c.checkCounts(perKey)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	// A third one has lost it, and has only the changelog.
	for key, n := range c.load("count", 1000, 100) {
		perKey[key] += n
	}
	store = openStore(t, t.TempDir())
	run = start(t, c.config(counter{"count"}, store))
	eventually(t, "the rest is committed", func() bool { return c.drained("count") })
	if err := run.stop(); err != nil {
		t.Fatal(err)
	}
	c.checkCounts(perKey)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}
