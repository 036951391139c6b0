package state

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// recent is an exact set of ids in memory that keeps the order in which they came: sixteen bytes for
// an id, and five to eleven for its place in the index.
type recent struct {
	slabs [][]byte // the ids, one after the other, 1<<shift in each; never modified once it is full
	n     int
	shift uint
	// The index: 1 + where an id is, 0 where nothing is, open addressing, at most three quarters full.
	// The newest ids are put there together, since then their cache misses overlap.
	slots   []uint32
	indexed int       // ids in the index
	guess   int       // of ids to come: the index begins with room for them
	seed    [2]uint64 // of the index, so that nobody can choose ids that share a slot
}

const (
	idBytes  = len(id{})
	minSlots = 64
	// unindexed is how many ids may be missing from the index.
	unindexed = 128
	maxGuess  = 1 << 17
)

// at returns the i-th id. It must not be modified.
func (s *recent) at(i int) *id {
	off := i & (1<<s.shift - 1) * idBytes
	return (*id)(s.slabs[i>>s.shift][off : off+idBytes])
}

// slabEnd is where the slab of the i-th id ends.
func (s *recent) slabEnd(i int) int { return (i>>s.shift + 1) << s.shift }

// span returns the ids from one to another of the same slab. The memory is the set's.
func (s *recent) span(from, to int) []byte {
	base := from >> s.shift << s.shift
	a, b := (from-base)*idBytes, (to-base)*idBytes
	return s.slabs[from>>s.shift][a:b:b]
}

// slot is where the search for the id begins.
func (s *recent) slot(x *id) int {
	hi, lo := bits.Mul64(binary.LittleEndian.Uint64(x[:8])^s.seed[0], binary.LittleEndian.Uint64(x[8:])^s.seed[1])
	return int(hi^lo) & (len(s.slots) - 1)
}

func (s *recent) has(x *id) bool {
	if s.n == 0 {
		return false
	}
	s.index()
	for i := s.slot(x); s.slots[i] != 0; i = (i + 1) & (len(s.slots) - 1) {
		if *s.at(int(s.slots[i] - 1)) == *x {
			return true
		}
	}
	return false
}

// add appends an id that is not in the set.
func (s *recent) add(x *id) {
	if s.n>>s.shift == len(s.slabs) {
		s.slabs = append(s.slabs, make([]byte, idBytes<<s.shift))
	}
	*(*id)(s.slabs[s.n>>s.shift][s.n&(1<<s.shift-1)*idBytes:]) = *x
	s.n++
	if s.n-s.indexed >= unindexed {
		s.index()
	}
}

// index puts all ids in the index.
func (s *recent) index() {
	if 4*s.n > 3*len(s.slots) {
		size := max(2*len(s.slots), minSlots)
		for 4*max(s.n, min(s.guess, maxGuess)) > 3*size {
			size *= 2
		}
		s.slots, s.indexed = make([]uint32, size), 0
	}
	var places [unindexed]uint32
	for s.indexed < s.n {
		batch := places[:min(s.n-s.indexed, unindexed)]
		for i := range batch {
			batch[i] = uint32(s.slot(s.at(s.indexed + i)))
		}
		var touched uint32 // reading first, in any order, is what overlaps the misses
		for _, at := range batch {
			touched |= s.slots[at]
		}
		for i, at := range batch {
			for touched != 0 && s.slots[at] != 0 {
				at = (at + 1) & uint32(len(s.slots)-1)
			}
			s.slots[at] = uint32(s.indexed + i + 1)
			touched |= 1
		}
		s.indexed += len(batch)
	}
}

// removeLast undoes the last add. Nothing in the index was placed behind that id.
func (s *recent) removeLast() {
	s.n--
	if s.indexed <= s.n {
		return
	}
	s.indexed--
	at := s.slot(s.at(s.n))
	for s.slots[at] != uint32(s.n+1) {
		at = (at + 1) & (len(s.slots) - 1)
	}
	s.slots[at] = 0
}

// reset empties the set. Slabs may still be read by whoever has a span of them.
func (s *recent) reset() { s.slabs, s.n, s.slots, s.indexed, s.guess = nil, 0, nil, 0, s.n }

func (s *recent) bytes() int { return len(s.slabs)*idBytes<<s.shift + 4*len(s.slots) }

// wide is an id as two numbers, in the order of its bytes.
type wide struct{ hi, lo uint64 }

func (a wide) compare(b wide) int {
	switch {
	case a.hi < b.hi, a.hi == b.hi && a.lo < b.lo:
		return -1
	case a == b:
		return 0
	}
	return 1
}

func (a wide) id() (x id) {
	binary.BigEndian.PutUint64(x[:8], a.hi)
	binary.BigEndian.PutUint64(x[8:], a.lo)
	return x
}

// sorted returns the ids from one to another, in the order of their bytes.
func (s *recent) sorted(from, to int) []wide {
	const groups = 1 << 12 // by leading bits; ids that share them all are merely slower to sort
	var ends [groups + 1]uint32
	for i := from; i < to; i++ {
		x := s.at(i)
		ends[(uint(x[0])<<4|uint(x[1])>>4)+1]++
	}
	for g := range groups {
		ends[g+1] += ends[g]
	}
	starts := ends
	all := make([]wide, to-from)
	for i := from; i < to; i++ {
		x := s.at(i)
		w := wide{binary.BigEndian.Uint64(x[:8]), binary.BigEndian.Uint64(x[8:])}
		g := w.hi >> 52
		all[ends[g]] = w
		ends[g]++
	}
	for g := range groups {
		slices.SortFunc(all[starts[g]:starts[g+1]], wide.compare)
	}
	return all
}
