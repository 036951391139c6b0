package rules

import (
	"unicode/utf8"
)

const (
	// maxHits bounds the meanings taken from one message, maxWords the words read of it.
	maxHits  = 96
	maxWords = 160
	// negationReach is how many words after a negation it turns around.
	negationReach = 3
	// maxLanguages is how many languages a lexicon can have.
	maxLanguages = 16
)

// hit is one meaning found in a message.
type hit struct {
	concept concept
	// at is the index of its first word, end of its last.
	at, end uint8
	clause  uint8
	negated bool
}

// set is a set of concepts.
type set [maxConcepts / 64]uint64

func (s *set) add(c concept)      { s[c>>6] |= 1 << (c & 63) }
func (s *set) has(c concept) bool { return s[c>>6]&(1<<(c&63)) != 0 }

// span is one word of the folded message.
type span struct {
	from, to uint16
	clause   uint8
}

// message is a message taken apart. It lives on the reader's stack.
type message struct {
	folded []byte
	words  [maxWords]span
	count  int
	hits   [maxHits]hit
	found  int
	// plain holds concepts that stand unnegated somewhere, any those that stand at all.
	plain, any set
	// weight of each language in the words.
	weight [maxLanguages]int
	// han and kana tell the scripts that show a language by themselves.
	han, kana bool
}

// take splits the folded message, which is set when m is made so that it stays on the stack, and finds
// the meanings of its words.
func (m *message) take(l *lexicon, neg concept) {
	m.split()
	for i := 0; i < m.count; i++ {
		w := m.text(i)
		if r, _ := utf8.DecodeRune(w); unspaced(r) {
			m.unspacedWord(l, i, w)
			continue
		}
		known := m.put(l.exact[string(w)], i, i)
		known = m.stem(l, w, i) || known
		if _, ok := l.openers[string(w)]; ok {
			known = m.phrase(l, i) || known
		}
		if !known {
			m.put(l.typos.find(w), i, i)
		}
	}
	m.negate(neg)
}

func (m *message) split() {
	var clause uint8
	for from := 0; from < len(m.folded) && m.count < maxWords; {
		to := from
		for to < len(m.folded) && m.folded[to] != ' ' && m.folded[to] != '\n' {
			to++
		}
		m.words[m.count] = span{from: uint16(from), to: uint16(to), clause: clause}
		m.count++
		if to < len(m.folded) && m.folded[to] == '\n' {
			clause++
		}
		from = to + 1
	}
}

// stem puts the senses of every stem that the word begins with.
func (m *message) stem(l *lexicon, w []byte, i int) bool {
	known := false
	for n := 2; n <= len(w) && n < 64; n++ {
		if l.stemLengths&(1<<n) != 0 {
			known = m.put(l.stems[string(w[:n])], i, i) || known
		}
	}
	return known
}

// phrase puts the senses of the phrases that begin at word i, whatever punctuation they hold.
func (m *message) phrase(l *lexicon, i int) bool {
	var buf [64]byte
	text := append(buf[:0], m.text(i)...)
	known := false
	for j := i + 1; j < m.count && j-i < l.phraseWords && m.words[j].clause == m.words[i].clause; j++ {
		w := m.text(j)
		if len(text)+1+len(w) > cap(buf) {
			break
		}
		text = append(append(text, ' '), w...)
		known = m.put(l.phrases[string(text)], i, j) || known
		if len(l.phraseStems) > 0 {
			for n := len(text) - len(w) + 1; n <= len(text); n++ {
				known = m.put(l.phraseStems[string(text[:n])], i, j) || known
			}
		}
	}
	return known
}

func (m *message) text(i int) []byte { return m.folded[m.words[i].from:m.words[i].to] }

// unspacedWord finds patterns anywhere in a run of a script without spaces.
func (m *message) unspacedWord(l *lexicon, i int, w []byte) {
	for from := 0; from < len(w); {
		r, size := utf8.DecodeRune(w[from:])
		m.script(r)
		for to := from + size; to <= len(w) && to-from <= l.unspacedLength; {
			m.put(l.exact[string(w[from:to])], i, i)
			if to == len(w) {
				break
			}
			_, next := utf8.DecodeRune(w[to:])
			to += next
		}
		from += size
	}
}

func (m *message) script(r rune) {
	switch {
	case r >= 0x3041 && r <= 0x30ff:
		m.kana = true
	case r >= 0x3400 && r <= 0x9fff:
		m.han = true
	}
}

// put records senses of words i to j and tells whether there were any.
func (m *message) put(senses []sense, i, j int) bool {
	for k, s := range senses {
		m.any.add(s.concept)
		if m.found < maxHits && !(k > 0 && senses[k-1].concept == s.concept) {
			m.hits[m.found] = hit{concept: s.concept, at: uint8(i), end: uint8(j), clause: m.words[i].clause}
			m.found++
		}
		m.weight[s.language] += 12 / len(senses)
	}
	return len(senses) > 0
}

// negate marks hits after a negation of their clause and fills the set of plain ones.
func (m *message) negate(neg concept) {
	for i := range m.found {
		h := &m.hits[i]
		for _, n := range m.hits[:m.found] {
			if n.concept == neg && h.concept != neg && n.clause == h.clause && n.end < h.at && h.at-n.end <= negationReach {
				h.negated = true
			}
		}
		if !h.negated {
			m.plain.add(h.concept)
		}
	}
}
