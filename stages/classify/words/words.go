// Package words finds what the words of a message mean: concepts that the languages share, so that what a
// model learns of a question in one language holds in the others, and a rule is written once for all of
// them. It reads a folded message and gives the meanings that stand in it, for package rules, and
// features made of them, for package model: each concept, and pairs of concepts that follow each other.
// The words are data: lexicon.tsv, words.tsv, optouts.tsv, names.tsv.
package words

import (
	_ "embed"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/schemas/tsv"
	"github.com/handoff-dev/handoff/stages/classify/fold"
)

var (
	//go:embed lexicon.tsv
	lexicon string
	//go:embed words.tsv
	more string
	//go:embed optouts.tsv
	optOuts string
	//go:embed names.tsv
	names string
)

// Concept is what words of several languages share: an index into a table's concepts.
type Concept uint8

// maxConcepts is how many a table can have, so that a Set holds them.
const maxConcepts = 128

const (
	// known is in the place of a concept before words that have none and are no typing errors.
	known = "KNOWN"
	none  = Concept(maxConcepts)
)

// Set is a set of concepts.
type Set [maxConcepts / 64]uint64

// Add puts a concept into the set.
func (s *Set) Add(c Concept) { s[c>>6] |= 1 << (c & 63) }

// Has tells whether a concept is in the set.
func (s *Set) Has(c Concept) bool { return s[c>>6]&(1<<(c&63)) != 0 }

// Table finds concepts. It never changes and may be shared.
type Table struct {
	// names and hashes of the concepts.
	names  []string
	hashes []uint64
	tree   tree
	// senses are lists of concepts that a pattern of the tree has; the first is empty.
	senses [][]Concept
	typos  typos
}

// Shipped returns the table of the documents that ship.
func Shipped() (*Table, error) { return Parse(more, lexicon, optOuts, names) }

// Lexicon returns the shipped words of the rules, in the format that they describe themselves.
func Lexicon() string { return lexicon }

// GivenNames are the given names that ship, folded; those that are words of their own too ("Grace") among them.
func GivenNames() map[string]bool {
	all := map[string]bool{}
	for _, columns := range tsv.Rows(names) {
		for name := range strings.SplitSeq(columns[len(columns)-1], "|") {
			all[name] = true
		}
	}
	return all
}

// Parse reads documents of lines concept, language, patterns divided by |. The error names the line.
func Parse(documents ...string) (*Table, error) {
	b := newBuilder()
	for d, document := range documents {
		for line, columns := range tsv.Rows(document) {
			if err := b.line(columns); err != nil {
				return nil, fmt.Errorf("words document %d line %d: %w", d+1, line, err)
			}
		}
	}
	return b.table(), nil
}

// Concept returns the concept of a name.
func (t *Table) Concept(name string) (Concept, bool) {
	for i, n := range t.names {
		if n == name {
			return Concept(i), true
		}
	}
	return 0, false
}

// builder makes a table.
type builder struct {
	t *Table
	// of the patterns, folded, with a star behind those that may go on: their place in the senses.
	of map[string]int
	// english words and stems, in the order of the documents: typing errors are found in these.
	english []string
	root    *branch
}

func newBuilder() *builder {
	return &builder{t: &Table{senses: make([][]Concept, 1), typos: typos{}}, of: map[string]int{}, root: &branch{}}
}

func (b *builder) line(columns []string) error {
	if len(columns) != 3 {
		return fmt.Errorf("%d columns, want concept, language, patterns", len(columns))
	}
	c, ok := b.t.Concept(columns[0])
	switch {
	case columns[0] == known:
		c = none
	case !ok:
		if len(b.t.names) == maxConcepts {
			return fmt.Errorf("more than %d concepts", maxConcepts)
		}
		c = Concept(len(b.t.names))
		b.t.names = append(b.t.names, columns[0])
		b.t.hashes = append(b.t.hashes, hash(columns[0]))
	}
	for pattern := range strings.SplitSeq(columns[2], "|") {
		if err := b.pattern(pattern, c, columns[1]); err != nil {
			return fmt.Errorf("pattern %q: %w", pattern, err)
		}
	}
	return nil
}

func (b *builder) pattern(pattern string, c Concept, language string) error {
	text, stem := strings.CutSuffix(pattern, "*")
	text = strings.ReplaceAll(fold.String(text), "\n", " ")
	if text == "" {
		return fmt.Errorf("is empty when folded")
	}
	first, _ := utf8.DecodeRuneInString(text)
	stem = stem || fold.Unspaced(first)
	id := text
	if stem {
		id += "*"
	}
	at, had := b.of[id]
	if !had {
		at = len(b.t.senses)
		b.of[id] = at
		b.t.senses = append(b.t.senses, nil)
		b.root.add(text, stem, uint32(at))
	}
	if c == none {
		return nil
	}
	if language == "en" && !strings.Contains(text, " ") && len(b.t.senses[at]) == 0 {
		b.english = append(b.english, id)
	}
	for _, have := range b.t.senses[at] {
		if have == c {
			return nil
		}
	}
	b.t.senses[at] = append(b.t.senses[at], c)
	return nil
}

func (b *builder) table() *Table {
	b.t.tree = b.root.lay()
	for _, id := range b.english {
		b.t.typos.word(id, uint32(b.of[id]))
	}
	b.t.typos.mark()
	return b.t
}

func hash(s string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return h ^ h>>29
}
