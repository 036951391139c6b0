package kafka_test

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/deadletter"
)

// TestReset: after a reset the state is what the mended stage would have made of the same records, no
// output comes twice, ids seen before are still known, and local state from before is not believed.
func TestReset(t *testing.T) {
	h := newHouse(t)
	h.load(0, 200, began)
	dir := t.TempDir()
	h.run(clerk{bug: true}, dir)
	before := unique(h.out())
	result, err := h.reset(h.resetConfig(clerk{}))
	if err != nil || result.Processed != 250 || result.Skipped != 0 || result.Emitted != 0 {
		t.Fatalf("%+v %v", result, err)
	}
	h.compare("after the reset", h.fresh(clerk{}, nil))
	if n := len(h.out()); n != len(before) {
		t.Errorf("%d outputs, want %d as before", n, len(before))
	}
	// On the old local state: known values again, and new ones.
	h.load(100, 150, began)
	h.run(clerk{}, dir)
	h.compare("after going on", h.fresh(clerk{}, nil))
	for v := range unique(h.out()) {
		name, _, _ := strings.Cut(v, " is ")
		if n, err := strconv.Atoi(strings.TrimPrefix(name, "v")); err == nil && n < 200 && !before[v] {
			t.Errorf("%q was processed again", v)
		}
	}
	// And on none at all.
	h.load(250, 50, began)
	h.run(clerk{}, t.TempDir())
	h.compare("restored from the changelog alone", h.fresh(clerk{}, nil))
}

// TestResetTwice: a second reset ends the life that the first began.
func TestResetTwice(t *testing.T) {
	h := newHouse(t)
	h.load(0, 60, began)
	dir := t.TempDir()
	h.run(clerk{}, dir)
	for _, s := range []clerk{{bug: true}, {}} {
		if _, err := h.reset(h.resetConfig(s)); err != nil {
			t.Fatal(err)
		}
		h.compare("after a reset", h.fresh(s, nil))
	}
	h.load(60, 20, began)
	h.run(clerk{}, dir)
	h.compare("after going on", h.fresh(clerk{}, nil))
}

// repeating is a clerk whose timers' outputs may come again.
type repeating struct{ clerk }

func (repeating) Repeat(e *pipeline.Emit) bool { return strings.HasPrefix(string(e.Value), "timer ") }

// TestResetEmits: asked to, it puts out once more, the same, what the stage says may be, and nothing else;
// of a stage that says so of nothing it is refused.
func TestResetEmits(t *testing.T) {
	h := newHouse(t)
	h.load(0, 80, began)
	h.run(clerk{}, t.TempDir())
	before := h.out()
	cfg := h.resetConfig(clerk{})
	cfg.Emit = true
	if _, err := h.reset(cfg); err == nil || !strings.Contains(err.Error(), "none of its outputs may be produced again") {
		t.Errorf("reset: %v", err)
	}
	cfg.Stage = repeating{}
	result, err := h.reset(cfg)
	if err != nil {
		t.Fatal(err)
	}
	after, again := h.out(), 0
	for _, v := range before {
		want := count(before, v)
		if strings.HasPrefix(v, "timer ") {
			want, again = 2*want, again+1
		}
		if n := count(after, v); n != want {
			t.Errorf("%q came out %d times, want %d", v, n, want)
		}
	}
	if again == 0 || result.Emitted != int64(again) {
		t.Errorf("%d emitted, want %d", result.Emitted, again)
	}
}

