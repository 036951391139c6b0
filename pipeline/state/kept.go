package state

import (
	"bytes"
	"hash/maphash"
	"slices"
)

// kept is the newest record of each key, in memory without pointers and in no order that means anything. It
// holds less than 4 GiB: a Replay writes it long before.
type kept struct {
	memory  []byte // keys, each followed by its value
	records []keptRecord
	index   []uint32 // of records, plus one, by hash: open addressing, at most half full
	used    byte     // of what was read ahead, so that reading is not left out
}

// keptRecord is one record: its key begins at key in kept.memory, its value at value.
type keptRecord struct {
	key, value       uint32
	keyLen, valueLen uint32
	hash             uint32
	deleted          bool
}

// keptOverhead is what a record takes beside key and value, with its places in the index.
const keptOverhead = 36

var keptSeed = maphash.MakeSeed()

// put takes records, each over an earlier one of its key. Keys and values are copied.
func (k *kept) put(records []replayed) {
	for few := range slices.Chunk(records, AheadKeys) {
		var hashes [AheadKeys]uint32
		for i := range few {
			hashes[i] = uint32(maphash.Bytes(keptSeed, few[i].key))
		}
		for 2*(len(k.records)+len(few)) > len(k.index) {
			k.grow()
		}
		k.expect(hashes[:len(few)])
		for i := range few {
			k.take(&few[i], hashes[i])
		}
	}
}

// expect asks memory at once for what records of these hashes need: waiting for it is most of what one costs.
func (k *kept) expect(hashes []uint32) {
	mask := uint32(len(k.index) - 1)
	var at, key [AheadKeys]uint32
	// Reads of one loop do not depend on each other, so the processor has them under way together.
	for i, hash := range hashes {
		at[i] = k.index[hash&mask]
	}
	for i, n := range at[:len(hashes)] {
		if n != 0 {
			key[i] = k.records[n-1].key
		}
	}
	for i, n := range at[:len(hashes)] {
		if n != 0 {
			k.used += k.memory[key[i]]
		}
	}
}

// take puts one record, for which there is room in the index.
func (k *kept) take(c *replayed, hash uint32) {
	mask := uint32(len(k.index) - 1)
	for at := hash & mask; ; at = (at + 1) & mask {
		i := k.index[at]
		if i == 0 {
			if len(k.records) == cap(k.records) {
				k.records = slices.Grow(k.records, max(1024, len(k.records)))
			}
			k.records = append(k.records, keptRecord{key: uint32(len(k.memory)), keyLen: uint32(len(c.key)), hash: hash})
			k.index[at] = uint32(len(k.records))
			k.write(c.key)
			k.set(&k.records[len(k.records)-1], c.value, c.ok)
			return
		}
		if r := &k.records[i-1]; r.hash == hash && bytes.Equal(k.keyOf(r), c.key) {
			k.set(r, c.value, c.ok)
			return
		}
	}
}

// set writes a record's value: over the one before where it has room, else behind everything.
func (k *kept) set(r *keptRecord, value []byte, ok bool) {
	if len(value) > int(r.valueLen) {
		r.value = uint32(len(k.memory))
		k.write(value)
	} else {
		copy(k.memory[r.value:], value)
	}
	r.valueLen, r.deleted = uint32(len(value)), !ok
}

// write appends to memory, whose room is doubled: append would grow it by a quarter, and copy it more often.
func (k *kept) write(b []byte) {
	if len(k.memory)+len(b) > cap(k.memory) {
		k.memory = slices.Grow(k.memory, max(len(b), len(k.memory)))
	}
	k.memory = append(k.memory, b...)
}

func (k *kept) keyOf(r *keptRecord) []byte { return k.memory[r.key : r.key+r.keyLen] }

func (k *kept) grow() {
	k.index = make([]uint32, max(1024, 2*len(k.index)))
	mask := uint32(len(k.index) - 1)
	for i := range k.records {
		at := k.records[i].hash & mask
		for k.index[at] != 0 {
			at = (at + 1) & mask
		}
		k.index[at] = uint32(i + 1)
	}
}

// all yields the records; their memory is kept's.
func (k *kept) all(yield func(replayed) bool) {
	for i := range k.records {
		r := &k.records[i]
		c := replayed{key: k.keyOf(r), ok: !r.deleted}
		if c.ok {
			c.value = k.memory[r.value : r.value+r.valueLen]
		}
		if !yield(c) {
			return
		}
	}
}

// bytes is about what it takes in memory.
func (k *kept) bytes() int { return len(k.memory) + keptOverhead*len(k.records) }

// clear forgets all records and keeps their memory.
func (k *kept) clear() {
	k.memory, k.records = k.memory[:0], k.records[:0]
	clear(k.index)
}
