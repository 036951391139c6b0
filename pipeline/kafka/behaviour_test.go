package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/deadletter"
)

// stage makes a stage of a function.
type stage struct {
	name    string
	process func(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error
	failed  func(in *pipeline.Input, deadLetter string, cause error, fx *pipeline.Effects)
}

func (s *stage) Name() string { return s.name }

func (s *stage) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	return s.process(in, st, fx)
}

func (s *stage) Failed(in *pipeline.Input, deadLetter string, cause error, fx *pipeline.Effects) {
	if s.failed != nil {
		s.failed(in, deadLetter, cause, fx)
	}
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

func (c *cluster) flat(topic string) []*kgo.Record {
	var all []*kgo.Record
	for _, records := range c.read(topic) {
		all = append(all, records...)
	}
	return all
}

// values of a topic, sorted.
func (c *cluster) values(topic string) []string {
	var all []string
	for _, r := range c.flat(topic) {
		all = append(all, string(r.Value))
	}
	slices.Sort(all)
	return all
}

// run starts a runner of the stage, calls during, and stops it.
func (c *cluster) run(cfg Config, during func(*running)) {
	c.t.Helper()
	run := start(c.t, cfg)
	during(run)
	if err := run.stop(); err != nil {
		c.t.Fatal(err)
	}
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, "picky")
	picky := &stage{name: "picky",
		process: func(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
			value := string(in.Record.Value)
			st.Put("last", in.Record.Value)
			fx.Emit("out", in.Key, in.Record.Value)
			switch {
			case value == "bad":
				return errors.New("it is bad")
			case value == "panics":
				panic("boom")
			case value == "too large":
				fx.Emit("out", in.Key, make([]byte, 1<<20))
			case value == "state":
				last, _ := st.Get("kept")
				fx.Emit("out", in.Key, append([]byte("kept "), last...))
			default:
				st.Put("kept", in.Record.Value)
			}
			return nil
		},
		failed: func(in *pipeline.Input, deadLetter string, cause error, fx *pipeline.Effects) {
			fx.Emit("out", in.Key, []byte("shut for "+deadLetter))
		}}
	store := openStore(t, t.TempDir())
	key := []byte("shop|a")
	p := schemas.Partition(key, 3)
	at := time.UnixMilli(1_700_000_000_000)
	send := func(value string) *kgo.Record {
		return &kgo.Record{Topic: "handoff.picky", Key: key, Value: []byte(value), Timestamp: at}
	}
	var logged bytes.Buffer
	cfg := c.config(picky, store)
	cfg.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	c.run(cfg, func(*running) {
		c.produce(send("one"), send("bad"), send("panics"), send("too large"), send("state"))
		eventually(t, "all are committed", func() bool { return c.drained("picky") })
	})
	want := []string{"kept one", "one", "state"}
	for _, offset := range []int{1, 2, 3} {
		want = append(want, fmt.Sprintf("shut for handoff.picky/%d/%d", p, offset))
	}
	slices.Sort(want)
	if got := c.values("out"); !slices.Equal(got, want) {
		t.Errorf("out: %q, want %q", got, want)
	}
	reasons := map[string]string{"bad": "it is bad", "panics": "boom", "too large": "record too large"}
	dead := c.flat(schemas.TopicDeadLetters)
	if len(dead) != 3 {
		t.Fatalf("%d dead letters, want 3", len(dead))
	}
	for i, r := range dead {
		if !strings.Contains(header(r, deadletter.HeaderReason), reasons[string(r.Value)]) || header(r, deadletter.HeaderStage) != "picky" ||
			header(r, deadletter.HeaderTopic) != "handoff.picky" || header(r, deadletter.HeaderPartition) != fmt.Sprint(p) || header(r, deadletter.HeaderOffset) != fmt.Sprint(i+1) ||
			header(r, deadletter.HeaderTimestamp) != "1700000000000" || string(r.Key) != "shop|a" || !r.Timestamp.Equal(at) {
			t.Errorf("dead letter %d: %s %v", i, r.Value, r.Headers)
		}
		if place := fmt.Sprintf("place=handoff.picky/%d/%d ", p, i+1); !strings.Contains(logged.String(), place) {
			t.Errorf("dead letter %d is not in the log by %s:\n%s", i, place, &logged)
		}
	}
	if strings.Contains(logged.String(), "shop|a") || strings.Contains(logged.String(), "goroutine") {
		t.Errorf("the log has a key, or a stack:\n%s", &logged)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWrongPartition(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 4, "count")
	store := openStore(t, t.TempDir())
	manual, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer manual.Close()
	right := schemas.Partition([]byte("shop|x"), 4)
	wrong := (right + 1) % 4
	c.run(c.config(counter{"count"}, store), func(*running) {
		if err := manual.ProduceSync(context.Background(), &kgo.Record{Topic: "handoff.count", Partition: wrong, Key: []byte("shop|x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is committed", func() bool { return c.drained("count") })
	})
	dead := c.flat(schemas.TopicDeadLetters)
	if len(dead) != 1 || !strings.Contains(header(dead[0], deadletter.HeaderReason), fmt.Sprintf("belongs to partition %d", right)) {
		t.Errorf("dead letters: %v", dead)
	}
	if out := c.flat("out"); len(out) != 0 {
		t.Errorf("it was counted")
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFailingStageStops(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, "bad")
	store := openStore(t, t.TempDir())
	bad := &stage{name: "bad", process: func(*pipeline.Input, pipeline.State, *pipeline.Effects) error { return errors.New("no") }}
	c.load("bad", 30, 10)
	run := start(t, c.config(bad, store))
	err := run.ended()
	if !errors.Is(err, ErrFailing) || !errors.Is(run.runner.Ready(), ErrFailing) {
		t.Errorf("Run: %v, ready: %v; want ErrFailing", err, run.runner.Ready())
	}
	if n := len(c.flat(schemas.TopicDeadLetters)); n < failuresInARow || int64(n) != c.committed("bad", 0) {
		t.Errorf("%d dead letters, committed up to %d", n, c.committed("bad", 0))
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestPartitionCountsMustAgree(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	if err := c.CreateTopic("handoff.count", 3, roomy()); err != nil {
		t.Fatal(err)
	}
	if err := c.CreateTopic("handoff.count.changelog", 4, roomy()); err != nil {
		t.Fatal(err)
	}
	store := openStore(t, t.TempDir())
	run := start(t, c.config(counter{"count"}, store))
	if err := run.ended(); err == nil || !strings.Contains(err.Error(), "handoff.count has 3 partitions and handoff.count.changelog has 4") {
		t.Errorf("Run: %v", err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPartitionsAreAdded: a mailbox that gets more partitions while the stage runs ends it. What lies in the new ones would
// never be read, and keys would be on other partitions than their state.
func TestPartitionsAreAdded(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, "count")
	store := openStore(t, t.TempDir())
	run := start(t, c.config(counter{"count"}, store))
	c.load("count", 100, 10)
	eventually(t, "all is committed", func() bool { return c.drained("count") })
	if _, err := kadm.NewClient(c.client).UpdatePartitions(t.Context(), 3, schemas.Mailbox("count")); err != nil {
		t.Fatal(err)
	}
	if err := run.ended(); err == nil || !strings.Contains(err.Error(), "handoff.count has 3 partitions now and had 2") {
		t.Errorf("Run: %v", err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

func TestOffsetsOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, "count")
	store := openStore(t, t.TempDir())
	c.load("count", 10, 3)
	c.run(c.config(counter{"count"}, store), func(*running) {
		eventually(t, "all are committed", func() bool { return c.drained("count") })
	})
	other, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumerGroup("handoff.count"), kgo.ConsumeTopics("handoff.count"))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "somebody moves the offset", func() bool {
		other.CommitOffsetsSync(context.Background(), map[string]map[int32]kgo.EpochOffset{"handoff.count": {0: {Epoch: -1, Offset: 3}}}, nil)
		return c.committed("count", 0) == 3
	})
	other.Close()
	run := start(t, c.config(counter{"count"}, store))
	if err := run.ended(); err == nil || !strings.Contains(err.Error(), "by something else") {
		t.Errorf("Run: %v", err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTimersWithoutTraffic: a timer fires by the wall clock once the partition is read to its end, once,
// also when the runner was away in between, and a timers-only transaction moves no offset.
func TestTimersWithoutTraffic(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, "later")
	later := &stage{name: "later", process: func(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
		if in.Timer != nil {
			fx.Emit("out", in.Key, fmt.Appendf(nil, "%s after %s", in.Timer.Name, in.Now.Sub(time.UnixMilli(in.Timer.At.UnixMilli()))))
			return nil
		}
		fx.SetTimer("first", in.Now.Add(30*time.Millisecond))
		fx.SetTimer("second", in.Now.Add(300*time.Millisecond))
		return nil
	}}
	store := openStore(t, t.TempDir())
	key := []byte("shop|a")
	p := schemas.Partition(key, 2)
	c.run(c.config(later, store), func(*running) {
		c.produce(&kgo.Record{Topic: "handoff.later", Key: key, Value: []byte("v")})
		eventually(t, "the first fires", func() bool { return len(c.flat("out")) >= 1 })
	})
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	store = openStore(t, t.TempDir())
	c.run(c.config(later, store), func(*running) {
		eventually(t, "the second fires", func() bool { return len(c.flat("out")) >= 2 })
	})
	if got := c.values("out"); !slices.Equal(got, []string{"first after 0s", "second after 0s"}) {
		t.Errorf("out: %q", got)
	}
	if at := c.committed("later", p); at != 1 {
		t.Errorf("the offset is %d, want 1", at)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// recorder is a Caller that remembers what it was told.
type recorder struct {
	mu        sync.Mutex
	log       []string        // guarded by mu
	reader    pipeline.Reader // guarded by mu
	committed func(pipeline.Reader, int32, pipeline.Call)
}

func (r *recorder) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

func (r *recorder) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

func (r *recorder) Assigned(p int32, read pipeline.Reader, inherited []pipeline.PendingCall) {
	r.mu.Lock()
	r.reader = read
	r.mu.Unlock()
	for _, c := range inherited {
		r.add("inherited %s of %s", c.Call.ID, c.Key)
	}
}

func (r *recorder) Committed(p int32, stored, ended []pipeline.PendingCall) {
	for _, c := range stored {
		r.add("stored %s %s", c.Call.ID, c.Call.Body)
		if r.committed != nil {
			r.committed(r.reader, p, c.Call)
		}
	}
	for _, c := range ended {
		r.add("ended %s", c.Call.ID)
	}
}

func (r *recorder) Revoked(context.Context, int32) { r.add("revoked") }

func TestCalls(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, "caller")
	st := &stage{name: "caller", process: func(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
		verb, id, _ := strings.Cut(string(in.Record.Value), " ")
		st.Put("last", in.Record.Value)
		if verb == "end" {
			fx.EndCall(id)
			return nil
		}
		fx.Call(pipeline.Call{ID: id, Body: []byte(verb), Created: in.Now})
		return nil
	}}
	store := openStore(t, t.TempDir())
	send := func(value string) {
		c.produce(&kgo.Record{Topic: "handoff.caller", Key: []byte("shop|a"), Value: []byte(value)})
		eventually(t, value+" is committed", func() bool { return c.drained("caller") })
	}
	one := &recorder{}
	one.committed = func(read pipeline.Reader, p int32, call pipeline.Call) {
		// What the Caller is told of can be read.
		last, ok, err := read.Get(p, []byte("shop|a"), "last")
		if err != nil || !ok || !strings.HasSuffix(string(last), call.ID) || !read.Lease(p) {
			t.Errorf("told of %s, the state reads %q %v %v, lease %v", call.ID, last, ok, err, read.Lease(p))
		}
	}
	cfg := c.config(st, store)
	cfg.Caller = one
	c.run(cfg, func(*running) {
		for _, v := range []string{"a 1", "a 2", "a 3", "b 1", "end 2"} {
			send(v)
		}
		eventually(t, "five things are told", func() bool { return len(one.lines()) == 5 })
		eventually(t, "nothing is unread", func() bool { return one.reader.Behind(0) == 0 })
		if one.reader.Behind(7) != 0 || one.reader.Lease(7) {
			t.Error("a partition that is not owned has a lease")
		}
	})
	if want := []string{"stored 1 a", "stored 2 a", "stored 3 a", "stored 1 b", "ended 2", "revoked"}; !slices.Equal(one.lines(), want) {
		t.Errorf("told %q, want %q", one.lines(), want)
	}
	if one.reader.Lease(0) {
		t.Error("the lease outlives the runner")
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	store = openStore(t, t.TempDir()) // the local state is lost: calls come from the changelog
	two := &recorder{}
	cfg = c.config(st, store)
	cfg.Caller = two
	c.run(cfg, func(*running) {
		eventually(t, "open calls are handed over", func() bool { return len(two.lines()) == 2 })
	})
	if want := []string{"inherited 1 of shop|a", "inherited 3 of shop|a", "revoked"}; !slices.Equal(two.lines(), want) {
		t.Errorf("told %q, want %q", two.lines(), want)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}
