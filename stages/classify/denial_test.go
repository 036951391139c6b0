package classify

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestMayDeny: it finds the words of denials wherever they stand before a space, and nothing else.
func TestMayDeny(t *testing.T) {
	words := []string{"not", "isnt", "no", "pas", "nao", "non", "niet", "nie"}
	part := rapid.SampledFrom(append([]string{" ", "\n", "can", "juno", "t", "o", "é", "n", ""}, words...))
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(part, 0, 8).Draw(t, "parts"), "")
		want := false
		for _, word := range words {
			want = want || strings.Contains(text, word+" ")
		}
		if got := mayDeny([]byte(text)); got != want {
			t.Errorf("mayDeny(%q) is %v", text, got)
		}
	})
}
