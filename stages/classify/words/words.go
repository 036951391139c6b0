// Package words finds what the words of a message mean: concepts that the languages share, so that what a
// model learns of a question in one language holds in the others. It reads a folded message and gives
// hashes, features for package model: each concept, and pairs of concepts that follow each other. The
// words are those of the rules' lexicon and of words.tsv.
package words

import (
	_ "embed"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/stages/classify/fold"
)

//go:embed words.tsv
var shipped string

const (
	// maxHits bounds the meanings taken from a message.
	maxHits = 64
	// reach is how many meanings further a pair goes.
	reach = 3
	// Most is how many features Append adds at most.
	Most = maxHits * (1 + reach)
)

// node of the tree of patterns. A step is a byte; steps are in Table.steps.
type node struct {
	// whole: concepts of the patterns that end here, a word's end must follow; stems: of those that may go
	// on. Indices into Table.senses; 0 is none.
	whole, stem uint32
}

// Table finds concepts. It never changes and may be shared.
type Table struct {
	nodes []node
	// steps maps a node and a byte to the next node: an open table of keys node<<8|byte, plus one, and
	// values.
	keys, values []uint32
	// senses are lists of concepts' hashes.
	senses [][]uint64
}

// Shipped returns the table of words.tsv and a lexicon in its format; concepts of the latter that only
// show the language are left out.
func Shipped(lexicon string) (*Table, error) { return Parse(shipped, lexicon) }

// Parse reads documents of lines concept, language, patterns divided by |. The error names the line.
func Parse(documents ...string) (*Table, error) {
	b := builder{steps: map[uint32]uint32{}, concepts: map[string]map[string]bool{}}
	t := &Table{nodes: make([]node, 1), senses: make([][]uint64, 1)}
	for d, document := range documents {
		for n, line := range strings.Split(document, "\n") {
			if line == "" || line[0] == '#' {
				continue
			}
			columns := strings.Split(line, "\t")
			if len(columns) != 3 {
				return nil, fmt.Errorf("words %d line %d: %d columns, want concept, language, patterns", d, n+1, len(columns))
			}
			if columns[0] == "LANG" {
				continue
			}
			for pattern := range strings.SplitSeq(columns[2], "|") {
				if err := b.add(t, columns[0], pattern); err != nil {
					return nil, fmt.Errorf("words %d line %d: %w", d, n+1, err)
				}
			}
		}
	}
	b.pack(t)
	return t, nil
}

// builder holds what only parsing needs.
type builder struct {
	steps map[uint32]uint32
	// concepts that each pattern has already.
	concepts map[string]map[string]bool
}

func (b *builder) add(t *Table, concept, pattern string) error {
	text, stem := strings.CutSuffix(pattern, "*")
	text = strings.ReplaceAll(fold.String(text), "\n", " ")
	if text == "" {
		return fmt.Errorf("pattern %q is empty when folded", pattern)
	}
	first, _ := utf8.DecodeRuneInString(text)
	stem = stem || unspaced(first)
	at := uint32(0)
	for i := range len(text) {
		key := at<<8 | uint32(text[i])
		next, ok := b.steps[key]
		if !ok {
			next = uint32(len(t.nodes))
			t.nodes = append(t.nodes, node{})
			b.steps[key] = next
		}
		at = next
	}
	id := fmt.Sprint(text, stem)
	if b.concepts[id] == nil {
		b.concepts[id] = map[string]bool{}
	}
	if b.concepts[id][concept] {
		return nil
	}
	b.concepts[id][concept] = true
	list := &t.nodes[at].whole
	if stem {
		list = &t.nodes[at].stem
	}
	if *list == 0 {
		*list = uint32(len(t.senses))
		t.senses = append(t.senses, nil)
	}
	t.senses[*list] = append(t.senses[*list], hash(concept))
	return nil
}

