package state_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
)

const (
	modelWindow = time.Hour
	modelWidth  = modelWindow / 8
	modelRecord = 1000 // bytes: about thirty ids
)

// seenModel is a map from every id to the bucket it counts to, Unix milliseconds.
type seenModel map[string]int64

// check is what Seen must do: an id is known until its whole bucket is out of the window.
func (m seenModel) check(id string, at, now int64) bool {
	window, width := modelWindow.Milliseconds(), modelWidth.Milliseconds()
	if start, ok := m[id]; ok && start+width+window > now {
		return true
	}
	at = min(max(at, now-window), now+time.Minute.Milliseconds())
	m[id] = at - at%width
	return false
}

// sighting is one id of a record, received at some time before or after the record's.
type sighting struct {
	id string
	at int64
}

// seenRun is a partition that is given ids, with its model, its changelog and copies of its backing.
type seenRun struct {
	t         *rapid.T
	open      func() state.Backing
	back      state.Backing
	part      *state.Partition
	model     seenModel
	committed seenModel
	log       []logged
	older     state.Backing
	clock     time.Time
	offset    int64
	fresh     int
	ids       []sighting // of the record in hand
	fails     bool
}

func (*seenRun) Name() string { return "seen" }

// Process compares every answer with the model's.
func (r *seenRun) Process(in *pipeline.Input, st pipeline.State, _ *pipeline.Effects) error {
	model := maps.Clone(r.model)
	for _, s := range r.ids {
		want := model.check(s.id, s.at, in.Now.UnixMilli())
		if got := st.Seen([]byte(s.id), time.UnixMilli(s.at)); got != want {
			r.t.Fatalf("id %q at %d, now %d: %v, want %v", s.id, s.at, in.Now.UnixMilli(), got, want)
		}
	}
	if r.fails {
		return errAsked
	}
	r.model = model
	return nil
}

func (r *seenRun) config() state.Config {
	return state.Config{Stage: r, Partitions: 1, SeenWindow: modelWindow, SeenInMemory: 20, MaxRecordBytes: modelRecord}
}

func (r *seenRun) begin(back state.Backing) {
	p, err := state.NewPartition(r.config(), back)
	if err != nil {
		r.t.Fatalf("open: %v", err)
	}
	r.back, r.part, r.model, r.offset = back, p, maps.Clone(r.committed), p.Next()
}

// give draws some ids, new and known, and makes a record of them.
func (r *seenRun) give(t *rapid.T) {
	r.ids, r.fails = r.ids[:0], rapid.IntRange(0, 4).Draw(t, "fails") == 0
	known := rapid.IntRange(0, 3).Draw(t, "known")
	for range rapid.SampledFrom([]int{1, 3, 20, 90}).Draw(t, "ids") {
		n := r.fresh
		if known > 0 && n > 0 && n%4 < known {
			n = rapid.IntRange(0, n-1).Draw(t, "which")
		}
		r.fresh++
		id := fmt.Sprintf("id-%d", n)
		if n%2 == 0 {
			id = fmt.Sprintf("%016d", n)
		}
		late := rapid.SampledFrom([]time.Duration{0, 0, 0, -time.Second, -20 * time.Minute, -50 * time.Minute, -3 * time.Hour, 10 * time.Minute}).Draw(t, "late")
		r.ids = append(r.ids, sighting{id, r.clock.Add(late).UnixMilli()})
	}
	rec := pipeline.Record{Topic: "t", Offset: r.offset, Key: []byte("k"), Time: r.clock}
	if err := r.part.Process(&rec, r.clock, nil, false); err != nil {
		t.Fatalf("process: %v", err)
	}
	if n := len(r.part.TakeFailures()); (n == 1) != r.fails {
		t.Fatalf("%d failures", n)
	}
	r.offset++
}

func (r *seenRun) commit() {
	if !r.part.Touched() {
		return
	}
	keys := map[string]bool{}
	r.part.Seal(func(key, value []byte) {
		if keys[string(key)] {
			r.t.Fatalf("changelog has %q twice in one transaction", key)
		}
		if keys[string(key)] = true; len(key)+len(value) > modelRecord {
			r.t.Fatalf("a changelog record of %d bytes", len(key)+len(value))
		}
		r.log = append(r.log, logged{key, value}) // not copied: it must never be modified
	})
	r.part.Committed(int64(len(r.log)))
	r.committed = maps.Clone(r.model)
}

// compacted is the changelog with the last record of each key only; the others are empty.
func (r *seenRun) compacted() []logged {
	last := map[string]int{}
	for i, l := range r.log {
		last[string(l.key)] = i
	}
	all := make([]logged, len(r.log))
	for _, i := range last {
		all[i] = r.log[i]
	}
	return all
}

// replay brings a backing to the last commit.
func (r *seenRun) replay(back state.Backing, log []logged) {
	_, resume, err := state.ReadPosition(back)
	if err != nil {
		r.t.Fatalf("read position: %v", err)
	}
	replay, err := state.NewReplay(r.config(), back)
	if err != nil {
		r.t.Fatalf("replay: %v", err)
	}
	for i := resume.Next; i < int64(len(log)); i++ {
		if log[i].key == nil {
			continue
		}
		if err := replay.Apply(log[i].key, log[i].value, i, r.clock); err != nil {
			r.t.Fatalf("replay: %v", err)
		}
	}
	if err := replay.Finish(); err != nil {
		r.t.Fatalf("replay: %v", err)
	}
}

