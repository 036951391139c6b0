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

// wordFilter is a Bloom filter whose four bits of an id are in one word, so that a look-up touches
// memory once. At twelve bits for each id it takes 1.1% of unknown ids for known ones.
type wordFilter []uint64

const wordFilterBits = 12

func newWordFilter(ids int) wordFilter { return make(wordFilter, ids*wordFilterBits/64+1) }

// room is how many ids the filter is made for.
func (f wordFilter) room() int { return len(f) * 64 / wordFilterBits }

// wordPlace is where a wordFilter of any size has the bits of an id.
type wordPlace struct {
	at   uint64 // below 1<<32, of the word
	bits uint64
}

func placeOf(hash uint32) wordPlace {
	m := uint64(hash) * 0xa0761d6478bd642f
	return wordPlace{uint64(hash), 1<<(m>>58) | 1<<(m>>52&63) | 1<<(m>>46&63) | 1<<(m>>40&63)}
}

func (f wordFilter) add(p wordPlace) { f[p.at*uint64(len(f))>>32] |= p.bits }

// may tells whether the id may have been added; false is certain.
func (f wordFilter) may(p wordPlace) bool { return f[p.at*uint64(len(f))>>32]&p.bits == p.bits }

// lineFilter is a Bloom filter whose seven bits of an id are in one cache line. At sixteen bits for each
// id it takes 0.1% of unknown ids for known ones, independently of a wordFilter.
type lineFilter [][8]uint64

const (
	lineFilterBits = 16
	lineProbes     = 7
)

func newLineFilter(ids int) lineFilter { return make(lineFilter, ids*lineFilterBits/512+1) }

// place returns the line, and nine bits for each probe.
func (f lineFilter) place(hash uint32) (line *[8]uint64, probes uint64) {
	m := uint64(hash) * 0xe7037ed1a0b428db
	probes = (m ^ m>>29) * 0x8ebc6af09c88c6e3
	return &f[m>>32*uint64(len(f))>>32], probes ^ probes>>32
}

func (f lineFilter) add(hash uint32) {
	line, probes := f.place(hash)
	for range lineProbes {
		line[probes>>6&7] |= 1 << (probes & 63)
		probes >>= 9
	}
}

// may tells whether the id may have been added; false is certain.
func (f lineFilter) may(hash uint32) bool {
	line, probes := f.place(hash)
	for range lineProbes {
		if line[probes>>6&7]&(1<<(probes&63)) == 0 {
			return false
		}
		probes >>= 9
	}
	return true
}
