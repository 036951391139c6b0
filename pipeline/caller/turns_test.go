package caller

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/pipeline"
)

// plainTurns are lanes that wait, looked through one by one: what turns must do.
type plainTurns struct{ soon, ready []*lane }

func (p *plainTurns) enqueue(l *lane) {
	if slices.Contains(p.soon, l) || slices.Contains(p.ready, l) {
		return
	}
	if l.urgent() {
		p.soon = append(p.soon, l)
	} else {
		p.ready = append(p.ready, l)
	}
}

func (p *plainTurns) first(is func(*lane) bool) *lane {
	for _, l := range slices.Concat(p.soon, p.ready) {
		if is(l) {
			return l
		}
	}
	return nil
}

// drop takes a lane out.
func (p *plainTurns) drop(l *lane) {
	for _, q := range []*[]*lane{&p.soon, &p.ready} {
		*q = slices.DeleteFunc(*q, func(other *lane) bool { return other == l })
	}
}

// TestTurns: whatever lanes come, are told of, change their head and are taken out by way of any queue, they have their
// turn in the order in which they came, one that is looked for is found if any waits, and the queues stay small.
func TestTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, want, p := &account{tells: true}, &plainTurns{}, &partition{}
		lanes := make([]*lane, 40)
		head := func(l *lane, kind int) {
			of := pipeline.Call{Created: time.Unix(0, 0)}
			switch kind {
			case 1:
				of.TryFor = time.Minute
			case 2:
				of.TryFor = time.Hour
			case 3:
				of.GiveUpAt = of.Created.Add(time.Minute)
			}
			l.calls = []*call{{lane: l, pc: pipeline.PendingCall{Call: of}}}
		}
		for i := range lanes {
			lanes[i] = &lane{name: fmt.Sprint(i), p: p, account: a}
			head(lanes[i], i%4)
		}
		some := rapid.IntRange(0, len(lanes)-1)
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			l := lanes[some.Draw(t, "lane")]
			took := func(got *lane, is func(*lane) bool, exactly bool) {
				wanted := want.first(is)
				if (got == nil) != (wanted == nil) || got != nil && (!is(got) || got.soon != wanted.soon || exactly && got != wanted) {
					t.Fatalf("took %s, want %s", nameOf(got), nameOf(wanted))
				}
				want.drop(got)
			}
			switch rapid.IntRange(0, 7).Draw(t, "what") {
			case 0, 1, 2:
				a.enqueue(l)
				want.enqueue(l)
			case 3:
				took(a.next(), func(*lane) bool { return true }, true)
			case 4:
				got := a.nextUntold()
				took(got, func(l *lane) bool { return !l.told }, false)
				if got != nil {
					got.told = true
				}
			case 5:
				took(a.nextBrief(), (*lane).isBrief, false)
			case 6:
				l.told = false
				a.note(l)
			case 7:
				head(l, rapid.IntRange(0, 3).Draw(t, "kind"))
				a.note(l)
			}
			for _, of := range []*turns{&a.soon, &a.ready} {
				for _, q := range []queue{of.all, of.untold, of.brief} {
					if most := 2*len(lanes) + leastEntries; len(q) > most {
						t.Fatalf("%d entries of %d lanes", len(q), len(lanes))
					}
				}
			}
		}
	})
}

func nameOf(l *lane) string {
	if l == nil {
		return "none"
	}
	return l.name
}
