package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// side processes everything in the mailbox. It calls began with its first record, and returns once
// everything is committed.
type side func(ctx context.Context, w workload, addrs []string, began func()) error

// measure gives a side a broker of its own with the workload in it.
func measure(ctx context.Context, w workload, s side, profile string) (f figure, err error) {
	b, err := startBroker(ctx, w)
	if err != nil {
		return figure{}, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	if err := fill(ctx, w, b.addrs); err != nil {
		return figure{}, fmt.Errorf("fill the mailbox: %w", err)
	}
	runtime.GC()
	if profile != "" {
		out, err := os.Create(profile)
		if err != nil {
			return figure{}, err
		}
		defer func() { err = errors.Join(err, out.Close()) }()
		if err := pprof.StartCPUProfile(out); err != nil {
			return figure{}, err
		}
		defer pprof.StopCPUProfile()
	}
	var once sync.Once
	var start time.Time
	var cpu time.Duration
	if err := s(ctx, w, b.addrs, func() {
		once.Do(func() { start, cpu = time.Now(), processCPU() })
	}); err != nil {
		return figure{}, err
	}
	n := float64(w.Records)
	f = figure{perSecond: n / time.Since(start).Seconds(), cpu: float64((processCPU() - cpu).Microseconds()) / n}
	return f, check(ctx, w, b.addrs)
}

// check reads the output back. Whatever the side, it has a record for every record; where values count,
// the last counts of all keys sum to the number of records.
func check(ctx context.Context, w workload, addrs []string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ConsumeTopics(outTopic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	last := map[string]uint64{}
	counted := false
	for got := 0; got < w.Records; {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("read %d of %d output records: %w", got, w.Records, ctx.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got++
			if len(r.Value) == 8+w.ValueBytes {
				counted = true
				last[string(r.Key)] = max(last[string(r.Key)], binary.BigEndian.Uint64(r.Value))
			}
		})
	}
	var sum uint64
	for _, n := range last {
		sum += n
	}
	if counted && sum != uint64(w.Records) {
		return fmt.Errorf("the counters sum to %d, want %d", sum, w.Records)
	}
	return nil
}

// processCPU is what this process has used so far.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func byKey() kgo.Partitioner {
	return kgo.BasicConsistentPartitioner(func(string) func(*kgo.Record, int) int {
		return func(r *kgo.Record, n int) int { return int(schemas.Partition(r.Key, n)) }
	})
}

func fill(ctx context.Context, w workload, addrs []string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.RecordPartitioner(byKey()), kgo.MaxBufferedRecords(200_000))
	if err != nil {
		return err
	}
	defer client.Close()
	value := make([]byte, w.ValueBytes)
	for i := range value {
		value[i] = byte('a' + i*7%26)
	}
	var mu sync.Mutex
	var failed error
	for i := range w.Records {
		key := fmt.Appendf(nil, "shop|%d", i*7919%w.Keys)
		client.Produce(ctx, &kgo.Record{Topic: schemas.Mailbox(stageName), Key: key, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	return failed
}

// passThrough is the limit: poll, produce, commit, nothing else.
func passThrough(ctx context.Context, w workload, addrs []string, began func()) error {
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(addrs...),
		kgo.TransactionalID("bench-pass"), kgo.RecordPartitioner(byKey()), kgo.MaxBufferedRecords(200_000),
		kgo.ProducerBatchMaxBytes(1<<20), kgo.ProducerLinger(5*time.Millisecond),
		kgo.ConsumerGroup("bench-pass"), kgo.ConsumeTopics(schemas.Mailbox(stageName)),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxPartitionBytes(4<<20))
	if err != nil {
		return err
	}
	defer session.Close()
	for done := 0; done < w.Records; {
		if err := session.Begin(); err != nil {
			return err
		}
		polled, until := 0, time.Now().Add(w.Commit)
		for time.Now().Before(until) && done+polled < w.Records {
			poll, cancel := context.WithDeadline(ctx, until)
			fetches := session.PollRecords(poll, 10000)
			cancel()
			if fetches.NumRecords() > 0 {
				began()
			}
			fetches.EachRecord(func(r *kgo.Record) {
				polled++
				session.Produce(ctx, &kgo.Record{Topic: outTopic, Key: r.Key, Value: r.Value}, nil)
			})
		}
		committed, err := session.End(ctx, kgo.TryCommit)
		if err != nil {
			return err
		}
		if committed {
			done += polled
		}
	}
	return ctx.Err()
}

// count is the benchmark's stage: the count of a key is its state and its output.
type count struct {
	began func()
}

func (count) Name() string { return stageName }

func (c count) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	c.began()
	var n uint64
	if v, ok := st.Get("n"); ok {
		n = binary.BigEndian.Uint64(v)
	}
	value := make([]byte, 8+len(in.Record.Value))
	binary.BigEndian.PutUint64(value, n+1)
	copy(value[8:], in.Record.Value)
	st.Put("n", value)
	fx.Emit(outTopic, in.Key, value)
	return nil
}

// keyedCount runs the count on the runner.
func keyedCount(ctx context.Context, w workload, addrs []string, began func()) (err error) {
	dir, err := os.MkdirTemp("", "handoff-bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	store, err := state.OpenStore(state.StoreConfig{Dir: dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	runner, err := kafka.New(kafka.Config{Connection: kafka.Connection{Brokers: addrs}, Stage: count{began},
		Store: store, CommitEvery: w.Commit, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(running) }()
	err = waitDrained(ctx, addrs, ended)
	stop()
	return errors.Join(err, <-ended)
}

// waitDrained waits until the group has committed the whole mailbox.
func waitDrained(ctx context.Context, addrs []string, ended chan error) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	mailbox := schemas.Mailbox(stageName)
	want, err := admin.ListEndOffsets(ctx, mailbox)
	if err != nil {
		return err
	}
	for {
		select {
		case err := <-ended:
			ended <- nil
			return fmt.Errorf("the runner ended early: %w", err)
		case <-time.After(5 * time.Millisecond):
		}
		have, err := admin.FetchOffsets(ctx, mailbox)
		if errors.Is(err, kerr.GroupIDNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		drained := true
		want.Each(func(o kadm.ListedOffset) {
			at, ok := have.Lookup(o.Topic, o.Partition)
			drained = drained && (o.Offset == 0 || ok && at.At >= o.Offset)
		})
		if drained {
			return nil
		}
	}
}

func values(figures []figure, of func(figure) float64) []float64 {
	all := make([]float64, len(figures))
	for i, f := range figures {
		all[i] = of(f)
	}
	return all
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}
