package torture

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
)

// Kinds of input. Together they use everything that a stage can do; none depends on when timers fire
// relative to records, since that is up to the wall clock.
const (
	kindCount   = "count"   // counts, lists the last few, emits both
	kindTimer   = "timer"   // sets a timer that is due soon, and another when that fires
	kindFar     = "far"     // sets or moves a timer that does not come due
	kindStop    = "stop"    // stops that
	kindCall    = "call"    // stores an outside call
	kindResult  = "result"  // the outside's answer: ends it
	kindFan     = "fan"     // emits under other keys
	kindClear   = "clear"   // deletes what it finds by a scan
	kindFail    = "fail"    // writes and emits, then fails
	kindPanic   = "panic"   // the same, then panics
	kindLarge   = "large"   // emits what does not fit a record
	kindGarbage = "garbage" // is not even an input
)

// input is the value of a mailbox record. ID is the same in a duplicate.
type input struct {
	Kind string `json:"k"`
	ID   string `json:"i"`
	Arg  int    `json:"a,omitempty"`
}

// output is the value of a record in the facts: which input made it, and what it says.
type output struct {
	// Partition, Offset and Ordinal name the input and the output's place among its outputs.
	Partition int32 `json:"p"`
	Offset    int64 `json:"o"`
	Ordinal   int   `json:"n"`
	// Timer that fired, instead of an offset.
	Timer string `json:"t,omitempty"`
	Says  string `json:"s"`
}

// largest record that the stage may produce here.
const largest = 64 << 10

// far is how far away a timer is that is not to fire.
const far = 24 * time.Hour

// second is how long after a timer the one it sets is due.
const second = 3 * time.Millisecond

// stage is what is run. fault is for the harness's own test: what it does wrong.
type stage struct {
	name       string
	facts      string
	partitions int
	fault      string
}

func (s *stage) Name() string { return s.name }

// act is one Process in the making.
type act struct {
	s  *stage
	in *pipeline.Input
	st pipeline.State
	fx *pipeline.Effects
	n  int
}

func (a *act) emit(key []byte, format string, args ...any) {
	o := output{Partition: schemas.Partition(a.in.Key, a.s.partitions), Offset: -1, Ordinal: a.n, Says: fmt.Sprintf(format, args...)}
	a.n++
	if a.in.Timer != nil {
		o.Timer = a.in.Timer.Name
	} else {
		o.Partition, o.Offset = a.in.Record.Partition, a.in.Record.Offset
	}
	raw, err := json.Marshal(o)
	if err != nil {
		raw = []byte(err.Error()) // never: it has strings and numbers only
	}
	a.fx.Emit(a.s.facts, append([]byte(nil), key...), raw)
}

var errAsAsked = errors.New("fails as asked")

func (s *stage) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	a := &act{s: s, in: in, st: st, fx: fx}
	if in.Timer != nil {
		return a.timer()
	}
	var v input
	if err := json.Unmarshal(in.Record.Value, &v); err != nil {
		return fmt.Errorf("garbage: %w", err)
	}
	if v.Kind == kindResult {
		return a.result(v)
	}
	if st.Seen([]byte(v.ID), in.Record.Time) {
		a.emit(in.Key, "again %s", v.ID)
		return nil
	}
	if s.fault == "lose" && in.Record.Offset%41 == 13 {
		return nil
	}
	return a.record(v)
}

