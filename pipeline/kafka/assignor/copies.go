package assignor

import (
	"cmp"
	"maps"
	"slices"
)

// keeper is a process that may keep copies.
type keeper struct {
	process string
	has     map[int32]int64 // copies it has, and up to where
	keeps   map[int32]bool  // those it is to keep
	of      map[string]int  // how many of those, by the process that owns them
}

func (k *keeper) keep(p int32, owner string) {
	k.keeps[p] = true
	k.of[owner]++
}

// placeCopies decides who keeps copies of what: so many of each partition, none of them by the process that
// owns it. Copies that are there stay, the newest first, as long as their process has no more than its
// share; what is missing goes to whoever keeps the least of the same owner's: when that one dies, what it
// had is to be shared by all.
func placeCopies(members []Member, owner []int, copies int, into map[string][]int32) {
	byProcess := map[string]*keeper{}
	for _, m := range members {
		if m.Keeps && byProcess[m.Process] == nil {
			byProcess[m.Process] = &keeper{process: m.Process, has: m.Copies, keeps: map[int32]bool{}, of: map[string]int{}}
		}
	}
	keepers := make([]*keeper, 0, len(byProcess))
	for _, name := range slices.Sorted(maps.Keys(byProcess)) {
		keepers = append(keepers, byProcess[name])
	}
	if len(keepers) == 0 || copies <= 0 {
		return
	}
	missing := make([]int, len(owner))
	share := (len(owner)*copies + len(keepers) - 1) / len(keepers)
	for p, m := range owner {
		missing[p] = copies
		stay := slices.Clone(keepers)
		slices.SortStableFunc(stay, func(a, b *keeper) int { return cmp.Compare(b.has[int32(p)], a.has[int32(p)]) })
		for _, k := range stay {
			if _, ok := k.has[int32(p)]; ok && missing[p] > 0 && len(k.keeps) < share && k.process != members[m].Process {
				k.keep(int32(p), members[m].Process)
				missing[p]--
			}
		}
	}
	for p, m := range owner {
		for ; missing[p] > 0; missing[p]-- {
			k := least(keepers, int32(p), members[m].Process, share)
			if k == nil {
				break // there are fewer processes than copies wanted
			}
			k.keep(int32(p), members[m].Process)
		}
	}
	for _, k := range keepers {
		if len(k.keeps) > 0 {
			into[k.process] = slices.Sorted(maps.Keys(k.keeps))
		}
	}
}

// least is who is to keep one more copy of what that owner has: somebody below the share, of them the one
// with the fewest copies of the owner's, then of all's. Neither the owner nor who keeps it already.
func least(keepers []*keeper, p int32, owner string, share int) *keeper {
	var best *keeper
	for _, k := range keepers {
		if k.process == owner || k.keeps[p] {
			continue
		}
		if best == nil || cmp.Or(
			cmp.Compare(max(len(k.keeps)-share+1, 0), max(len(best.keeps)-share+1, 0)),
			cmp.Compare(k.of[owner], best.of[owner]),
			cmp.Compare(len(k.keeps), len(best.keeps))) < 0 {
			best = k
		}
	}
	return best
}
