package kafka

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/handoff-dev/handoff/pipeline/state"
)

// copies are the states that lie in the process' store, whoever owns their partitions, and those that the
// group wants kept there. All is guarded by the Runner's mu.
type copies struct {
	process string          // names the process in its group
	at      map[int32]int64 // up to which offset of the changelog
	keep    map[int][]int32 // to be kept, as each member was told
}

func newCopies(instance string) copies {
	if instance == "" {
		instance = strconv.FormatUint(rand.Uint64(), 36)
	}
	return copies{process: instance, at: map[int32]int64{}, keep: map[int][]int32{}}
}

// hint tells the group of the copies.
func (r *Runner) hint() hint {
	r.mu.Lock()
	defer r.mu.Unlock()
	return hint{Process: r.copies.process, Standby: r.cfg.Standby, Copies: maps.Clone(r.copies.at)}
}

// keepCopies takes what a member was told to keep.
func (r *Runner) keepCopies(member int, partitions []int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.copies.keep[member] = partitions
}

// toKeep are the partitions to keep copies of.
func (r *Runner) toKeep() []int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []int32
	for _, partitions := range r.copies.keep {
		all = append(all, partitions...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// copied notes how far the copy of a partition is.
func (r *Runner) copied(partition int32, next int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.copies.at[partition] = next
}

// findCopies looks for what earlier processes left in the store. What nobody here is assigned within
// KeepRevoked is removed as if it had left now.
func (r *Runner) findCopies(partitions int32) error {
	for p := range partitions {
		pos, resume, err := state.ReadPosition(r.cfg.Store.Backing(r.cfg.Stage.Name(), p))
		if err != nil {
			return fatal{fmt.Errorf("look for local state of partition %d: %w", p, err)}
		}
		if pos.Number == 0 {
			continue
		}
		r.mu.Lock()
		if r.claims[p] == nil {
			r.left[p], r.copies.at[p] = r.cfg.Now(), resume.Next
		}
		r.mu.Unlock()
	}
	return nil
}
