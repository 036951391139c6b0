package kafka

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// takeOverKeys is how large the state is that is taken over.
var takeOverKeys = flag.Int("takeover-keys", 1_000_000, "keys in the state of BenchmarkTakeOver")

// BenchmarkTakeOver measures how long nobody processes a partition when the process that had it ends and
// another takes over, without a copy of its state and with one: from the end of the first until the second
// has committed a record of every partition. The group is told of the end at once; a process that is killed
// is missed only when its session ends, which comes on top with and without a copy.
func BenchmarkTakeOver(b *testing.B) {
	for _, copies := range []int{0, 1} {
		b.Run(fmt.Sprintf("standby=%d", copies), func(b *testing.B) {
			for range b.N {
				b.ReportMetric(takeOver(b, copies).Seconds(), "s/takeover")
			}
		})
	}
}

const takeOverPartitions = 8

func takeOver(b *testing.B, copies int) time.Duration {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, schemas.TopicSettings), kfake.GroupMinSessionTimeout(time.Millisecond))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for _, topic := range []string{schemas.TopicDeadLetters, "out", schemas.Mailbox("count"), schemas.Changelog("count")} {
		if err := c.CreateTopic(topic, takeOverPartitions, roomy()); err != nil {
			b.Fatal(err)
		}
	}
	to := Connection{Brokers: c.ListenAddrs()}
	client, err := to.NewClient("bench", kgo.RecordPartitioner(ByKey()))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	first := benchRunner(b, to, copies)
	defer first.close()
	second := benchRunner(b, to, copies)
	defer second.close()
	first.start()
	post := func(n int) {
		value := make([]byte, 100)
		for i := range n {
			binary.BigEndian.PutUint64(value, uint64(i))
			client.Produce(b.Context(), &kgo.Record{Topic: schemas.Mailbox("count"), Key: fmt.Appendf(nil, "shop|+1415%07d", i), Value: append([]byte(nil), value...)}, nil)
		}
		if err := client.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	ends := func() map[int32]int64 {
		at := map[int32]int64{}
		for _, p := range c.PartitionInfos(schemas.Mailbox("count")) {
			at[p.Partition] = p.HighWatermark
		}
		return at
	}
	committed := func() bool {
		g := c.GroupInfo(schemas.Mailbox("count"))
		for p, end := range ends() {
			if g == nil || g.Commits[schemas.Mailbox("count")][p].Offset < end {
				return false
			}
		}
		return true
	}
	post(*takeOverKeys)
	waitFor(b, committed)
	second.start()
	waitFor(b, func() bool {
		if second.runner.Ready() != nil {
			return false
		}
		for _, p := range second.runner.toKeep() {
			pos, _, err := state.ReadPosition(second.store.Backing("count", p))
			if err != nil || pos.Offset < ends()[p] {
				return false
			}
		}
		return copies == 0 || len(second.runner.toKeep()) > 0
	})
	began := time.Now()
	first.stop()
	post(1000)
	waitFor(b, committed)
	return time.Since(began)
}

type benched struct {
	b      *testing.B
	runner *Runner
	store  *state.Store
	stop   func()
}

func benchRunner(b *testing.B, to Connection, copies int) *benched {
	store, err := state.OpenStore(state.StoreConfig{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	cfg := Config{Connection: to, Stage: silent{counter{"count"}}, Store: store, Standby: copies, Logger: slog.New(slog.DiscardHandler)}
	r, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	return &benched{b: b, runner: r, store: store}
}

func (r *benched) start() {
	ctx, cancel := context.WithCancel(r.b.Context())
	done := make(chan error, 1)
	go func() { done <- r.runner.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.b.Error(err)
		}
	})
}

func (r *benched) close() {
	if r.stop != nil {
		r.stop()
	}
	if err := r.store.Close(); err != nil {
		r.b.Error(err)
	}
}

// silent counts and puts nothing out.
type silent struct{ counter }

func (s silent) Process(in *pipeline.Input, st pipeline.State, _ *pipeline.Effects) error {
	v, _ := st.Get("n")
	st.Put("n", binary.BigEndian.AppendUint64(nil, uint64(len(v)+1)))
	return nil
}

func waitFor(b *testing.B, condition func() bool) {
	b.Helper()
	for deadline := time.Now().Add(10 * time.Minute); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatal("not within 10 minutes")
		}
	}
}
