// Package answer tells whether a message answers a yes-or-no question, and whether it only thanks:
// the part of a reading that needs no judgement of what the message is about (H2, C12, M5). The words
// are data, in answers.tsv.
package answer

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/schemas/tsv"
	"github.com/handoff-dev/handoff/stages/classify/fold"
)

//go:embed answers.tsv
var shipped string

// Kind of an answer.
type Kind uint8

// Kinds of answers.
const (
	None Kind = iota
	Yes
	No
)

// Answer is what was found in a message.
type Answer struct {
	// Kind: Yes or No where the message is or begins with one.
	Kind Kind
	// Weak marks a yes that is one only while a question stands: "ok", "great", "thx 👍".
	Weak bool
	// Thanks: the message consists of thanks and what goes with them, and perhaps of a Weak yes.
	Thanks bool
	// Rest is where more text begins in the folded message; its length when there is none.
	Rest int
	// Language of the deciding phrase; "" where several share it.
	Language string
	// Known is how far the phrases of the table reach with which the message begins: what goes beyond neither thanks nor
	// answers as a whole.
	Known int
}

// part is what a phrase does in a message.
type part uint8

const (
	partNothing part = iota
	partTail
	partWith
	partOK
	partThanks
	partYes
	partYesClear
	partNo
	partNoClear
)

// phrase is one entry of the table.
type phrase struct {
	part     part
	language string
	// sign: it has no letter, as 👍.
	sign bool
}

// Table holds the phrases. It never changes and may be shared.
type Table struct {
	phrases map[string]phrase
	// longest phrase in bytes, and that of those that begin with a word. A word here ends where a phrase may.
	longest int
	begins  map[string]int
	// marks of the words in begins: most words of most messages have none, and need not be looked for.
	marks [marks / 64]uint64
}

// marks is how many bits there are to mark the words with which phrases begin: some eight for each.
const marks = 1 << 13

// markOf is a word's bit.
func markOf[T ~string | ~[]byte](word T) uint {
	first, last, n := uint(word[0]), uint(word[len(word)-1]), uint(len(word))
	return (first*0x9e3779b1 + last*0x85ebca6b + uint(word[n/2])*0xc2b2ae35 + n*0x27d4eb2f) >> 7 % marks
}

// marked tells whether phrases may begin with a word.
func (t *Table) marked(word []byte) bool {
	at := markOf(word)
	return t.marks[at/64]&(1<<(at%64)) != 0
}

// Shipped returns the table of answers.tsv.
func Shipped() (*Table, error) { return Parse(shipped) }

// Parse reads a table in the format that answers.tsv describes. A phrase of several kinds keeps the
// strongest; one of several languages has none. The error names the line.
func Parse(document string) (*Table, error) {
	kinds := map[string]part{
		"tail": partTail, "with": partWith, "ok": partOK, "thanks": partThanks,
		"yes": partYes, "yes!": partYesClear, "no": partNo, "no!": partNoClear,
	}
	t := &Table{phrases: map[string]phrase{}, begins: map[string]int{}}
	for line, columns := range tsv.Rows(document) {
		if len(columns) != 3 || kinds[columns[0]] == partNothing {
			return nil, fmt.Errorf("answers line %d: want kind, language, phrases", line)
		}
		for text := range strings.SplitSeq(columns[2], "|") {
			key := fold.String(text)
			if key == "" {
				return nil, fmt.Errorf("answers line %d: phrase %q is empty when folded", line, text)
			}
			t.add(key, phrase{
				part: kinds[columns[0]], language: strings.TrimPrefix(columns[1], "*"),
				sign: strings.IndexFunc(key, unicode.IsLetter) < 0,
			})
		}
	}
	return t, nil
}

func (t *Table) add(key string, p phrase) {
	if old, ok := t.phrases[key]; ok {
		if old.language != p.language {
			p.language = ""
		}
		p.part = max(p.part, old.part)
	}
	t.phrases[key] = p
	t.longest = max(t.longest, len(key))
	word := key[:t.wordEnd([]byte(key), 0)]
	t.begins[word] = max(t.begins[word], len(key))
	at := markOf(word)
	t.marks[at/64] |= 1 << (at % 64)
}

// Find reads a message as fold.Append leaves it.
func (t *Table) Find(folded []byte) Answer {
	var s scan
	a := t.read(&s, folded)
	a.Known = s.known
	return a
}

func (t *Table) read(s *scan, folded []byte) Answer {
	for s.at < len(folded) {
		p, end := t.match(folded, s.at)
		if p.part != partNothing {
			s.known = end
		}
		if p.part == partNothing || p.part == partTail && !s.thanks || p.part >= partYes && s.within {
			break
		}
		s.take(p)
		s.within = p.part == partTail && (end == len(folded) || folded[end] != '\n')
		if end < len(folded) && (folded[end] == ' ' || folded[end] == '\n') {
			s.clause = s.clause || folded[end] == '\n' && (s.yes || s.no)
			end++
		}
		s.at = end
	}
	if s.at >= len(folded) {
		return s.whole(len(folded))
	}
	if a := s.begins(folded); a.Kind != None {
		return a
	}
	return t.ends(folded)
}

// longestBefore is how many words may stand before a yes that ends a message: "I'd love that, yes
// please" answers, the end of a story does not.
const longestBefore = 8

