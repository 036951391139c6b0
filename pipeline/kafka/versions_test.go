package kafka

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/deadletter"
)

// versioned counts per key. Version 1 keeps the number alone, version 2 puts its own version before it
// and reads both.
func versioned(version int) pipeline.Stage {
	return &stage{name: "count", process: func(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
		raw, _ := st.Get("n")
		digits := string(raw)
		if version >= 2 {
			digits = strings.TrimPrefix(digits, "v2:")
		}
		n, err := strconv.Atoi(digits)
		if err != nil && len(raw) > 0 {
			return fmt.Errorf("count of %s: %w", in.Key, err)
		}
		next := strconv.Itoa(n + 1)
		if version >= 2 {
			st.Put("n", []byte("v2:"+next))
		} else {
			st.Put("n", []byte(next))
		}
		fx.Emit("out", in.Key, []byte(next))
		return nil
	}}
}

// TestSchemaVersions: state that version 1 wrote is read and gone on from by version 2, from the store
// and from the changelog; version 1 refuses what version 2 has touched, and says what to do.
func TestSchemaVersions(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprintf("state lost %v", lost), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 2, "count")
			fs := newMem()
			want := 0
			life := func(schema int, during func(*running)) {
				t.Helper()
				if lost {
					fs = newMem()
				}
				store, err := state.OpenStore(state.StoreConfig{Dir: "db", FS: fs})
				if err != nil {
					t.Fatal(err)
				}
				cfg := c.config(versioned(schema), store)
				cfg.Schema = uint32(schema)
				during(start(t, cfg))
				if err := store.Close(); err != nil {
					t.Fatal(err)
				}
			}
			count := func(run *running) {
				t.Helper()
				c.load("count", 40, 8)
				want += 40
				eventually(t, "all are counted", func() bool { return c.drained("count") })
				if err := run.stop(); err != nil {
					t.Fatal(err)
				}
			}
			refused := func(text string) func(*running) {
				return func(run *running) {
					t.Helper()
					err := run.ended()
					if err == nil || !strings.Contains(err.Error(), text) {
						t.Errorf("Run: %v\nwant %s", err, text)
					}
				}
			}
			life(1, count)
			life(2, count)
			life(1, refused("state of count has schema version 2, this Handoff knows 1: run the newer version"))
			life(2, count)
			if dead := c.flat(schemas.TopicDeadLetters); len(dead) > 0 {
				t.Errorf("%d dead letters: %s", len(dead), header(dead[0], deadletter.HeaderReason))
			}
			highest := map[string]int{}
			for _, r := range c.flat("out") {
				n, _ := strconv.Atoi(string(r.Value))
				if n != highest[string(r.Key)]+1 {
					t.Errorf("%s counts %d after %d", r.Key, n, highest[string(r.Key)])
				}
				highest[string(r.Key)] = n
			}
			sum := 0
			for _, n := range highest {
				sum += n
			}
			if sum != want {
				t.Errorf("counted to %d, want %d", sum, want)
			}
		})
	}
}

