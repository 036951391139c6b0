package state

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
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

// ReadCalls returns the committed calls of a record key, in the order of their creation.
func ReadCalls(b Backing, partition int32, key []byte) ([]pipeline.PendingCall, error) {
	var found calls
	if err := found.read(b, partition, slices.Clone(key)); err != nil {
		return nil, fmt.Errorf("read pending calls: %w", err)
	}
	sort.Sort(&found)
	return found.calls, nil
}

// PendingCalls returns the committed calls, in the order of their creation.
func (p *Partition) PendingCalls() ([]pipeline.PendingCall, error) {
	n, bad := 0, error(nil)
	keys := make([][]byte, 0)
	err := p.back.Scan([]byte{kindCall}, []byte{kindCall + 1}, func(k, _ []byte) bool {
		var key []byte
		if key, _, bad = cutKey(k[1:]); bad != nil {
			return false
		}
		if n++; len(keys) == 0 || !bytes.Equal(keys[len(keys)-1], key) { // those of a key are beside each other
			keys = append(keys, slices.Clone(key))
		}
		return true
	})
	found := calls{seq: make([]uint64, 0, n), calls: make([]pipeline.PendingCall, 0, n)}
	for _, key := range keys {
		if err == nil && bad == nil {
			bad = found.read(p.back, p.cfg.Partition, key)
		}
	}
	if err == nil && bad == nil && len(found.calls) != n {
		bad = fmt.Errorf("%w: %d calls are in the index, %d are stored under its keys", ErrFormat, n, len(found.calls))
	}
	if err := cmp.Or(err, bad); err != nil {
		return nil, fmt.Errorf("read pending calls: %w", err)
	}
	sort.Sort(&found)
	return found.calls, nil
}

// calls are pending calls and their places in the order of creation, by which they are sorted. There may be a million:
// they are moved where they lie.
type calls struct {
	seq   []uint64
	calls []pipeline.PendingCall
}

// read appends the calls of a record key.
func (c *calls) read(b Backing, partition int32, key []byte) error {
	var bad error
	prefix := appendLocal(nil, kindCall, key, "")
	err := b.Scan(prefix, after(prefix), func(_, value []byte) bool {
		var seq uint64
		var call pipeline.Call
		if seq, call, bad = decodeCall(value); bad != nil {
			return false
		}
		c.add(seq, pipeline.PendingCall{Partition: partition, Key: key, Call: call})
		return true
	})
	return cmp.Or(err, bad)
}

func (c *calls) add(seq uint64, call pipeline.PendingCall) {
	c.seq, c.calls = append(c.seq, seq), append(c.calls, call)
}

// Len implements sort.Interface.
func (c *calls) Len() int { return len(c.seq) }

// Less implements sort.Interface.
func (c *calls) Less(i, j int) bool { return c.seq[i] < c.seq[j] }

// Swap implements sort.Interface.
func (c *calls) Swap(i, j int) {
	c.seq[i], c.seq[j] = c.seq[j], c.seq[i]
	c.calls[i], c.calls[j] = c.calls[j], c.calls[i]
}

// NextTimer returns when the next timer is due; ok is false when none is set.
func (p *Partition) NextTimer() (at time.Time, ok bool) {
	t, ok := p.nextDue(1<<63 - 1)
	return time.UnixMilli(t.at).UTC(), ok
}
