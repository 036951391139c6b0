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
	near    map[int32]bool  // hardly anything of the state is left to read, as of the last look
	keep    map[int]keeping // to be kept, as each member was told
}

// nearRecords is how much of a changelog may be left to read for a state that counts as near: reading and
// writing so many records takes well below a second.
const nearRecords = 10_000

func newCopies(instance string) copies {
	if instance == "" {
		instance = strconv.FormatUint(rand.Uint64(), 36)
	}
	return copies{process: instance, at: map[int32]int64{}, near: map[int32]bool{}, keep: map[int]keeping{}}
}

// hint tells the group of the copies.
func (r *Runner) hint() hint {
	r.mu.Lock()
	defer r.mu.Unlock()
	return hint{Process: r.copies.process, Standby: r.cfg.Standby, Copies: maps.Clone(r.copies.at),
		Warms: true, Near: slices.Sorted(maps.Keys(r.copies.near))}
}

// measure notes to which partitions' states the process is near, given what their changelogs had. Those
// that are being followed may have been read further by now.
func (r *Runner) measure(changelogs map[int32]span, followed map[int32]*state.Replay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, s := range changelogs {
		left := s.end - s.from
		at, copied := r.copies.at[p]
		if _, follows := followed[p]; copied && follows {
			at = min(at, s.end)
		}
		if copied && at >= s.from && at <= s.end {
			left = s.end - at
		}
		if left <= r.nearRecords {
			r.copies.near[p] = true
		} else {
			delete(r.copies.near, p)
		}
	}
}

// warmedUp are the partitions that the process was told to warm up for, once it is near to all of them.
func (r *Runner) warmedUp() []int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var warm []int32
	for _, k := range r.copies.keep {
		for _, p := range k.Warm {
			if !r.copies.near[p] {
				return nil
			}
			warm = append(warm, p)
		}
	}
	slices.Sort(warm)
	return warm
}

// keepCopies takes what a member was told to keep.
func (r *Runner) keepCopies(member int, k keeping) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.copies.keep[member] = k
}

// toKeep are the partitions to keep copies of, and those to warm up for.
func (r *Runner) toKeep() []int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []int32
	for _, k := range r.copies.keep {
		all = append(append(all, k.Copies...), k.Warm...)
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
