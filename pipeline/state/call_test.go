package state

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-dev/handoff/pipeline"
)

// TestCallsAreReadAsTheyWereWritten: whatever a call says of itself, in the format that says the least that is needed,
// so that an older Handoff reads what it knows.
func TestCallsAreReadAsTheyWereWritten(t *testing.T) {
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	plain := pipeline.Call{ID: "1", Destination: "twilio", Lane: "l", Body: []byte("b"), Created: at, NotBefore: at, GiveUpAt: at, Attempt: 3, Incarnation: "i"}
	asked, passing := plain, plain
	asked.TryFor, passing.Passes = 10*time.Second, true
	for name, c := range map[string]struct {
		call   pipeline.Call
		format byte
	}{"plain": {plain, callFormat}, "tried for a while": {asked, callMore}, "passing": {passing, callMore}} {
		b := encodeCall(7, &c.call)
		seq, got, err := decodeCall(b)
		if diff := cmp.Diff(c.call, got); err != nil || seq != 7 || diff != "" {
			t.Errorf("%s: %d, %v\n%s", name, seq, err, diff)
		}
		if b[0] != c.format {
			t.Errorf("%s: in format %d, want %d", name, b[0], c.format)
		}
		if _, _, err := decodeCall(b[:len(b)-1]); !errors.Is(err, ErrFormat) {
			t.Errorf("%s, cut: %v", name, err)
		}
	}
}
