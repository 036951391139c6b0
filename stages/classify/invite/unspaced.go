package invite

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/stages/classify/fold"
)

// unspacedLanguages do not write words apart.
var unspacedLanguages = map[string]bool{"ja": true, "zh": true}

// unspaced are words that are found anywhere in a sentence.
type unspaced struct {
	verbs, between []string
	purposes       map[handoffv1.Directive][]string
}

// add takes a row of invite.tsv; it tells whether its kind is known.
func (u *unspaced) add(kind string, words []string) bool {
	switch kind {
	case "verb":
		u.verbs = append(u.verbs, words...)
	case "between":
		u.between = append(u.between, words...)
	default:
		family := handoffv1.Directive(handoffv1.Directive_value["DIRECTIVE_"+strings.ToUpper(kind)])
		if family == handoffv1.Directive_DIRECTIVE_UNSPECIFIED {
			return false
		}
		if u.purposes == nil {
			u.purposes = map[handoffv1.Directive][]string{}
		}
		u.purposes[family] = append(u.purposes[family], words...)
	}
	return true
}

var (
	// quotedWord is what stands in quotation marks.
	quotedWord = regexp.MustCompile(`[「『"“‘《【]([^「『"“‘《【」』"”’》】]{1,30})[」』"”’》】]`)
	// latinWord is a keyword in Latin capitals between other letters.
	latinWord = regexp.MustCompile(`[A-Z]{2,}`)
)

// findUnspaced finds an invitation in a sentence of a language that does not write words apart: a keyword that
// is quoted, in Latin capitals, or at once before or behind what asks for the answer, in a sentence that says
// nothing of what the keyword does.
func (f *Finder) findUnspaced(text string) (Invitation, bool) {
	for _, s := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("。！？!?\n", r) }) {
		if !strings.ContainsFunc(s, ideographic) || !containsAny(s, f.unspaced.verbs) {
			continue
		}
		for _, at := range f.candidates(s) {
			candidate := s[at[0]:at[1]]
			m := f.keywords.Find([]byte(fold.String(candidate)), handoffv1.Channel_CHANNEL_SMS)
			if m.Directive == handoffv1.Directive_DIRECTIVE_UNSPECIFIED {
				continue
			}
			rest := s[:at[0]] + "\n" + s[at[1]:]
			for _, w := range f.unspaced.between {
				rest = strings.ReplaceAll(rest, w, "\n")
			}
			if !containsAny(rest, f.unspaced.purposes[m.Directive]) {
				return Invitation{Keyword: candidate, Family: m.Directive}, true
			}
		}
	}
	return Invitation{}, false
}

// candidates are the places of words that may be meant as the answer.
func (f *Finder) candidates(s string) (all [][2]int) {
	for _, at := range quotedWord.FindAllStringSubmatchIndex(s, -1) {
		all = append(all, [2]int{at[2], at[3]})
	}
	for _, at := range latinWord.FindAllStringIndex(s, -1) {
		all = append(all, [2]int{at[0], at[1]})
	}
	for _, verb := range f.unspaced.verbs {
		for from := 0; ; {
			i := strings.Index(s[from:], verb)
			if i < 0 {
				break
			}
			at := from + i
			from = at + len(verb)
			all = append(all, behind(s, from)...)
			all = append(all, before(s, at)...)
		}
	}
	return all
}

// longestKeyword bounds how far a word beside the verb is looked for, in characters.
const longestKeyword = 6

// behind are the words that follow a verb at once and end there: "回复取消，…", "回复取消即可…".
func behind(s string, from int) (all [][2]int) {
	for n, at := 0, from; n < longestKeyword && at < len(s); n++ {
		r, size := utf8.DecodeRuneInString(s[at:])
		if !unicode.IsLetter(r) {
			break
		}
		at += size
		if next, _ := utf8.DecodeRuneInString(s[at:]); at == len(s) || !unicode.IsLetter(next) || strings.ContainsRune("以即可来來并並", next) {
			all = append(all, [2]int{from, at})
		}
	}
	return all
}

// before are the words that end at "と" before a verb and begin there: "…にはキャンセルと返信".
func before(s string, verb int) (all [][2]int) {
	head, ok := strings.CutSuffix(strings.TrimSuffix(s[:verb], "ご"), "と")
	for n, at := 0, len(head); ok && n < longestKeyword && at > 0; n++ {
		r, size := utf8.DecodeLastRuneInString(head[:at])
		if !unicode.IsLetter(r) || unicode.Is(unicode.Hiragana, r) {
			break
		}
		at -= size
		if last, _ := utf8.DecodeLastRuneInString(head[:at]); at == 0 || !unicode.IsLetter(last) || unicode.Is(unicode.Hiragana, last) {
			all = append(all, [2]int{at, len(head)})
		}
	}
	return all
}

// ideographic tells a character of Chinese or Japanese.
func ideographic(r rune) bool { return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) }

func containsAny(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}
