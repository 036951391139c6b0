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

// denial tells whether words, folded, are how people say of themselves who they are not, up to the name. German is not
// among them: its nouns are written like names.
func denial(words string) bool {
	switch words {
	case "im not", "i am not", "my name is not", "my name isnt",
		"no soy", "yo no soy", "no me llamo",
		"je ne suis pas", "je suis pas", "je ne m appelle pas",
		"nao sou", "nao sou a", "nao sou o", "eu nao sou", "eu nao sou a", "eu nao sou o",
		"non sono", "io non sono", "non mi chiamo",
		"ik ben niet", "ik heet niet", "nie jestem":
		return true
	}
	return false
}

// mayDeny finds what every denial holds: what has none of it is not looked at further.
func mayDeny(folded []byte) bool {
	for _, word := range [...]string{"not ", "isnt ", "no ", "pas ", "nao ", "non ", "niet ", "nie "} {
		if bytes.Contains(folded, []byte(word)) {
			return true
		}
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
// nothing more. A name is one or two words that are written like one and that nothing here knows.
func (s *Stage) deniesName(in intent.Reading, folded []byte, text string) bool {
	if in.OptOut == intent.OptOutClear || len(folded) > longestDenial || !mayDeny(folded) {
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
		if !denial(fold.String(strings.Join(before, " "))) {
			continue
		}
		if first, _ := utf8.DecodeRuneInString(before[len(before)-1]); unicode.IsUpper(first) {
			return false // who writes every word so writes names like others
		}
		return s.names(name)
	}
	return false
}

// names tells whether words can only be a person's name.
func (s *Stage) names(words []string) bool {
	for _, word := range words {
		letters := []rune(strings.Trim(word, ".,!"))
		if len(letters) < 2 || !unicode.IsUpper(letters[0]) || !unicode.IsLower(letters[1]) {
			return false
		}
		for _, r := range letters {
			if !unicode.IsLetter(r) && r != '-' && r != '\'' && r != '’' {
				return false
			}
		}
		folded := fold.String(string(letters))
		if s.keywords.Find([]byte(folded), handoffv1.Channel_CHANNEL_SMS).Keyword != "" || !s.classifier.Read(string(letters), "").Unsure {
			return false
		}
	}
	return true
}
