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
