package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// op is one thing the scripted stage does.
type op struct {
	Do    string // put, delete, timer, stop, call, end, seen, fail, panic, pending, big
	Name  string
	Value string
	At    int64
}

// scripted does what its record says, and checks what it reads against the model.
type scripted struct {
	t     fatal
	model *model
	ops   []op // of the record in hand
}

type fatal interface {
	Fatalf(format string, args ...any)
	Helper()
}

func (*scripted) Name() string { return "scripted" }

var errAsked = errors.New("as asked")

func (s *scripted) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	key := string(in.Key)
	s.model.begin()
	if in.Timer != nil {
		s.model.fire(s.t, key, in)
		fx.Emit("fired", in.Key, []byte(in.Timer.Name))
		return nil
	}
	for _, o := range s.ops {
		s.compare(key, o.Name, st)
		switch o.Do {
		case "put":
			st.Put(o.Name, []byte(o.Value))
			s.model.entries[key+"/"+o.Name] = o.Value
		case "delete":
			st.Delete(o.Name)
			delete(s.model.entries, key+"/"+o.Name)
		case "timer":
			fx.SetTimer(o.Name, time.UnixMilli(o.At))
			s.model.timers[key+"/"+o.Name] = o.At
		case "stop":
			fx.StopTimer(o.Name)
			delete(s.model.timers, key+"/"+o.Name)
		case "call":
			fx.Call(pipeline.Call{ID: key + o.Name, Lane: o.Value})
			s.model.call(key+o.Name, o.Value)
		case "end":
			fx.EndCall(key + o.Name)
			s.model.ended = append(s.model.ended, key+o.Name)
		case "seen":
			got := st.Seen([]byte(o.Value), in.Now)
			if _, want := s.model.seen[o.Value]; got != want {
				s.t.Fatalf("seen %q: %v, want %v", o.Value, got, want)
			}
			s.model.seen[o.Value] = struct{}{}
		case "big":
			st.Put("wide", make([]byte, 2000))
			s.model.entries[key+"/wide"] = string(make([]byte, 2000))
		case "fail":
			return errAsked
		case "panic":
			panic("as asked")
		case "pending":
			return pipeline.ErrSettingsPending
		}
	}
	for _, id := range s.model.ended {
		s.model.end(id)
	}
	return nil
}

// compare checks an entry and a scan.
func (s *scripted) compare(key, name string, st pipeline.State) {
	s.t.Helper()
	got, ok := st.Get(name)
	want, wantOK := s.model.entries[key+"/"+name]
	if ok != wantOK || string(got) != want {
		s.t.Fatalf("%s/%s is %q %v, want %q %v", key, name, got, ok, want, wantOK)
	}
	prefix := name[:1]
	var all []string
	st.Scan(prefix, func(name string, value []byte) bool {
		all = append(all, name+"="+string(value))
		return true
	})
	if want := s.model.scan(key, prefix); !slices.Equal(all, want) {
		s.t.Fatalf("scan of %s/%s: %q, want %q", key, prefix, all, want)
	}
}

// model is the plain one: maps, and copies of them for undoing.
type model struct {
	entries map[string]string
	timers  map[string]int64
	calls   []string // "id=lane", in the order of creation
	seen    map[string]struct{}
	ended   []string // by the record in hand
	before  *model
}

func newModel() *model {
	return &model{entries: map[string]string{}, timers: map[string]int64{}, seen: map[string]struct{}{}}
}

func (m *model) clone() *model {
	return &model{entries: maps.Clone(m.entries), timers: maps.Clone(m.timers), calls: slices.Clone(m.calls), seen: maps.Clone(m.seen)}
}

func (m *model) begin() { m.before, m.ended = m.clone(), nil }

// undo goes back to before the record in hand.
func (m *model) undo() { *m = *m.before }

func (m *model) call(id, lane string) {
	for i, c := range m.calls {
		if strings.HasPrefix(c, id+"=") {
			m.calls[i] = id + "=" + lane
			return
		}
	}
	m.calls = append(m.calls, id+"="+lane)
}

func (m *model) end(id string) {
	m.calls = slices.DeleteFunc(m.calls, func(c string) bool { return strings.HasPrefix(c, id+"=") })
}