// TestResetInterrupted: wherever it ends, nothing is changed yet, or the stage waits and says what for; the next run
// finishes beside it, nothing is lost or doubled, and the stage goes on by itself.
func TestResetInterrupted(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault kfake.Fault
		after int  // requests of the kind that go through first
		begun bool // the old state has ended
	}{
		{"producing the end of the old state", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: 1}, 0, false},
		{"joining the group", kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.GroupAuthorizationFailed, Count: 1}, 0, false},
		{"before the mark", kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.GroupAuthorizationFailed, Count: 1, When: commits("handoff-reset:")}, 0, false},
		{"while the old state ends", kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.InvalidTxnState, Count: 2}, 0, false},
		{"in the midst of the records", kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.InvalidTxnState, Count: 2}, 5, true},
		{"between partitions", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: 1}, 9, true},
		{"before the end", kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.GroupAuthorizationFailed, Count: 1, When: commits("handoff:")}, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			h.load(0, 120, began)
			dir := t.TempDir()
			h.run(clerk{bug: true}, dir)
			out, before := len(h.out()), h.state()
			left := c.after
			if c.fault.When == nil {
				c.fault.When = func(kmsg.Request) bool {
					left--
					return left < 0
				}
			}
			f := h.fake.Fault(c.fault)
			_, err := h.reset(h.resetConfig(clerk{}))
			if err == nil || f.Hits() == 0 {
				t.Fatalf("it was not interrupted: %v, %d hits", err, f.Hits())
			}
			f.Remove()
			stop := func() {}
			if !c.begun {
				h.compare("not begun", before)
			} else {
				stop = h.waiting(clerk{}, dir)
				cfg := h.resetConfig(clerk{})
				cfg.KeepState = true
				if _, err := h.reset(cfg); !errors.Is(err, kafka.ErrResetUnfinished) {
					t.Errorf("void state was kept: %v", err)
				}
			}
			if _, err := h.reset(h.resetConfig(clerk{})); err != nil {
				t.Fatal(err)
			}
			h.compare("finished", h.fresh(clerk{}, nil))
			if n := len(h.out()); n != out {
				t.Errorf("%d outputs, want %d", n, out)
			}
			h.load(120, 40, began)
			if c.begun {
				h.until("who waited goes on", func() bool { return h.drained() && h.timers() == 0 })
			}
			stop()
			h.run(clerk{}, dir)
			h.compare("after going on", h.fresh(clerk{}, nil))
		})
	}
}

// commits tells whether a request commits offsets with such metadata.
func commits(prefix string) func(kmsg.Request) bool {
	return func(req kmsg.Request) bool {
		for _, topic := range req.(*kmsg.TxnOffsetCommitRequest).Topics {
			for _, p := range topic.Partitions {
				return p.Metadata != nil && strings.HasPrefix(*p.Metadata, prefix)
			}
		}
		return false
	}
}

// TestResetOfARunningStage is refused and changes nothing.
func TestResetOfARunningStage(t *testing.T) {
	h := newHouse(t)
	h.load(0, 40, began)
	stop := h.runner(clerk{}, t.TempDir())
	h.until("everything is processed", h.drained)
	_, err := h.reset(h.resetConfig(clerk{bug: true}))
	if !errors.Is(err, kafka.ErrMembers) || !strings.Contains(err.Error(), "handoff-keeper") {
		t.Errorf("reset of a running stage: %v", err)
	}
	h.load(40, 10, began)
	h.until("it goes on", func() bool { return h.drained() && h.timers() == 0 })
	stop()
	h.compare("untouched", h.fresh(clerk{}, nil))
}

// TestResetMoved: a plan that no longer holds is not carried out.
func TestResetMoved(t *testing.T) {
	h := newHouse(t)
	h.load(0, 40, began)
	dir := t.TempDir()
	h.run(clerk{}, dir)
	r, err := kafka.OpenReset(t.Context(), h.resetConfig(clerk{}))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h.load(40, 40, began)
	h.run(clerk{}, dir)
	if _, err := r.Run(t.Context()); !errors.Is(err, kafka.ErrMoved) {
		t.Errorf("Run: %v", err)
	}
}

// TestForeignOffset: an offset that something else has set is put back to where the state stands.
func TestForeignOffset(t *testing.T) {
	h := newHouse(t)
	h.load(0, 80, began)
	dir := t.TempDir()
	h.run(clerk{}, dir)
	offsets := kadm.Offsets{}
	for p := range int32(keeperPartitions) {
		offsets.Add(kadm.Offset{Topic: schemas.Mailbox("keeper"), Partition: p, At: 3, LeaderEpoch: -1})
	}
	if err := h.admin.CommitAllOffsets(t.Context(), schemas.Mailbox("keeper"), offsets); err != nil {
		t.Fatal(err)
	}
	if err := h.refused(clerk{}, dir); err == nil || !strings.Contains(err.Error(), "handoff reset keeper --keep-state") {
		t.Fatalf("the stage started: %v", err)
	}
	cfg := h.resetConfig(nil)
	cfg.KeepState = true
	if _, err := h.reset(cfg); err != nil {
		t.Fatal(err)
	}
	h.load(80, 40, began)
	h.run(clerk{}, dir)
	h.compare("put back", h.fresh(clerk{}, nil))
	h.load(120, 40, began)
	h.run(clerk{}, t.TempDir())
	h.compare("restored", h.fresh(clerk{}, nil))
	if all := h.out(); len(all) != len(unique(all)) {
		t.Errorf("%d outputs, %d of them unique", len(all), len(unique(all)))
	}
}

