package reuse_test

import (
	"testing"

	"github.com/handoff-dev/handoff/schemas/reuse"
)

type one struct {
	text string
	next *one
}

type other struct{ text string }

// TestRooms: what was handed out stays as it is until the reset, and is handed out again as a zero value, each to one
// who asks.
func TestRooms(t *testing.T) {
	var r reuse.Rooms
	earlier := map[*one]bool{}
	for round, n := range []int{3, 100, 0, 5} {
		var all []*one
		for i := range n {
			v := reuse.Zero[one](&r)
			if *v != (one{}) {
				t.Fatalf("round %d: value %d is %v", round, i, *v)
			}
			if w := reuse.New(&r, other{"other"}); w.text != "other" {
				t.Fatalf("round %d: another type's value is %v", round, *w)
			}
			v.text, v.next = "mine", v
			all = append(all, v)
		}
		distinct := map[*one]bool{}
		for i, v := range all {
			if v.text != "mine" || v.next != v {
				t.Fatalf("round %d: value %d became %v", round, i, *v)
			}
			distinct[v] = true
		}
		if len(distinct) != n {
			t.Fatalf("round %d: %d values for %d who asked", round, len(distinct), n)
		}
		if n > 0 && round > 0 && !earlier[all[0]] {
			t.Errorf("round %d: nothing is used again", round)
		}
		for v := range distinct {
			earlier[v] = true
		}
		r.Reset()
	}
	if n := testing.AllocsPerRun(100, func() { reuse.Zero[one](&r); r.Reset() }); n != 0 {
		t.Errorf("a value that is used again takes %v allocations", n)
	}
}

// TestNone: without rooms every value is its own, for good.
func TestNone(t *testing.T) {
	a, b := reuse.Zero[one](nil), reuse.New(nil, one{text: "b"})
	if a == b || b.text != "b" || *a != (one{}) {
		t.Errorf("%v %v", a, b)
	}
}
