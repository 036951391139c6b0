// Package keyword finds the words that change or ask about consent: the STOP, START and HELP families
// of behaviour C1. A keyword is a whole message after folding, without spaces, punctuation and emoji, an
// English one said several times as well; nothing is looked for inside a longer text. The words are data, in
// keywords.tsv, each with the source that says it counts.
package keyword

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/tsv"
	"github.com/handoff-dev/handoff/stages/classify/fold"
)

//go:embed keywords.tsv
var shipped string

// Match is a keyword that a message was.
type Match struct {
	// Directive of its family; DIRECTIVE_UNSPECIFIED for no match.
	Directive handoffv1.Directive
	// Keyword as the table writes it.
	Keyword string
	// Language of the word; "" where several share it.
	Language string
}

// entry is one keyword of the table.
type entry struct {
	match Match
	// phone: only where a phone number is the address.
	phone bool
}

// Table holds the keywords. It never changes and may be shared.
type Table struct {
	entries map[string]entry
	// longest keyword in bytes, compact.
	longest int
}

// Shipped returns the table of keywords.tsv.
func Shipped() (*Table, error) { return Parse(shipped) }

// Parse reads a table in the format that keywords.tsv describes. The error names the line.
func Parse(document string) (*Table, error) {
	t := &Table{entries: map[string]entry{}}
	for line, columns := range tsv.Rows(document) {
		if err := t.add(columns); err != nil {
			return nil, fmt.Errorf("keywords line %d: %w", line, err)
		}
	}
	return t, nil
}

func (t *Table) add(columns []string) error {
	if len(columns) != 6 {
		return fmt.Errorf("%d columns, want family, language, where, keyword, source, reviewer", len(columns))
	}
	family, language, where, word, source := columns[0], columns[1], columns[2], columns[3], columns[4]
	directive := handoffv1.Directive(handoffv1.Directive_value["DIRECTIVE_"+strings.ToUpper(family)])
	switch directive {
	case handoffv1.Directive_DIRECTIVE_STOP, handoffv1.Directive_DIRECTIVE_START, handoffv1.Directive_DIRECTIVE_HELP:
	default:
		return fmt.Errorf("unknown family %q", family)
	}
	if where != "all" && where != "phone" {
		return fmt.Errorf("%q is neither all nor phone", where)
	}
	key := string(compact(nil, []byte(fold.String(word))))
	if key == "" || source == "" {
		return fmt.Errorf("keyword or source is empty")
	}
	e := entry{match: Match{Directive: directive, Keyword: word, Language: language}, phone: where == "phone"}
	if old, ok := t.entries[key]; ok {
		if old.match.Directive != directive {
			return fmt.Errorf("%q belongs to two families", word)
		}
		e.match.Keyword, e.match.Language, e.phone = old.match.Keyword, sharedLanguage(old.match.Language, language), e.phone && old.phone
	}
	t.entries[key] = e
	t.longest = max(t.longest, len(key))
	return nil
}

// sharedLanguage of one spelling in two languages: none, but English keeps its own, which others
// borrow.
func sharedLanguage(a, b string) string {
	if a == b || a == "en" {
		return a
	}
	return ""
}

// maxSpread bounds how much longer than the longest keyword a folded message may be: a keyword typed
// with spaces between its letters and emoji around it, not an essay.
const maxSpread = 4

// Find returns the keyword that the message is, whole. folded is the message as fold.Append leaves
// it. On channels where the address is no phone number only STOP, UNSUBSCRIBE, their translations and
// what lifts them count (C1).
func (t *Table) Find(folded []byte, channel handoffv1.Channel) Match {
	if len(folded) == 0 || len(folded) > maxSpread*t.longest {
		return Match{}
	}
	var buf [256]byte
	e, ok := t.entries[string(compact(buf[:0], folded))]
	if word := once(folded); !ok && word != nil {
		e, ok = t.entries[string(word)]
		ok = ok && e.match.Language == "en" // "dur dur" is "wait, wait"
	}
	if !ok || e.phone && !phone(channel) {
		return Match{}
	}
	if e.match.Directive == handoffv1.Directive_DIRECTIVE_START && !inOneGo(folded) && once(folded) == nil {
		return Match{} // "non, arrêt" is no NON ARRÊT
	}
	return e.match
}

// inOneGo tells whether the words of a folded message stand in one clause.
func inOneGo(folded []byte) bool {
	var buf [256]byte
	clauses := 0
	for len(folded) > 0 {
		clause := folded
		if end := bytes.IndexByte(folded, '\n'); end >= 0 {
			clause = folded[:end]
		}
		if len(compact(buf[:0], clause)) > 0 {
			clauses++
		}
		folded = folded[min(len(clause)+1, len(folded)):]
	}
	return clauses <= 1
}

// once is the word that a folded message says again and again ("STOP STOP STOP"); nil where it says another.
func once(folded []byte) []byte {
	end := slices.IndexFunc(folded, func(c byte) bool { return c == ' ' || c == '\n' })
	if end < 0 {
		return nil
	}
	word := folded[:end]
	for rest := folded; ; rest = rest[1:] {
		next, same := bytes.CutPrefix(rest, word)
		switch {
		case !same:
			return nil
		case len(next) == 0:
			return word
		case next[0] != ' ' && next[0] != '\n':
			return nil
		}
		rest = next
	}
}

// phone tells whether a channel's addresses are phone numbers.
func phone(c handoffv1.Channel) bool {
	return c == handoffv1.Channel_CHANNEL_SMS || c == handoffv1.Channel_CHANNEL_WHATSAPP
}

// compact appends the letters and digits of a folded text: dividers and emoji go.
func compact(dst, folded []byte) []byte {
	for len(folded) > 0 {
		if c := folded[0]; c < utf8.RuneSelf {
			if c != ' ' && c != '\n' {
				dst = append(dst, c)
			}
			folded = folded[1:]
			continue
		}
		r, size := utf8.DecodeRune(folded)
		if !emoji(r) {
			dst = utf8.AppendRune(dst, r)
		}
		folded = folded[size:]
	}
	return dst
}

// emoji tells the symbols that fold leaves in from the letters of every script.
func emoji(r rune) bool {
	return r >= 0x2190 && r <= 0x2bff || r >= 0x1f000 && r <= 0x1faff
}