// ends decides a message whose last clause is a yes that has no other use. All of it is more text.
func (t *Table) ends(folded []byte) Answer {
	last := bytes.LastIndexByte(folded, '\n')
	if last < 0 || bytes.Count(folded[:last], []byte(" "))+bytes.Count(folded[:last], []byte("\n")) >= longestBefore {
		return Answer{}
	}
	p, end := t.match(folded, last+1)
	if p.part != partYesClear || end != len(folded) {
		return Answer{}
	}
	return Answer{Kind: Yes, Language: p.language}
}

// scan is what the phrases at the beginning of a message amount to so far.
type scan struct {
	at int
	// known is where the last of them ends, the one included that ended them.
	known int
	// clause: punctuation followed the answer.
	clause bool
	// within: the last phrase says what is thanked for, in a clause that goes on: "thanks for nothing".
	within bool
	// clear: the phrase of the answer stands before more words too. word: a yes is one of words, and not 👍 alone.
	clear, yes, word, no, ok, thanks bool
	language                         string
}

func (s *scan) take(p phrase) {
	switch p.part {
	case partYes, partYesClear:
		s.yes = true
		s.word = s.word || !p.sign
		s.clear = s.clear || p.part == partYesClear
	case partNo, partNoClear:
		s.no = true
		s.clear = s.clear || p.part == partNoClear
	case partOK:
		s.ok = true
	case partThanks:
		s.thanks = true
	case partWith, partTail, partNothing:
		return
	}
	if s.language == "" || p.part >= partYes {
		s.language = p.language
	}
}

// whole decides a message that consists of known phrases.
func (s *scan) whole(end int) Answer {
	a := Answer{Rest: end, Language: s.language}
	switch {
	case s.yes && s.no: // "yes no": neither
	case s.no:
		a.Kind = No
	case s.yes && !s.word && s.thanks: // "thx 👍"
		a.Kind, a.Weak, a.Thanks = Yes, true, true
	case s.yes:
		a.Kind = Yes
	case s.ok:
		a.Kind, a.Weak, a.Thanks = Yes, true, s.thanks
	case s.thanks:
		a.Thanks = true
	}
	return a
}

// begins decides a message that goes on after the known phrases at its beginning. Without punctuation
// only words that have no other use answer; "no" does before words that begin a clause.
func (s *scan) begins(folded []byte) Answer {
	a := Answer{Rest: s.at, Language: s.language}
	if s.yes == s.no || !s.clause && !s.clear && !(s.no && beginsClause(folded[s.at:])) {
		return Answer{Rest: 0}
	}
	a.Kind = Yes
	if s.no {
		a.Kind = No
	}
	return a
}

// beginsClause tells whether a text begins with an English or French word that can follow a bare "no" or "non" only as
// the beginning of something new: "no i want …", never "no one …", the Spanish "no me …" or the Italian "non ho …".
func beginsClause(folded []byte) bool {
	end := 0
	for end < len(folded) && folded[end] != ' ' && folded[end] != '\n' {
		end++
	}
	switch string(folded[:end]) {
	case "i", "im", "ill", "ive", "id", "it", "its", "thats", "that", "this", "just", "where", "what",
		"when", "why", "how", "can", "could", "will", "would", "you", "your", "we", "they", "my",
		"because", "but", "not", "leave", "tell", "wait", "is", "the",
		"je", "j", "mais", "pas", "nous", "vous", "laissez":
		return end < len(folded)
	}
	return false
}

// match returns the longest phrase at a place and its end. A word that is none is tried again with
// its drawn-out letters shortened ("yesss").
func (t *Table) match(folded []byte, at int) (phrase, int) {
	wordEnd := t.wordEnd(folded, at)
	if wordEnd == at {
		return phrase{}, at
	}
	var best phrase
	bestEnd := at
	longest := 0
	if t.marked(folded[at:wordEnd]) {
		longest = t.begins[string(folded[at:wordEnd])] // 0: no phrase begins so
	}
	for end := wordEnd; end <= len(folded) && end-at <= longest; {
		if boundary(folded, end) {
			if p, ok := t.phrases[string(folded[at:end])]; ok {
				best, bestEnd = p, end
			}
		}
		if end == len(folded) {
			break
		}
		_, size := utf8.DecodeRune(folded[end:])
		end += size
	}
	if best.part != partNothing {
		return best, bestEnd
	}
	var buf [32]byte
	if short := squeeze(buf[:0], folded[at:wordEnd]); len(short) < wordEnd-at && t.marked(short) {
		if p, ok := t.phrases[string(short)]; ok {
			return p, wordEnd
		}
	}
	return phrase{}, at
}

// wordEnd returns where the first phrase at a place may end; the place itself where nothing ends within the longest
// phrase.
func (t *Table) wordEnd(folded []byte, at int) int {
	for end := at; end < len(folded) && end-at < t.longest; {
		_, size := utf8.DecodeRune(folded[end:])
		end += size
		if end-at <= t.longest && boundary(folded, end) {
			return end
		}
	}
	return at
}

// boundary tells whether a phrase may end there: at a divider, or after a letter of a script that
// puts none between words.
func boundary(folded []byte, end int) bool {
	if end == len(folded) || folded[end] == ' ' || folded[end] == '\n' {
		return true
	}
	if folded[end-1] < utf8.RuneSelf {
		return false
	}
	r, _ := utf8.DecodeLastRune(folded[:end])
	return fold.Unspaced(r)
}

// squeeze appends a word with runs of one letter shortened to a single one; words too long to be an
// answer come back as they are.
func squeeze(dst, word []byte) []byte {
	if len(word) > cap(dst) {
		return word
	}
	for i, c := range word {
		if i == 0 || c != word[i-1] || c >= utf8.RuneSelf {
			dst = append(dst, c)
		}
	}
	return dst
}
