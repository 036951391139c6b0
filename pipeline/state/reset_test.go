package state_test

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
)

// TestReplayOfAReset: what stands before a reset is void, whether the deletions beside it are there or
// not; and a backing from before it is refused where it would not see it.
func TestReplayOfAReset(t *testing.T) {
	position := func(number, life uint64) string {
		return string(state.Position{Offset: int64(number), Number: number, Partitions: 1, Life: life}.Encode())
	}
	entry := func(name string) string { return string(state.EntryKey([]byte("shop|1"), name)) }
	pos, reset := string(state.PositionKey()), string(state.ResetKey())
	before := [][2]string{{entry("old"), "1"}, {entry("both"), "1"}, {pos, position(1, 0)}}
	after := [][2]string{{reset, "why"}, {entry("carried"), "1"}, {pos, position(100, 100)}, {entry("both"), "2"}, {pos, position(101, 100)}}
	replay := func(b state.Backing, from int, records ...[2]string) error {
		r, err := state.NewReplay(state.Config{Stage: idleStage{}, Partitions: 1}, b)
		if err != nil {
			t.Fatal(err)
		}
		for i, kv := range records {
			if err := r.Apply([]byte(kv[0]), []byte(kv[1]), int64(from+i), time.Now()); err != nil {
				return err
			}
		}
		return r.Finish()
	}
	want := map[string]string{entry("carried"): "1", entry("both"): "2"}
	live := func(b state.Backing) map[string]string {
		all := map[string]string{}
		if err := state.Live(b, func(k, v []byte) bool { all[string(k)] = string(v); return true }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	for name, cut := range map[string]int{"all at once": 0, "a local state from before": len(before)} {
		b := state.Memory()
		all := append(append([][2]string{}, before...), after...)
		if err := replay(b, 0, all[:cut]...); err != nil {
			t.Fatal(err)
		}
		if err := replay(b, cut, all[cut:]...); err != nil {
			t.Fatal(err)
		}
		if got := live(b); !maps.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	b := state.Memory()
	if err := replay(b, 0, before...); err != nil {
		t.Fatal(err)
	}
	if err := replay(b, 6, after[3:]...); !errors.Is(err, state.ErrOtherLife) {
		t.Errorf("a local state that does not see the reset: %v", err)
	}
}

// TestReplayOfHalfATransaction: what no position follows yet does not count, though more is written of the
// transactions before it.
func TestReplayOfHalfATransaction(t *testing.T) {
	b := state.Memory()
	r, err := state.NewReplay(state.Config{Stage: idleStage{}, Partitions: 1}, b)
	if err != nil {
		t.Fatal(err)
	}
	entry := func(name string) []byte { return state.EntryKey([]byte("shop|1"), name) }
	position := state.Position{Offset: 1, Number: 1, Partitions: 1}
	for i, kv := range [][2][]byte{{entry("whole"), []byte("1")}, {state.PositionKey(), position.Encode()}, {entry("whole"), []byte("2")}, {entry("half"), []byte("1")}} {
		if err := r.Apply(kv[0], kv[1], int64(i), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"whole": "1", "half": ""} {
		if got, _, err := state.ReadEntry(b, []byte("shop|1"), name); err != nil || string(got) != want {
			t.Errorf("%s is %q %v, want %q", name, got, err, want)
		}
	}
	if _, resume, err := state.ReadPosition(b); err != nil || resume.Next != 2 {
		t.Errorf("it goes on at %d %v, want 2", resume.Next, err)
	}
}

// TestPositionLife: a position without a life is as it always was, one with a life is refused cut short.
func TestPositionLife(t *testing.T) {
	p := state.Position{Offset: 5, Number: 1 << 41, Clock: 7, Partitions: 4, Life: 1 << 41}
	got, err := state.DecodePosition(p.Encode())
	if err != nil || got != p {
		t.Errorf("%+v %v, want %+v", got, err, p)
	}
	if _, err := state.DecodePosition(p.Encode()[:len(p.Encode())-1]); err == nil {
		t.Error("a position that was cut short is read")
	}
	p.Life = 0
	if b := p.Encode(); b[0] != 1 {
		t.Errorf("a position without a life has format %d", b[0])
	}
}

type idleStage struct{}

func (idleStage) Name() string { return "idle" }

func (idleStage) Process(*pipeline.Input, pipeline.State, *pipeline.Effects) error { return nil }
