package shipped

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/schemas/tsv"
	"github.com/handoff-dev/handoff/stages/classify/fold"
	"github.com/handoff-dev/handoff/stages/classify/intent"
	"github.com/handoff-dev/handoff/stages/classify/words"
)

//go:embed wishes.tsv
var shippedWishes string

// wishes are phrases that say what the model alone gets wrong; wishes.tsv says how each counts.
type wishes struct {
	more, none, elsewhere []phrase
	// openings of more and none: where none stands at the beginning of a word, no phrase does.
	openings map[opening]bool
}

// opening is what a phrase begins with.
type opening [6]byte

// phrase is one of them.
type phrase struct {
	text []byte
	// unspaced: in a script that puts no spaces between words, so that it counts wherever it stands.
	unspaced bool
	// stem: the last word goes on; last: the clause ends behind it, or another begins.
	stem, last bool
	// whole: the verb is last in its language, so that what is wished for stands before it.
	whole bool
	// behind are words that stand before it: the only ones, or those that must not.
	behind [][]byte
	only   bool
}

// byWish names what a wish for no more texts was taken by.
const byWish = "phrase opt-out"

func parseWishes(table string) (*wishes, error) {
	w := &wishes{openings: map[opening]bool{}}
	for line, columns := range tsv.Rows(table) {
		if err := w.line(columns); err != nil {
			return nil, fmt.Errorf("wishes line %d: %w", line, err)
		}
	}
	return w, nil
}

func (w *wishes) line(columns []string) error {
	if len(columns) != 4 {
		return fmt.Errorf("%d columns, want what, language, behind, phrases", len(columns))
	}
	into := map[string]*[]phrase{"more": &w.more, "none": &w.none, "else": &w.elsewhere}[columns[0]]
	if into == nil {
		return fmt.Errorf("%q is none of more, none, else", columns[0])
	}
	how, behind, _ := strings.Cut(columns[2], " ")
	if how != "only" && how != "not" {
		return fmt.Errorf("%q begins with neither only nor not", columns[2])
	}
	for text := range strings.SplitSeq(columns[3], "|") {
		p := phrase{only: how == "only", whole: columns[1] == "tr" || columns[1] == "ja"}
		if behind != "" {
			p.behind = bytes.Split([]byte(behind), []byte("|"))
		}
		text, p.stem = strings.CutSuffix(text, "*")
		text, p.last = strings.CutSuffix(text, "$")
		if p.text = fold.Append(nil, text); len(p.text) == 0 || bytes.IndexByte(p.text, '\n') >= 0 {
			return fmt.Errorf("%q is no phrase of one clause", text)
		}
		first, _ := utf8.DecodeRune(p.text)
		p.unspaced = first >= unspaced
		*into = append(*into, p)
		if into == &w.elsewhere {
			continue
		}
		if len(p.text) < len(opening{}) {
			return fmt.Errorf("%q is too short a phrase: give one of %d bytes", text, len(opening{}))
		}
		w.openings[opening(p.text)] = true
	}
	return nil
}

// unspaced is the first rune of the scripts that put no spaces between words, 0xe2 the first byte of it.
const unspaced = 0x2e80

// in is where a clause holds one of the phrases, with what belongs to it; from is -1 where it holds none.
func in(all []phrase, clause []byte) (from, to int) {
	for i := range all {
		at := all[i].in(clause)
		switch {
		case at < 0:
		case all[i].whole:
			return 0, at + len(all[i].text)
		default:
			return at, at + len(all[i].text)
		}
	}
	return -1, 0
}

func (p *phrase) in(clause []byte) int {
	for at := 0; ; at++ {
		next := bytes.Index(clause[at:], p.text)
		if next < 0 {
			return -1
		}
		if at += next; p.stands(clause, at) {
			return at
		}
	}
}

// stands tells whether the phrase that begins there is one: its words are whole, and nothing stands before it that
// gives it another meaning.
func (p *phrase) stands(clause []byte, at int) bool {
	to := at + len(p.text)
	if p.last && to != len(clause) && !beginsAnother(clause[to:]) {
		return false
	}
	if !p.unspaced && (at > 0 && clause[at-1] != ' ' || !p.stem && to < len(clause) && clause[to] != ' ') {
		return false
	}
	before := bytes.TrimRight(clause[:at], " ")
	if p.only && len(before) == 0 {
		return true
	}
	for _, word := range p.behind {
		rest, is := bytes.CutSuffix(before, word)
		if is && (p.unspaced || len(rest) == 0 || rest[len(rest)-1] == ' ') {
			return p.only
		}
	}
	return !p.only
}

