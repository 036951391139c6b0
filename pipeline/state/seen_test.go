package state_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
)

// deduper emits what it has not seen.
type deduper struct{}

func (deduper) Name() string { return "deduper" }

func (deduper) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	if !st.Seen(in.Record.Value, in.Record.Time) {
		fx.Emit("out", in.Key, in.Record.Value)
	}
	return nil
}

// dedupe gives ids to a partition and returns how many were new.
type dedupe struct {
	t      *testing.T
	p      *state.Partition
	log    map[string][]byte // the changelog, compacted
	offset int64
	window time.Duration
	back   state.Backing
}

func (d *dedupe) config() state.Config {
	return state.Config{Stage: deduper{}, Partitions: 1, SeenWindow: d.window, SeenInMemory: 100}
}

func (d *dedupe) open() {
	p, err := state.NewPartition(d.config(), d.back)
	if err != nil {
		d.t.Fatal(err)
	}
	d.p = p
}

func (d *dedupe) give(at time.Time, ids ...string) (fresh int) {
	d.t.Helper()
	for _, id := range ids {
		r := pipeline.Record{Offset: d.offset, Key: []byte("k"), Value: []byte(id), Time: at}
		if err := d.p.Process(&r, at, nil, false); err != nil {
			d.t.Fatal(err)
		}
		d.offset++
	}
	fresh = len(d.p.TakeEmits())
	d.p.Seal(func(k, v []byte) {
		if v == nil {
			delete(d.log, string(k))
		} else {
			d.log[string(k)] = v
		}
	})
	d.p.Committed(d.offset)
	if err := d.p.Save(at); err != nil {
		d.t.Fatal(err)
	}
	return fresh
}

func (d *dedupe) ids(from, n int) []string {
	var all []string
	for i := from; i < from+n; i++ {
		// Half of them sixteen bytes that are no hash.
		if i%2 == 0 {
			all = append(all, string(binary.BigEndian.AppendUint64(make([]byte, 8), uint64(i))))
		} else {
			all = append(all, fmt.Sprintf("id-%d", i))
		}
	}
	return all
}

func TestSeenIsExact(t *testing.T) {
	for name, open := range backings(t) {
		t.Run(name, func(t *testing.T) {
			d := &dedupe{t: t, log: map[string][]byte{}, window: time.Hour, back: open()}
			d.open()
			const rounds, each = 40, 450 // sorted, and merged twice
			for i := range rounds {
				at := start.Add(time.Duration(i) * time.Second)
				if got := d.give(at, d.ids(i*each, each)...); got != each {
					t.Fatalf("round %d: %d of %d new ids were new", i, got, each)
				}
				if i%13 == 5 {
					d.open() // from the backing
				}
				if got := d.give(at, d.ids(max(i-20, 0)*each, min(i+1, 2)*each)...); got != 0 {
					t.Fatalf("round %d: %d known ids were new", i, got)
				}
			}
			// From the changelog alone, on an empty backing.
			d.back = open()
			r, err := state.NewReplay(d.config(), d.back)
			if err != nil {
				t.Fatal(err)
			}
			position := d.log[string(state.PositionKey())]
			delete(d.log, string(state.PositionKey()))
			for k, v := range d.log {
				if err := r.Apply([]byte(k), v, 0, start); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Apply(state.PositionKey(), position, 1, start); err != nil {
				t.Fatal(err)
			}
			if err := r.Finish(); err != nil {
				t.Fatal(err)
			}
			d.open()
			if got := d.give(start.Add(time.Minute), d.ids(0, rounds*each+10)...); got != 10 {
				t.Errorf("restored from the changelog, %d ids were new, want 10", got)
			}
			if chunks := len(d.log); chunks > rounds*each/64+20 {
				t.Errorf("the changelog has %d records for %d ids", chunks, rounds*each)
			}
		})
	}
}

// TestSeenWindow: an id is known for the window, and leaves nothing behind after it.
func TestSeenWindow(t *testing.T) {
	for name, open := range backings(t) {
		t.Run(name, func(t *testing.T) {
			d := &dedupe{t: t, log: map[string][]byte{}, window: 80 * time.Second, back: open()}
			d.open()
			const each = 300
			for i := range 40 {
				at := start.Add(time.Duration(i) * 10 * time.Second)
				if got := d.give(at, d.ids(i*each, each)...); got != each {
					t.Fatalf("round %d: %d new, want %d", i, got, each)
				}
				if i >= 7 {
					if got := d.give(at, d.ids((i-7)*each, 8*each)...); got != 0 {
						t.Fatalf("round %d: %d ids of the window were forgotten", i, got)
					}
				}
				if i == 20 {
					d.open()
				}
			}
			if got := d.give(start.Add(400*time.Second), d.ids(0, each)...); got != each {
				t.Errorf("%d of %d ids from long ago were new", got, each)
			}
			for i := range 30 { // whole buckets go, a few chunks at a time
				d.give(start.Add(time.Hour+time.Duration(i)*time.Second), "last")
			}
			seen := 0
			for k := range d.log {
				if k[0] == 's' {
					seen++
				}
			}
			left := contents(t, d.back)
			if err := d.back.Scan(nil, nil, func(k, _ []byte) bool {
				if k[0] == 's' || k[0] == 'r' || k[0] == 'x' {
					seen++
				}
				return true
			}); err != nil {
				t.Fatal(err)
			}
			if seen > 4 || len(left) > 6 {
				t.Errorf("%d records of seen ids are left, %d in all", seen, len(left))
			}
		})
	}
}

// TestSeenOfAFailedRecordIsForgotten.
func TestSeenOfAFailedRecordIsForgotten(t *testing.T) {
	fails := true
	stage := stageFunc(func(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
		if st.Seen([]byte("x"), in.Record.Time) {
			fx.Emit("out", nil, []byte("again"))
		}
		if fails {
			return errAsked
		}
		return nil
	})
	p, err := state.NewPartition(state.Config{Stage: stage, Partitions: 1}, state.Memory())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{0, 0, 1} {
		if err := p.Process(&pipeline.Record{Offset: int64(i), Key: []byte("k"), Time: start}, start, nil, false); err != nil {
			t.Fatal(err)
		}
		fails = false
		if got := len(p.TakeEmits()); got != want {
			t.Errorf("record %d: %d emits, want %d", i, got, want)
		}
	}
}

type stageFunc func(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error

func (stageFunc) Name() string { return "func" }

func (f stageFunc) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	return f(in, st, fx)
}