// pack lays the steps into the open table.
func (b *builder) pack(t *Table) {
	size := 1
	for size < 2*len(b.steps) {
		size *= 2
	}
	t.keys, t.values = make([]uint32, size), make([]uint32, size)
	// Steps are laid in the order of their targets, so that the table is the same every time.
	byTarget := make([]uint32, len(t.nodes))
	for key, to := range b.steps {
		byTarget[to] = key
	}
	for to := 1; to < len(byTarget); to++ {
		key := byTarget[to]
		at := scatter(key) & uint32(size-1)
		for t.keys[at] != 0 {
			at = (at + 1) & uint32(size-1)
		}
		t.keys[at], t.values[at] = key+1, uint32(to)
	}
}

func scatter(key uint32) uint32 {
	key *= 0x9e3779b1
	return key ^ key>>15
}

// step returns the node that a byte leads to; 0 for none.
func (t *Table) step(from uint32, c byte) uint32 {
	key := from<<8 | uint32(c)
	mask := uint32(len(t.keys) - 1)
	for at := scatter(key) & mask; t.keys[at] != 0; at = (at + 1) & mask {
		if t.keys[at] == key+1 {
			return t.values[at]
		}
	}
	return 0
}

// Append appends the features of a folded message to dst, at most Most of them. It allocates
// only what dst lacks in capacity.
func (t *Table) Append(dst []uint32, folded []byte) []uint32 {
	var hits [maxHits]uint64
	n := 0
	for i := 0; i < len(folded) && n < maxHits; {
		n = t.at(folded, i, &hits, n)
		i = next(folded, i)
	}
	for i := range n {
		dst = append(dst, feature(hits[i]))
		for k := i + 1; k <= i+reach && k < n; k++ {
			if hits[k] != hits[i] {
				dst = append(dst, feature(pair(hits[i], hits[k])))
			}
		}
	}
	return dst
}

// at adds the meanings of what begins at i to the n hits, each new to the last few, and returns how many
// there are then.
func (t *Table) at(folded []byte, i int, hits *[maxHits]uint64, n int) int {
	from := n
	node := uint32(0)
	for k := i; k < len(folded) && folded[k] != '\n'; k++ {
		if node = t.step(node, folded[k]); node == 0 {
			break
		}
		for _, list := range [2]uint32{t.nodes[node].stem, t.nodes[node].whole} {
			if list == 0 || list == t.nodes[node].whole && !ends(folded, k+1) {
				continue
			}
			for _, concept := range t.senses[list] {
				if n < maxHits && !has(hits[from:n], concept) {
					hits[n] = concept
					n++
				}
			}
		}
	}
	return n
}

func has(hits []uint64, concept uint64) bool {
	for _, h := range hits {
		if h == concept {
			return true
		}
	}
	return false
}

func ends(folded []byte, i int) bool {
	return i == len(folded) || folded[i] == ' ' || folded[i] == '\n'
}

// next returns where the next word begins, or the next character in scripts without spaces.
func next(folded []byte, i int) int {
	if folded[i] >= utf8.RuneSelf {
		r, size := utf8.DecodeRune(folded[i:])
		if unspaced(r) {
			if i += size; i < len(folded) && ends(folded, i) {
				i++
			}
			return i
		}
	}
	for i < len(folded) && folded[i] != ' ' && folded[i] != '\n' {
		if folded[i] >= utf8.RuneSelf && i > 0 {
			if r, _ := utf8.DecodeRune(folded[i:]); unspaced(r) {
				return i
			}
		}
		i++
	}
	return i + 1
}

// unspaced tells scripts that put no spaces between words.
func unspaced(r rune) bool { return r >= 0x2e80 && r < 0xac00 || r >= 0xf900 && r <= 0xfaff }

func hash(s string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return h ^ h>>29
}

// Feature returns the feature of a concept, or where then is not empty of then following first.
func Feature(first, then string) uint32 {
	if then == "" {
		return feature(hash(first))
	}
	return feature(pair(hash(first), hash(then)))
}

func pair(first, then uint64) uint64 { return first*0x9fb21c651e98df25 + then }

// Mark is the bit by which a feature of this package is known from those of package model.
const Mark = 1 << 31

// feature brings a hash to a feature's size.
func feature(h uint64) uint32 {
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return uint32(h^h>>32) | Mark
}
