package escalate

import (
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// TestAppendHundredths: a share is written as strconv writes it, halves to the even digit too.
func TestAppendHundredths(t *testing.T) {
	check := func(t interface{ Errorf(string, ...any) }, share float32) {
		want := strconv.FormatFloat(float64(share), 'f', 2, 32)
		if got := string(appendHundredths(nil, share)); got != want {
			t.Errorf("%v is written %s, want %s", share, got, want)
		}
	}
	for _, share := range []float32{0, 0.004, 0.005, 0.125, 0.375, 0.625, 0.875, 0.995, 0.9999, 1} {
		check(t, share)
	}
	rapid.Check(t, func(t *rapid.T) { check(t, rapid.Float32Range(0, 1).Draw(t, "share")) })
}
