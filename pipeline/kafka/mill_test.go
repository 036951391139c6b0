package kafka

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
)

// step is one thing that a record asks the mill to do.
type step struct {
	Do   string        `json:"do"`
	Name string        `json:"name,omitempty"`
	In   time.Duration `json:"in,omitempty"` // of a timer, after the record's time
}

// order is a record's value: an id of its own and what to do.
type order struct {
	ID    string `json:"id"`
	Steps []step `json:"steps"`
}

// mill is a stage that does what its records say and puts all it reads into its output, so that state
// that is wrong anywhere shows. Whatever a timer does is independent of records, since when it fires
// between them depends on the wall clock.
type mill struct {
	// processed is called with every record, before anything is done; nil for nothing.
	processed func(in *pipeline.Input)
}

func (*mill) Name() string { return "mill" }

var errOrdered = errors.New("as ordered")

func (m *mill) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	if m.processed != nil {
		m.processed(in)
	}
	if in.Timer != nil {
		return fireTimer(in, st, fx)
	}
	var o order
	if err := json.Unmarshal(in.Record.Value, &o); err != nil {
		return err
	}
	for _, s := range o.Steps {
		switch s.Do {
		case "count":
			was, _ := st.Get("n/" + s.Name)
			n, _ := strconv.Atoi(string(was))
			st.Put("n/"+s.Name, strconv.AppendInt(nil, int64(n+1), 10))
		case "delete":
			st.Delete("n/" + s.Name)
		case "timer":
			fx.SetTimer(s.Name, in.Record.Time.Add(s.In))
		case "stop":
			fx.StopTimer(s.Name)
		case "call":
			fx.Call(pipeline.Call{ID: string(in.Key) + "/" + s.Name, Lane: o.ID, Body: []byte(o.ID), Created: in.Now})
		case "end":
			fx.EndCall(string(in.Key) + "/" + s.Name)
		case "seen":
			if st.Seen([]byte(s.Name), in.Record.Time) {
				fx.Emit("out", []byte(string(in.Key)), []byte(o.ID+" again"))
				return nil
			}
		case "fail":
			fx.Emit("out", []byte(string(in.Key)), []byte("never"))
			return errOrdered
		case "panic":
			panic("as ordered")
		case "big":
			st.Put("n/big", make([]byte, largest))
		}
	}
	var read []string
	st.Scan("n/", func(name string, value []byte) bool {
		read = append(read, name[2:]+"="+string(value))
		return true
	})
	fx.Emit("out", []byte(string(in.Key)), []byte(o.ID+" reads "+strings.Join(read, " ")))
	return nil
}

// fireTimer counts how often the timer fired; a chain sets its next one.
func fireTimer(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	name := in.Timer.Name
	was, _ := st.Get("fired/" + name)
	n, _ := strconv.Atoi(string(was))
	st.Put("fired/"+name, strconv.AppendInt(nil, int64(n+1), 10))
	fx.Emit("out", []byte(string(in.Key)), fmt.Appendf(nil, "timer %s at %d for time %d", name, in.Timer.At.UnixMilli(), n+1))
	if head, left, ok := strings.Cut(name, "#"); ok && left != "0" {
		k, _ := strconv.Atoi(left)
		fx.SetTimer(head+"#"+strconv.Itoa(k-1), in.Timer.At.Add(time.Millisecond))
	}
	return nil
}

func (*mill) Failed(in *pipeline.Input, deadLetter string, _ error, fx *pipeline.Effects) {
	fx.Emit("out", []byte(string(in.Key)), []byte("failed "+deadLetter))
}

// workload draws orders. Its random numbers are all there is to it: the same seed gives the same.
type workload struct {
	random *rand.Rand
	stage  string
	keys   int
	next   int                 // of orders
	far    map[string][]string // timers by key that are set to a time that does not come in the test
	calls  map[string][]string // open calls by key
	past   []*kgo.Record       // orders that are dropped when they come again
	failed bool                // the last order fails: the next does not, a stage that fails in a row stops
}

// largest is the bound on records in these tests.
const largest = 8 << 10

func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

