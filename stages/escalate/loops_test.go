package escalate

import (
	"hash/fnv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestHashOf: the hash is that of the letters alone, in one case. Conversations keep it, so it must stay what it is.
func TestHashOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		letters, want := strings.ToLower(strings.Join(strings.Fields(text), "")), uint64(0)
		if letters != "" {
			h := fnv.New64a()
			_, _ = h.Write([]byte(letters)) // a hash takes all
			want = max(h.Sum64(), 1)
		}
		if got := hashOf(text); got != want {
			t.Errorf("%q hashes to %x, want %x", text, got, want)
		}
	})
}
