package kafka

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// cluster is a fake Kafka with the topics of one stage.
type cluster struct {
	*kfake.Cluster
	t          *testing.T
	partitions int32
	client     *kgo.Client // for the test's own reads and writes
	box        *BlackBox
}

func newCluster(t *testing.T, partitions int32, stages ...string) *cluster {
	t.Helper()
	return newClusterOf(t, 1, partitions, stages...)
}

// newClusterOf has that many brokers.
func newClusterOf(t *testing.T, brokers int, partitions int32, stages ...string) *cluster {
	t.Helper()
	return newClusterWith(t, []kfake.Opt{kfake.NumBrokers(brokers)}, partitions, stages...)
}

func newClusterWith(t *testing.T, opts []kfake.Opt, partitions int32, stages ...string) *cluster {
	t.Helper()
	topics := []string{schemas.TopicDeadLetters, "out"}
	for _, s := range stages {
		topics = append(topics, schemas.Mailbox(s), schemas.Changelog(s))
	}
	box := NewBlackBox(t)
	c, err := kfake.NewCluster(append(opts, kfake.GroupMinSessionTimeout(time.Millisecond),
		kfake.WithLogger(kfake.BasicLogger(box, kfake.LogLevelInfo)))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.CreateTopic(schemas.TopicSettings, 1, map[string]string{"cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics {
		if err := c.CreateTopic(topic, partitions, roomy()); err != nil {
			t.Fatal(err)
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(byKey("")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &cluster{Cluster: c, t: t, partitions: partitions, client: client, box: box}
}

// roomy topics take the runner's batches and keep everything.
func roomy() map[string]string {
	return map[string]string{"max.message.bytes": strconv.Itoa(maxBatchBytes), "retention.ms": "-1"}
}

// config of a runner of the stage on a store in dir.
func (c *cluster) config(stage pipeline.Stage, store *state.Store) Config {
	cfg := configOn(Connection{Brokers: c.ListenAddrs(), Options: []kgo.Opt{kgo.WithLogger(c.box)}}, stage, store)
	if os.Getenv("HANDOFF_TEST_LOG") == "" {
		cfg.Logger = slog.New(slog.NewTextHandler(c.box, nil))
	}
	return cfg
}

func configOn(to Connection, stage pipeline.Stage, store *state.Store) Config {
	cfg := Config{Connection: to, Stage: stage, Store: store, SessionTimeout: 6 * time.Second,
		TransactionTimeout: 2 * time.Second, CommitEvery: 20 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
	if os.Getenv("HANDOFF_TEST_LOG") != "" {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return cfg
}

func openStore(t *testing.T, dir string) *state.Store {
	t.Helper()
	s, err := state.OpenStore(state.StoreConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// running is a runner in this process.
type running struct {
	t      *testing.T
	runner *Runner
	cancel context.CancelFunc
	done   chan error
}

func start(t *testing.T, cfg Config) *running {
	t.Helper()
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return launch(t, r)
}

func launch(t *testing.T, r *Runner) *running {
	ctx, cancel := context.WithCancel(context.Background())
	run := &running{t: t, runner: r, cancel: cancel, done: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		run.done <- r.Run(ctx)
	}()
	t.Cleanup(func() { // of a test that failed: its store is closed after this
		cancel()
		<-ended
	})
	return run
}

// stop ends the runner and returns what Run returned.
func (r *running) stop() error {
	r.t.Helper()
	r.cancel()
	select {
	case err := <-r.done:
		return err
	case <-time.After(patience):
		r.t.Fatal("the runner does not stop")
		return nil
	}
}

// ended waits until the runner gives up by itself, and returns what Run returned.
func (r *running) ended() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(patience):
		r.t.Fatal("the runner does not give up")
		return nil
	}
}

// produce posts records and waits for them.
func (c *cluster) produce(records ...*kgo.Record) {
	c.t.Helper()
	if err := c.client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// read returns the committed records of a topic, by partition, in order.
func (c *cluster) read(topic string) map[int32][]*kgo.Record {
	c.t.Helper()
	return c.readAs(topic, kgo.ReadCommitted())
}

// readAs returns the records of a topic up to its last stable offset, of aborted transactions too when
// asked for.
func (c *cluster) readAs(topic string, level kgo.IsolationLevel) map[int32][]*kgo.Record {
	c.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(level), kgo.KeepControlRecords())
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	left := map[int32]int64{}
	for _, p := range c.PartitionInfos(topic) {
		if p.LastStableOffset > 0 {
			left[p.Partition] = p.LastStableOffset
		}
	}
	all := map[int32][]*kgo.Record{}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			c.t.Fatalf("reading %s: %v, left %v", topic, err, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			if !r.Attrs.IsControl() {
				all[r.Partition] = append(all[r.Partition], r)
			}
		})
	}
	return all
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// committed returns how far the group has committed a partition of the stage's mailbox.
func (c *cluster) committed(stage string, partition int32) int64 {
	g := c.GroupInfo(schemas.Mailbox(stage))
	if g == nil {
		return 0
	}
	return g.Commits[schemas.Mailbox(stage)][partition].Offset
}

// drained tells whether the group has committed everything in the mailbox.
func (c *cluster) drained(stage string) bool {
	for _, p := range c.PartitionInfos(schemas.Mailbox(stage)) {
		if c.committed(stage, p.Partition) < p.HighWatermark {
			return false
		}
	}
	return true
}

// counter counts per key and emits every count: "key" -> count.
type counter struct{ name string }

func (c counter) Name() string { return c.name }

func (c counter) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	return c.count("out", in, st, fx)
}

func (c counter) count(to string, in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	var n uint64
	if v, ok := st.Get("n"); ok {
		n = binary.BigEndian.Uint64(v)
	}
	v := binary.BigEndian.AppendUint64(nil, n+1)
	st.Put("n", v)
	fx.Emit(to, append([]byte(nil), in.Key...), v)
	return nil
}

// checkCounts verifies that "out" has every count of every key once and in order.
func (c *cluster) checkCounts(perKey map[string]int) {
	c.t.Helper()
	last := map[string]uint64{}
	for p, records := range c.read("out") {
		for _, r := range records {
			n := binary.BigEndian.Uint64(r.Value)
			if n != last[string(r.Key)]+1 {
				c.t.Fatalf("partition %d offset %d: %s counts %d after %d", p, r.Offset, r.Key, n, last[string(r.Key)])
			}
			last[string(r.Key)] = n
		}
	}
	for key, n := range perKey {
		if last[key] != uint64(n) {
			c.t.Errorf("%s was counted to %d, want %d", key, last[key], n)
		}
	}
	if len(last) != len(perKey) {
		c.t.Errorf("%d keys came out, want %d", len(last), len(perKey))
	}
}

// load posts n records over keys and returns how many per key.
func (c *cluster) load(stage string, n, keys int) map[string]int {
	c.t.Helper()
	perKey := map[string]int{}
	var records []*kgo.Record
	for i := range n {
		key := fmt.Sprintf("shop|%d", (i*7919)%keys)
		perKey[key]++
		records = append(records, &kgo.Record{Topic: schemas.Mailbox(stage), Key: []byte(key), Value: []byte("v")})
	}
	c.produce(records...)
	return perKey
}
