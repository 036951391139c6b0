package state_test

import (
	"testing"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
)

// FuzzReplay gives a partition any changelog record: it is applied or refused, and what was applied can
// be opened, read and gone on from, or is refused then.
func FuzzReplay(f *testing.F) {
	f.Add([]byte("e\x01kname"), []byte("value"))
	f.Add([]byte("t\x01kname"), []byte{0, 0, 0, 0, 0, 0, 0, 9})
	f.Add([]byte("c\x01kid"), []byte{1, 0, 2, 'i', 'd', 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte("s\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02"), []byte("0123456789abcdef"))
	f.Add(state.PositionKey(), state.Position{Offset: 1, Number: 2, Partitions: 1}.Encode())
	f.Fuzz(func(t *testing.T, key, value []byte) {
		cfg := state.Config{Stage: stageFunc(func(in *pipeline.Input, st pipeline.State, _ *pipeline.Effects) error {
			st.Get("name")
			st.Seen([]byte("0123456789abcdef"), in.Now)
			return nil
		}), Partitions: 1}
		back := state.Memory()
		r, err := state.NewReplay(cfg, back)
		if err != nil {
			t.Fatal(err)
		}
		if r.Apply(key, value, 0, start) != nil {
			return
		}
		if err := r.Apply(state.PositionKey(), state.Position{Offset: 1, Number: 1, Partitions: 1}.Encode(), 1, start); err != nil {
			t.Fatal(err)
		}
		if err := r.Finish(); err != nil {
			t.Fatal(err)
		}
		p, err := state.NewPartition(cfg, back)
		if err != nil {
			return
		}
		if _, err := p.PendingCalls(); err != nil {
			return
		}
		// Whatever it is, it ends, with or without an error.
		_ = p.Process(&pipeline.Record{Key: []byte("k"), Time: start}, start, nil, true)
		_ = p.Advance(start, nil, true)
	})
}

func TestPositionSurvives(t *testing.T) {
	want := state.Position{Offset: 1 << 40, Number: 7, Clock: 1_700_000_000_000, Calls: 3, Schema: 9, Partitions: 64}
	got, err := state.DecodePosition(want.Encode())
	if err != nil || got != want {
		t.Errorf("got %+v %v", got, err)
	}
	for n := range len(want.Encode()) {
		if _, err := state.DecodePosition(want.Encode()[:n]); err == nil {
			t.Errorf("cut after %d bytes it was taken", n)
		}
	}
}

// TestRefusals: state of another partition count or of a newer schema is not opened or replayed.
func TestRefusals(t *testing.T) {
	stage := stageFunc(func(*pipeline.Input, pipeline.State, *pipeline.Effects) error { return nil })
	back := state.Memory()
	p, err := state.NewPartition(state.Config{Stage: stage, Partitions: 4, Schema: 2}, back)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Process(&pipeline.Record{Key: []byte("k"), Time: start}, start, nil, false); err != nil {
		t.Fatal(err)
	}
	position := p.Seal(func(_, _ []byte) {})
	p.Committed(1)
	if err := p.Save(start); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]state.Config{
		"another partition count": {Stage: stage, Partitions: 8, Schema: 2},
		"an older schema":         {Stage: stage, Partitions: 4, Schema: 1},
	} {
		if _, err := state.NewPartition(cfg, back); err == nil {
			t.Errorf("opened under %s", name)
		}
		r, err := state.NewReplay(cfg, state.Memory())
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Apply(state.PositionKey(), position.Encode(), 0, start); err == nil {
			t.Errorf("replayed under %s", name)
		}
	}
	if _, err := state.NewPartition(state.Config{Stage: stage, Partitions: 4, Schema: 3}, back); err != nil {
		t.Errorf("state of an older schema: %v", err)
	}
}
