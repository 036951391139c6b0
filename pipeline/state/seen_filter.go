package state

import (
	"encoding/binary"
	"math/bits"
)

// hash is what filters know of an id. It is stored beside runs: changing it makes stored ones useless.
func (x *id) hash() uint32 {
	hi, lo := bits.Mul64(binary.LittleEndian.Uint64(x[:8])^0x9e3779b97f4a7c15, binary.LittleEndian.Uint64(x[8:])^0xd6e8feb86659fd93)
	m := hi ^ lo
	return uint32(m ^ m>>32)
}

// filter is a Bloom filter whose four bits of an id are in one word, so that a look-up touches memory
// once. At twelve bits for each id it takes 1.1% of unknown ids for known ones.
type filter []uint64

const filterBits = 12

func newFilter(ids int) filter { return make(filter, ids*filterBits/64+1) }

// room is how many ids the filter is made for.
func (f filter) room() int { return len(f) * 64 / filterBits }

// place is where a filter of any size has the bits of an id.
type place struct {
	at   uint64 // below 1<<32, of the word
	bits uint64
}

// frontPlace and runPlace are independent, as far as the hash allows.
func frontPlace(hash uint32) place {
	return place{uint64(hash), fourBits(uint64(hash) * 0xa0761d6478bd642f)}
}

func runPlace(hash uint32) place {
	m := uint64(hash) * 0xe7037ed1a0b428db
	return place{m >> 32, fourBits((m ^ m>>29) * 0x8ebc6af09c88c6e3)}
}

func fourBits(m uint64) uint64 {
	return 1<<(m>>58) | 1<<(m>>52&63) | 1<<(m>>46&63) | 1<<(m>>40&63)
}

func (f filter) add(p place) { f[p.at*uint64(len(f))>>32] |= p.bits }

// may tells whether the id may have been added; false is certain.
func (f filter) may(p place) bool { return f[p.at*uint64(len(f))>>32]&p.bits == p.bits }
