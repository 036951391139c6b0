package state

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
)

// keep folds the effects in hand into the open transaction.
func (p *Partition) keep() {
	for i := range p.fx.Emits {
		e := p.fx.Emits[i]
		if e.Time.IsZero() {
			e.Time = p.in.Now
		}
		p.emits = append(p.emits, e)
		p.bytes += len(e.Key) + len(e.Value)
	}
	for i := range p.fx.Timers {
		p.keepTimer(&p.fx.Timers[i])
	}
	for i := range p.fx.Calls {
		p.keepCall(&p.fx.Calls[i])
	}
	for _, id := range p.fx.Ended {
		if e := p.entry(kindCall, id); e.ok {
			p.write(e, nil, false)
		}
	}
}

func (p *Partition) keepTimer(c *pipeline.TimerChange) {
	e := p.entry(kindTimer, c.Name)
	if c.At.IsZero() {
		if e.ok {
			p.write(e, nil, false)
		}
		return
	}
	if c.UnlessSet && e.ok {
		return
	}
	at := max(c.At.UnixMilli(), 1)
	p.write(e, binary.BigEndian.AppendUint64(nil, uint64(at)), true)
	p.timer.push(due{at: at, key: string(p.in.Key), name: e.name})
}

func (p *Partition) keepCall(c *pipeline.Call) {
	e := p.entry(kindCall, c.ID)
	seq := p.open.Calls
	if e.ok {
		// An unreadable stored call was refused when it was loaded.
		seq, _, _ = decodeCall(e.value)
	} else {
		p.open.Calls++
	}
	p.write(e, encodeCall(seq, c), true)
}

// entry returns an entry of the key in hand, read from the backing if it is not cached.
func (p *Partition) entry(kind byte, name string) *entry {
	at, ok := p.key.find(kind, name)
	if ok {
		return p.key.entries[at]
	}
	raw := appendKey(make([]byte, 0, 11+len(p.key.key)+len(name)), kind, p.key.key, name)
	e := &entry{raw: raw, kind: kind, name: string(raw[len(raw)-len(name):])}
	value, ok, err := p.back.Get(raw)
	if err == nil && ok && kind == kindCall {
		_, _, err = decodeCall(value)
	}
	if err == nil && ok && kind == kindTimer && len(value) != 8 {
		err = ErrFormat
	}
	if err != nil && p.failed == nil {
		p.failed = err
	}
	e.value, e.ok = value, ok
	if kind == kindTimer && ok && err == nil {
		e.due = int64(binary.BigEndian.Uint64(value))
	}
	p.cache.add(p.key, at, e)
	return e
}

// write changes an entry of the key in hand, in the open transaction.
func (p *Partition) write(e *entry, value []byte, ok bool) {
	p.journal = append(p.journal, undo{e: e, value: e.value, ok: e.ok, written: e.written})
	p.cache.grow(p.key, len(value)-len(e.value))
	e.value, e.ok = value, ok
	if !e.written {
		e.written = true
		p.dirty = append(p.dirty, e)
		p.bytes += len(e.raw)
	}
	p.bytes += len(value)
}

// view is the State a stage sees: the key in hand.
type view Partition

func (v *view) Get(name string) ([]byte, bool) {
	e := (*Partition)(v).entry(kindEntry, name)
	return e.value, e.ok
}

func (v *view) Put(name string, value []byte) {
	if value == nil {
		value = []byte{} // nil is a deletion in the changelog
	}
	p := (*Partition)(v)
	p.write(p.entry(kindEntry, name), value, true)
}

func (v *view) Delete(name string) {
	p := (*Partition)(v)
	if e := p.entry(kindEntry, name); e.ok {
		p.write(e, nil, false)
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
	// What the backing does not have yet; the rest of the cache says what the backing says.
	var fresh []*entry
	for _, e := range p.key.entries {
		if e.kind == kindEntry && (e.written || e.unsaved) && strings.HasPrefix(e.name, prefix) {
			fresh = append(fresh, e)
		}
	}
	stopped := false
	give := func(name string, value []byte) bool {
		stopped = !fn(name, value)
		return !stopped
	}
	before := func(name string) bool {
		for len(fresh) > 0 && fresh[0].name < name {
			e := fresh[0]
			fresh = fresh[1:]
			if e.ok && !give(e.name, e.value) {
				return false
			}
		}
		return true
	}
	err := ScanEntries(p.back, p.key.key, prefix, func(name string, value []byte) bool {
		if !before(name) {
			return false
		}
		if len(fresh) > 0 && fresh[0].name == name {
			return true // comes before the next one
		}
		return give(name, slices.Clone(value))
	})
	if err != nil && p.failed == nil {
		p.failed = err
	}
	for !stopped && len(fresh) > 0 {
		e := fresh[0]
		fresh = fresh[1:]
		if e.ok {
			give(e.name, e.value)
		}
	}
}