func (m *model) scan(key, prefix string) []string {
	var all []string
	for name, value := range m.entries {
		if strings.HasPrefix(name, key+"/"+prefix) {
			all = append(all, strings.TrimPrefix(name, key+"/")+"="+value)
		}
	}
	slices.Sort(all)
	return all
}

// first is the timer that must fire next, by time, key and name.
func (m *model) first() (name string, at int64) {
	for n, t := range m.timers {
		if name == "" || t < at || t == at && n < name {
			name, at = n, t
		}
	}
	return name, at
}

func (m *model) fire(t fatal, key string, in *pipeline.Input) {
	t.Helper()
	name, at := m.first()
	if got := key + "/" + in.Timer.Name; got != name || in.Timer.At.UnixMilli() != at || !in.Now.Equal(in.Timer.At) {
		t.Fatalf("fired %s at %d, now %d; want %s at %d", got, in.Timer.At.UnixMilli(), in.Now.UnixMilli(), name, at)
	}
	delete(m.timers, name)
}

// logged is one changelog record; nil values are deletions.
type logged struct{ key, value []byte }

// bench is a partition with its model and its changelog.
type bench struct {
	t         *rapid.T
	stage     *scripted
	back      state.Backing
	part      *state.Partition
	log       []logged
	committed *model // as of the last commit
	clock     int64
	offset    int64
}

func (b *bench) config() state.Config {
	return state.Config{Stage: b.stage, Partitions: 1, CacheBytes: 2000, MaxRecordBytes: 1000, SeenInMemory: 4}
}

func (b *bench) open() {
	p, err := state.NewPartition(b.config(), b.back)
	if err != nil {
		b.t.Fatalf("open: %v", err)
	}
	b.part = p
}

var start = time.UnixMilli(1_700_000_000_000)

func (b *bench) record(key string, ops []op, giveUp bool) {
	b.stage.ops = ops
	b.clock += rapid.Int64Range(0, 30).Draw(b.t, "later")
	at := start.Add(time.Duration(b.clock) * time.Millisecond)
	for i := range ops {
		ops[i].At += at.UnixMilli()
	}
	bad := slices.ContainsFunc(ops, func(o op) bool { return slices.Contains([]string{"fail", "panic", "big", "pending"}, o.Do) })
	pending := false
	for _, o := range ops {
		if o.Do == "pending" {
			pending = true
		}
		if bad := o.Do == "fail" || o.Do == "panic"; bad || pending {
			break
		}
	}
	raw := []byte(key)
	if rapid.Bool().Draw(b.t, "expected") {
		// Keys that are named and come, come later, or never come: it makes no difference.
		b.part.Expect(rapid.SampledFrom([][][]byte{{raw}, {[]byte(key)}, {raw, []byte("a"), raw}, {[]byte("b"), raw}, {nil, raw}}).Draw(b.t, "keys"))
	}
	err := b.part.Process(&pipeline.Record{Topic: "t", Offset: b.offset, Key: raw, Time: at}, at, nil, giveUp)
	failures := b.part.TakeFailures()
	if bad {
		b.stage.model.undo()
	}
	switch {
	case pending && !giveUp:
		if !errors.Is(err, pipeline.ErrSettingsPending) || len(failures) > 0 || b.part.Next() != b.offset {
			b.t.Fatalf("a pending record: %v, %d failures, next %d", err, len(failures), b.part.Next())
		}
		return
	case err != nil:
		b.t.Fatalf("process: %v", err)
	case bad != (len(failures) == 1):
		b.t.Fatalf("%d failures for %v", len(failures), ops)
	}
	b.offset++
	if b.part.Next() != b.offset {
		b.t.Fatalf("next is %d, want %d", b.part.Next(), b.offset)
	}
}

