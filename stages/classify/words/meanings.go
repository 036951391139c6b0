package words

import (
	"unicode/utf8"

	"github.com/handoff-dev/handoff/stages/classify/fold"
)

const (
	// MaxHits bounds the meanings taken from a message.
	MaxHits = 96
	// MaxWords bounds the words read of it.
	MaxWords = 160
	// reach is how many meanings further a pair goes.
	reach = 3
	// maxPaired bounds the meanings that become features.
	maxPaired = 64
	// Most is how many features Features adds at most.
	Most = maxPaired * (1 + reach)
	// Mark is the bit by which a feature of this package is known from those of package model.
	Mark = 1 << 31
)

// Hit is one meaning found in a message.
type Hit struct {
	Concept Concept
	// From is the index of its first word, To of its last.
	From, To uint8
	// Clause of the message, counted from 0.
	Clause uint8
}

// Meanings are what the words of one message mean. The zero value is empty.
type Meanings struct {
	// Words is how many the message has.
	Words int
	// Found is how many Hits there are.
	Found int
	Hits  [MaxHits]Hit
	// known has a bit for each word that has a meaning.
	known [(MaxWords + 63) / 64]uint64
}

// Read finds the meanings of a folded message. m must be empty.
func (t *Table) Read(m *Meanings, folded []byte) {
	var clause uint8
	inside := false
	for i := 0; i < len(folded) && m.Words < MaxWords; {
		c := folded[i]
		switch {
		case c == ' ' || c == '\n':
			m.Words++
			if c == '\n' {
				clause++
			}
			inside = false
			i++
			continue
		case c < utf8.RuneSelf:
			if !inside {
				t.at(m, folded, i, clause)
			}
			inside = true
			i = ascii(folded, i+1)
			continue
		}
		r, size := utf8.DecodeRune(folded[i:])
		if !inside || fold.Unspaced(r) {
			t.at(m, folded, i, clause)
		}
		inside = true
		i += size
	}
	if inside {
		m.Words++
	}
}

// ascii returns where a run of ASCII letters and digits ends that begins before i.
func ascii(folded []byte, i int) int {
	for i < len(folded) && folded[i] < utf8.RuneSelf && folded[i] > ' ' {
		i++
	}
	return i
}

// at adds the meanings of the patterns that begin at i, each once.
func (t *Table) at(m *Meanings, folded []byte, i int, clause uint8) {
	from := m.Found
	word := uint8(m.Words)
	last := word
	at := t.tree.roots[folded[i]]
	for k := i + 1; at != 0; k++ {
		n := &t.tree.nodes[at]
		if n.stem != 0 {
			t.put(m, t.senses[n.stem], from, Hit{From: word, To: last, Clause: clause})
		}
		if n.whole != 0 && ends(folded, k) {
			t.put(m, t.senses[n.whole], from, Hit{From: word, To: last, Clause: clause})
		}
		if k == len(folded) || folded[k] == '\n' {
			return
		}
		if folded[k] == ' ' {
			last++
		}
		at = t.tree.step(n, folded[k])
	}
}

// put adds senses that are new since from.
func (t *Table) put(m *Meanings, senses []Concept, from int, h Hit) {
	m.known[h.From>>6] |= 1 << (h.From & 63)
next:
	for _, c := range senses {
		if m.Found == MaxHits {
			return
		}
		for _, have := range m.Hits[from:m.Found] {
			if have.Concept == c {
				continue next
			}
		}
		h.Concept = c
		m.Hits[m.Found] = h
		m.Found++
	}
}

func ends(folded []byte, i int) bool {
	return i == len(folded) || folded[i] == ' ' || folded[i] == '\n'
}

// Features appends the features of meanings to dst, at most Most of them. It allocates only what dst lacks
// in capacity.
func (t *Table) Features(dst []uint32, m *Meanings) []uint32 {
	n := min(m.Found, maxPaired)
	for i := range n {
		first := t.hashes[m.Hits[i].Concept]
		dst = append(dst, feature(first))
		for k := i + 1; k <= i+reach && k < n; k++ {
			if m.Hits[k].Concept != m.Hits[i].Concept {
				dst = append(dst, feature(pair(first, t.hashes[m.Hits[k].Concept])))
			}
		}
	}
	return dst
}

// Pairs calls with for every meaning and every pair of meanings that are features, in their order, until
// it returns false; then is the first itself where there is no second.
func (m *Meanings) Pairs(with func(first, then Concept) bool) {
	n := min(m.Found, maxPaired)
	for i := range n {
		first := m.Hits[i].Concept
		if !with(first, first) {
			return
		}
		for k := i + 1; k <= i+reach && k < n; k++ {
			if m.Hits[k].Concept != first && !with(first, m.Hits[k].Concept) {
				return
			}
		}
	}
}

func pair(first, then uint64) uint64 { return first*0x9fb21c651e98df25 + then }

// feature brings a hash to a feature's size.
func feature(h uint64) uint32 {
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return uint32(h^h>>32) | Mark
}
