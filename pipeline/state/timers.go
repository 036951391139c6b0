package state

import (
	"cmp"
	"container/heap"
	"encoding/binary"
	"math"
	"slices"
	"strings"
)

// due is one timer's place in the order of firing.
type due struct {
	at        int64
	key, name string
}

func (a due) compare(b due) int {
	return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.key, b.key), strings.Compare(a.name, b.name))
}

const (
	// refill is how many timers are read from the backing at a time.
	refill = 1024
	// most bounds the timers in memory; the later half is forgotten then, and read again in time.
	most = 1 << 16
)

// timers is the near end of the partition's timers: every timer due before horizon is in the heap,
// possibly beside places of timers that were stopped or moved since. Whoever takes one off checks it
// against the entry.
type timers struct {
	heap    dueHeap
	horizon int64 // 0 at first: nothing was read yet
}

// near tells whether a timer due at that time belongs into the heap.
func (t *timers) near(at int64) bool { return at < t.horizon }

func (t *timers) push(d due) {
	if !t.near(d.at) {
		return
	}
	heap.Push(&t.heap, d)
	if len(t.heap) <= most {
		return
	}
	slices.SortFunc(t.heap, due.compare) // a sorted slice is a heap
	keep := most / 2
	t.horizon = t.heap[keep].at
	for keep > 0 && t.heap[keep-1].at == t.horizon {
		keep--
	}
	clear(t.heap[keep:])
	t.heap = t.heap[:keep]
}

func (t *timers) pop() { heap.Pop(&t.heap) }

// nextDue returns the first timer due at or before now. It stays first until popped.
func (p *Partition) nextDue(now int64) (due, bool) {
	t := &p.timer
	for p.failed == nil {
		if len(t.heap) == 0 {
			if t.horizon > now || t.horizon == math.MaxInt64 {
				break
			}
			p.refillTimers()
			continue
		}
		first := t.heap[0]
		if first.at > now {
			break
		}
		p.touch([]byte(first.key))
		if value, ok := p.get(kindTimer, first.name); ok && int64(binary.BigEndian.Uint64(value)) == first.at {
			return first, true
		}
		t.pop()
	}
	return due{}, false
}

// refillTimers reads the next timers from the horizon on, from the backing and from what is not in it.
func (p *Partition) refillTimers() {
	t := &p.timer
	from := t.horizon
	t.horizon = math.MaxInt64
	lower := binary.BigEndian.AppendUint64([]byte{kindDue}, uint64(from))
	var found []due
	var bad error
	err := p.back.Scan(lower, []byte{kindDue + 1}, func(k, _ []byte) bool {
		at := int64(binary.BigEndian.Uint64(k[1:]))
		if len(found) >= refill && at != found[len(found)-1].at {
			t.horizon = at
			return false
		}
		key, name, err := cutKey(k[9:])
		bad = err
		found = append(found, due{at: at, key: string(key), name: string(name)})
		return err == nil
	})
	if err := cmp.Or(err, bad); err != nil {
		p.failed = err
		return
	}
	p.freshTimers(func(key []byte, name string, at int64) {
		if at >= from && at < t.horizon {
			found = append(found, due{at: at, key: string(key), name: name})
		}
	})
	t.heap = found
	heap.Init(&t.heap)
}

// freshTimers calls fn for timers that the backing does not have as they are: changed in the open
// transaction, or committed and not saved.
func (p *Partition) freshTimers(fn func(key []byte, name string, at int64)) {
	for i := range p.cache.open {
		k := &p.cache.open[i]
		for j := range k.changes {
			if c := &k.changes[j]; c.kind == kindTimer && c.ok {
				fn(p.cache.block(k.at).key(), c.name, int64(binary.BigEndian.Uint64(c.value)))
			}
		}
	}
	for _, at := range p.cache.dirty {
		b := p.cache.block(at)
		for j, used := b.entries(), b.used(); j < used; {
			var s stored
			if s, j = b.at(j); s.kind == kindTimer && s.flags == exists|unsaved {
				fn(b.key(), string(s.name), int64(binary.BigEndian.Uint64(s.value)))
			}
		}
	}
}

// dueHeap is a heap in the order of firing.
type dueHeap []due

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].compare(h[j]) < 0 }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(due)) }
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last] = due{}
	*h = (*h)[:last]
	return d
}
