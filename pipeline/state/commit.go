package state

import (
	"encoding/binary"
	"slices"
	"sort"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
)

// TakeEmits returns what the inputs processed since the last call want produced, in order. The slice
// is valid until the next Process or Advance.
func (p *Partition) TakeEmits() []pipeline.Emit {
	emits := p.emits
	p.emits = p.emits[:0]
	return emits
}

// TakeFailures returns the dead letters since the last call, in order; valid as TakeEmits is.
func (p *Partition) TakeFailures() []Failure {
	failures := p.failures
	p.failures = p.failures[:0]
	return failures
}

func (p *Partition) clearOutputs() {
	clear(p.emits)
	clear(p.failures)
	p.emits, p.failures = p.emits[:0], p.failures[:0]
	p.written, p.changed = p.written[:0], p.changed[:0]
	p.keys.reset()
	p.bytes, p.fired, p.touched = 0, 0, false
}

// Seal ends the open transaction: it gives every changed entry once to changelog, a nil value for a
// deleted one, and the position last. Keys and values stay as they are until Committed or Abort, before
// which nothing may be processed.
func (p *Partition) Seal(changelog func(key, value []byte)) Position {
	for _, w := range p.written {
		k := &p.cache.open[w.key]
		c := &k.changes[w.at]
		value := c.value
		if !c.ok {
			value = nil
		}
		changelog(c.raw, value)
	}
	p.seen.seal(p.open.Clock, changelog)
	p.sealed = p.open
	p.sealed.Number++
	p.sealed.Schema, p.sealed.Partitions = p.cfg.Schema, p.cfg.Partitions
	changelog(PositionKey(), p.sealed.Encode())
	return p.sealed
}

// Changes tells the stage's Caller what a transaction did to calls.
type Changes struct {
	// Stored or replaced calls, in the order of their creation.
	Stored []pipeline.PendingCall
	// Ended calls, as they were before.
	Ended []pipeline.PendingCall
}

// More is by how many calls there are more than before.
func (c *Changes) More() int {
	n := -len(c.Ended)
	for i := range c.Stored {
		if !c.Stored[i].Known {
			n++
		}
	}
	return n
}

// Committed says that the sealed transaction is committed; next is the changelog offset after its
// position. The changes show in the backing only after Save.
func (p *Partition) Committed(next int64) Changes {
	var stored calls
	var changes Changes
	for n, i := range p.changed {
		if n%AheadKeys == 0 {
			p.cache.expectOpen(p.changed[n:min(n+AheadKeys, len(p.changed))])
		}
		k := &p.cache.open[i]
		for j := range k.changes {
			c := &k.changes[j]
			if c.kind != kindCall {
				continue
			}
			b := p.cache.block(k.at)
			was, known := b.value(kindCall, c.name)
			value := c.value
			if !c.ok {
				value = was
			}
			if !c.ok && !known {
				continue
			}
			seq, call, err := decodeCall(value)
			if err != nil {
				continue // never: it was encoded in this transaction, or read when its key was
			}
			pc := pipeline.PendingCall{Partition: p.cfg.Partition, Known: known, Key: slices.Clone(b.key()), Call: call}
			if c.ok {
				stored.add(seq, pc)
			} else {
				changes.Ended = append(changes.Ended, pc)
			}
		}
		p.fold(i)
	}
	sort.Sort(&stored)
	changes.Stored = stored.calls
	p.cache.close()
	p.cache.settle()
	p.seen.committed()
	p.committed, p.open, p.resume.Next, p.stale = p.sealed, p.sealed, next, true
	p.clearOutputs()
	// An open cursor keeps memtables that were written out long ago, and the cache is smaller by them.
	if err := p.Close(); err != nil {
		p.failed = err
	}
	return changes
}

// fold puts an open key's changes into its block, which then waits to be saved.
func (p *Partition) fold(key int) {
	k := &p.cache.open[key]
	b := p.cache.block(k.at)
	if !b.overwrite(k.changes) {
		p.scratch = b.merged(newBlock(p.scratch, b.key()), k.changes)
		p.cache.replace(k.at, p.scratch)
	}
	p.cache.soil(k.at)
	k.clear()
}

// Unsaved tells whether committed transactions are missing from the backing.
func (p *Partition) Unsaved() bool { return p.stale }

// Crowded tells whether so much of the cache waits for Save that it cannot keep to its limit, or so many
// seen ids.
func (p *Partition) Crowded() bool { return p.cache.pinned > p.cache.limit/2 || p.seen.crowded() }

// Save writes all committed transactions that are not in the backing yet, in one batch. No transaction
// may be open. now is written beside the position, to tell how old the backing is.
func (p *Partition) Save(now time.Time) error {
	if p.failed != nil || !p.stale {
		return p.failed
	}
	b := p.back.Batch()
	for _, at := range p.cache.dirty {
		p.saveKey(b, p.cache.block(at))
	}
	err := p.seen.save(b)
	p.resume.At = now
	b.Set([]byte{kindPos}, p.committed.Encode())
	b.Set([]byte{kindSaved}, p.resume.encode())
	if err == nil {
		err = b.Apply()
	}
	if err == nil {
		err = p.Close() // what it reads is from before
	}
	if err != nil {
		p.failed = err
		return err
	}
	p.cache.cleaned()
	p.stale = false
	return nil
}

// saveKey writes what the backing does not have of a key.
func (p *Partition) saveKey(to Batch, b block) {
	key := b.key()
	for i, used := b.entries(), b.used(); i < used; {
		s, end := b.at(i)
		if s.flags&unsaved == 0 {
			i = end
			continue
		}
		b[i+1] &^= unsaved
		i = end
		value := s.value
		var was, is int64
		if s.kind == kindTimer {
			value = s.value[:8]
			is, was = int64(binary.BigEndian.Uint64(value)), int64(binary.BigEndian.Uint64(s.value[8:]))
			copy(s.value[8:], value)
		}
		p.raw = writeEntry(to, p.raw, s.kind, key, s.name, value, s.flags&exists != 0, was, is)
	}
}

// writeEntry sets or deletes an entry in a backing, with its place in the index of its kind: timers by
// when they are due, was before and is now, 0 for not; calls by their key. It returns its scratch.
func writeEntry(to Batch, scratch []byte, kind byte, key, name, value []byte, ok bool, was, is int64) []byte {
	scratch = appendLocal(scratch[:0], kind, key, name)
	if ok {
		to.Set(scratch, value)
	} else {
		to.Delete(scratch)
	}
	switch kind {
	case kindTimer:
		if was == is {
			break
		}
		if was != 0 {
			scratch = appendDue(scratch[:0], was, key, name)
			to.Delete(scratch)
		}
		if is != 0 {
			scratch = appendDue(scratch[:0], is, key, name)
			to.Set(scratch, nil)
		}
	case kindCall:
		scratch = appendCallIndex(scratch[:0], key, name)
		if ok {
			to.Set(scratch, nil)
		} else {
			to.Delete(scratch)
		}
	}
	return scratch
}
