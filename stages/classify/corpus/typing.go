package corpus

import (
	"math/rand/v2"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// typed makes of a sentence what people type: with a word before and after it, without capitals or
// accents, shouted, shortened, with slips of the finger.
func (g *grammar) typed(text string, p pattern, r *rand.Rand) string {
	bare := p.label == "greeting" || p.label == "thanks" // what goes around those would be more of them
	if pre := g.slots["pre"]; len(pre) > 0 && !bare && r.IntN(5) == 0 {
		text = join(pre[r.IntN(len(pre))], text, g.language)
	}
	if post := g.slots["post"]; len(post) > 0 && !bare && r.IntN(4) == 0 {
		text = join(text, post[r.IntN(len(post))], g.language)
	} else if r.IntN(3) == 0 && g.language != "ja" && g.language != "zh" {
		text += []string{".", "!", "?", "..", "!!"}[r.IntN(5)]
	}
	if g.language == "en" && r.IntN(6) == 0 {
		text = shorten(text)
	}
	if r.IntN(4) == 0 {
		text = withoutAccents(text)
	}
	switch r.IntN(12) {
	case 0, 1, 2:
		text = strings.ToLower(text)
	case 3, 4, 5:
		if first, size := utf8.DecodeRuneInString(text); size > 0 {
			text = string(unicode.ToUpper(first)) + text[size:]
		}
	case 6:
		if r.IntN(3) == 0 {
			text = strings.ToUpper(text)
		}
	}
	if r.IntN(7) == 0 {
		text = slip(text, r)
	}
	return text
}

// join puts two parts together, with a space where the language has them.
func join(a, b, language string) string {
	if language == "ja" || language == "zh" {
		return a + b
	}
	return a + " " + b
}

// shorten writes English words as phones made people write them.
func shorten(text string) string {
	words := strings.Fields(text)
	for i, w := range words {
		switch strings.ToLower(w) {
		case "you":
			words[i] = "u"
		case "your":
			words[i] = "ur"
		case "are":
			words[i] = "r"
		case "please":
			words[i] = "pls"
		case "to":
			words[i] = "2"
		case "want":
			words[i] = "wanna"
		case "what":
			words[i] = "wat"
		case "my":
			words[i] = "mah"
		case "because":
			words[i] = "cuz"
		case "thanks":
			words[i] = "thx"
		}
	}
	return strings.ReplaceAll(strings.Join(words, " "), "'", "")
}

// withoutAccents drops the accents of Latin letters.
func withoutAccents(text string) string {
	var out strings.Builder
	for _, c := range norm.NFD.String(text) {
		if c < 0x0300 || c > 0x036f {
			out.WriteRune(c)
		}
	}
	return norm.NFC.String(strings.NewReplacer("ł", "l", "ı", "i", "ß", "ss").Replace(out.String()))
}

// slip makes one typing error in a word of Latin letters: two swapped, one left out, one doubled, or
// one wrong.
func slip(text string, r *rand.Rand) string {
	letters := []rune(text)
	for range 8 {
		i := 1 + r.IntN(max(len(letters)-2, 1))
		if i+1 >= len(letters) || !latin(letters[i]) || !latin(letters[i-1]) || !latin(letters[i+1]) {
			continue
		}
		switch r.IntN(4) {
		case 0:
			letters[i], letters[i+1] = letters[i+1], letters[i]
		case 1:
			letters = append(letters[:i], letters[i+1:]...)
		case 2:
			letters = append(letters[:i+1], letters[i:]...)
		default:
			letters[i] = rune('a' + r.IntN(26))
		}
		break
	}
	return string(letters)
}

func latin(c rune) bool { return unicode.Is(unicode.Latin, c) }