// copyOf is a backing of the same contents.
func (r *seenRun) copyOf(from state.Backing) state.Backing {
	to := r.open()
	batch := to.Batch()
	if err := from.Scan(nil, nil, func(k, v []byte) bool { batch.Set(k, v); return true }); err != nil {
		r.t.Fatalf("copy: %v", err)
	}
	if err := batch.Apply(); err != nil {
		r.t.Fatalf("copy: %v", err)
	}
	return to
}

// TestSeenIsTheModel: whatever happens to transactions, backings and the clock, an id is known for
// exactly as long as the model says.
func TestSeenIsTheModel(t *testing.T) {
	for name, open := range backings(t) {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				r := &seenRun{t: t, open: open, clock: start, committed: seenModel{}}
				r.begin(open())
				t.Repeat(map[string]func(*rapid.T){
					"record": r.give,
					"more":   r.give,
					"time": func(t *rapid.T) {
						r.clock = r.clock.Add(rapid.SampledFrom([]time.Duration{time.Second, 4 * time.Minute, 15 * time.Minute, 70 * time.Minute, 48 * time.Hour}).Draw(t, "later"))
					},
					"commit": func(*rapid.T) { r.commit() },
					"save": func(t *rapid.T) {
						r.commit()
						if err := r.part.Save(r.clock); err != nil {
							t.Fatalf("save: %v", err)
						}
					},
					"abort": func(*rapid.T) { // and what was committed but not saved comes from the changelog
						r.replay(r.back, r.log)
						if err := r.part.Abort(); err != nil {
							t.Fatalf("abort: %v", err)
						}
						r.model, r.offset = maps.Clone(r.committed), r.part.Next()
					},
					"restart": func(*rapid.T) {
						r.replay(r.back, r.compacted())
						r.begin(r.back)
					},
					"wipe": func(t *rapid.T) {
						fresh := r.open()
						log := r.log
						if rapid.Bool().Draw(t, "compacted") {
							log = r.compacted()
						}
						r.replay(fresh, log)
						r.begin(fresh)
					},
					"keep": func(*rapid.T) { r.older = r.copyOf(r.back) },
					"older": func(*rapid.T) {
						if r.older == nil {
							return
						}
						back := r.copyOf(r.older)
						r.replay(back, r.compacted())
						r.begin(back)
					},
				})
			})
		})
	}
}

// TestSeenReadsWhatEarlierVersionsWrote: runs without heads, of blocks and levels of their own, and
// chunks of any size.
func TestSeenReadsWhatEarlierVersionsWrote(t *testing.T) {
	for name, open := range backings(t) {
		t.Run(name, func(t *testing.T) {
			d := &dedupe{t: t, log: map[string][]byte{}, window: 80 * time.Second, back: open()}
			d.open()
			d.give(start, "first") // for its position
			bucket := start.UnixMilli() - start.UnixMilli()%10_000
			ids := make([]string, 5000)
			for i := range ids {
				ids[i] = fmt.Sprintf("%08x-%07d", uint32(i)*2654435761, i)
			}
			number := func(kind byte, n ...uint64) []byte {
				k := []byte{kind}
				for _, n := range n {
					for s := 56; s >= 0; s -= 8 {
						k = append(k, byte(n>>s))
					}
				}
				return k
			}
			batch := d.back.Batch()
			// Two runs, of 256 ids a block, at other levels; the chunks 0 to 9 are in them.
			for run, ids := range [][]string{ids[:3000], ids[3000:3700]} {
				ids := slices.Sorted(slices.Values(ids))
				for block := range slices.Chunk(ids, 256) {
					batch.Set(append(number('r', uint64(bucket), uint64(5+run)), block[0]...), []byte(strings.Join(block, "")))
				}
			}
			batch.Set(number('x', uint64(bucket)), []byte{7, 9, 5, 1, 0xb8, 0x17, 6, 0, 0xbc, 0x05})
			for i, chunk := range [][]string{ids[3700:3764], ids[3764:4999], ids[4999:]} {
				batch.Set(number('s', uint64(bucket), uint64(10+i)), []byte(strings.Join(chunk, "")))
			}
			if err := batch.Apply(); err != nil {
				t.Fatal(err)
			}
			d.open()
			if got := d.give(start, ids...); got != 0 {
				t.Fatalf("%d known ids were new", got)
			}
			if got := d.give(start, d.ids(0, 500)...); got != 500 {
				t.Fatalf("%d of 500 new ids were new", got)
			}
			d.open()
			if got := d.give(start.Add(time.Second), append(d.ids(0, 500), ids...)...); got != 0 {
				t.Fatalf("opened again, %d known ids were new", got)
			}
			for i := range 20 {
				d.give(start.Add(time.Hour+time.Duration(i)*time.Second), "last")
			}
			if err := d.back.Scan(nil, nil, func(k, _ []byte) bool {
				if strings.ContainsRune("srx", rune(k[0])) && bytes.HasPrefix(k[1:], number('s', uint64(bucket))[1:]) {
					t.Errorf("%q is left", k)
				}
				return true
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
}
