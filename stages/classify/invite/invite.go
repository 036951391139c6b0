// Package invite finds texts that ask for a STOP, START or HELP keyword as the answer to something else:
// "Reply CANCEL to cancel your order" unsubscribes whoever does as told (R3). "Reply STOP to opt out" asks
// for what it does and is no such text.
//
// It reads all languages that the classifier knows. The words are data, in invite.tsv; the keywords are those
// of package keyword.
package invite

import (
	_ "embed"
	"fmt"
	"strings"
	"unicode"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/tsv"
	"github.com/handoff-dev/handoff/stages/classify/fold"
	"github.com/handoff-dev/handoff/stages/classify/keyword"
)

//go:embed invite.tsv
var shipped string

// Finder finds invitations. It never changes and may be shared.
type Finder struct {
	keywords *keyword.Table
	// verbs stand before the keyword, after behind it.
	verbs, after, between map[string]bool
	purposes              map[handoffv1.Directive]map[string]bool
	// unspaced are the words of languages that do not write them apart.
	unspaced unspaced
}

// New returns a finder with the words that ship.
func New() (*Finder, error) {
	table, err := keyword.Shipped()
	if err != nil {
		return nil, err
	}
	f := &Finder{
		keywords: table, verbs: map[string]bool{}, after: map[string]bool{}, between: map[string]bool{},
		purposes: map[handoffv1.Directive]map[string]bool{
			handoffv1.Directive_DIRECTIVE_STOP: {}, handoffv1.Directive_DIRECTIVE_START: {}, handoffv1.Directive_DIRECTIVE_HELP: {},
		},
	}
	for line, columns := range tsv.Rows(shipped) {
		if len(columns) != 3 {
			return nil, fmt.Errorf("invite.tsv line %d: %d columns, want 3", line, len(columns))
		}
		if unspacedLanguages[columns[1]] {
			if !f.unspaced.add(columns[0], strings.Fields(columns[2])) {
				return nil, fmt.Errorf("invite.tsv line %d: %q is not known", line, columns[0])
			}
			continue
		}
		into := map[string]map[string]bool{"verb": f.verbs, "after": f.after, "between": f.between}[columns[0]]
		if into == nil {
			into = f.purposes[handoffv1.Directive(handoffv1.Directive_value["DIRECTIVE_"+strings.ToUpper(columns[0])])]
		}
		if into == nil {
			return nil, fmt.Errorf("invite.tsv line %d: %q is not known", line, columns[0])
		}
		for _, word := range strings.Fields(columns[2]) {
			into[strings.ReplaceAll(word, "-", " ")] = true
		}
	}
	return f, nil
}

// Invitation is a keyword that a text asks for.
type Invitation struct {
	// Keyword as the text writes it, and its family.
	Keyword string
	Family  handoffv1.Directive
}

// word of a text.
type word struct {
	written, folded string
	// quoted tells that a quotation mark stands before it.
	quoted bool
	ends   bool // a comma, a bracket or the like follows
}

// Find returns the first keyword that a text invites as an answer to something else; ok is false for a
// text that invites none.
func (f *Finder) Find(text string) (Invitation, bool) {
	for _, sentence := range sentences(text) {
		verb := -1
		for i := 0; i < len(sentence); i++ {
			found, length := f.keyword(sentence, i)
			if found != handoffv1.Directive_DIRECTIVE_UNSPECIFIED && f.asked(sentence, verb, i, length) && !f.rightly(found, sentence, verb, i, length) {
				return Invitation{Keyword: written(sentence[i : i+length]), Family: found}, true
			}
			if found != handoffv1.Directive_DIRECTIVE_UNSPECIFIED && f.askedBehind(sentence, i, length) &&
				!says(f.purposes[found], sentence[:i]) && !says(f.purposes[found], sentence[i+length:]) {
				return Invitation{Keyword: written(sentence[i : i+length]), Family: found}, true
			}
			if f.verbs[sentence[i].folded] {
				verb = i
			}
		}
	}
	return f.findUnspaced(text)
}

