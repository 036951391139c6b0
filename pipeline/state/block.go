package state

import (
	"encoding/binary"
	"slices"
	"strings"
)

// block is the cached state of one record key, whole: a head, the key, and its entries in the order of
// kind and name. What it does not have, the backing does not have either. It lies in a segment of the
// cache, with room to grow.
//
//	size 4 | used 4 | open 4 | dirty 4 | key length 4 | recent 1 | key | entries
//	entry: kind 1 | flags 1 | name length 2 | value length 4 | name | value
//
// A timer's value is when it is due and when the backing says so, 8 bytes each, 0 for not set.
type block []byte

const (
	blockHead  = 21
	storedHead = 8
)

// Flags of an entry.
const (
	exists  = 1 << iota // or it was deleted
	unsaved             // committed and not in the backing yet
)

var order = binary.LittleEndian

func (b block) size() int    { return int(order.Uint32(b)) }
func (b block) used() int    { return int(order.Uint32(b[4:])) }
func (b block) key() []byte  { return b[blockHead : blockHead+order.Uint32(b[16:])] }
func (b block) recent() bool { return b[20] != 0 }                            // used since it was written
func (b block) entries() int { return blockHead + int(order.Uint32(b[16:])) } // where they begin

// open is 1 + an index among the open keys, which is the block's own only as long as that key says so;
// see cache.openOf.
func (b block) open() int     { return int(order.Uint32(b[8:])) }
func (b block) setOpen(i int) { order.PutUint32(b[8:], uint32(i)) }

// dirty is 1 + the block's index among those that wait to be saved; 0 for none.
func (b block) dirty() int     { return int(order.Uint32(b[12:])) }
func (b block) setDirty(i int) { order.PutUint32(b[12:], uint32(i)) }

func (b block) setRecent(recent bool) {
	b[20] = 0
	if recent {
		b[20] = 1
	}
}

// stored is one entry of a block.
type stored struct {
	kind, flags byte
	name, value []byte
}

// at returns the entry at an offset and the offset after it.
func (b block) at(i int) (stored, int) {
	name := i + storedHead
	value := name + int(order.Uint16(b[i+2:]))
	end := value + int(order.Uint32(b[i+4:]))
	return stored{kind: b[i], flags: b[i+1], name: b[name:value:value], value: b[value:end:end]}, end
}

// value returns the value of an entry; ok is false when there is none.
func (b block) value(kind byte, name string) (value []byte, ok bool) {
	at, ok := b.find(kind, name)
	if !ok {
		return nil, false
	}
	s, _ := b.at(at)
	return s.value, s.flags&exists != 0
}

// find returns the offset of an entry; ok is false when the block does not have it.
func (b block) find(kind byte, name string) (at int, ok bool) {
	for i, used := b.entries(), b.used(); i < used; {
		if b[i] > kind {
			return 0, false
		}
		nameAt := i + storedHead
		valueAt := nameAt + int(order.Uint16(b[i+2:]))
		if b[i] == kind && string(b[nameAt:valueAt]) == name {
			return i, true
		}
		i = valueAt + int(order.Uint32(b[i+4:]))
	}
	return 0, false
}

// appendStored appends an entry.
func appendStored[Name string | []byte](dst []byte, kind, flags byte, name Name, value []byte) []byte {
	dst = append(dst, kind, flags)
	dst = order.AppendUint16(dst, uint16(len(name)))
	dst = order.AppendUint32(dst, uint32(len(value)))
	dst = append(dst, name...)
	return append(dst, value...)
}

// newBlock begins a block's contents for a key.
func newBlock(dst, key []byte) []byte {
	dst = append(dst[:0], make([]byte, blockHead)...)
	order.PutUint32(dst[16:], uint32(len(key)))
	return append(dst, key...)
}

// overwrite puts changes into the block where they fit into its entries as they are; it tells whether
// all did. Some may be in then, which does no harm.
func (b block) overwrite(changes []change) bool {
	for i := range changes {
		c := &changes[i]
		at, ok := b.find(c.kind, c.name)
		if !ok {
			return false
		}
		s, _ := b.at(at)
		switch {
		case c.kind == kindTimer:
			copy(s.value, zeroTime[:])
			copy(s.value, c.value)
		case len(s.value) == len(c.value):
			copy(s.value, c.value)
		default:
			return false
		}
		b[at+1] = c.flags()
	}
	return true
}

var zeroTime [8]byte

// merged appends to dst, a block's beginning, the block's entries with changes, which it sorts.
// Entries that are gone everywhere are left out.
func (b block) merged(dst []byte, changes []change) []byte {
	slices.SortFunc(changes, func(x, y change) int { return compareEntry(x.kind, x.name, y.kind, y.name) })
	add := func(c *change, was []byte) {
		if c.kind != kindTimer {
			dst = appendStored(dst, c.kind, c.flags(), c.name, c.value)
			return
		}
		var value [16]byte
		copy(value[:], c.value)
		copy(value[8:], was)
		dst = appendStored(dst, c.kind, c.flags(), c.name, value[:])
	}
	next := 0
	for i, used := b.entries(), b.used(); i < used; {
		s, end := b.at(i)
		for next < len(changes) && compareEntry(changes[next].kind, changes[next].name, s.kind, string(s.name)) < 0 {
			add(&changes[next], nil)
			next++
		}
		switch {
		case next < len(changes) && changes[next].kind == s.kind && changes[next].name == string(s.name):
			var was []byte
			if s.kind == kindTimer {
				was = s.value[8:]
			}
			add(&changes[next], was)
			next++
		case s.flags != 0:
			dst = append(dst, b[i:end]...)
		}
		i = end
	}
	for ; next < len(changes); next++ {
		add(&changes[next], nil)
	}
	return dst
}

func compareEntry(kindA byte, a string, kindB byte, b string) int {
	if kindA != kindB {
		return int(kindA) - int(kindB)
	}
	return strings.Compare(a, b)
}

// change is one entry as the open transaction leaves it.
type change struct {
	name  string
	raw   []byte // its changelog key
	value []byte
	kind  byte
	ok    bool
}

func (c *change) flags() byte {
	if c.ok {
		return exists | unsaved
	}
	return unsaved
}