func (b *bench) commit() {
	if !b.part.Touched() {
		return
	}
	keys := map[string]bool{}
	pos := b.part.Seal(func(key, value []byte) {
		if keys[string(key)] {
			b.t.Fatalf("changelog has %q twice in one transaction", key)
		}
		keys[string(key)] = true
		b.log = append(b.log, logged{bytes.Clone(key), bytes.Clone(value)})
		if value != nil && b.log[len(b.log)-1].value == nil {
			b.log[len(b.log)-1].value = []byte{}
		}
	})
	if !bytes.Equal(b.log[len(b.log)-1].key, state.PositionKey()) {
		b.t.Fatalf("the position is not last")
	}
	b.part.Committed(int64(len(b.log)))
	if b.part.Position() != pos || pos.Offset != b.offset {
		b.t.Fatalf("position %+v, sealed %+v, offset %d", b.part.Position(), pos, b.offset)
	}
	b.committed = b.stage.model.clone()
}

// replay brings a backing from where it is to the end of the changelog, from log start if it is empty.
func (b *bench) replay(back state.Backing) {
	_, resume, err := state.ReadPosition(back)
	if err != nil {
		b.t.Fatalf("read position: %v", err)
	}
	r, err := state.NewReplay(b.config(), back)
	if err != nil {
		b.t.Fatalf("replay: %v", err)
	}
	for i := resume.Next; i < int64(len(b.log)); i++ {
		if err := r.Apply(b.log[i].key, b.log[i].value, i, start); err != nil {
			b.t.Fatalf("replay: %v", err)
		}
	}
	if err := r.Finish(); err != nil {
		b.t.Fatalf("replay: %v", err)
	}
}

func (b *bench) checkCalls() {
	calls, err := b.part.PendingCalls()
	if err != nil {
		b.t.Fatalf("pending calls: %v", err)
	}
	var got []string
	for _, c := range calls {
		got = append(got, c.Call.ID+"="+c.Call.Lane)
	}
	if !slices.Equal(got, b.committed.calls) {
		b.t.Fatalf("pending calls %q, want %q", got, b.committed.calls)
	}
}

// contents lists a backing.
func contents(t fatal, b state.Backing) map[string]string {
	all := map[string]string{}
	if err := b.Scan(nil, nil, func(k, v []byte) bool {
		if !strings.ContainsRune("wsrx", rune(k[0])) { // when it was written; where seen ids are sorted
			all[string(k)] = string(v)
		}
		return true
	}); err != nil {
		t.Fatalf("scan: %v", err)
	}
	return all
}

func TestPartitionIsTheModel(t *testing.T) {
	for name, open := range backings(t) {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				back := open()
				b := &bench{t: t, stage: &scripted{t: t, model: newModel()}, back: back, committed: newModel()}
				b.open()
				t.Repeat(map[string]func(*rapid.T){
					"record": func(t *rapid.T) {
						b.record(rapid.SampledFrom([]string{"a", "b", "aa"}).Draw(t, "key"), drawOps(t), rapid.Bool().Draw(t, "give up"))
					},
					"advance": func(t *rapid.T) {
						b.clock += rapid.Int64Range(0, 200).Draw(t, "later")
						if err := b.part.Advance(start.Add(time.Duration(b.clock)*time.Millisecond), nil, false); err != nil {
							t.Fatalf("advance: %v", err)
						}
						if name, at := b.stage.model.first(); name != "" && at <= b.part.Clock().UnixMilli() {
							t.Fatalf("%s did not fire: due %d, clock %d", name, at, b.part.Clock().UnixMilli())
						}
					},
					"commit": func(*rapid.T) { b.commit() },
					"save": func(t *rapid.T) {
						b.commit()
						if err := b.part.Save(start); err != nil {
							t.Fatalf("save: %v", err)
						}
						b.checkCalls()
					},
					"abort": func(t *rapid.T) { // an unknown outcome: drop everything, replay the rest
						b.replay(b.back)
						b.open()
						b.resumeModel()
						b.checkCalls()
					},
					"wipe": func(t *rapid.T) {
						fresh := state.Memory()
						b.replay(fresh)
						b.replay(b.back)
						if got, want := contents(t, b.back), contents(t, fresh); !maps.Equal(got, want) {
							t.Fatalf("replayed from its position the backing has %d entries, from the start %d\n%q\n%q", len(got), len(want), got, want)
						}
						b.open()
						b.resumeModel()
					},
				})
			})
		})
	}
}