// askedBehind tells whether a verb that asks for an answer follows a keyword, in a language that puts it there.
func (f *Finder) askedBehind(s []word, at, length int) bool {
	for _, w := range s[at+length:] {
		if f.after[w.folded] {
			return true
		}
		if !f.between[w.folded] {
			return false
		}
	}
	return false
}

// keyword returns the family of the keyword that begins at a word, and how many words it has.
func (f *Finder) keyword(s []word, at int) (handoffv1.Directive, int) {
	for length := min(2, len(s)-at); length > 0; length-- {
		folded := make([]string, length)
		for i := range length {
			folded[i] = s[at+i].folded
		}
		if m := f.keywords.Find([]byte(strings.Join(folded, " ")), handoffv1.Channel_CHANNEL_SMS); m.Directive != handoffv1.Directive_DIRECTIVE_UNSPECIFIED {
			return m.Directive, length
		}
	}
	return handoffv1.Directive_DIRECTIVE_UNSPECIFIED, 0
}

// asked tells whether a keyword is asked for: it stands out, in capitals or quoted, behind a verb in the
// same sentence, or follows the verb at once and ends what is asked for.
func (f *Finder) asked(s []word, verb, at, length int) bool {
	if verb < 0 {
		return false
	}
	if s[at].quoted || capitals(s[at].written) {
		return true
	}
	for _, w := range s[verb+1 : at] {
		if !f.between[w.folded] {
			return false
		}
	}
	last := at + length - 1
	return s[last].ends || last+1 == len(s) || leads[s[last+1].folded]
}

// leads are words that begin what an answer is for.
var leads = map[string]bool{
	"to": true, "for": true, "if": true, "and": true, "or": true, "para": true, "si": true, "pour": true, "um": true, "fur": true, "wenn": true,
	"se": true, "per": true, "om": true, "voor": true, "als": true, "aby": true, "zeby": true, "jesli": true,
}

// rightly tells that a keyword is asked for what it does: its clause, or what stands before the verb, says
// so.
func (f *Finder) rightly(family handoffv1.Directive, s []word, verb, at, length int) bool {
	purposes := f.purposes[family]
	end := at + length
	for end < len(s) && (!s[end-1].ends || end == at+length && leads[s[end].folded]) { // "STOP, um dich abzumelden"
		end++
	}
	return says(purposes, s[at+length:end]) || says(purposes, s[:verb])
}

func says(purposes map[string]bool, s []word) bool {
	for i, w := range s {
		if purposes[w.folded] || i+1 < len(s) && purposes[w.folded+" "+s[i+1].folded] {
			return true
		}
	}
	return false
}

// capitals tells whether a word of three letters or more has no small one.
func capitals(w string) bool {
	return len([]rune(w)) >= 3 && strings.ToUpper(w) == w && strings.ToLower(w) != w
}

func written(s []word) string {
	words := make([]string, len(s))
	for i, w := range s {
		words[i] = w.written
	}
	return strings.Join(words, " ")
}

// sentences splits a text into sentences of words.
func sentences(text string) [][]word {
	var all [][]word
	var s []word
	quoted := false
	letters := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '\'' || r == '’' }
	for len(text) > 0 {
		end := strings.IndexFunc(text, func(r rune) bool { return !letters(r) })
		if end < 0 {
			end = len(text)
		}
		if end > 0 {
			s = append(s, word{written: text[:end], folded: fold.String(text[:end]), quoted: quoted})
		}
		text = text[end:]
		gap := strings.IndexFunc(text, letters)
		if gap < 0 {
			gap = len(text)
		}
		between := text[:gap]
		text = text[gap:]
		quoted = strings.ContainsAny(between, `"“”„«»‘`)
		if len(s) == 0 {
			continue
		}
		last := &s[len(s)-1]
		last.ends = strings.ContainsAny(between, ",;:()[]—/") || strings.Contains(between, " - ")
		if strings.ContainsAny(between, ".!?\n。！？") && (len(text) == 0 || strings.ContainsAny(between, " \n!?。！？")) {
			last.ends = true
			all, s = append(all, s), nil
		}
	}
	if len(s) > 0 {
		all = append(all, s)
	}
	return all
}
