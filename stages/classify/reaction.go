package classify

import (
	"strings"

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

// reactionIn returns the reaction that a message is, whole; ok is false for every other message.
func reactionIn(text string) (r reaction, ok bool) {
	text = strings.TrimSpace(text)
	if text == "" || !strings.Contains("LDREQ👍", text[:1]) {
		return reaction{}, false // as nearly every message is: one of these begins with one of those letters, or with an emoji
	}
	for _, tap := range [...]struct {
		words string
		kind  answer.Kind
	}{
		{"Liked ", answer.Yes}, {"Disliked ", answer.No}, {"Reacted 👍 to ", answer.Yes}, {"Reacted 👎 to ", answer.No},
		{"👍 to ", answer.Yes}, {"👎 to ", answer.No}, {"Loved ", answer.None}, {"Laughed at ", answer.None},
		{"Emphasized ", answer.None}, {"Emphasised ", answer.None}, {"Questioned ", answer.None},
		{"Removed a like from ", answer.None}, {"Removed a dislike from ", answer.None}, {"Removed a heart from ", answer.None},
		{"Removed a laugh from ", answer.None}, {"Removed an exclamation from ", answer.None}, {"Removed a question mark from ", answer.None},
	} {
		rest, found := strings.CutPrefix(text, tap.words)
		if !found {
			continue
		}
		if quoted, whole := unquote(strings.TrimSpace(rest)); whole {
			return reaction{kind: tap.kind, to: quoted}, true
		}
	}
	return reaction{}, false
}

// unquote takes the quotation marks off a text that stands in a pair of them.
func unquote(text string) (inside string, ok bool) {
	for _, pair := range [...][2]string{{"“", "”"}, {`"`, `"`}, {"«", "»"}, {"„", "“"}} {
		if after, opened := strings.CutPrefix(text, pair[0]); opened {
			return strings.CutSuffix(after, pair[1])
		}
	}
	return "", false
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
