package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/deadletter"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// house is a Kafka with the topics of stage "keeper".
type house struct {
	t      *testing.T
	fake   *kfake.Cluster // nil on a real one
	box    *kafka.BlackBox
	conn   kafka.Connection
	client *kgo.Client
	admin  *kadm.Client
}

const keeperPartitions = 4

func newHouse(t *testing.T) *house {
	t.Helper()
	box := kafka.NewBlackBox(t)
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Millisecond),
		kfake.WithLogger(kfake.BasicLogger(box, kfake.LogLevelInfo)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return furnish(t, c, c.ListenAddrs(), box)
}

// furnish makes the topics.
func furnish(t *testing.T, fake *kfake.Cluster, brokers []string, box *kafka.BlackBox) *house {
	t.Helper()
	h := &house{t: t, fake: fake, box: box, conn: kafka.Connection{Brokers: brokers, Options: []kgo.Opt{kgo.WithLogger(box)}}}
	var err error
	if h.client, err = h.conn.NewClient("test", kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(4<<20)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.client.Close)
	h.admin = kadm.NewClient(h.client)
	compact, large, always := "compact", strconv.Itoa(schemas.MaxRecordBytes+schemas.MaxRecordBytes/4), "-1"
	for topic, configs := range map[string]map[string]*string{
		schemas.Mailbox("keeper"): nil, schemas.TopicDeadLetters: nil, "out": nil, schemas.Changelog("keeper"): {"cleanup.policy": &compact},
	} {
		if fake != nil || configs == nil {
			configs = map[string]*string{"retention.ms": &always} // kfake deletes no records of compacted topics
		}
		configs["max.message.bytes"] = &large
		if _, err := h.admin.CreateTopic(t.Context(), keeperPartitions, 1, configs, topic); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// post puts a record of a key on the key's partition, moved by off.
func (h *house) post(key, value string, at time.Time, off int32) {
	h.t.Helper()
	r := &kgo.Record{Topic: schemas.Mailbox("keeper"), Key: []byte(key), Value: []byte(value), Timestamp: at,
		Partition: (schemas.Partition([]byte(key), keeperPartitions) + off) % keeperPartitions}
	if err := h.client.ProduceSync(h.t.Context(), r).FirstErr(); err != nil {
		h.t.Fatal(err)
	}
}

// runner starts the stage; stop ends it and waits until it has left the group.
func (h *house) runner(s pipeline.Stage, dir string) (stop func()) {
	h.t.Helper()
	_, stop = h.launch(s, dir)
	return stop
}

func (h *house) launch(s pipeline.Stage, dir string) (_ *kafka.Runner, stop func()) {
	h.t.Helper()
	store, err := state.OpenStore(state.StoreConfig{Dir: dir})
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := kafka.New(kafka.Config{Connection: h.conn, Stage: s, Store: store, SessionTimeout: 6 * time.Second,
		TransactionTimeout: 2 * time.Second, CommitEvery: 10 * time.Millisecond, SettingsWait: time.Millisecond, Logger: slog.New(slog.NewTextHandler(h.box, nil))})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(h.t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return r, func() {
		h.t.Helper()
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("Run: %v", err)
		}
		if err := store.Close(); err != nil {
			h.t.Error(err)
		}
	}
}

// records of a topic that are committed.
func (h *house) records(topic string) []*kgo.Record {
	h.t.Helper()
	var all []*kgo.Record
	if err := h.conn.ReadTopic(h.t.Context(), topic, func(r *kgo.Record) error { all = append(all, r); return nil }); err != nil {
		h.t.Fatal(err)
	}
	return all
}

func (h *house) letters() []kafka.DeadLetter {
	h.t.Helper()
	d, err := kafka.ReadDeadLetters(h.t.Context(), h.conn, nil)
	if err != nil || len(d.Bad) > 0 {
		h.t.Fatal(err, d.Bad)
	}
	return d.All
}

func (h *house) until(what string, ok func() bool) {
	h.t.Helper()
	for end := time.Now().Add(90 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatalf("not within 90 s: %s", what)
		}
	}
}

func (h *house) resolver(by string) *kafka.Resolver {
	h.t.Helper()
	r, err := kafka.OpenResolver(h.t.Context(), kafka.ResolverConfig{Connection: h.conn, Settings: oneShop{}, Stages: []string{"keeper"},
		ShutsTexts: func(string) bool { return true }, By: by})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(r.Close)
	return r
}

// oneShop is the table of a shop "shop".
type oneShop struct{}

func (oneShop) At(string, uint64) (*settings.Shop, error) { return &settings.Shop{Shop: "shop"}, nil }

func (oneShop) Current(shop string) (*settings.Shop, uint64, error) {
	if shop != "shop" {
		return nil, 0, pipeline.ErrSettingsPending
	}
	return &settings.Shop{Shop: shop}, 7, nil
}

// keeper tells what it was given to "out". Values that begin with "bad" fail while it is broken, and
// "timer <name>" sets a timer, which fails while it is broken.
type keeper struct{ broken *atomic.Bool }

func (keeper) Name() string { return "keeper" }

func (k keeper) Process(in *pipeline.Input, _ pipeline.State, fx *pipeline.Effects) error {
	tell := func(format string, args ...any) { fx.Emit("out", in.Key, fmt.Appendf(nil, format, args...)) }
	if in.Timer != nil {
		if k.broken.Load() {
			return errors.New("broken\nwith a stack")
		}
		tell("timer %s at %d now %d", in.Timer.Name, in.Timer.At.UnixMilli(), in.Now.UnixMilli())
		return nil
	}
	value := string(in.Record.Value)
	if name, ok := strings.CutPrefix(value, "timer "); ok {
		fx.SetTimer(name, in.Record.Time)
		return nil
	}
	if strings.HasPrefix(value, "bad") && k.broken.Load() {
		return errors.New("broken\nwith a stack")
	}
	if r, err := schemas.Decode(in.Record.Key, in.Record.Value); err == nil {
		if r.GetDeadLetterResolved() != nil {
			tell("resolved %s dropped %v", r.GetDeadLetterResolved().GetDeadLetter(), r.GetDeadLetterResolved().GetDropped())
			return nil
		}
		return turn.Process(decider{}, &pipeline.Input{Key: in.Key, Record: in.Record, Now: in.Now, Settings: oneShop{}}, nil, fx)
	}
	tell("%s at %d on %d", value, in.Record.Time.UnixMilli(), in.Record.Partition)
	return nil
}

// decider takes no records of its own.
type decider struct{}

func (decider) Name() string          { return "keeper" }
func (decider) On(t *turn.Turn) error { return fmt.Errorf("unexpected %v", t.Record) }
func (h *house) out() (values []string) {
	for _, r := range h.records("out") {
		values = append(values, string(r.Value))
	}
	return values
}

// TestReplay: what a stage could not process is put back as it was, on the partition of its key, once;
// a timer fires at the time it was due; each is followed by the word that it is resolved.
func TestReplay(t *testing.T) {
	h, broken := newHouse(t), &atomic.Bool{}
	broken.Store(true)
	at := time.Now().Add(-48 * time.Hour).Truncate(time.Millisecond)
	h.post("shop|1", "bad one", at, 0)
	h.post("shop|2", "good", at, 0)
	h.post("shop|3", "stray", at, 1)
	h.post("shop|4", "timer t/x", at, 0)
	dir := t.TempDir()
	stop := h.runner(keeper{broken}, dir)
	h.until("three dead letters", func() bool { return len(h.letters()) == 3 })
	broken.Store(false)

	first, second := h.resolver("Ann"), h.resolver("Bob")
	find := func(r *kafka.Resolver, key string) *kafka.DeadLetter {
		for i := range r.Letters().All {
			if l := &r.Letters().All[i]; string(l.Key) == key {
				return l
			}
		}
		t.Fatalf("no dead letter of %s", key)
		return nil
	}
	// The one who came later wins; the one who came first can do nothing any more.
	if err := first.Resolve(t.Context(), []*kafka.DeadLetter{find(first, "shop|1")}, deadletter.Replayed, "", func(int) {}); err == nil || !strings.Contains(err.Error(), "somebody else began to meanwhile") {
		t.Errorf("a fenced resolver put a record back, or does not say why not: %v", err)
	}
	all := []*kafka.DeadLetter{find(second, "shop|1"), find(second, "shop|3"), find(second, "shop|4")}
	if err := second.Resolve(t.Context(), all, deadletter.Replayed, "mended", func(int) {}); err != nil {
		t.Fatal(err)
	}
	name := find(second, "shop|4").Name()
	part := func(key string) int32 { return schemas.Partition([]byte(key), keeperPartitions) }
	want := []string{
		"good at " + fmt.Sprint(at.UnixMilli()) + " on " + fmt.Sprint(part("shop|2")),
		"bad one at " + fmt.Sprint(at.UnixMilli()) + " on " + fmt.Sprint(part("shop|1")),
		"stray at " + fmt.Sprint(at.UnixMilli()) + " on " + fmt.Sprint(part("shop|3")),
		fmt.Sprintf("timer t/x at %d now %d", at.UnixMilli(), at.UnixMilli()),
		"resolved " + find(second, "shop|1").Name() + " dropped false",
		"resolved " + find(second, "shop|3").Name() + " dropped false",
		"resolved " + name + " dropped false",
	}
	h.until("all came out", func() bool { return len(h.out()) >= len(want) })
	got := h.out()
	for _, w := range want {
		if n := count(got, w); n != 1 {
			t.Errorf("%q came out %d times, want once; out: %q", w, n, got)
		}
	}
	var order []string
	for _, r := range h.records("out") {
		if string(r.Key) == "shop|4" {
			order = append(order, string(r.Value))
		}
	}
	if len(order) != 2 || !strings.HasPrefix(order[0], "timer") {
		t.Errorf("the timer's end was told before it fired: %q", order)
	}

	// Trying again, also with another way, has no effect.
	third := h.resolver("Cem")
	l := find(third, "shop|1")
	if r := l.Resolution; r == nil || r.How != deadletter.Replayed || r.By != "Bob" || r.Why != "mended" {
		t.Errorf("resolution: %+v", r)
	}
	for _, how := range []string{deadletter.Replayed, deadletter.Dropped} {
		if err := third.Resolve(t.Context(), []*kafka.DeadLetter{l}, how, "", func(int) {}); !errors.Is(err, kafka.ErrReplayed) {
			t.Errorf("%s again: %v", how, err)
		}
	}
	stop()
	if again := h.out(); len(again) != len(want) {
		t.Errorf("%d records came out, want %d: %q", len(again), len(want), again)
	}
}

// TestReplayFailsAgain: it is a new dead letter with a name of its own, a timer's too, so that the word
// about the first does not open what the second shut.
func TestReplayFailsAgain(t *testing.T) {
	h, broken := newHouse(t), &atomic.Bool{}
	broken.Store(true)
	h.post("shop|1", "bad", time.Now(), 0)
	h.post("shop|1", "timer t", time.Now().Add(-time.Hour), 0)
	stop := h.runner(keeper{broken}, t.TempDir())
	defer stop()
	h.until("two dead letters", func() bool { return len(h.letters()) == 2 })
	r := h.resolver("Ann")
	var all []*kafka.DeadLetter
	for i := range r.Letters().All {
		all = append(all, &r.Letters().All[i])
	}
	if err := r.Resolve(t.Context(), all, deadletter.Replayed, "", func(int) {}); err != nil {
		t.Fatal(err)
	}
	h.until("four dead letters", func() bool { return len(h.letters()) == 4 })
	names, open := map[string]bool{}, 0
	for _, l := range h.letters() {
		names[l.Name()] = true
		if l.Resolution == nil {
			open++
		}
		if !strings.HasPrefix(l.Reason, "broken") || l.Failed.IsZero() {
			t.Errorf("%+v", l)
		}
	}
	if len(names) != 4 || open != 2 {
		t.Errorf("%d names, %d open; want 4 and 2: %v", len(names), open, names)
	}
}

// TestDrop: it is told to the stage and remembered, and cannot be put back.
func TestDrop(t *testing.T) {
	h, broken := newHouse(t), &atomic.Bool{}
	broken.Store(true)
	h.post("shop|1", "bad", time.Now(), 0)
	h.post("no key of a person", "bad", time.Now(), 0)
	stop := h.runner(keeper{broken}, t.TempDir())
	defer stop()
	h.until("two dead letters", func() bool { return len(h.letters()) == 2 })
	r := h.resolver("Ann")
	all := []*kafka.DeadLetter{&r.Letters().All[0], &r.Letters().All[1]}
	if err := r.Resolve(t.Context(), all, deadletter.Dropped, "spam", func(int) {}); err != nil {
		t.Fatal(err)
	}
	h.until("the stage heard of the one that shut texts", func() bool { return len(h.out()) == 1 })
	if got := h.out()[0]; !strings.HasSuffix(got, "dropped true") {
		t.Error(got)
	}
	r = h.resolver("Bob")
	for i := range r.Letters().All {
		l := &r.Letters().All[i]
		if l.Resolution == nil || l.Resolution.Why != "spam" {
			t.Errorf("%s: %+v", l.Place(), l.Resolution)
		}
		if err := r.Resolve(t.Context(), []*kafka.DeadLetter{l}, deadletter.Replayed, "", func(int) {}); !errors.Is(err, kafka.ErrDropped) || !strings.Contains(err.Error(), "by Ann") {
			t.Errorf("replay of a dropped one: %v", err)
		}
	}
	if _, err := r.Letters().Find("3/999"); !errors.Is(err, kafka.ErrNoDeadLetter) {
		t.Errorf("an unknown place: %v", err)
	}
}

// waiter fails on commands, and tells of those that it is given once more.
type waiter struct{}

func (waiter) Name() string { return schemas.StageDeliver }

func (waiter) Process(in *pipeline.Input, _ pipeline.State, fx *pipeline.Effects) error {
	r, err := schemas.Decode(in.Record.Key, in.Record.Value)
	switch {
	case err != nil:
		return err
	case r.GetCommand() != nil && !r.GetDropped():
		return errors.New("broken")
	}
	fx.Emit("out", in.Key, fmt.Appendf(nil, "%T %x", r.GetBody(), r.GetId()))
	return nil
}

// TestDropOfACommand: deliver is given a command that is dropped, to end it, and then the word that it was dealt with.
func TestDropOfACommand(t *testing.T) {
	h := newHouse(t)
	large, always := strconv.Itoa(schemas.MaxRecordBytes+schemas.MaxRecordBytes/4), "-1"
	for _, topic := range []string{schemas.TopicDeliver, schemas.Changelog(schemas.StageDeliver)} {
		if _, err := h.admin.CreateTopic(t.Context(), 1, 1, map[string]*string{"retention.ms": &always, "max.message.bytes": &large}, topic); err != nil {
			t.Fatal(err)
		}
	}
	now := timestamppb.Now()
	command := &handoffv1.Record{Id: schemas.SourceID("test", "shop", "", "1"), Shop: "shop", Address: "1", SettingsVersion: 1, EventTime: now, ReceivedAt: now,
		Body: &handoffv1.Record_Command{Command: &handoffv1.Command{Action: &handoffv1.Command_AddNote{AddNote: &handoffv1.AddNote{Text: "a note"}}}}}
	value, err := schemas.Encode(command)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.client.ProduceSync(t.Context(), &kgo.Record{Topic: schemas.TopicDeliver, Key: schemas.KeyOf(command).Bytes(), Value: value}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	defer h.runner(waiter{}, t.TempDir())()
	h.until("a dead letter", func() bool { return len(h.letters()) == 1 })
	r, err := kafka.OpenResolver(t.Context(), kafka.ResolverConfig{Connection: h.conn, Settings: oneShop{}, Stages: []string{schemas.StageDeliver},
		ShutsTexts: func(string) bool { return true }, By: "Ann"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Resolve(t.Context(), []*kafka.DeadLetter{&r.Letters().All[0]}, deadletter.Dropped, "not ours", func(int) {}); err != nil {
		t.Fatal(err)
	}
	h.until("the stage heard both", func() bool { return len(h.out()) == 2 })
	if got := h.out(); got[0] != fmt.Sprintf("*handoffv1.Record_Command %x", command.GetId()) || !strings.HasPrefix(got[1], "*handoffv1.Record_DeadLetterResolved") {
		t.Errorf("it heard %q", got)
	}
}

// TestReplayOfACutValue: the whole value is taken from the mailbox, and the letter stays open when it is
// no longer there.
func TestReplayOfACutValue(t *testing.T) {
	h, broken := newHouse(t), &atomic.Bool{}
	broken.Store(true)
	bytes := "4000000"
	if _, err := h.admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &bytes}},
		schemas.Mailbox("keeper"), schemas.TopicDeadLetters); err != nil {
		t.Fatal(err)
	}
	long := "bad " + strings.Repeat("x", schemas.MaxRecordBytes+schemas.MaxRecordBytes/4-3000)
	h.post("shop|1", long, time.Now(), 0)
	stop := h.runner(keeper{broken}, t.TempDir())
	defer stop()
	h.until("a dead letter", func() bool { return len(h.letters()) == 1 })
	if l := h.letters()[0]; l.Full != len(long) || len(l.Value) >= len(long) {
		t.Fatalf("%d of %d bytes", len(l.Value), l.Full)
	}
	p := schemas.Partition([]byte("shop|1"), keeperPartitions)
	r := h.resolver("Ann")
	if err := r.Resolve(t.Context(), []*kafka.DeadLetter{&r.Letters().All[0]}, deadletter.Replayed, "", func(int) {}); err != nil {
		t.Fatal(err)
	}
	h.until("it failed again", func() bool { return len(h.letters()) == 2 })
	h.remove(schemas.Mailbox("keeper"), p, -1)
	r = h.resolver("Ann")
	if err := r.Resolve(t.Context(), []*kafka.DeadLetter{&r.Letters().All[1]}, deadletter.Replayed, "", func(int) {}); !errors.Is(err, kafka.ErrRecordGone) {
		t.Errorf("its record is gone: %v", err)
	}
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}
