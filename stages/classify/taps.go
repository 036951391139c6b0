package classify

import (
	_ "embed"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/schemas/tsv"
	"github.com/handoff-dev/handoff/stages/classify/answer"
	"github.com/handoff-dev/handoff/stages/classify/fold"
)

//go:embed reactions.tsv
var shippedReactions string

const (
	// place stands for the quoted message in a form, sign for the emoji, inPlace and inSign when it is folded.
	place, sign     = "…", "#"
	inPlace, inSign = "\n…\n", " reactionsign "
)

// taps are the words of reactions in other languages than English, as reactions.tsv has them.
type taps struct {
	// forms by their folded words.
	forms map[string]form
	// things are whole messages about what cannot be quoted, lastWords what they end with.
	things    map[string]form
	lastWords map[string]bool
}

// form is what a reaction's words say.
type form struct {
	kind answer.Kind
	// bySign: the emoji in them says which answer it is.
	bySign bool
}

func parseTaps(table string) (*taps, error) {
	t := &taps{forms: map[string]form{}, things: map[string]form{}, lastWords: map[string]bool{}}
	of := map[string][]string{} // forms by language, for the things
	for line, columns := range tsv.Rows(table) {
		if len(columns) != 3 {
			return nil, fmt.Errorf("reactions line %d: %d columns, want kind, language, forms", line, len(columns))
		}
		forms := strings.Split(columns[2], "|")
		if columns[0] == "thing" {
			t.about(of[columns[1]], forms)
			continue
		}
		f, ok := map[string]form{"like": {kind: answer.Yes}, "dislike": {kind: answer.No}, "tap": {}, "sign": {bySign: true}}[columns[0]]
		if !ok {
			return nil, fmt.Errorf("reactions line %d: unknown kind %q", line, columns[0])
		}
		for _, text := range forms {
			before, after, found := strings.Cut(text, place)
			key := t.key(before, after)
			if !found || f.bySign != strings.Contains(text, sign) && columns[0] != "tap" || key == inPlace {
				return nil, fmt.Errorf("reactions line %d: %q needs %s with words beside it, and %s where an emoji says which answer it is", line, text, place, sign)
			}
			t.forms[key] = f
		}
		of[columns[1]] = append(of[columns[1]], forms...)
	}
	return t, nil
}

// about adds what the forms of a language say of things that cannot be quoted.
func (t *taps) about(forms, things []string) {
	for _, text := range forms {
		before, after, _ := strings.Cut(text, place)
		if strings.Contains(text, sign) || after != "" {
			continue
		}
		for _, thing := range things {
			t.things[fold.String(before+thing)] = t.forms[t.key(before, after)]
			t.lastWords[lastWord(thing)] = true
		}
	}
}

// key is a form as it is looked for.
func (*taps) key(before, after string) string {
	return fold.String(strings.ReplaceAll(before, sign, inSign)) + inPlace + fold.String(strings.ReplaceAll(after, sign, inSign))
}

// translated returns the reaction of a phone that is set to another language.
func (t *taps) translated(text string) (reaction, bool) {
	if mayQuote(text) {
		for _, q := range [...][2]string{{"“", "”"}, {`"`, `"`}, {"«", "»"}, {"„", "“"}, {"„", "”"}, {"「", "」"}, {"‘", "’"}} {
			if r, ok := t.quoting(text, q[0], q[1]); ok {
				return r, true
			}
		}
	}
	if t.lastWords[lastWord(text)] {
		f, ok := t.things[fold.String(text)]
		return reaction{kind: f.kind}, ok
	}
	return reaction{}, false
}

// lastWord is what stands behind the last space or apostrophe, which phones write as ’.
func lastWord(text string) string {
	at := strings.LastIndexAny(text, " '’")
	if at < 0 {
		return text
	}
	_, width := utf8.DecodeRuneInString(text[at:])
	return text[at+width:]
}

// quoting returns the reaction that quotes a message between these marks. A form can hold quoted words itself.
func (t *taps) quoting(text, open, closing string) (reaction, bool) {
	for from := strings.Index(text, open); from >= 0; {
		quoted := from + len(open)
		for to := strings.LastIndex(text, closing); to >= quoted; to = strings.LastIndex(text[:to], closing) {
			before, sign := signed(text[:from])
			after, sign2 := signed(text[to+len(closing):])
			if f, ok := t.forms[fold.String(before)+inPlace+fold.String(after)]; ok {
				r := reaction{kind: f.kind, to: text[quoted:to]}
				if f.bySign {
					r.kind, _ = emoji(sign + sign2)
				}
				return r, true
			}
			if len(text)-to > longestForm {
				break
			}
		}
		next := strings.Index(text[quoted:], open)
		if next < 0 || quoted+next > longestForm {
			return reaction{}, false
		}
		from = quoted + next
	}
	return reaction{}, false
}

// longestForm is how many bytes may stand before a quoted message, and behind it.
const longestForm = 96

// signed parts an emoji from the words around it.
func signed(words string) (marked, sign string) {
	if len(words) > longestForm {
		return words, ""
	}
	var b strings.Builder
	for _, r := range words {
		switch {
		case unicode.Is(unicode.So, r) || unicode.Is(unicode.Sk, r) && r > unicode.MaxLatin1 || r == '‼' || r == '⁉':
			if sign == "" {
				b.WriteString(inSign)
			}
			sign += string(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String(), sign
}
