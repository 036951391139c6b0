package model

import (
	"slices"
	"unicode/utf8"
)

// Longest is how many bytes of a folded message are read: what it is about stands in its beginning.
const Longest = 512

// MaxFeatures bounds what Features returns; memory of that capacity never grows.
const MaxFeatures = 4*Longest + 64

// Most is how many features a message of a folded length has at most: a word and a pair for every two bytes,
// two runs for each byte, its letters.
func Most(folded int) int { return min(4*folded+64, MaxFeatures) }

// Kinds of features, the salt of their hashes: the same bytes as a word and as part of one differ.
const (
	saltWord   = 0x9e3779b97f4a7c15
	saltPair   = 0xc2b2ae3d27d4eb4f
	saltGram   = 0x165667b19e3779f9
	saltRune   = 0x27d4eb2f165667c5
	saltLetter = 0x85ebca6b9e3779b1
	saltThree  = 0xa0761d6478bd642f
	saltAfter  = 0xe7037ed1a0b428db
)

// seenBits is the size of the set that keeps a feature from counting twice in a message. It remembers a
// few bits of the hash only: in a hundred features about one is taken for a repetition. Training reads
// through the same set, so it learns from what a message will give.
const seenBits = 1 << 13

// extractor collects the features of one message.
type extractor struct {
	// room for features, n of it used.
	room []uint32
	n    int
	seen [seenBits / 64]uint64
}

// Features appends the hashes of what a message shows to dst, each once: its words, pairs of words, runs
// of three and four letters also across words, and in scripts without spaces one to three characters.
// folded is the message as fold.Append leaves it; raw as it was written, for the letters that folding
// makes plain and that tell languages apart. Digits count as one digit, so order numbers are all alike.
// With room for Most of the folded length in dst it allocates nothing.
func Features(dst []uint32, folded []byte, raw string) []uint32 {
	if len(folded) > Longest {
		folded = folded[:Longest]
	}
	most := Most(len(folded))
	dst = slices.Grow(dst, most)
	e := extractor{room: dst[len(dst) : len(dst)+most]}
	e.words(folded)
	e.grams(folded)
	e.letters(raw)
	return dst[:len(dst)+e.n]
}

// MaxSequences bounds what Sequences adds.
const MaxSequences = 3 * (Longest/2 + 1)

// Sequences appends to dst what more the order of a message's words shows: each three in a row, and each with the
// second and the third after it, whatever stands between. Repetitions count again. A shop's model does without.
// It allocates only what dst lacks in capacity.
func Sequences(dst []uint32, folded []byte) []uint32 {
	if len(folded) > Longest {
		folded = folded[:Longest]
	}
	var before [3]uint64 // hashes of the words before, the last first
	h := uint64(saltWord)
	length, words := 0, 0
	for i := 0; i <= len(folded); i++ {
		if i < len(folded) && folded[i] != ' ' && folded[i] != '\n' {
			h = (h ^ uint64(plain(folded[i]))) * 0x100000001b3
			h ^= h >> 29
			length++
			continue
		}
		if length == 0 {
			continue
		}
		if words >= 2 {
			dst = append(dst, feature(saltThree^(before[1]*0x9fb21c651e98df25+before[0])*0x9fb21c651e98df25+h),
				feature(saltAfter^before[1]*0x9fb21c651e98df25+h))
		}
		if words >= 3 {
			dst = append(dst, feature(saltAfter^before[2]*0x9fb21c651e98df25+h))
		}
		before[2], before[1], before[0] = before[1], before[0], h
		h, length = saltWord, 0
		words++
	}
	return dst
}

// feature brings a hash to a feature's size. The highest bit marks features of words' meanings.
func feature(h uint64) uint32 {
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	h ^= h >> 32
	return uint32(h) >> 1
}

func (e *extractor) add(h uint64) {
	f := feature(h)
	at := f & (seenBits - 1)
	if bit := uint64(1) << (at & 63); e.seen[at>>6]&bit == 0 && e.n < len(e.room) {
		e.seen[at>>6] |= bit
		e.room[e.n] = f
		e.n++
	}
}

// words adds each word and each pair of neighbours, over the ends of clauses too; the edges of the
// message are neighbours.
func (e *extractor) words(folded []byte) {
	const edge = 1
	before := uint64(edge)
	h := uint64(saltWord)
	length := 0
	for i := 0; i <= len(folded); i++ {
		if i == len(folded) || folded[i] == ' ' || folded[i] == '\n' {
			if length > 0 {
				e.add(h)
				e.add(saltPair ^ before*0x9fb21c651e98df25 + h)
				before, h, length = h, saltWord, 0
			}
			continue
		}
		h = (h ^ uint64(plain(folded[i]))) * 0x100000001b3
		h ^= h >> 29
		length++
	}
	e.add(saltPair ^ before*0x9fb21c651e98df25 + edge)
}

// grams adds the runs of letters of ASCII text and the characters of other scripts.
func (e *extractor) grams(folded []byte) {
	window := uint64(' ') // the last bytes, newest lowest
	run := 1              // how many of them are of this stretch of ASCII
	for i := 0; i <= len(folded); {
		c := byte(' ')
		if i < len(folded) && folded[i] != '\n' {
			c = folded[i]
		}
		if c >= utf8.RuneSelf {
			i += e.foreign(folded[i:])
			window, run = uint64(' '), 1
			continue
		}
		window = window<<8 | uint64(plain(c))
		run++
		if run >= 3 {
			e.add(saltGram ^ (window&0xffffff)*0x9fb21c651e98df25)
		}
		if run >= 4 {
			e.add(saltGram ^ (window&0xffffffff)*0x9fb21c651e98df25)
		}
		i++
	}
}

// foreign adds what begins with the character at the front of s, which is not ASCII: it alone, and with
// one and two more of its stretch. It returns the character's length.
func (e *extractor) foreign(s []byte) int {
	h := uint64(saltRune)
	at, first := 0, 0
	for n := range 3 {
		if at >= len(s) || s[at] < utf8.RuneSelf {
			break
		}
		r, size := utf8.DecodeRune(s[at:])
		h = (h ^ uint64(r)) * 0x9fb21c651e98df25
		h ^= h >> 31
		e.add(h)
		at += size
		if n == 0 {
			first = size
		}
	}
	return first
}

// letters adds the Latin letters that are not ASCII, as written.
func (e *extractor) letters(raw string) {
	if len(raw) > 2*Longest {
		raw = raw[:2*Longest]
	}
	for i := 0; i < len(raw); {
		if raw[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(raw[i:])
		if r >= 0xbf && r < 0x250 {
			e.add((saltLetter ^ uint64(r)) * 0x9fb21c651e98df25)
		}
		i += size
	}
}

// plain returns the byte with all digits made one.
func plain(c byte) byte {
	if '0' <= c && c <= '9' {
		return '0'
	}
	return c
}