func (a *act) record(v input) error {
	in, st, fx := a.in, a.st, a.fx
	switch v.Kind {
	case kindCount:
		a.count(v)
	case kindTimer:
		fx.SetTimer("t"+v.ID, in.Record.Time.Add(time.Duration(v.Arg)*time.Millisecond))
		a.emit(in.Key, "set %s", v.ID)
	case kindFar:
		fx.SetTimer("far", in.Record.Time.Add(far+time.Duration(v.Arg)*time.Millisecond))
		st.Put("far", []byte(v.ID))
	case kindStop:
		fx.StopTimer("far")
		_, had := st.Get("far")
		st.Delete("far")
		a.emit(in.Key, "stopped %v", had)
	case kindCall:
		st.Put("call/"+v.ID, []byte("open"))
		fx.Call(pipeline.Call{ID: v.ID, Destination: "outside", Lane: string(in.Key), Body: []byte("body of " + v.ID), Created: in.Record.Time})
	case kindFan:
		for i := range v.Arg {
			a.emit(fmt.Appendf(nil, "other|%d", (len(v.ID)*31+v.Arg*7+i)%50), "fan %s", v.ID)
		}
	case kindClear:
		var names []string
		st.Scan("r/", func(name string, _ []byte) bool {
			names = append(names, name)
			return true
		})
		for _, name := range names {
			st.Delete(name)
		}
		a.emit(in.Key, "cleared %s", strings.Join(names, ","))
	case kindFail, kindPanic, kindLarge:
		return a.fail(v)
	default:
		return fmt.Errorf("garbage: kind %q", v.Kind)
	}
	return nil
}

func (a *act) count(v input) {
	n := 0
	if raw, ok := a.st.Get("n"); ok {
		_, _ = fmt.Sscan(string(raw), &n) // a bad number counts from 0, and the check finds it
	}
	n++
	a.st.Put("n", fmt.Append(nil, n))
	a.st.Put(fmt.Sprintf("r/%d", n%4), []byte(v.ID))
	if n%7 == 0 {
		a.st.Delete("r/2")
	}
	var listed []string
	a.st.Scan("r/", func(name string, value []byte) bool {
		listed = append(listed, name+"="+string(value))
		return true
	})
	a.emit(a.in.Key, "count %d: %s", n, strings.Join(listed, " "))
	if a.s.fault == "double" && n%5 == 0 {
		a.n--
		a.emit(a.in.Key, "count %d: %s", n, strings.Join(listed, " "))
	}
}

// fail does a lot, none of which may be seen.
func (a *act) fail(v input) error {
	a.st.Put("n", []byte("1000000"))
	a.st.Put("failed/"+v.ID, []byte("yes"))
	a.fx.SetTimer("t"+v.ID, a.in.Record.Time)
	a.fx.Call(pipeline.Call{ID: "call of " + v.ID, Created: a.in.Record.Time})
	a.emit(a.in.Key, "never")
	switch v.Kind {
	case kindPanic:
		panic("as asked")
	case kindLarge:
		a.fx.Emit(a.s.facts, a.in.Key, make([]byte, largest+1))
		return nil
	}
	return errAsAsked
}

// result ends a call that is open; whoever answers twice is told so.
func (a *act) result(v input) error {
	if _, open := a.st.Get("call/" + v.ID); !open {
		a.emit(a.in.Key, "late %s", v.ID)
		return nil
	}
	a.st.Delete("call/" + v.ID)
	a.fx.EndCall(v.ID)
	a.emit(a.in.Key, "ended %s", v.ID)
	return nil
}

// timer fires: the first of a pair sets the second.
func (a *act) timer() error {
	name := a.in.Timer.Name
	if id, ok := strings.CutPrefix(name, "t"); ok {
		a.st.Put("fired/"+id, []byte("once"))
		a.fx.SetTimer("u"+id, a.in.Timer.At.Add(second))
	} else if id, ok := strings.CutPrefix(name, "u"); ok {
		a.st.Delete("fired/" + id)
	}
	a.emit(a.in.Key, "fired for %d, now %d", a.in.Timer.At.UnixMilli(), a.in.Now.UnixMilli())
	return nil
}

// failedOrdinal is the ordinal of what is said of a failure.
const failedOrdinal = 1000

// Failed says which input failed.
func (s *stage) Failed(in *pipeline.Input, deadLetter string, _ error, fx *pipeline.Effects) {
	a := &act{s: s, in: in, fx: fx, n: failedOrdinal}
	a.emit(in.Key, "failed %s", deadLetter)
}
