package state

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
)

// ReadEntry returns a committed entry of a record key.
func ReadEntry(b Backing, key []byte, name string) (value []byte, ok bool, err error) {
	return b.Get(appendLocal(nil, kindEntry, key, name))
}

// ScanEntries calls fn for every committed entry under key whose name begins with prefix, in byte
// order, until fn returns false. value is valid during the call only.
func ScanEntries(b Backing, key []byte, prefix string, fn func(name string, value []byte) bool) error {
	lower := appendLocal(nil, kindEntry, key, prefix)
	start := len(lower) - len(prefix)
	return b.Scan(lower, after(lower), func(k, value []byte) bool {
		return fn(string(k[start:]), value)
	})
}

// Entry returns a committed entry, as the backing has it.
func (p *Partition) Entry(key []byte, name string) (value []byte, ok bool, err error) {
	return ReadEntry(p.back, key, name)
}

// ReadPosition returns the position the backing stands at and where its changelog goes on; zeros when
// it is empty.
func ReadPosition(b Backing) (Position, Resume, error) {
	raw, ok, err := b.Get([]byte{kindPos})
	if err != nil || !ok {
		return Position{}, Resume{}, err
	}
	pos, err := DecodePosition(raw)
	if err != nil {
		return Position{}, Resume{}, err
	}
	raw, ok, err = b.Get([]byte{kindSaved})
	if err != nil {
		return Position{}, Resume{}, err
	}
	r := reader{b: raw}
	resume := Resume{Next: r.varint(), At: r.time()}
	if !ok || r.bad {
		return Position{}, Resume{}, fmt.Errorf("%w: a position without its place in the changelog", ErrFormat)
	}
	return pos, resume, nil
}

func (r Resume) encode() []byte { return appendTime(binary.AppendVarint(nil, r.Next), r.At) }

// PendingCalls returns the committed calls, in the order of their creation.
func (p *Partition) PendingCalls() ([]pipeline.PendingCall, error) {
	var found []orderedCall
	var bad error
	err := p.back.Scan([]byte{kindCall}, []byte{kindCall + 1}, func(k, _ []byte) bool {
		key, id, err := cutKey(k[1:])
		if err != nil {
			bad = err
			return false
		}
		value, ok, err := p.back.Get(appendLocal(nil, kindCall, key, id))
		if err == nil && !ok {
			err = fmt.Errorf("%w: call %q is in the index only", ErrFormat, id)
		}
		if err != nil {
			bad = err
			return false
		}
		var c orderedCall
		c, bad = p.pendingCall(key, value)
		found = append(found, c)
		return bad == nil
	})
	if err := cmp.Or(err, bad); err != nil {
		return nil, fmt.Errorf("read pending calls: %w", err)
	}
	return inOrder(found), nil
}

type orderedCall struct {
	seq uint64
	pipeline.PendingCall
}

func (p *Partition) pendingCall(key, value []byte) (orderedCall, error) {
	seq, call, err := decodeCall(value)
	return orderedCall{seq, pipeline.PendingCall{Partition: p.cfg.Partition, Key: slices.Clone(key), Call: call}}, err
}

func inOrder(calls []orderedCall) []pipeline.PendingCall {
	slices.SortFunc(calls, func(a, b orderedCall) int { return cmp.Compare(a.seq, b.seq) })
	all := make([]pipeline.PendingCall, len(calls))
	for i := range calls {
		all[i] = calls[i].PendingCall
	}
	return all
}

// NextTimer returns when the next timer is due; ok is false when none is set.
func (p *Partition) NextTimer() (at time.Time, ok bool) {
	t, ok := p.nextDue(1<<63 - 1)
	return time.UnixMilli(t.at).UTC(), ok
}
