package classify

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/stages/classify/answer"
	"github.com/handoff-dev/handoff/stages/classify/fold"
	"github.com/handoff-dev/handoff/stages/classify/intent"
)

// reaction is what a phone writes where it cannot show a tap on a message: "Liked “…”" (W11).
type reaction struct {
	// kind: Yes for a like, No for a dislike, None for the rest.
	kind answer.Kind
	// to is what was tapped on, as quoted.
	to string
}

// in returns the reaction that a message is, whole; ok is false for every other message.
func (t *taps) in(text string) (r reaction, ok bool) {
	text = strings.TrimFunc(text, blank)
	if r, ok := english(text); ok {
		return r, true
	}
	return t.translated(text)
}

// mayQuote finds what every quotation mark has: most messages quote nothing, and need not be looked through for each.
func mayQuote(text string) bool {
	for i := range len(text) {
		if text[i] == '"' || text[i] >= utf8.RuneSelf {
			return true
		}
	}
	return false
}

// english returns the reaction of a phone that is set to English.
func english(text string) (r reaction, ok bool) {
	words, to, ok := reactedTo(text)
	if !ok {
		return reaction{}, false
	}
	words = strings.TrimFunc(words, blank)
	switch words {
	case "Liked":
		return reaction{kind: answer.Yes, to: to}, true
	case "Disliked":
		return reaction{kind: answer.No, to: to}, true
	case "Loved", "Laughed at", "Emphasized", "Emphasised", "Questioned",
		"Removed a like from", "Removed a dislike from", "Removed a heart from", "Removed a laugh from",
		"Removed an exclamation from", "Removed a question mark from":
		return reaction{to: to}, true
	}
	if sign, is := strings.CutSuffix(words, " to"); is { // "Reacted 😂 to", and "👍 to" of other phones
		sign, _ = strings.CutPrefix(sign, "Reacted ")
		kind, only := emoji(sign)
		return reaction{kind: kind, to: to}, only
	}
	if sign, is := strings.CutSuffix(words, " from"); is {
		sign, is = strings.CutPrefix(sign, "Removed ")
		_, only := emoji(sign)
		return reaction{to: to}, is && only
	}
	return reaction{}, false
}

// reactedTo parts a reaction's words from what was tapped on: a text in quotation marks, or what cannot be quoted.
func reactedTo(text string) (words, to string, ok bool) {
	if mayQuote(text) {
		for _, pair := range [...][2]string{{"“", "”"}, {`"`, `"`}, {"«", "»"}, {"„", "“"}} {
			if before, closed := strings.CutSuffix(text, pair[1]); closed {
				return strings.Cut(before, pair[0])
			}
		}
	}
	for _, unquoted := range [...]string{" an image", " a photo", " a movie", " a video", " an audio message", " a sticker", " an attachment"} {
		if words, ok := strings.CutSuffix(text, unquoted); ok {
			return words, "", true
		}
	}
	return "", "", false
}

// emoji tells whether a text is one emoji, or several, and which answer it is.
func emoji(text string) (kind answer.Kind, ok bool) {
	for _, r := range text {
		switch {
		case r == '👍':
			kind = answer.Yes
		case r == '👎':
			kind = answer.No
		case blank(r), unicode.Is(unicode.Sk, r), r == '\uFE0F': // spaces; tones of skin; shown as a picture
			continue
		case !unicode.IsSymbol(r) && !unicode.IsPunct(r): // "‼" is punctuation
			return answer.None, false
		}
		ok = true
	}
	return kind, ok
}

// blank tells whether nothing shows of a rune: spaces, those without a width too, which phones put around what they
// quote.
func blank(r rune) bool {
	return unicode.IsSpace(r) || r >= utf8.RuneSelf && unicode.Is(unicode.Cf, r) // none of ASCII is invisible
}

// quotes tells whether the reaction is to a text: whole, cut short as phones do with long ones, or with
// more behind it (H15).
func (r reaction) quotes(text string) bool {
	quoted, whole := fold.String(strings.TrimRight(r.to, "…. ")), fold.String(text)
	return quoted != "" && (strings.HasPrefix(whole, quoted) || strings.HasPrefix(quoted, whole))
}

// readReaction reads a reaction into r: to the offer it can be the answer, else it asks for nothing and is
// kept like thanks (W11).
func (s *Stage) readReaction(r *reading, tap reaction, offer, language string) {
	r.tap, r.answer = true, answer.Answer{Thanks: true}
	r.out.Classifier, r.out.Language, r.out.Intent, r.out.Confidence = s.classifier.Name(), language, intent.Other, 1
	r.out.Matched, r.out.Reaction = "reaction", true
	if tap.quotes(offer) {
		r.answer.Kind = tap.kind
	}
}
