package kafka

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// sinkMoments are the points in the life of a batch.
func sinkMoments() map[string]*rule {
	return map[string]*rule{
		"before the intent's offsets":                   {key: kmsg.TxnOffsetCommit},
		"before the intent's end":                       {key: kmsg.EndTxn},
		"after the intent's end, applied":               {key: kmsg.EndTxn, after: true},
		"after the intent, before the insert":           nil,
		"after the insert, before its commit":           nil,
		"before the end of the insert's commit":         {key: kmsg.EndTxn, skip: 1},
		"after the end of the insert's commit, applied": {key: kmsg.EndTxn, skip: 1, after: true},
	}
}

// TestInvariantSinkRowsOnce lets every stroke fall at every moment of a batch: each record of the mailbox
// is one row by (partition, offset), and the sums agree.
func TestInvariantSinkRowsOnce(t *testing.T) {
	t.Parallel()
	s := seed(t)
	for moment, r := range sinkMoments() {
		for _, stroke := range strokes() {
			t.Run(moment+"/"+stroke.name, func(t *testing.T) {
				t.Parallel()
				w := &sinkWorld{cluster: newClusterOf(t, 2, 2, "facts"), wire: newWire(), rows: newTable(), fs: newMem(), stroke: stroke, seed: s}
				if r != nil {
					placed := rule{key: r.key, skip: r.skip, after: r.after}
					w.strike(moment, &placed)
				} else {
					w.strike(moment, nil)
				}
			})
		}
	}
}

// sinkWorld is a sink under test.
type sinkWorld struct {
	*cluster
	wire   *wire
	rows   *table
	fs     vfs.FS
	stroke stroke
	seed   uint64
	posted int
	heir   *running
	stores []*state.Store
}

var errNoAnswer = errors.New("no answer from the store")

func (w *sinkWorld) sink(fs vfs.FS) SinkConfig {
	w.t.Helper()
	store, err := state.OpenStore(state.StoreConfig{Dir: "db", FS: fs})
	if err != nil {
		w.t.Fatal(err)
	}
	w.stores = append(w.stores, store)
	cfg := w.sinkConfig(w.rows, w.config(nil, store))
	// Whoever comes next would cut other batches than those that are stored as intents.
	cfg.BatchRows, cfg.BatchEvery = 30+7*len(w.stores), 10*time.Millisecond
	return cfg
}

func (w *sinkWorld) first() *running {
	w.t.Helper()
	cfg := w.sink(w.fs)
	cfg.Options = append(cfg.Options, w.wire.option(), kgo.RequestRetries(3), kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }))
	if w.stroke.killed {
		cfg.DrainWait = 500 * time.Millisecond
	}
	return startSink(w.t, cfg)
}

// feed posts n records; the value of each is an amount.
func (w *sinkWorld) feed(n int) {
	w.t.Helper()
	var records []*kgo.Record
	for range n {
		w.posted++
		records = append(records, &kgo.Record{Topic: schemas.Mailbox("facts"), Key: fmt.Appendf(nil, "shop|%d", w.posted%20), Value: strconv.AppendInt(nil, int64(w.posted), 10)})
	}
	w.produce(records...)
}

// strike writes some batches, lets the stroke fall on one, and checks what the store has in the end.
func (w *sinkWorld) strike(moment string, r *rule) {
	w.t.Helper()
	run := w.first()
	w.feed(100)
	eventually(w.t, "the first are committed", func() bool { return w.drained("facts") })
	var second *Runner
	if w.stroke.revoked {
		var err error
		if second, err = NewSink(w.sink(newMem())); err != nil {
			w.t.Fatal(err)
		}
	}
	var left vfs.FS
	struck := make(chan struct{})
	var once sync.Once
	act := func() {
		once.Do(func() {
			if second != nil {
				w.heir = launch(w.t, second)
			}
			if w.stroke.lost {
				w.evict("handoff.facts")
			}
			if w.stroke.killed {
				left = crashed(w.fs, 0, w.seed)
				w.wire.sever(true)
			}
			close(struck)
		})
	}
	times := 1
	if w.stroke.again {
		times = 6
	}
	if r != nil {
		r.act, r.cut, r.count = act, w.stroke.fails, times
		w.wire.on(r)
	} else {
		w.rows.at(moment == "after the insert, before its commit", times, func() error {
			act()
			if w.stroke.fails {
				return errNoAnswer
			}
			return nil
		})
	}
	w.feed(200)
	select {
	case <-struck:
	case <-time.After(patience):
		w.t.Fatal("it does not strike")
	}
	if w.stroke.killed {
		w.stop(run)
		w.evict("handoff.facts")
		w.wire.clear()
		w.wire.sever(false)
		w.fs = left
		run = w.first()
	}
	eventually(w.t, "all is committed", func() bool { return w.drained("facts") })
	w.wire.clear()
	w.feed(50)
	eventually(w.t, "the rest is committed", func() bool { return w.drained("facts") })
	if w.heir != nil {
		w.stop(w.heir)
	}
	w.stop(run)
	w.rows.check(w.cluster, "facts")
	w.checkPositions("facts")
	for _, s := range w.stores {
		w.checkStore("facts", s)
		if err := s.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

func (w *sinkWorld) stop(r *running) {
	w.t.Helper()
	if err := r.stop(); err != nil {
		w.t.Error(err)
	}
}
