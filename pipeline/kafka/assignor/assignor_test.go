package assignor

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// group draws members of a group in any state it can be in.
func group(t *rapid.T) (members []Member, partitions int32) {
	partitions = rapid.Int32Range(1, 40).Draw(t, "partitions")
	owner := make([]int, partitions)
	n := rapid.IntRange(1, 6).Draw(t, "members")
	processes := rapid.IntRange(1, n).Draw(t, "processes")
	for p := range owner {
		owner[p] = rapid.IntRange(-1, n-1).Draw(t, "owner")
	}
	copies := make([]map[int32]int64, processes)
	for i := range copies {
		copies[i] = map[int32]int64{}
		for p := range partitions {
			if at := rapid.Int64Range(-3, 5).Draw(t, "copy"); at >= 0 {
				copies[i][p] = at
			}
		}
	}
	for m := range n {
		one := Member{ID: fmt.Sprintf("m%d", m), Process: fmt.Sprintf("p%d", m%processes), Copies: copies[m%processes], Keeps: true}
		for p := range partitions {
			if owner[p] == m {
				one.Owned = append(one.Owned, p)
			}
		}
		members = append(members, one)
	}
	return members, partitions
}

// TestAssign: every partition has one owner, shares differ by one at most, nobody gives up more than must
// be, and a plan that is carried out stays: its owners at once, its copies soon.
func TestAssign(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, partitions := group(t)
		copies := rapid.IntRange(0, 3).Draw(t, "copies")
		plan := Assign(members, partitions, copies)
		owner := map[int32]string{}
		floor := int(partitions) / len(members)
		for _, m := range members {
			has := plan.Owned[m.ID]
			if len(has) < floor || len(has) > floor+1 {
				t.Fatalf("%s has %d of %d partitions, of %d members", m.ID, len(has), partitions, len(members))
			}
			for _, p := range has {
				if before, twice := owner[p]; twice {
					t.Fatalf("partition %d has two owners: %s and %s", p, before, m.ID)
				}
				owner[p] = m.ID
			}
			// What it had and has no more must be too much for it.
			for _, p := range m.Owned {
				if !slices.Contains(has, p) && len(has) < min(len(m.Owned), floor) {
					t.Fatalf("%s gives up partition %d and has only %d", m.ID, p, len(has))
				}
			}
			kept := 0
			for _, p := range m.Owned {
				if slices.Contains(has, p) {
					kept++
				}
			}
			if kept < min(len(m.Owned), floor) {
				t.Fatalf("%s keeps %d of %d partitions, its share is %d", m.ID, kept, len(m.Owned), floor)
			}
		}
		if len(owner) != int(partitions) {
			t.Fatalf("%d of %d partitions have an owner", len(owner), partitions)
		}
		checkCopies(t, members, plan, owner, partitions, copies)
		settle(t, members, plan, partitions, copies)
	})
}

// settle carries the plan out, and the next ones: owners stay where they are, copies soon.
func settle(t *rapid.T, members []Member, plan Plan, partitions int32, copies int) {
	for range 4 {
		next := slices.Clone(members)
		for i := range next {
			m := &next[i]
			m.Owned, m.Copies = plan.Owned[m.ID], map[int32]int64{}
			for _, p := range plan.Copies[m.Process] {
				m.Copies[p] = 9
			}
		}
		again := Assign(next, partitions, copies)
		if fmt.Sprint(again.Owned) != fmt.Sprint(plan.Owned) {
			t.Fatalf("a second rebalance changes owners\n%v\n%v", plan, again)
		}
		if fmt.Sprint(again) == fmt.Sprint(plan) {
			return
		}
		plan = again
	}
	t.Fatalf("copies do not settle: %v", plan)
}

func checkCopies(t *rapid.T, members []Member, plan Plan, owner map[int32]string, partitions int32, copies int) {
	process, processes := map[string]string{}, map[string]bool{}
	for _, m := range members {
		process[m.ID], processes[m.Process] = m.Process, true
	}
	count := map[int32]int{}
	for name, kept := range plan.Copies {
		for _, p := range kept {
			if count[p]++; process[owner[p]] == name {
				t.Fatalf("%s keeps a copy of partition %d, which it owns", name, p)
			}
		}
		if !slices.IsSorted(kept) || len(slices.Compact(slices.Clone(kept))) != len(kept) {
			t.Fatalf("%s keeps %v", name, kept)
		}
	}
	for p := range partitions {
		if want := min(copies, len(processes)-1); count[p] != want {
			t.Fatalf("partition %d has %d copies, want %d", p, count[p], want)
		}
	}
}

// TestTakeOver: when a process dies, each of its partitions goes to one that has a copy of it.
func TestTakeOver(t *testing.T) {
	var members []Member
	for i := range 4 {
		members = append(members, Member{ID: fmt.Sprintf("m%d", i), Process: fmt.Sprintf("p%d", i), Keeps: true})
	}
	const partitions = 64
	for dead := range members {
		plan := Assign(members, partitions, 1)
		var left []Member
		for i, m := range members {
			if i == dead {
				continue
			}
			m.Owned, m.Copies = plan.Owned[m.ID], map[int32]int64{}
			for _, p := range plan.Copies[m.Process] {
				m.Copies[p] = int64(100 + p)
			}
			left = append(left, m)
		}
		after := Assign(left, partitions, 1)
		without := 0
		for _, m := range left {
			for _, p := range after.Owned[m.ID] {
				_, copied := m.Copies[p]
				if had := slices.Contains(m.Owned, p); !had && !copied {
					without++
				}
			}
		}
		if without > 2 { // shares must be even, copies need not be spread so evenly
			t.Errorf("%d of the partitions of %s went to processes without a copy", without, members[dead].ID)
		}
	}
}

// TestNewestCopy: of two copies the newer one is taken, and after a stop of everything each process gets
// what it has on its disk.
func TestNewestCopy(t *testing.T) {
	members := []Member{
		{ID: "a", Process: "a", Copies: map[int32]int64{0: 10, 2: 7, 3: 1}},
		{ID: "b", Process: "b", Copies: map[int32]int64{0: 20, 1: 5, 2: 3}},
	}
	plan := Assign(members, 4, 0)
	if got := fmt.Sprint(plan.Owned); got != "map[a:[2 3] b:[0 1]]" {
		t.Errorf("owned %s", got)
	}
	if len(plan.Copies) != 0 {
		t.Errorf("copies %v", plan.Copies)
	}
}

// TestOnlyTheWilling: who keeps no copies is given none, and no members are no error.
func TestOnlyTheWilling(t *testing.T) {
	members := []Member{{ID: "a", Process: "a"}, {ID: "b", Process: "b", Keeps: true}, {ID: "c", Process: "c"}}
	plan := Assign(members, 6, 2)
	if got := fmt.Sprint(plan.Copies); got != "map[b:[0 2 3 5]]" && len(plan.Copies["b"]) != 4 {
		t.Errorf("copies %s", got)
	}
	if plan := Assign(nil, 6, 2); len(plan.Owned)+len(plan.Copies) > 0 {
		t.Errorf("%v", plan)
	}
}
