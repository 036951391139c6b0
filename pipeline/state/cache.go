package state

import (
	"bytes"
	"hash/maphash"
	"slices"
)

// cache holds the state of record keys whole, bounded in bytes. Blocks lie one after another in
// segments, which hold no pointers, so the garbage collector does not look into them. When a new
// segment would go over the limit the oldest is given up: what was used since it was written, and what
// the backing does not have yet, moves to the newest, the rest is forgotten.
type cache struct {
	limit    int
	seed     maphash.Seed
	slots    []slot // by hash, linear probing; a power of two
	taken    int    // slots in use
	segments []segment
	first    uint32 // number of segments[0]; from 1
	ring     uint32 // first's place in the ring of numbers that slots name segments by
	bytes    int    // of segments
	retired  []segment
	spare    [][]byte

	open   []openKey // keys the open transaction has touched
	dirty  []address // of blocks with what the backing does not have
	pinned int       // bytes of dirty blocks, which are not to be forgotten before the next save

	ahead ahead
}

// address of a block: the number of its segment and the offset in it. 0 is none.
type address uint64

// slot is half as large as hash and address are: what of the limit is not slots holds keys.
type slot struct {
	hash  uint32 // its lower half
	place place
}

// place is an address in a slot: the segment's number in a ring, from 1, and the offset in steps of eight bytes.
// 0 is none.
type place uint32

const (
	offsetBits = 15 // of a place: blocks begin in the first 256 KiB of a segment
	ringSize   = 1<<(32-offsetBits) - 1
)

// placeOf an address. Far fewer segments than the ring has numbers are there at a time: it is 32 GiB long.
func (c *cache) placeOf(at address) place {
	number := c.ring + uint32(at>>32) - c.first
	if number >= ringSize {
		number -= ringSize
	}
	return place(number+1)<<offsetBits | place(uint32(at)>>3)
}

// addressOf a place.
func (c *cache) addressOf(p place) address {
	if p == 0 {
		return 0
	}
	number := uint32(p>>offsetBits) - 1
	if number < c.ring {
		number += ringSize
	}
	return address(number-c.ring+c.first)<<32 | address(p&(1<<offsetBits-1))<<3
}

type segment struct {
	mem  []byte
	used int
}

// openKey is a key the open transaction has touched. They are in the order of their first touch, so that
// what walks a transaction walks memory in order.
type openKey struct {
	at      address
	changes []change
	index   map[changeID]int // of changes, once there are many
	first   [1]change        // memory of the first change, which mostly is the only one
}

type changeID struct {
	kind byte
	name string
}

// manyChanges is how many are searched one by one.
const manyChanges = 24

// change returns the index of an entry's change; -1 when it has none.
func (k *openKey) change(kind byte, name string) int {
	if k.index != nil {
		if i, ok := k.index[changeID{kind, name}]; ok {
			return i
		}
		return -1
	}
	for i := range k.changes {
		if c := &k.changes[i]; c.kind == kind && c.name == name {
			return i
		}
	}
	return -1
}

// add appends a change and returns its index.
func (k *openKey) add(c change) int {
	i := len(k.changes)
	k.changes = append(k.changes, c)
	switch {
	case k.index != nil:
		k.index[changeID{c.kind, c.name}] = i
	case i == manyChanges:
		k.index = make(map[changeID]int, 2*manyChanges)
		for j := range k.changes {
			k.index[changeID{k.changes[j].kind, k.changes[j].name}] = j
		}
	}
	return i
}

// drop takes back the last change.
func (k *openKey) drop() {
	last := &k.changes[len(k.changes)-1]
	if k.index != nil {
		delete(k.index, changeID{last.kind, last.name})
	}
	*last = change{}
	k.changes = k.changes[:len(k.changes)-1]
}

// clear forgets the changes and keeps their memory.
func (k *openKey) clear() {
	clear(k.changes)
	k.changes, k.index = k.changes[:0], nil
}

const (
	minSegment = 512
	maxSegment = 256 << 10
	slotBytes  = 8
	firstSlots = 1 << 8
	dirtyBytes = 8
	openBytes  = 120 // of an openKey
)

// segmentBytes is how large segments are: small beside the limit.
func (c *cache) segmentBytes() int { return min(max(c.limit/16, minSegment), maxSegment) }

func newCache(limit int) cache {
	return cache{limit: limit, seed: maphash.MakeSeed(), slots: make([]slot, firstSlots), first: 1}
}

