package rules

import "strings"

// typos finds words with one typing error: a letter too many, too few, wrong, or two swapped. It maps
// what is left of a word when one letter is taken out to the word.
type typos map[string][]typo

type typo struct {
	word   string
	senses []sense
}

// Words shorter than this are too like others to be found with an error.
const (
	shortestMeant = 5
	shortestTyped = 4
	longestTyped  = 16
)

// inflections that an English stem is looked for with.
var inflections = [...]string{"", "s", "e", "es", "ed", "d", "ing", "er", "led", "ling", "ation", "ment"}

// indexTypos indexes the English words: those of other languages are matched by stems, and the more
// words there are, the more errors turn one into another.
func (l *lexicon) indexTypos() {
	english := func(senses []sense) (out []sense) {
		for _, s := range senses {
			if l.languages[s.language] == "en" && l.names[s.concept] != "LANG" {
				out = append(out, s)
			}
		}
		return out
	}
	for word, senses := range l.exact {
		l.typos.add(word, english(senses))
	}
	for stem, senses := range l.stems {
		for _, ending := range inflections {
			l.typos.add(stem+ending, english(senses))
		}
	}
}

func (t typos) add(word string, senses []sense) {
	if len(word) < shortestMeant || len(word) > longestTyped || len(senses) == 0 || strings.IndexFunc(word, func(r rune) bool { return r > 'z' }) >= 0 {
		return
	}
	entry := typo{word: word, senses: senses}
	t[word] = append(t[word], entry)
	for i := range len(word) {
		left := word[:i] + word[i+1:]
		t[left] = append(t[left], entry)
	}
}

// find returns the senses of the word that was meant, or nil. The first letter must be right.
func (t typos) find(word []byte) []sense {
	if len(word) < shortestTyped || len(word) > longestTyped {
		return nil
	}
	if s := t.among(word, word); s != nil {
		return s
	}
	var buf [longestTyped]byte
	for i := range word {
		left := append(append(buf[:0], word[:i]...), word[i+1:]...)
		if s := t.among(left, word); s != nil {
			return s
		}
	}
	return nil
}

func (t typos) among(left, word []byte) []sense {
	for _, c := range t[string(left)] {
		if c.word[0] == word[0] && oneError(c.word, word) {
			return c.senses
		}
	}
	return nil
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
