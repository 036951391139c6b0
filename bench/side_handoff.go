package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/pipeline/state"
)

// counter is both machines as a stage: the count of a key is its state, its output is {count|value}.
type counter struct {
	name   string
	out    string
	dedupe bool
}

func (c *counter) Name() string { return c.name }

func (c *counter) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	if in.Record == nil {
		return errors.New("no timer was set")
	}
	value := in.Record.Value
	if c.dedupe && st.Seen(value[:idBytes], in.Record.Time) {
		return nil
	}
	var n uint64
	if v, ok := st.Get("n"); ok {
		n = binary.BigEndian.Uint64(v)
	}
	n++
	count := fx.Room(8)
	binary.BigEndian.PutUint64(count, n)
	st.Put("n", count)
	output := fx.Room(8 + len(value))
	binary.BigEndian.PutUint64(output, n)
	copy(output[8:], value)
	fx.Emit(c.out, in.Key, output)
	return nil
}

// members of the group the process is, as Kafka Streams has a thread for each core.
var members = runtime.GOMAXPROCS(0)

// runHandoff runs a machine on the runner as a user would: defaults, but for what all sides are given.
func runHandoff(ctx context.Context, s sideSpec) (err error) {
	compression, err := compressionCodec(s.Compression)
	if err != nil {
		return err
	}
	store, err := state.OpenStore(state.StoreConfig{Dir: s.Dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	cfg := kafka.Config{
		Connection: kafka.Connection{Brokers: s.Brokers, Options: []kgo.Opt{kgo.ProducerBatchCompression(compression)}},
		Stage:      &counter{name: strings.TrimPrefix(s.In, "handoff."), out: s.Out, dedupe: s.Machine == machineDedupe},
		Store:      store, Instance: "1",
		CommitEvery: s.commitEvery(), SeenWindow: window, CacheBytes: int(s.CacheBytes), Members: members,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	debug.SetMemoryLimit(cfg.HeapBytes()) // as handoff run does
	debug.SetGCPercent(400)               // the same
	runner, err := kafka.New(cfg)
	if err != nil {
		return err
	}
	if err := runner.Run(ctx); err != nil {
		return fmt.Errorf("run the count: %w", err)
	}
	return nil
}
