package classify

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/stages/classify/fold"
)

// TestThanksByNameOnlyWhereKnown: a message that goes on beyond the phrases which it begins with is no thanks by name, so
// that it need not be looked at.
func TestThanksByNameOnlyWhereKnown(t *testing.T) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	check := func(t interface{ Errorf(string, ...any) }, text string) bool {
		folded := fold.Append(nil, text)
		whole := s.thanksByName(folded, text, len(folded))
		if got := s.thanksByName(folded, text, s.answers.Find(folded).Known); got != whole {
			t.Errorf("%q is thanks by name: %v, looked at whole: %v", text, got, whole)
		}
		return whole
	}
	for _, text := range []string{"thanks kim", "thanks so much anna 😀", "merci, kim"} {
		if !check(t, text) {
			t.Errorf("%q is no thanks by name", text)
		}
	}
	word := rapid.SampledFrom([]string{
		"thanks", "thank you", "thx", "thank", "you", "so much", "for", "your", "help", "all", "of", "and", "yes", "no", "ok", "hi", "merci",
		"danke", "schön", "pour", "gracias", "por", "todo", "stop", "sir", "kim", "Lars", "anna", "😀", "!", ",", ".", "\n", "wait",
	})
	rapid.Check(t, func(t *rapid.T) {
		check(t, strings.Join(rapid.SliceOfN(word, 1, 7).Draw(t, "words"), " "))
	})
}
