package words

import "strings"

// typos finds words with one typing error: a letter too many, too few, wrong, or two swapped. left maps
// what is left of a word when one letter is taken out to the word; marks is a filter in front of it.
type typos struct {
	left  map[string][]meant
	marks []uint64
}

// meant is a word that may be meant, and its senses.
type meant struct {
	word   string
	senses uint32
}

// Words shorter than this are too like others to be found with an error.
const (
	shortestMeant = 5
	shortestTyped = 4
	longestTyped  = 16
)

// inflections that a stem is looked for with.
func inflections() []string {
	return []string{"", "s", "e", "es", "ed", "d", "ing", "er", "led", "ling", "ation", "ment"}
}

// word adds an English word, or a stem, which ends in a star. Words of other languages are matched by
// stems, and the more words there are, the more errors turn one into another.
func (t *typos) word(id string, senses uint32) {
	stem, goesOn := strings.CutSuffix(id, "*")
	if !goesOn {
		t.add(id, senses)
		return
	}
	for _, ending := range inflections() {
		t.add(stem+ending, senses)
	}
}

func (t *typos) add(word string, senses uint32) {
	if len(word) < shortestMeant || len(word) > longestTyped || strings.IndexFunc(word, func(r rune) bool { return r > 'z' }) >= 0 {
		return
	}
	if t.left == nil {
		t.left = map[string][]meant{}
	}
	entry := meant{word: word, senses: senses}
	t.left[word] = append(t.left[word], entry)
	for i := range len(word) {
		left := word[:i] + word[i+1:]
		t.left[left] = append(t.left[left], entry)
	}
}

const (
	// markBits is the size of the filter: a dozen bits for each entry.
	markBits = 1 << 18
	// roll is what a letter's hash is multiplied by for each letter behind it.
	roll = 0x9fb21c65
)

// mark fills the filter.
func (t *typos) mark() {
	t.marks = make([]uint64, markBits/64)
	for left := range t.left {
		var h uint32
		for i := range len(left) {
			h = h*roll + uint32(left[i])
		}
		at := scatter(h)
		t.marks[at/64] |= 1 << (at % 64)
	}
}

func (t *typos) marked(h uint32) bool {
	at := scatter(h)
	return t.marks[at/64]&(1<<(at%64)) != 0
}

func scatter(h uint32) uint32 {
	h ^= h >> 15
	h *= 0x9e3779b1
	return (h ^ h>>13) % markBits
}

// find returns the senses of the word that was meant; 0 for none. The first letter must be right.
func (t *typos) find(word []byte) uint32 {
	if len(word) < shortestTyped || len(word) > longestTyped {
		return 0
	}
	var whole uint32
	for _, c := range word {
		if c > 'z' {
			return 0
		}
		whole = whole*roll + uint32(c)
	}
	if t.marked(whole) {
		if s := t.among(word, word); s != 0 {
			return s
		}
	}
	// The hash without letter i is that of the letters before it, moved up by those behind, and theirs.
	var powers [longestTyped + 1]uint32
	powers[0] = 1
	for i := 1; i <= len(word); i++ {
		powers[i] = powers[i-1] * roll
	}
	var before uint32
	behind := whole
	for i, c := range word {
		rest := powers[len(word)-1-i]
		behind -= uint32(c) * rest
		if t.marked(before*rest + behind) {
			var buf [longestTyped]byte
			left := append(append(buf[:0], word[:i]...), word[i+1:]...)
			if s := t.among(left, word); s != 0 {
				return s
			}
		}
		before = before*roll + uint32(c)
	}
	return 0
}

func (t *typos) among(left, word []byte) uint32 {
	for _, c := range t.left[string(left)] {
		if c.word[0] == word[0] && oneError(c.word, word) {
			return c.senses
		}
	}
	return 0
}

// oneError tells whether two words differ by at most one typing error.
func oneError(a string, b []byte) bool {
	if len(a)-len(b) > 1 || len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	same := func(x, y int) bool { return x <= len(a) && y <= len(b) && a[x:] == string(b[y:]) }
	switch {
	case len(a) > len(b):
		return same(i+1, i)
	case len(a) < len(b):
		return same(i, i+1)
	case i == len(a) || same(i+1, i+1):
		return true
	}
	return i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && same(i+2, i+2)
}

// Mend adds the meanings of words that have none as they stand, and one with a typing error corrected. They
// are for rules: a model learns typing errors by itself.
func (t *Table) Mend(m *Meanings, folded []byte) {
	var clause uint8
	for from, i := 0, 0; from < len(folded) && i < m.Words; i++ {
		to := from
		for to < len(folded) && folded[to] > ' ' {
			to++
		}
		if m.known[i>>6]&(1<<(i&63)) == 0 && to-from >= shortestTyped {
			if senses := t.typos.find(folded[from:to]); senses != 0 {
				t.put(m, t.senses[senses], m.Found, Hit{From: uint8(i), To: uint8(i), Clause: clause})
			}
		}
		if to < len(folded) && folded[to] == '\n' {
			clause++
		}
		from = to + 1
	}
}