// TestRecordsGone: where records were deleted before they were processed, it goes on at the first that
// is there, and says how many are lost.
func TestRecordsGone(t *testing.T) {
	h := newHouse(t)
	h.load(0, 80, began)
	dir := t.TempDir()
	h.run(clerk{}, dir)
	before := h.state()
	h.load(80, 80, began)
	want := int64(0)
	at := h.committed()
	for p, end := range h.ends(schemas.Mailbox("keeper")) {
		h.remove(schemas.Mailbox("keeper"), p, end)
		want += end - max(at[p], 0)
	}
	if err := h.refused(clerk{}, dir); err == nil || !strings.Contains(err.Error(), "handoff reset keeper --keep-state") {
		t.Fatalf("the stage started: %v", err)
	}
	cfg := h.resetConfig(nil)
	cfg.KeepState = true
	r, err := kafka.OpenReset(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	lost := int64(0)
	for _, p := range r.Plan() {
		lost += p.Lost
	}
	if lost != want {
		t.Errorf("%d are said to be lost, want %d", lost, want)
	}
	if _, err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.compare("kept", before)
	h.load(160, 10, began)
	out := len(h.out())
	h.run(clerk{}, dir)
	if n := len(h.out()); n < out+10 {
		t.Errorf("it did not go on: %d outputs after %d", n, out)
	}
}

// TestChangelogLost: state that is gone is rebuilt, and an old local state, which has what the changelog
// has lost, is not believed.
func TestChangelogLost(t *testing.T) {
	h := newHouse(t)
	h.load(0, 80, began)
	dir := t.TempDir()
	h.run(clerk{}, dir)
	out := len(h.out())
	for p, end := range h.ends(schemas.Changelog("keeper")) {
		h.remove(schemas.Changelog("keeper"), p, end)
	}
	if err := h.refused(clerk{}, t.TempDir()); err == nil || !strings.Contains(err.Error(), "the group stands at offset") {
		t.Fatalf("the stage started: %v", err)
	}
	cfg := h.resetConfig(nil)
	cfg.KeepState = true
	if _, err := h.reset(cfg); !errors.Is(err, kafka.ErrNoState) {
		t.Errorf("nothing was kept: %v", err)
	}
	if _, err := h.reset(h.resetConfig(clerk{})); err != nil {
		t.Fatal(err)
	}
	h.load(80, 40, began)
	h.run(clerk{}, dir)
	h.compare("after going on", h.fresh(clerk{}, nil))
	if len(h.out()) <= out {
		t.Error("nothing new came out")
	}
	// How far the clock was is lost with the changelog: what fired without a record fires once more.
	for _, v := range h.out() {
		if n := count(h.out(), v); n > 1 && !strings.HasPrefix(v, "timer ") {
			t.Errorf("%q came out %d times", v, n)
		}
	}
}

func unique(all []string) map[string]bool {
	set := map[string]bool{}
	for _, s := range all {
		set[s] = true
	}
	return set
}

// TestResetStart: an offset, a time, some partitions.
func TestResetStart(t *testing.T) {
	h := newHouse(t)
	h.load(0, 120, began)
	dir := t.TempDir()
	h.run(clerk{}, dir)
	whole := h.fresh(clerk{}, nil)
	cfg := h.resetConfig(clerk{})
	cfg.Partitions, cfg.Start = []int32{2}, kafka.ResetStart{Offsets: map[int32]int64{2: 20}}
	if _, err := h.reset(cfg); err != nil {
		t.Fatal(err)
	}
	want := maps.Clone(whole)
	maps.DeleteFunc(want, func(k, _ string) bool { return strings.HasPrefix(k, "2/") })
	for k, v := range h.fresh(clerk{}, map[int32]int64{2: 20}) {
		if strings.HasPrefix(k, "2/") {
			want[k] = v
		}
	}
	h.compare("one partition from an offset", want)

	from, at := map[int32]int64{}, began.Add(60*time.Millisecond)
	for _, r := range h.records(schemas.Mailbox("keeper")) {
		if r.Timestamp.Before(at) {
			from[r.Partition] = r.Offset + 1
		}
	}
	cfg = h.resetConfig(clerk{})
	cfg.Start.Time = at
	if _, err := h.reset(cfg); err != nil {
		t.Fatal(err)
	}
	h.compare("from a time", h.fresh(clerk{}, from))

	h.remove(schemas.Mailbox("keeper"), 2, 10)
	for name, c := range map[string]kafka.ResetConfig{
		"is no longer":      {Start: kafka.ResetStart{Offsets: map[int32]int64{2: 3}}},
		"not processed yet": {Start: kafka.ResetStart{Offsets: map[int32]int64{2: 1000}}},
		"no partition 9":    {Partitions: []int32{9}},
	} {
		cfg := h.resetConfig(clerk{})
		cfg.Start, cfg.Partitions = c.Start, c.Partitions
		if _, err := h.reset(cfg); !errors.Is(err, kafka.ErrResetStart) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestResetCarries: what the stage says survives is there before the first record.
func TestResetCarries(t *testing.T) {
	h := newHouse(t)
	h.post("shop|1", "a", began, 0)
	h.post("shop|1", "b", began, 0)
	h.run(clerk{}, t.TempDir())
	if _, err := h.reset(h.resetConfig(clerk{carry: true})); err != nil {
		t.Fatal(err)
	}
	got := h.state()
	if n := got[fmt.Sprintf("%d/e\x06shop|1n", schemas.Partition([]byte("shop|1"), keeperPartitions))]; n != "4" {
		t.Errorf("n is %q, want 2 carried and 2 more: %q", n, got)
	}
}

// TestResetAndDeadLetters: dead letters have no effect on the new state unless they were put back; a
// record that fails for the first time stops the reset, or becomes a dead letter where that is allowed.
func TestResetAndDeadLetters(t *testing.T) {
	h, fails := newHouse(t), &atomic.Bool{}
	fails.Store(true)
	for i, v := range []string{"a", "bad open", "b", "bad dropped", "c", "bad replayed", "d"} {
		h.post("shop|1", v, began.Add(time.Duration(i)*time.Millisecond), 0)
	}
	dir := t.TempDir()
	stop := h.runner(clerk{fails: fails}, dir)
	h.until("three dead letters", func() bool { return h.drained() && len(h.letters()) == 3 })
	fails.Store(false)
	r := h.resolver("Ann")
	for how, i := range map[string]int{deadletter.Dropped: 1, deadletter.Replayed: 2} {
		if err := r.Resolve(t.Context(), []*kafka.DeadLetter{&r.Letters().All[i]}, how, "why", func(int) {}); err != nil {
			t.Fatal(err)
		}
	}
	h.until("the replayed one is processed", func() bool { return h.drained() && h.timers() == 0 })
	stop()
	h.empty()
	want, out := h.state(), len(h.out())
	result, err := h.reset(h.resetConfig(clerk{}))
	if err != nil || result.Skipped != 3 {
		t.Fatalf("%+v %v, want 3 passed over", result, err)
	}
	h.compare("after the reset", want)

	// Now the replayed one fails, for the first time at its new place.
	fails.Store(true)
	if _, err := h.reset(h.resetConfig(clerk{fails: fails})); !errors.Is(err, kafka.ErrFailsNow) || !strings.Contains(err.Error(), "as asked") {
		t.Fatalf("a record that fails now: %v", err)
	}
	if n := len(h.letters()); n != 3 {
		t.Errorf("%d dead letters, want 3 as before", n)
	}
	cfg := h.resetConfig(clerk{fails: fails})
	cfg.AllowFailures = 1
	if result, err = h.reset(cfg); err != nil || len(result.Failed) != 1 {
		t.Fatalf("%+v %v, want 1 failed", result, err)
	}
	letters := h.letters()
	if len(letters) != 4 || letters[3].Resolution != nil || letters[3].Name() != result.Failed[0] {
		t.Errorf("dead letters: %+v", letters)
	}
	if n := len(h.out()); n != out {
		t.Errorf("%d outputs, want %d", n, out)
	}
}
