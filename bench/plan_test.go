package main

import (
	"slices"
	"testing"
)

// TestRotated: every side runs once a round, Handoff beside the pass-through, and the others take turns.
func TestRotated(t *testing.T) {
	firsts := map[string]bool{}
	for round := 1; round <= 4; round++ {
		order := rotated(allSides(), round)
		if sorted, want := slices.Sorted(slices.Values(order)), slices.Sorted(slices.Values(allSides())); !slices.Equal(sorted, want) {
			t.Fatalf("round %d: %v", round, order)
		}
		pass, handoff := slices.Index(order, sidePass), slices.Index(order, sideHandoff)
		if round%2 == 1 && handoff != pass+1 || round%2 == 0 && pass != handoff+1 {
			t.Errorf("round %d: %v", round, order)
		}
		firsts[order[0]] = true
	}
	if len(firsts) < 3 {
		t.Errorf("only %v begin", firsts)
	}
	if order := rotated([]string{sideHandoff}, 3); !slices.Equal(order, []string{sideHandoff}) {
		t.Errorf("one side: %v", order)
	}
}

// TestSomethingIsLeftToMeasure: of every side of every experiment a fifth of the records counts, or more.
// A run that is to warm up with more than it has waits in vain.
func TestSomethingIsLeftToMeasure(t *testing.T) {
	for _, name := range []string{"quick", "full", "runner", "smoke"} {
		suite, err := suiteOf(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range slices.Concat(suite...) {
			for _, side := range e.Sides {
				if w := e.of(side); w.Records-w.Warm < w.Records/5 {
					t.Errorf("%s, %s, %s: %d of %d records warm it up", name, e.Name, side, w.Warm, w.Records)
				}
			}
		}
	}
}
