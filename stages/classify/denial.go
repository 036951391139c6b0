package classify

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/stages/classify/fold"
	"github.com/handoff-dev/handoff/stages/classify/intent"
)

// deniedName explains a wrong number that deniesName found.
const deniedName = "rule wrong number: denies a name"

// longestDenial is the folded text that is looked at for one.
const longestDenial = 64

// denial tells whether words, folded, are how people say of themselves who they are not, up to the name; and whether
// what follows can only be a name. German is not among them: its nouns are written like names.
func denial(words string) (is, named bool) {
	switch words {
	case "my name is not", "my name isnt", "no me llamo", "je ne m appelle pas", "non mi chiamo", "ik heet niet":
		return true, true
	case "im not", "i am not",
		"no soy", "yo no soy",
		"je ne suis pas", "je suis pas",
		"nao sou", "nao sou a", "nao sou o", "eu nao sou", "eu nao sou a", "eu nao sou o",
		"non sono", "io non sono",
		"ik ben niet", "nie jestem":
		return true, false
	}
	return false, false
}

// unspacedDenials are how people say who they are not where no spaces part words: what stands before the name, and what
// behind it.
func unspacedDenials() [][2]string {
	return [][2]string{
		{"我不是", ""}, {"我并不是", ""}, {"我並不是", ""}, {"我不叫", ""},
		{"", "ではありません"}, {"", "ではないです"}, {"", "じゃありません"}, {"", "じゃないです"},
	}
}

// deniesUnspaced tells whether a folded message in a script without spaces denies a given name and says nothing more.
// Nothing there shows that a word is a name but the list of them.
func (s *Stage) deniesUnspaced(folded string) bool {
	folded = strings.TrimPrefix(folded, "私は")
	for _, denial := range unspacedDenials() {
		name, before := strings.CutPrefix(folded, denial[0])
		name, behind := strings.CutSuffix(name, denial[1])
		if before && behind && s.given[name] {
			return true
		}
	}
	return false
}

// mayDeny finds what every denial holds where spaces part words: what has none of it is not looked at further.
func mayDeny(folded []byte) bool {
	for i, c := range folded {
		if c == ' ' && i > 0 && denies(folded[:i]) {
			return true
		}
	}
	return false
}

// denies tells whether a text ends as a word of a denial does.
func denies(text []byte) bool {
	ends := func(word string) bool {
		return len(text) >= len(word) && string(text[len(text)-len(word):]) == word
	}
	switch text[len(text)-1] {
	case 't':
		return ends("not") || ends("isnt") || ends("niet")
	case 'o':
		return ends("no") || ends("nao")
	case 's':
		return ends("pas")
	case 'n':
		return ends("non")
	case 'e':
		return ends("nie")
	}
	return false
}

// greets tells a word that may stand before a denial or behind the name.
func greets(word string) bool {
	switch word {
	case "hi", "hey", "hello", "hola", "bonjour", "ola", "ciao", "sorry", "perdon", "desole", "desculpe", "scusi", "anymore":
		return true
	}
	return false
}

// deniesName tells whether a message says that its writer is somebody else than a name ("I'm not Anna", C15), and
// nothing more. A name is one or two words that are written like one: the first a given name ("I'm not Ready" denies
// none), or both such that nothing here knows them where only a name can stand.
func (s *Stage) deniesName(in intent.Reading, folded []byte, text string) bool {
	if in.OptOut == intent.OptOutClear || len(folded) > longestDenial {
		return false
	}
	if first, _ := utf8.DecodeRune(folded); fold.Unspaced(first) {
		return s.deniesUnspaced(string(folded))
	}
	if !mayDeny(folded) {
		return false
	}
	words := strings.Fields(text)
	for len(words) > 1 && greets(fold.String(words[0])) {
		words = words[1:]
	}
	for len(words) > 1 && greets(fold.String(words[len(words)-1])) {
		words = words[:len(words)-1]
	}
	for n := 1; n <= 2 && n < len(words); n++ {
		before, name := words[:len(words)-n], words[len(words)-n:]
		is, named := denial(fold.String(strings.Join(before, " ")))
		if !is {
			continue
		}
		if first, _ := utf8.DecodeRuneInString(before[len(before)-1]); unicode.IsUpper(first) {
			return false // who writes every word so writes names like others
		}
		return written(name) && (s.given[fold.String(trimmed(name[0]))] || named && s.unknown(name...))
	}
	return false
}

// asksForName tells whether a message of a few words asks whether somebody else is written to ("is this not Anna?"): it
// says of nobody who they are not.
func asksForName(folded []byte) bool {
	if bytes.Count(folded, []byte{' '}) > 3 {
		return false
	}
	for _, asks := range []string{"is this not ", "isnt this ", "is that not ", "isnt that ", "arent you ", "are you not "} {
		if bytes.HasPrefix(folded, []byte(asks)) {
			return true
		}
	}
	return false
}

// trimmed is a word without what stands around it.
func trimmed(word string) string { return strings.Trim(word, ".,!") }

// written tells whether words are written as names are.
func written(words []string) bool {
	for _, word := range words {
		word = trimmed(word)
		if !capitalized(word) || strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && !strings.ContainsRune("-'’", r) }) {
			return false
		}
	}
	return true
}

// unknown tells whether words are no keywords, and nothing that the classifier knows.
func (s *Stage) unknown(words ...string) bool {
	for _, word := range words {
		word = trimmed(word)
		if s.keywords.Find([]byte(fold.String(word)), handoffv1.Channel_CHANNEL_SMS).Keyword != "" || !s.classifier.Read(word, "").Unsure {
			return false
		}
	}
	return true
}
