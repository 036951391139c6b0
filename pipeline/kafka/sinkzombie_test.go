package kafka

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// polled counts the records of a topic that were handed out by a client's polls.
type polled struct {
	topic string
	n     atomic.Int64
}

func (p *polled) OnFetchRecordUnbuffered(r *kgo.Record, polled bool) {
	if polled && r.Topic == p.topic && !r.Attrs.IsControl() {
		p.n.Add(1)
	}
}

// zombieIntent: a member has read a batch, and is put out before it is due. When it is, the transaction
// of the intent has read nothing: only the unchanged offset in it can have it refused. The next owner
// cuts the same records into other batches, so that an intent that got through would double rows.
func zombieIntent(t *testing.T) {
	t.Parallel()
	c := newClusterOf(t, 3, 2, "facts")
	rows := newTable()
	stores := [2]*state.Store{}
	for i := range stores {
		var err error
		if stores[i], err = state.OpenStore(state.StoreConfig{Dir: "db", FS: newMem()}); err != nil {
			t.Fatal(err)
		}
	}
	var wall, otherWall clock
	patient := func(store *state.Store, wall *clock, batch int, more ...kgo.Opt) SinkConfig {
		cfg := c.sinkConfig(rows, c.config(nil, store))
		cfg.BatchRows, cfg.BatchEvery, cfg.Now, cfg.Options = batch, time.Hour, wall.now, append(cfg.Options, more...)
		return cfg
	}
	const posted = 300
	c.load("facts", posted, 100)
	read := &polled{topic: schemas.Mailbox("facts")}
	zombie := startSink(t, patient(stores[0], &wall, 1000, kgo.WithHooks(read)))
	eventually(t, "the member has read all", func() bool { return read.n.Load() == posted })
	c.deaf("handoff.facts")
	c.evict("handoff.facts")
	heir := startSink(t, patient(stores[1], &otherWall, 777))
	eventually(t, "another member owns all", func() bool {
		g := c.GroupInfo("handoff.facts")
		return heir.runner.Ready() == nil && g != nil && g.State == "Stable" && g.NumAssigned() == 2
	})
	tried := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Count: -1, Observe: true})
	wall.forward(2 * time.Hour)
	eventually(t, "the evicted one tries to commit its intent", func() bool { return tried.Hits() > 0 })
	otherWall.forward(2 * time.Hour)
	c.load("facts", 2000, 100) // more than a batch of the next owner's
	eventually(t, "all is committed", func() bool {
		wall.forward(time.Hour)
		otherWall.forward(time.Hour)
		return c.drained("facts")
	})
	for _, r := range []*running{zombie, heir} {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	}
	rows.check(c, "facts")
	c.checkPositions("facts")
	for _, s := range stores {
		c.checkStore("facts", s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