// TestFormatsToCome: what a newer Handoff wrote in a way that this one cannot read is refused with an
// error that says so, be it in the changelog or in the store; nothing is dropped or overwritten.
func TestFormatsToCome(t *testing.T) {
	t.Parallel()
	t.Run("a position in the changelog", func(t *testing.T) {
		t.Parallel()
		foreignChangelog(t, state.PositionKey(), []byte{9, 1, 2, 3}, "position of an unknown format; a newer Handoff wrote it")
	})
	t.Run("a kind of record in the changelog", func(t *testing.T) {
		t.Parallel()
		foreignChangelog(t, []byte("Zwhatever"), []byte("value"), `is of kind 'Z'; a newer Handoff wrote it`)
	})
	t.Run("a position in the store", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, 1, "count")
		store := openStore(t, t.TempDir())
		c.load("count", 20, 4)
		c.run(c.config(counter{"count"}, store), func(*running) {
			eventually(t, "all are committed", func() bool { return c.drained("count") })
		})
		batch := store.Backing("count", 0).Batch()
		batch.Set(state.PositionKey(), []byte{9, 1, 2, 3})
		if err := batch.Apply(); err != nil {
			t.Fatal(err)
		}
		run := start(t, c.config(counter{"count"}, store))
		if err := run.ended(); err == nil || !strings.Contains(err.Error(), "position of an unknown format; a newer Handoff wrote it") {
			t.Errorf("Run: %v", err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// foreignChangelog runs a stage whose changelog has a record of another Handoff in it.
func foreignChangelog(t *testing.T, key, value []byte, text string) {
	t.Helper()
	c := newCluster(t, 1, "count")
	c.load("count", 20, 4)
	store := openStore(t, t.TempDir())
	c.run(c.config(counter{"count"}, store), func(*running) {
		eventually(t, "all are committed", func() bool { return c.drained("count") })
	})
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	// It is read on the way to the group's position: everything written before is behind it.
	c2 := newCluster(t, 1, "count")
	c2.produce(&kgo.Record{Topic: schemas.Changelog("count"), Key: key, Value: value})
	for _, r := range c.read(schemas.Changelog("count"))[0] {
		c2.produce(&kgo.Record{Topic: schemas.Changelog("count"), Key: r.Key, Value: r.Value})
	}
	store = openStore(t, t.TempDir())
	run := start(t, c2.config(counter{"count"}, store))
	if err := run.ended(); err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("Run: %v\nwant %s", err, text)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// mute drops the database's reports.
type mute struct{}

func (mute) Infof(string, ...any)  {}
func (mute) Errorf(string, ...any) {}
func (mute) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

// TestOldStoreFormat: a database of the oldest format that the engine still reads is opened, brought up
// to date and used.
func TestOldStoreFormat(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	old, err := pebble.Open("db", &pebble.Options{FS: fs, FormatMajorVersion: pebble.FormatMinSupported, Logger: mute{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	store, err := state.OpenStore(state.StoreConfig{Dir: "db", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	c := newCluster(t, 1, "count")
	perKey := c.load("count", 100, 10)
	c.run(c.config(counter{"count"}, store), func(*running) {
		eventually(t, "all are committed", func() bool { return c.drained("count") })
	})
	c.checkCounts(perKey)
	c.checkStore("count", store)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// restoredRecords reads a runner's own count of changelog records that it restored.
func restoredRecords(t *testing.T, from *prometheus.Registry) float64 {
	t.Helper()
	return counted(t, from, "handoff_restored_records_total")
}

// counted returns the value of a runner's counter.
func counted(t *testing.T, from *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// TestWarmRestartReadsNoChangelog: a runner that has its store reads of the changelog only what the
// store lacks; one that has lost it reads all.
func TestWarmRestartReadsNoChangelog(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, "count")
	perKey := map[string]int{}
	fs := newMem()
	life := func(records int) float64 {
		t.Helper()
		store, err := state.OpenStore(state.StoreConfig{Dir: "db", FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		cfg := c.config(counter{"count"}, store)
		registry := prometheus.NewRegistry()
		cfg.Registerer = registry
		var restored float64
		c.run(cfg, func(run *running) {
			eventually(t, "it is ready", func() bool { return run.runner.Ready() == nil })
			for key, n := range c.load("count", records, 500) {
				perKey[key] += n
			}
			eventually(t, "all are committed", func() bool { return c.drained("count") })
			restored = restoredRecords(t, registry)
		})
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		return restored
	}
	if n := life(3000); n != 0 {
		t.Errorf("%v records restored of an empty changelog", n)
	}
	behind := crashed(fs, 100, 1)
	if n := life(50); n != 0 {
		t.Errorf("a warm restart read %v records of the changelog, want none", n)
	}
	fs = behind
	if n := life(10); n < 50 || n > 150 {
		t.Errorf("a restart with a store 50 records behind read %v records of the changelog", n)
	}
	fs = newMem()
	if n := life(10); n < 500 {
		t.Errorf("a restart without a store read %v records of the changelog, it has 500 keys", n)
	}
	c.checkCounts(perKey)
}
