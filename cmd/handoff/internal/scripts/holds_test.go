package scripts

import (
	"fmt"
	"strings"
	"sync"

	"github.com/handoff-dev/handoff/pipeline"
)

// holds is which stages read no records of which shops, because scripts hold them. A record that is not to be read
// waits as one does whose settings are not there yet, and all of its partition wait behind it: such a script has the
// brokers for itself.
type holds struct {
	wanted bool // by a script of the run; does not change
	mu     sync.Mutex
	of     map[string]*held // guarded by mu; by stage and shop
}

// held is a stage that is held for a shop.
type held struct {
	steps   int                        // records that it may still take
	taken   map[string]bool            // places of those that it took: so it does when it reads them again
	blocked map[string]map[int32]int64 // where it stands, by topic and partition
}

func newHolds() *holds { return &holds{of: map[string]*held{}} }

// hold begins or ends.
func (h *holds) hold(shop, stage string, begin bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if delete(h.of, stage+" "+shop); begin {
		h.of[stage+" "+shop] = &held{taken: map[string]bool{}, blocked: map[string]map[int32]int64{}}
	}
}

// step lets a held stage take one record.
func (h *holds) step(shop, stage string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if of := h.of[stage+" "+shop]; of != nil {
		of.steps++
		clear(of.blocked) // it looks again
	}
}

// waits tells whether a stage may not read this record now.
func (h *holds) waits(stage string, r *pipeline.Record) bool {
	shop, _, _ := strings.Cut(string(r.Key), "|")
	h.mu.Lock()
	defer h.mu.Unlock()
	of := h.of[stage+" "+shop]
	if of == nil {
		return false
	}
	at := fmt.Sprintf("%d/%d", r.Partition, r.Offset)
	if of.steps > 0 && !of.taken[at] {
		of.steps--
		of.taken[at] = true
	}
	if of.taken[at] {
		return false
	}
	if of.blocked[r.Topic] == nil {
		of.blocked[r.Topic] = map[int32]int64{}
	}
	of.blocked[r.Topic][r.Partition] = r.Offset
	return true
}

// stands tells whether a stage stands before a record of a partition of its mailbox, on purpose.
func (h *holds) stands(topic string, partition int32, offset int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, of := range h.of {
		if at, is := of.blocked[topic][partition]; is && at == offset {
			return true
		}
	}
	return false
}

// blocks tells whether a stage stands anywhere in a partition of its mailbox.
func (h *holds) blocks(topic string, partition int32) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, of := range h.of {
		if _, is := of.blocked[topic][partition]; is {
			return true
		}
	}
	return false
}
