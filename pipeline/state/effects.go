package state

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
)

// keep folds the effects in hand into the open transaction.
func (p *Partition) keep() {
	for i := range p.fx.Emits {
		e := &p.fx.Emits[i]
		if e.Time.IsZero() {
			e.Time = p.in.Now
		}
		p.bytes += len(e.Key) + len(e.Value)
	}
	if len(p.emits) == 0 {
		p.emits, p.fx.Emits = p.fx.Emits, p.emits // taken over as they are
	} else {
		p.emits = append(p.emits, p.fx.Emits...)
	}
	for i := range p.fx.Timers {
		p.keepTimer(&p.fx.Timers[i])
	}
	for i := range p.fx.Calls {
		p.keepCall(&p.fx.Calls[i])
	}
	for _, id := range p.fx.Ended {
		if _, ok := p.get(kindCall, id); ok {
			p.set(kindCall, id, nil, false)
		}
	}
}

func (p *Partition) keepTimer(c *pipeline.TimerChange) {
	_, ok := p.get(kindTimer, c.Name)
	if c.At.IsZero() {
		if ok {
			p.set(kindTimer, c.Name, nil, false)
		}
		return
	}
	if c.UnlessSet && ok {
		return
	}
	at := max(c.At.UnixMilli(), 1)
	p.set(kindTimer, c.Name, binary.BigEndian.AppendUint64(p.fx.Room(8)[:0], uint64(at)), true)
	if p.timer.near(at) {
		p.timer.push(due{at: at, key: string(p.in.Key), name: c.Name})
	}
}

func (p *Partition) keepCall(c *pipeline.Call) {
	seq := p.open.Calls
	if value, ok := p.get(kindCall, c.ID); ok {
		// An unreadable stored call was refused when it was loaded.
		seq, _, _ = decodeCall(value)
	} else {
		p.open.Calls++
	}
	p.set(kindCall, c.ID, encodeCall(seq, c), true)
}

// touch takes a key in hand: its state is cached, read from the backing if need be.
func (p *Partition) touch(key []byte) {
	hash := p.cache.hashOf(key)
	at, _ := p.cache.find(hash, key)
	if at == 0 {
		at = p.cache.put(hash, p.readKey(key))
		p.block = p.cache.block(at) // not recent: a key that comes once is the first to go
	} else {
		p.block = p.cache.block(at)
		p.block.setRecent(true)
	}
	p.key = p.cache.opened(at, p.block)
}

// readKey reads a key's state from the backing into the contents of a block. They are valid until the
// next call. An entry that cannot be read fails the partition.
func (p *Partition) readKey(key []byte) []byte {
	p.scratch = newBlock(p.scratch, key)
	fail := func(err error) {
		if p.failed == nil {
			p.failed = err
		}
	}
	if p.cursor == nil {
		var err error
		if p.cursor, err = p.back.Cursor(); err != nil {
			fail(err)
			return p.scratch
		}
	}
	prefix := appendOwner(p.raw[:0], key)
	p.raw = prefix
	if err := p.cursor.Prefix(prefix, func(k, value []byte) bool {
		kind, name := k[len(prefix)], k[len(prefix)+1:]
		var err error
		switch kind {
		case kindTimer:
			var both [16]byte
			if len(value) != 8 {
				err = fmt.Errorf("%w: timer %q", ErrFormat, name)
			}
			copy(both[:], value)
			copy(both[8:], value)
			value = both[:]
		case kindCall:
			_, _, err = decodeCall(value)
		}
		if err != nil {
			fail(err)
			return false
		}
		p.scratch = appendStored(p.scratch, kind, exists, name, value)
		return true
	}); err != nil {
		fail(err)
	}
	return p.scratch
}

// get returns an entry of the key in hand, as the open transaction leaves it.
func (p *Partition) get(kind byte, name string) (value []byte, ok bool) {
	k := &p.cache.open[p.key]
	if i := k.change(kind, name); i >= 0 {
		return k.changes[i].value, k.changes[i].ok
	}
	value, ok = p.block.value(kind, name)
	if ok && kind == kindTimer {
		value = value[:8]
	}
	return value, ok
}

// set changes an entry of the key in hand, in the open transaction.
func (p *Partition) set(kind byte, name string, value []byte, ok bool) {
	p.bytes += len(value)
	k := &p.cache.open[p.key]
	if i := k.change(kind, name); i >= 0 {
		c := &k.changes[i]
		p.journal = append(p.journal, undo{written: written{p.key, i}, value: c.value, ok: c.ok})
		c.value, c.ok = value, ok
		return
	}
	raw := p.keys.key(kind, p.in.Key, name)
	at := written{p.key, k.add(change{kind: kind, name: name, raw: raw, value: value, ok: ok})}
	if at.at == 0 {
		p.changed = append(p.changed, p.key)
	}
	p.written = append(p.written, at)
	p.journal = append(p.journal, undo{written: at, fresh: true})
	p.bytes += len(raw)
}

// view is the State a stage sees: the key in hand.
type view Partition

func (v *view) Get(name string) ([]byte, bool) { return (*Partition)(v).get(kindEntry, name) }

func (v *view) Put(name string, value []byte) {
	if value == nil {
		value = []byte{} // nil is a deletion in the changelog
	}
	(*Partition)(v).set(kindEntry, name, value, true)
}

func (v *view) Delete(name string) {
	p := (*Partition)(v)
	if _, ok := p.get(kindEntry, name); ok {
		p.set(kindEntry, name, nil, false)
	}
}

func (v *view) Seen(id []byte, at time.Time) bool {
	p := (*Partition)(v)
	known, err := p.seen.check(id, at.UnixMilli(), max(p.open.Clock, p.in.Now.UnixMilli()))
	if err != nil && p.failed == nil {
		p.failed = err
	}
	return known
}

func (v *view) Scan(prefix string, fn func(name string, value []byte) bool) {
	p := (*Partition)(v)
	var fresh []*change
	changes := p.cache.open[p.key].changes
	for i := range changes {
		if c := &changes[i]; c.kind == kindEntry && strings.HasPrefix(c.name, prefix) {
			fresh = append(fresh, c)
		}
	}
	slices.SortFunc(fresh, func(a, b *change) int { return strings.Compare(a.name, b.name) })
	b := p.block
	for i, used := b.entries(), b.used(); i < used; {
		s, end := b.at(i)
		i = end
		if s.kind != kindEntry || len(s.name) < len(prefix) || string(s.name[:len(prefix)]) != prefix {
			continue
		}
		name := string(s.name)
		for ; len(fresh) > 0 && fresh[0].name < name; fresh = fresh[1:] {
			if fresh[0].ok && !fn(fresh[0].name, fresh[0].value) {
				return
			}
		}
		if len(fresh) > 0 && fresh[0].name == name {
			continue // comes before the next one
		}
		if s.flags&exists != 0 && !fn(name, s.value) {
			return
		}
	}
	for _, c := range fresh {
		if c.ok && !fn(c.name, c.value) {
			return
		}
	}
}