// resumeModel goes back to the last commit.
func (b *bench) resumeModel() {
	*b.stage.model = *b.committed.clone()
	b.offset = b.part.Next()
	if at := b.part.Clock().Sub(start).Milliseconds(); at > b.clock {
		b.t.Fatalf("the clock is ahead")
	}
}

func drawOps(t *rapid.T) []op {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) op {
		return op{
			Do: rapid.SampledFrom([]string{"put", "put", "put", "delete", "timer", "timer", "stop", "call", "end", "seen",
				"seen", "fail", "panic", "pending", "big"}).Draw(t, "do"),
			Name:  rapid.SampledFrom([]string{"x", "xy", "y", "z"}).Draw(t, "name"),
			Value: rapid.StringN(0, 3, 3).Draw(t, "value"),
			At:    rapid.Int64Range(-20, 100).Draw(t, "at"),
		}
	}), 1, 5).Draw(t, "ops")
}

// backings returns ways to make an empty one.
func backings(t *testing.T) map[string]func() state.Backing {
	t.Helper()
	store, err := state.OpenStore(state.StoreConfig{Dir: "db", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	n := int32(0)
	return map[string]func() state.Backing{
		"memory": state.Memory,
		"pebble": func() state.Backing { n++; return store.Backing("stage", n) },
	}
}

// TestBackings is the conformance suite of the two back ends.
func TestBackings(t *testing.T) {
	for name, open := range backings(t) {
		t.Run(name, func(t *testing.T) {
			b, other := open(), open()
			set := func(b state.Backing, pairs ...string) {
				batch := b.Batch()
				for i := 0; i < len(pairs); i += 2 {
					batch.Set([]byte(pairs[i]), []byte(pairs[i+1]))
				}
				if err := batch.Apply(); err != nil {
					t.Fatal(err)
				}
			}
			list := func(lower, upper string) string {
				var all []string
				var up []byte
				if upper != "" {
					up = []byte(upper)
				}
				if err := b.Scan([]byte(lower), up, func(k, v []byte) bool {
					all = append(all, fmt.Sprintf("%s=%s", k, v))
					return len(all) < 4
				}); err != nil {
					t.Fatal(err)
				}
				return strings.Join(all, " ")
			}
			set(b, "b", "2", "a", "1", "c", "", "\xff\xff", "4")
			set(other, "b", "other")
			if got := list("", ""); got != "a=1 b=2 c= \xff\xff=4" {
				t.Errorf("all: %q", got)
			}
			if got := list("b", "c"); got != "b=2" {
				t.Errorf("b to c: %q", got)
			}
			if v, ok, err := b.Get([]byte("c")); err != nil || !ok || v == nil || len(v) != 0 {
				t.Errorf("an empty value is %v %v %v", v, ok, err)
			}
			if _, ok, err := b.Get([]byte("d")); err != nil || ok {
				t.Errorf("a missing one is %v %v", ok, err)
			}
			batch := b.Batch()
			batch.Set([]byte("bb"), []byte("x"))
			batch.DeleteRange([]byte("b"), []byte("c"))
			batch.Set([]byte("ba"), []byte("y"))
			batch.Delete([]byte("a"))
			if got := list("", ""); got != "a=1 b=2 c= \xff\xff=4" {
				t.Errorf("a batch shows before it is applied: %q", got)
			}
			if err := batch.Apply(); err != nil {
				t.Fatal(err)
			}
			if got := list("", ""); got != "ba=y c= \xff\xff=4" {
				t.Errorf("after the batch: %q", got)
			}
			v, _, _ := b.Get([]byte("ba"))
			v[0] = 'z'
			if got := list("ba", "bb"); got != "ba=y" {
				t.Errorf("Get gave no copy: %q", got)
			}
			if err := b.Clear(); err != nil {
				t.Fatal(err)
			}
			if got := list("", ""); got != "" {
				t.Errorf("after Clear: %q", got)
			}
			if v, ok, err := other.Get([]byte("b")); err != nil || !ok || string(v) != "other" {
				t.Errorf("Clear touched another partition: %q %v %v", v, ok, err)
			}
			set(b, "again", "1")
			if got := list("", ""); got != "again=1" {
				t.Errorf("used again: %q", got)
			}
		})
	}
}
