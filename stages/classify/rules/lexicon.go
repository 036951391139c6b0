package rules

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/stages/classify/fold"
)

//go:embed lexicon.tsv
var shippedLexicon string

// concept is what words of several languages share; an index into lexicon.names.
type concept uint8

// maxConcepts is what a set of concepts holds.
const maxConcepts = 128

// language is an index into lexicon.languages.
type language uint8

// sense is one meaning of a pattern.
type sense struct {
	concept  concept
	language language
}

// lexicon is the parsed table of words. It never changes once parsed.
type lexicon struct {
	names     []string
	languages []string
	// exact holds words, and patterns of scripts without spaces; stems what begins a word; phrases
	// several words, the last of which may be a stem.
	exact, stems, phrases, phraseStems map[string][]sense
	// stemLengths has bit n set when a stem of n bytes exists; phrase lengths are bounded alike.
	stemLengths uint64
	// phraseWords is the most words of a phrase.
	phraseWords int
	// openers are the first words of phrases.
	openers map[string]struct{}
	// unspacedLength is the most bytes of a pattern of a script without spaces.
	unspacedLength int
	typos          typos
}

func parseLexicon(document string) (*lexicon, error) {
	l := &lexicon{
		exact: map[string][]sense{}, stems: map[string][]sense{},
		phrases: map[string][]sense{}, phraseStems: map[string][]sense{},
		openers: map[string]struct{}{}, typos: typos{},
	}
	for n, line := range strings.Split(document, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		columns := strings.Split(line, "\t")
		if len(columns) != 3 {
			return nil, fmt.Errorf("lexicon line %d: %d columns, want concept, language, patterns", n+1, len(columns))
		}
		s, err := l.sense(columns[0], columns[1])
		if err != nil {
			return nil, fmt.Errorf("lexicon line %d: %w", n+1, err)
		}
		for pattern := range strings.SplitSeq(columns[2], "|") {
			if err := l.add(pattern, s); err != nil {
				return nil, fmt.Errorf("lexicon line %d: pattern %q: %w", n+1, pattern, err)
			}
		}
	}
	l.indexTypos()
	return l, nil
}

func (l *lexicon) sense(name, lang string) (sense, error) {
	c := slices.Index(l.names, name)
	if c < 0 {
		if c = len(l.names); c == maxConcepts {
			return sense{}, fmt.Errorf("more than %d concepts", maxConcepts)
		}
		l.names = append(l.names, name)
	}
	i := slices.Index(l.languages, lang)
	if i < 0 {
		if i = len(l.languages); i == maxLanguages {
			return sense{}, fmt.Errorf("more than %d languages", maxLanguages)
		}
		l.languages = append(l.languages, lang)
	}
	return sense{concept: concept(c), language: language(i)}, nil
}

func (l *lexicon) add(pattern string, s sense) error {
	stem := strings.HasSuffix(pattern, "*")
	text := strings.ReplaceAll(fold.String(strings.TrimSuffix(pattern, "*")), "\n", " ")
	if text == "" {
		return fmt.Errorf("is empty when folded")
	}
	first, _, several := strings.Cut(text, " ")
	switch r, _ := utf8.DecodeRuneInString(text); {
	case unspaced(r):
		l.exact[text] = append(l.exact[text], s)
		l.unspacedLength = max(l.unspacedLength, len(text))
		return nil
	case several:
		l.openers[first] = struct{}{}
		l.phraseWords = max(l.phraseWords, strings.Count(text, " ")+1)
		if stem {
			l.phraseStems[text] = append(l.phraseStems[text], s)
		} else {
			l.phrases[text] = append(l.phrases[text], s)
		}
	case stem:
		if len(text) > 63 {
			return fmt.Errorf("is a stem of more than 63 bytes")
		}
		l.stems[text] = append(l.stems[text], s)
		l.stemLengths |= 1 << len(text)
	default:
		l.exact[text] = append(l.exact[text], s)
	}
	return nil
}

// concept returns the concept of a name.
func (l *lexicon) concept(name string) (concept, bool) {
	i := slices.Index(l.names, name)
	return concept(i), i >= 0
}

// unspaced tells scripts that put no spaces between words.
func unspaced(r rune) bool {
	return r >= 0x2e80 && r < 0xac00 || r >= 0xf900 && r <= 0xfaff
}

// Words returns the shipped lexicon, in the format that it describes itself.
func Words() string { return shippedLexicon }
