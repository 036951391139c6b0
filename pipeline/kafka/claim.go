package kafka

import (
	"errors"
	"sync"

	"github.com/handoff-dev/handoff/pipeline/state"
)

// claim says which incarnation may write a partition's local state: the one that was assigned it last.
// Another member of this process may still be about to.
type claim struct {
	by      *incarnation // guarded by the Runner's mu
	writing sync.Mutex
}

// claim makes the local state of a partition an incarnation's, once whoever had it does not write it.
func (r *Runner) claim(partition int32, by *incarnation) {
	r.mu.Lock()
	c := r.claims[partition]
	if c == nil {
		c = &claim{}
		r.claims[partition] = c
	}
	delete(r.left, partition)
	c.by = by
	r.mu.Unlock()
	c.writing.Lock()   // whoever is writing ends
	c.writing.Unlock() //nolint:staticcheck // Only to wait.
}

// claimFree claims a partition's local state if nobody here has it, and tells whether.
func (r *Runner) claimFree(partition int32, by *incarnation) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.claims[partition]
	if c == nil {
		c = &claim{}
		r.claims[partition] = c
	}
	if _, left := r.left[partition]; c.by != nil && !left {
		return false
	}
	delete(r.left, partition)
	c.by = by
	return true
}

// unclaim gives up a claim, if it is still there.
func (r *Runner) unclaim(partition int32, by *incarnation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.claims[partition]; c != nil && c.by == by {
		c.by = nil
		r.left[partition] = r.cfg.Now()
	}
}

// leave notes that a partition left with the incarnation; its local state is kept for a while.
func (r *Runner) leave(partition int32, by *incarnation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.claims[partition]; c != nil && c.by == by {
		r.left[partition] = r.cfg.Now()
	}
}

// errTaken says that the local state of a partition is not the incarnation's any more.
var errTaken = errors.New("another member of this process has the partition now")

// claimed runs fn, which writes a partition's local state, if that is still the incarnation's.
func (r *Runner) claimed(partition int32, by *incarnation, fn func() error) error {
	r.mu.Lock()
	c := r.claims[partition]
	r.mu.Unlock()
	if c == nil {
		return errTaken
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	r.mu.Lock()
	is := c.by == by
	r.mu.Unlock()
	if !is {
		return errTaken
	}
	return fn()
}

// backing is a partition's local state as an incarnation may use it: written only while it is its own.
func (r *Runner) backing(partition int32, by *incarnation) state.Backing {
	return claimedBacking{r.cfg.Store.Backing(r.cfg.Stage.Name(), partition), r, partition, by}
}

type claimedBacking struct {
	state.Backing
	r         *Runner
	partition int32
	by        *incarnation
}

func (b claimedBacking) Clear() error { return b.r.claimed(b.partition, b.by, b.Backing.Clear) }

func (b claimedBacking) Batch() state.Batch { return claimedBatch{b.Backing.Batch(), b} }

func (b claimedBacking) Load(writes, bytes int) state.Batch {
	return claimedBatch{b.Backing.Load(writes, bytes), b}
}

type claimedBatch struct {
	state.Batch
	of claimedBacking
}

func (b claimedBatch) Apply() error { return b.of.r.claimed(b.of.partition, b.of.by, b.Batch.Apply) }