func newWorkload(seed uint64, keys int) *workload {
	return &workload{random: newRandom(seed), stage: "mill", keys: keys, far: map[string][]string{}, calls: map[string][]string{}}
}

// order makes one order for a key.
func (w *workload) order(key string, steps ...step) *kgo.Record {
	value, err := json.Marshal(order{ID: strconv.Itoa(w.next), Steps: steps})
	if err != nil {
		panic(err)
	}
	w.next++
	return &kgo.Record{Topic: schemas.Mailbox(w.stage), Key: []byte(key), Value: value, Timestamp: time.Now().Truncate(time.Millisecond)}
}

// draw makes n orders and some of them twice.
func (w *workload) draw(n int) []*kgo.Record {
	now := time.Now().Truncate(time.Millisecond)
	var records []*kgo.Record
	for range n {
		key := fmt.Sprintf("shop|%d", w.random.IntN(w.keys))
		o := order{ID: strconv.Itoa(w.next)}
		w.next++
		twice := w.random.IntN(8) == 0
		if twice || w.random.IntN(4) == 0 {
			o.Steps = append(o.Steps, step{Do: "seen", Name: key + "/" + o.ID})
		}
		for range 1 + w.random.IntN(3) {
			o.Steps = append(o.Steps, w.step(key, o.ID, len(o.Steps)))
		}
		if w.failed = !w.failed && w.random.IntN(30) == 0; w.failed {
			o.Steps = append(o.Steps, step{Do: []string{"fail", "panic", "big"}[w.random.IntN(3)]})
		}
		value, err := json.Marshal(o)
		if err != nil {
			panic(err)
		}
		record := func() *kgo.Record {
			return &kgo.Record{Topic: schemas.Mailbox(w.stage), Key: []byte(key), Value: value, Timestamp: now}
		}
		records = append(records, record())
		if twice && !w.failed {
			records = append(records, record())
			w.past = append(w.past, record())
		}
		if len(w.past) > 0 && w.random.IntN(12) == 0 { // again, much later
			again := *w.past[w.random.IntN(len(w.past))]
			again.Timestamp = now
			records = append(records, &again)
		}
	}
	return records
}

// step draws one of the things to do. A far timer is touched once more at most, so it never matters
// whether it fired before.
func (w *workload) step(key, id string, i int) step {
	name := string(rune('a' + w.random.IntN(3)))
	fresh := fmt.Sprintf("%s.%d", id, i)
	take := func(from map[string][]string) (string, bool) {
		all := from[key]
		if len(all) == 0 {
			return "", false
		}
		at := w.random.IntN(len(all))
		taken := all[at]
		from[key] = slices.Delete(all, at, at+1)
		return taken, true
	}
	switch w.random.IntN(12) {
	case 0, 1:
		return step{Do: "delete", Name: name}
	case 2:
		return step{Do: "timer", Name: "near " + fresh, In: time.Duration(w.random.IntN(4)) * time.Millisecond}
	case 3:
		return step{Do: "timer", Name: "chain " + fresh + "#2"}
	case 4:
		w.far[key] = append(w.far[key], "far "+fresh)
		return step{Do: "timer", Name: "far " + fresh, In: 24 * time.Hour}
	case 5:
		if far, ok := take(w.far); ok {
			return step{Do: "stop", Name: far}
		}
	case 6:
		if far, ok := take(w.far); ok {
			return step{Do: "timer", Name: far, In: time.Millisecond}
		}
	case 7:
		w.calls[key] = append(w.calls[key], fresh)
		return step{Do: "call", Name: fresh}
	case 8:
		if call, ok := take(w.calls); ok {
			return step{Do: "end", Name: call}
		}
	}
	return step{Do: "count", Name: name}
}

// plain runs a stage over records one after the other, with maps for state and nothing of what the
// runner or its state store is made of.
type plain struct {
	stage   pipeline.Stage
	keys    map[string]*plainKey
	seen    map[string]bool
	out     map[string][]string // records by key, in order; timers sorted
	timers  map[string]int      // fired, by key and text
	dead    map[string]int      // dead letters by name
	failing pipeline.FailureHandler
}

type plainKey struct {
	entries map[string]string
	timers  map[string]time.Time
	calls   map[string]string // body by id
}