// maySpeak tells whether a word of a folded message opens a phrase: most messages are done with here.
func (w *wishes) maySpeak(folded []byte) bool {
	for at := range len(folded) - len(opening{}) + 1 {
		begins := at == 0 || folded[at-1] == ' ' || folded[at-1] == '\n' || folded[at] >= 0xe2
		if begins && w.openings[opening(folded[at:])] {
			return true
		}
	}
	return false
}

// speak tells whether a folded message has one of these wishes. One for none is nothing new in what is an opt-out
// already.
func (w *wishes) speak(folded []byte, optsOut bool) bool {
	if !w.maySpeak(folded) {
		return false
	}
	for {
		clause, rest, more := bytes.Cut(folded, []byte{'\n'})
		if from, _ := in(w.more, clause); from >= 0 {
			return true
		}
		if from, _ := in(w.none, clause); from >= 0 && !optsOut {
			return true
		}
		if !more {
			return false
		}
		folded = rest
	}
}

// reconsider reads a message again that has wishes: without what it says of more texts, and where it is not taken for
// an opt-out, what it says of none by itself.
func (c *Classifier) reconsider(out intent.Reading, folded, language string) intent.Reading {
	rest, found := c.wishes.without([]byte(folded))
	if found {
		again := c.Read(string(rest), language)
		if again.OptOut == intent.OptOutPossible { // who asks for more texts leaves no doubt
			again.OptOut, again.OptOutBy, again.WrongNumber = intent.OptOutNone, "", false
		}
		out.OptOut, out.OptOutBy, out.OptOutScore, out.WrongNumber = again.OptOut, again.OptOutBy, again.OptOutScore, again.WrongNumber
		return out
	}
	if out.OptOut == intent.OptOutClear {
		return out
	}
	alone := c.wishes.forNone([]byte(folded))
	switch {
	case alone == nil:
	case len(alone) < len(folded) && c.Read(string(alone), language).OptOut == intent.OptOutClear:
		out.OptOut, out.OptOutBy = intent.OptOutClear, byWish
	default:
		out.OptOut, out.OptOutBy = intent.OptOutPossible, byWish
	}
	return out
}

// mayWish tells whether a message has words in which an opt-out is wished for.
func (e *evidence) mayWish(m *words.Meanings) bool { return hasOf(m, &e.wish) }

// without returns a folded message without what asks for more texts: from there to the end of the clause, or to a word
// that begins another.
func (w *wishes) without(folded []byte) (rest []byte, found bool) {
	for clause := range bytes.SplitSeq(folded, []byte{'\n'}) {
		if len(rest) > 0 {
			rest = append(rest, '\n')
		}
		from, to := in(w.more, clause)
		if from < 0 {
			rest = append(rest, clause...)
			continue
		}
		found = true
		rest = append(rest, clause[:from]...)
		// "mas" and "mais" are "more" elsewhere.
		if at := next(clause[to:], " but ", " pero ", " aber ", " maar ", " ale ", "但", "けど"); at >= 0 {
			rest = append(append(rest, '\n'), clause[to+at:]...)
		}
	}
	return rest, found
}

// forNone is what a message says of no more texts, by itself; nil where it says nothing of them, or of something else
// that can be left.
func (w *wishes) forNone(folded []byte) []byte {
	folded = bytes.ReplaceAll(folded, []byte(" e mail"), []byte(" email")) // " e " is "and" elsewhere
	folded = bytes.ReplaceAll(folded, []byte(" e posta"), []byte(" eposta"))
	for clause := range bytes.SplitSeq(folded, []byte{'\n'}) {
		from, to := in(w.none, clause)
		if from < 0 {
			continue
		}
		alone := clause[from:]
		if at := next(clause[to:], others...); at >= 0 {
			alone = clause[from : to+at]
		}
		if at, _ := in(w.elsewhere, alone); at < 0 {
			return alone
		}
	}
	return nil
}

// others are words that begin another clause.
var others = []string{" and ", " but ", " y ", " pero ", " et ", " mais ", " und ", " aber ", " e ", " mas ", " ma ", " en ", " maar ", " i ", " ale ", " ve ", " ama ", "但", "けど"}

// beginsAnother tells whether a clause goes on with one of them.
func beginsAnother(rest []byte) bool {
	return slices.ContainsFunc(others, func(word string) bool { return bytes.HasPrefix(rest, []byte(word)) })
}

// next is where the first of some words stands that begin another clause; -1 where none does.
func next(clause []byte, words ...string) int {
	first := -1
	for _, word := range words {
		if at := bytes.Index(clause, []byte(word)); at >= 0 && (first < 0 || at < first) {
			first = at
		}
	}
	return first
}