// memory of the block's segment from the block on.
func (c *cache) memory(at address) []byte {
	return c.segments[uint32(at>>32)-c.first].mem[uint32(at):]
}

func (c *cache) block(at address) block {
	mem := c.memory(at)
	size := order.Uint32(mem)
	return block(mem[:size:size])
}

func (c *cache) hash(key []byte) uint64 { return maphash.Bytes(c.seed, key) }

// find returns the address of the key's block, 0 when it is not cached, and its slot.
func (c *cache) find(hash uint64, key []byte) (address, int) {
	mask := uint64(len(c.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := c.slots[i]
		if s.place == 0 {
			return 0, int(i)
		}
		if s.hash != uint32(hash) {
			continue
		}
		if at := c.addressOf(s.place); bytes.Equal(c.block(at).key(), key) {
			return at, int(i)
		}
	}
}

// put gives a key that is not cached a block with these contents.
func (c *cache) put(hash uint64, contents []byte) address {
	if c.taken*4 >= len(c.slots)*3 {
		c.growSlots()
	}
	return c.point(hash, contents, c.write(contents))
}

// point lets the key's slot name an address. Making room for the block may have moved slots, or removed
// this one with the block's last address.
func (c *cache) point(hash uint64, contents []byte, to address) address {
	was, i := c.find(hash, block(contents).key())
	if was == 0 {
		c.taken++
	}
	c.slots[i] = slot{hash: uint32(hash), place: c.placeOf(to)}
	return to
}

// replace gives a cached block new contents, in place where they fit. Its open key moves along.
func (c *cache) replace(at address, contents []byte) address {
	b := c.block(at)
	block(contents).setOpen(b.open())
	block(contents).setDirty(b.dirty())
	if len(contents) <= len(b) {
		copy(b[blockHead:], contents[blockHead:])
		order.PutUint32(b[4:], uint32(len(contents)))
		return at
	}
	hash, open := c.hash(b.key()), c.openOf(at, b)
	b.setOpen(0) // nobody's when its segment is given up
	b.setDirty(0)
	to := c.point(hash, contents, c.write(contents))
	c.moved(open, contents, to)
	return to
}

// openOf returns 1 + the index of the block's open key; 0 when the open transaction has not touched it.
func (c *cache) openOf(at address, b block) int {
	if i := b.open(); i > 0 && i <= len(c.open) && c.open[i-1].at == at {
		return i
	}
	return 0
}

// moved lets what names a block name its new address: its open key, and its place among the dirty ones.
func (c *cache) moved(open int, b block, to address) {
	if open > 0 {
		c.open[open-1].at = to
	}
	if dirty := b.dirty(); dirty > 0 {
		c.dirty[dirty-1] = to
	}
}

// write makes a block of contents, with room to grow, in the newest segment.
func (c *cache) write(contents []byte) address {
	size := (len(contents) + len(contents)/8 + 15) &^ 7
	if n := len(c.segments); n == 0 || len(c.segments[n-1].mem)-c.segments[n-1].used < size {
		c.makeRoom(size)
	}
	return c.append(contents, size)
}

// append writes a block behind the last one; a segment is added when there is no room.
func (c *cache) append(contents []byte, size int) address {
	n := len(c.segments)
	if n == 0 || len(c.segments[n-1].mem)-c.segments[n-1].used < size {
		c.addSegment(size)
		n = len(c.segments)
	}
	s := &c.segments[n-1]
	b := s.mem[s.used : s.used+size]
	copy(b, contents)
	order.PutUint32(b, uint32(size))
	order.PutUint32(b[4:], uint32(len(contents)))
	at := address(c.first+uint32(n-1))<<32 | address(s.used)
	s.used += size
	return at
}

func (c *cache) addSegment(size int) {
	var mem []byte
	if n := len(c.spare); n > 0 && len(c.spare[n-1]) >= size {
		mem, c.spare = c.spare[n-1], c.spare[:n-1]
	} else {
		mem = make([]byte, max(size, c.segmentBytes()))
	}
	c.segments = append(c.segments, segment{mem: mem})
	c.bytes += len(mem)
}

// makeRoom gives up old segments until another fits, as long as that helps.
func (c *cache) makeRoom(size int) {
	beside := len(c.slots)*slotBytes + cap(c.open)*openBytes + cap(c.dirty)*dirtyBytes
	over := func() bool { return c.bytes+beside+max(size, c.segmentBytes()) > c.limit }
	for n := len(c.segments); n > 1 && over() && c.pinned < c.limit/4*3; n-- {
		c.giveUpOldest()
	}
}

// giveUpOldest moves what is in use from the oldest segment to the newest. Its memory is kept as it is
// until the transaction ends: a stage may have been given parts of it.
func (c *cache) giveUpOldest() {
	old := c.segments[0]
	number := c.first
	// Blocks are read from old itself while the list of segments changes.
	for at := 0; at < old.used; {
		b := block(old.mem[at:])
		b = b[:b.size()]
		from := address(number)<<32 | address(at)
		_, i := c.findPlace(from, b)
		at += len(b)
		if i < 0 {
			continue // it moved
		}
		open := c.openOf(from, b)
		if open == 0 && b.dirty() == 0 && !b.recent() {
			c.remove(i)
			continue
		}
		b.setRecent(false)
		to := c.append(b[:b.used()], len(b))
		c.slots[i].place = c.placeOf(to)
		c.moved(open, b, to)
	}
	c.segments = slices.Delete(c.segments, 0, 1)
	c.first++
	if c.ring++; c.ring == ringSize {
		c.ring = 0
	}
	c.bytes -= len(old.mem)
	c.retired = append(c.retired, old)
}

// findPlace returns the slot that names this place; -1 when none does.
func (c *cache) findPlace(at address, b block) (address, int) {
	mask := uint64(len(c.slots) - 1)
	place := c.placeOf(at)
	for i := c.hash(b.key()) & mask; ; i = (i + 1) & mask {
		switch c.slots[i].place {
		case 0:
			return 0, -1
		case place:
			return at, int(i)
		}
	}
}

// remove empties a slot and closes the gap it leaves.
func (c *cache) remove(i int) {
	mask := len(c.slots) - 1
	c.taken--
	for gap, next := i, (i+1)&mask; ; next = (next + 1) & mask {
		s := c.slots[next]
		if s.place == 0 {
			c.slots[gap] = slot{}
			return
		}
		// It may move to the gap if it does not come before its own place there.
		if home := int(s.hash) & mask; (next-home)&mask >= (next-gap)&mask {
			c.slots[gap] = s
			gap = next
		}
	}
}

func (c *cache) growSlots() {
	old := c.slots
	c.slots = make([]slot, 2*len(old))
	mask := uint32(len(c.slots) - 1)
	for _, s := range old {
		if s.place == 0 {
			continue
		}
		i := s.hash & mask
		for c.slots[i].place != 0 {
			i = (i + 1) & mask
		}
		c.slots[i] = s
	}
}

// opened returns the open key of the block at an address, opening it if it is not.
func (c *cache) opened(at address, b block) int {
	if i := c.openOf(at, b); i > 0 {
		return i - 1
	}
	i := len(c.open)
	if i < cap(c.open) {
		c.open = c.open[:i+1] // its list of changes is used again
	} else {
		c.open = append(c.open, openKey{})
	}
	k := &c.open[i]
	k.at, k.changes = at, k.changes[:0]
	if cap(k.changes) <= len(k.first) {
		k.changes = k.first[:0]
	}
	b.setOpen(i + 1)
	return i
}

// close forgets which keys are open: their transaction has ended, and their changes are in their blocks.
func (c *cache) close() {
	c.open = c.open[:0]
	if cap(c.open)*openBytes > c.limit/4 {
		c.open = nil
	}
}

// soil notes that a block has what the backing does not have.
func (c *cache) soil(at address) {
	b := c.block(at)
	if b.dirty() > 0 {
		return
	}
	c.dirty = append(c.dirty, at)
	b.setDirty(len(c.dirty))
	c.pinned += b.size() + dirtyBytes
}

// cleaned says that everything is saved.
func (c *cache) cleaned() {
	for _, at := range c.dirty {
		c.block(at).setDirty(0)
	}
	c.dirty, c.pinned = c.dirty[:0], 0
}

// settle lets the memory of segments that were given up be used again, once a transaction has ended.
func (c *cache) settle() {
	for _, s := range c.retired {
		if len(s.mem) == c.segmentBytes() && len(c.spare) < 2 {
			c.spare = append(c.spare, s.mem)
		}
	}
	clear(c.retired)
	c.retired = c.retired[:0]
}