// plainState is the State of one call.
type plainState struct {
	*plainKey
	of   *plain
	seen []string
}

func (s *plainState) Get(name string) ([]byte, bool) {
	v, ok := s.entries[name]
	return []byte(v), ok
}
func (s *plainState) Put(name string, value []byte) { s.entries[name] = string(value) }
func (s *plainState) Delete(name string)            { delete(s.entries, name) }
func (s *plainState) Scan(prefix string, fn func(string, []byte) bool) {
	for _, name := range slices.Sorted(maps.Keys(s.entries)) {
		if strings.HasPrefix(name, prefix) && !fn(name, []byte(s.entries[name])) {
			return
		}
	}
}
func (s *plainState) Seen(id []byte, _ time.Time) bool {
	if s.of.seen[string(id)] {
		return true
	}
	s.of.seen[string(id)] = true
	s.seen = append(s.seen, string(id))
	return false
}

func newPlain(stage pipeline.Stage) *plain {
	p := &plain{stage: stage, keys: map[string]*plainKey{}, seen: map[string]bool{}, out: map[string][]string{},
		timers: map[string]int{}, dead: map[string]int{}}
	p.failing, _ = stage.(pipeline.FailureHandler)
	return p
}

// run gives one input to the stage and keeps all it did, or nothing and a dead letter.
func (p *plain) run(in *pipeline.Input) {
	key := string(in.Key)
	was := p.keys[key]
	if was == nil {
		was = &plainKey{entries: map[string]string{}, timers: map[string]time.Time{}, calls: map[string]string{}}
		p.keys[key] = was
	}
	k := &plainKey{maps.Clone(was.entries), maps.Clone(was.timers), maps.Clone(was.calls)}
	if in.Timer != nil {
		delete(k.timers, in.Timer.Name)
	}
	st := &plainState{plainKey: k, of: p}
	var fx pipeline.Effects
	err := func() (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("%v", r)
			}
		}()
		return p.stage.Process(in, st, &fx)
	}()
	for name, value := range k.entries {
		if len(name)+len(value) >= largest {
			err = errOrdered
		}
	}
	if err != nil {
		for _, id := range st.seen {
			delete(p.seen, id)
		}
		fx.Reset()
		name := fmt.Sprintf("%s/%d/%d", in.Record.Topic, in.Record.Partition, in.Record.Offset)
		p.dead[name]++
		k = was
		if p.failing != nil {
			p.failing.Failed(in, name, err, &fx)
		}
	}
	p.keys[key] = k
	p.take(k, &fx)
}

func (p *plain) take(k *plainKey, fx *pipeline.Effects) {
	for _, e := range fx.Emits {
		if isTimer(e.Value) {
			p.timers[string(e.Key)+" "+string(e.Value)]++
		} else {
			p.out[string(e.Key)] = append(p.out[string(e.Key)], string(e.Value))
		}
	}
	for _, t := range fx.Timers {
		if t.At.IsZero() {
			delete(k.timers, t.Name)
		} else {
			k.timers[t.Name] = t.At
		}
	}
	for _, c := range fx.Calls {
		k.calls[c.ID] = string(c.Body)
	}
	for _, id := range fx.Ended {
		delete(k.calls, id)
	}
}

// process runs the stage on records in their order.
func (p *plain) process(records []*kgo.Record) {
	for _, r := range records {
		p.run(&pipeline.Input{Key: r.Key, Now: r.Timestamp, Record: &pipeline.Record{
			Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Time: r.Timestamp}})
	}
}

// advance fires what is due at or before until, each key's timers in the order of time and name.
func (p *plain) advance(until time.Time) {
	for _, key := range slices.Sorted(maps.Keys(p.keys)) {
		for {
			name, at := "", until
			for n, t := range p.keys[key].timers {
				if t.Before(at) || !t.After(at) && (name == "" || n < name) {
					name, at = n, t
				}
			}
			if name == "" {
				break
			}
			p.run(&pipeline.Input{Key: []byte(key), Now: at, Timer: &pipeline.Timer{Name: name, At: at}})
		}
	}
}

func isTimer(value []byte) bool { return strings.HasPrefix(string(value), "timer ") }
