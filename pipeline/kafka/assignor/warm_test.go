package assignor

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestWarmUp: no partition leaves a member that is at work on it for a process that would have to read its
// state first. Such a process warms up, for a few partitions at a time, and in the end shares are even.
func TestWarmUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, partitions := group(t)
		near := map[string]map[int32]bool{}
		for i := range members {
			m := &members[i]
			if near[m.Process] == nil {
				near[m.Process] = map[int32]bool{}
				for p := range partitions {
					if rapid.IntRange(0, 4).Draw(t, "near") == 0 {
						near[m.Process][p] = true
					}
				}
			}
			m.Warms, m.Near = true, near[m.Process]
		}
		copies := rapid.IntRange(0, 2).Draw(t, "copies")
		for round := 0; ; round++ {
			plan := Assign(members, partitions, copies)
			checkWarm(t, members, plan, partitions)
			if len(plan.Warm) == 0 {
				floor := int(partitions) / len(members)
				for _, m := range members {
					if n := len(plan.Owned[m.ID]); n < floor || n > floor+1 {
						t.Fatalf("%s has %d of %d partitions, of %d members", m.ID, n, partitions, len(members))
					}
				}
				return
			}
			if round > int(partitions)+2 {
				t.Fatalf("still warming up: %v", plan)
			}
			carryOut(members, plan)
		}
	})
}

// checkWarm: partitions move only to where they are near, and what is warmed up for stays where it was.
func checkWarm(t *rapid.T, members []Member, plan Plan, partitions int32) {
	had, has := map[int32]*Member{}, map[int32]*Member{}
	for i := range members {
		m := &members[i]
		for _, p := range m.Owned {
			had[p] = m
		}
		for _, p := range plan.Owned[m.ID] {
			if has[p] != nil {
				t.Fatalf("partition %d has two owners", p)
			}
			has[p] = m
		}
	}
	if len(has) != int(partitions) {
		t.Fatalf("%d of %d partitions have an owner", len(has), partitions)
	}
	for p, m := range has {
		if before := had[p]; before != nil && before.Process != m.Process && !m.Near[p] {
			t.Fatalf("partition %d moves from %s to %s, which is not near", p, before.ID, m.ID)
		}
	}
	for process, warm := range plan.Warm {
		if len(warm) == 0 || len(warm) > warmUps || !slices.IsSorted(warm) {
			t.Fatalf("%s warms up for %v", process, warm)
		}
		for _, p := range warm {
			if had[p] == nil || has[p] != had[p] || has[p].Process == process {
				t.Fatalf("%s warms up for partition %d, which is not at work elsewhere", process, p)
			}
		}
	}
}

// carryOut has members own what they were given, and be near to what they warmed up for.
func carryOut(members []Member, plan Plan) {
	for i := range members {
		m := &members[i]
		m.Owned = plan.Owned[m.ID]
		m.Copies = map[int32]int64{}
		for _, p := range append(slices.Clone(plan.Copies[m.Process]), plan.Warm[m.Process]...) {
			m.Copies[p], m.Near[p] = 9, true
		}
	}
}

// TestNewcomer: of one that comes with nothing, the partitions that it warms up for are those that it gets.
func TestNewcomer(t *testing.T) {
	members := []Member{
		{ID: "old", Process: "old", Owned: []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, Warms: true, Near: map[int32]bool{}},
		{ID: "new", Process: "new", Warms: true, Near: map[int32]bool{7: true}},
	}
	for i, want := range []string{
		"map[new:[7] old:[0 1 2 3 4 5 6 8 9 10 11]] map[new:[6 8 9 10]]",
		"map[new:[6 7 8 9 10] old:[0 1 2 3 4 5 11]] map[new:[11]]",
		"map[new:[6 7 8 9 10 11] old:[0 1 2 3 4 5]] map[]",
	} {
		plan := Assign(members, 12, 0)
		if got := fmt.Sprint(plan.Owned, plan.Warm); got != want {
			t.Errorf("rebalance %d: %s, want %s", i+1, got, want)
		}
		carryOut(members, plan)
	}
}
