package pipeline_test

import (
	"testing"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
)

// A timer kept in milliseconds that is rounded down comes due before the moment that was asked for; a
// stage that then finds it early and sets it again would be called for ever.
func TestTimersAreNeverEarly(t *testing.T) {
	base := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	for _, at := range []time.Time{base, base.Add(time.Millisecond), base.Add(1), base.Add(999_999), base.Add(time.Hour + 1500)} {
		var fx pipeline.Effects
		fx.SetTimer("t", at)
		due := fx.Timers[0].At
		if due.Before(at) || due.Sub(at) >= time.Millisecond || due.Nanosecond()%1e6 != 0 {
			t.Errorf("timer at %v is due at %v", at, due)
		}
	}
}
