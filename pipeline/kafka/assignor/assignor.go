// Package assignor decides which members of a stage's group have which partitions, and which processes
// keep copies of their state. It is a pure function over what the members have told; the group's leader
// runs it at every rebalance.
//
// Members have as many partitions as each other, give or take one. Within that a partition stays where it
// is; one that must go, or whose member is gone, goes to a process that has a copy of its state, and of
// several to the one whose copy is newest: reading a large state from the changelog takes minutes, bringing
// a copy up to date takes none. For the same reason a partition stays with the member that is at work on it
// until the process that is to get it has warmed up for it: has read its state nearly to the end.
package assignor

import (
	"cmp"
	"slices"
)

// Member is what a member of the group has told.
type Member struct {
	// ID of the member, and of the process that it is in: members of one process share its copies.
	ID, Process string
	// Owned partitions; no two members own the same.
	Owned []int32
	// Copies that the process has of partitions' states: up to which offset of the changelog.
	Copies map[int32]int64
	// Keeps says that the process is willing to keep copies of others' partitions.
	Keeps bool
	// Warms says that the process can warm up for partitions and tells which are Near: hardly anything of
	// their state is left to read for it.
	Warms bool
	Near  map[int32]bool
}

// Plan is who has what.
type Plan struct {
	// Owned partitions by member, ascending.
	Owned map[string][]int32
	// Copies that each process keeps of what others own, ascending.
	Copies map[string][]int32
	// Warm are the partitions that each process warms up for, ascending: it gets them once they are near.
	Warm map[string][]int32
}

// Assign plans for so many partitions, with so many copies of each beside its owner's. The order of members
// breaks ties, so it should be the same from one rebalance to the next.
func Assign(members []Member, partitions int32, copies int) Plan {
	plan := Plan{Owned: map[string][]int32{}, Copies: map[string][]int32{}, Warm: map[string][]int32{}}
	if len(members) == 0 {
		return plan
	}
	o := newOwners(members, partitions)
	o.keep()
	o.moveToCopies()
	o.fill()
	o.wait(plan.Warm)
	for p, m := range o.of {
		id := members[m].ID
		plan.Owned[id] = append(plan.Owned[id], int32(p))
	}
	placeCopies(members, o.of, copies, plan.Copies)
	return plan
}

// nobody owns a partition that has no place yet.
const nobody = -1

// owners is a plan in the making.
type owners struct {
	members []Member
	had     []int // by partition: index of the member that is at work on it, or nobody
	of      []int // by partition: index of the member that gets it, or nobody
	room    []int // by member: how many more it gets
}

func newOwners(members []Member, partitions int32) *owners {
	o := &owners{members: members, of: make([]int, partitions), room: make([]int, len(members))}
	for p := range o.of {
		o.of[p] = nobody
	}
	for m := range members {
		for _, p := range members[m].Owned {
			if p >= 0 && p < partitions && o.of[p] == nobody {
				o.of[p] = m
			}
		}
	}
	o.had = slices.Clone(o.of)
	// Where the partitions cannot be shared evenly, those have one more that have the most now.
	has := make([]int, len(members))
	for _, m := range o.of {
		if m != nobody {
			has[m]++
		}
	}
	order := make([]int, len(members))
	for m := range order {
		order[m] = m
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(has[b], has[a]) })
	for i, m := range order {
		o.room[m] = int(partitions) / len(members)
		if i < int(partitions)%len(members) {
			o.room[m]++
		}
	}
	return o
}

// keep leaves to each member what it has, up to its share. What it has beyond that it gives up, first what
// somebody else is near to or has a copy of.
func (o *owners) keep() {
	for m := range o.members {
		var has []int32
		for p, owner := range o.of {
			if owner == m {
				has = append(has, int32(p))
			}
		}
		slices.SortStableFunc(has, func(a, b int32) int { return cmp.Compare(o.copiedElsewhere(a, m), o.copiedElsewhere(b, m)) })
		kept := min(len(has), o.room[m])
		o.room[m] -= kept
		for _, p := range has[kept:] {
			o.of[p] = nobody
		}
	}
}

// copiedElsewhere counts the members of other processes that have a copy and may get more than they have;
// one that is near counts twice.
func (o *owners) copiedElsewhere(p int32, owner int) int {
	n := 0
	for m := range o.members {
		other := &o.members[m]
		if other.Process == o.members[owner].Process || o.room[m] <= len(other.Owned) {
			continue
		}
		if _, ok := other.Copies[p]; ok {
			n++
		}
		if other.Warms && other.Near[p] {
			n++
		}
	}
	return n
}

// moveToCopies gives partitions without a place to members whose process has a copy, as far as they have
// room; those with the fewest such members first, so that others' room does not run out on them.
func (o *owners) moveToCopies() {
	type choice struct {
		partition int32
		holders   int
	}
	var free []choice
	for p, owner := range o.of {
		if owner != nobody {
			continue
		}
		c := choice{partition: int32(p)}
		for m := range o.members {
			if _, ok := o.members[m].Copies[c.partition]; ok && o.room[m] > 0 {
				c.holders++
			}
		}
		if c.holders > 0 {
			free = append(free, c)
		}
	}
	slices.SortStableFunc(free, func(a, b choice) int { return cmp.Compare(a.holders, b.holders) })
	for _, c := range free {
		best, newest := nobody, int64(-1)
		for m := range o.members {
			at, ok := o.members[m].Copies[c.partition]
			if !ok || o.room[m] == 0 {
				continue
			}
			if at > newest || at == newest && o.room[m] > o.room[best] {
				best, newest = m, at
			}
		}
		o.give(c.partition, best)
	}
}

// fill gives what is left to whoever has the most room.
func (o *owners) fill() {
	for p, owner := range o.of {
		if owner != nobody {
			continue
		}
		most := 0
		for m := range o.room {
			if o.room[m] > o.room[most] {
				most = m
			}
		}
		o.give(int32(p), most)
	}
}

func (o *owners) give(p int32, m int) {
	if m == nobody {
		return
	}
	o.of[p] = m
	o.room[m]--
}
