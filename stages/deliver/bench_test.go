package deliver

import (
	"testing"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// BenchmarkRelease asks the gate about a text, from state in memory.
func BenchmarkRelease(b *testing.B) {
	w := newWorld(b)
	w.consent("channel:sms", 1, conversational)
	w.hold(number, true, bot, rule)
	for range 20 { // a month's texts
		w.result(w.command(number, text(agent, "hello")), done(&handoffv1.Outcome{}))
	}
	w.command(number, text(agent, "hello"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.stage.Release(reader{w}, w.calls[0], w.now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOutbox takes a command and its result.
func BenchmarkOutbox(b *testing.B) {
	w := newWorld(b)
	b.ReportAllocs()
	for b.Loop() {
		w.result(w.command(number, text(agent, "hello")), done(&handoffv1.Outcome{ProviderId: "SM1"}))
		clear(w.out)
	}
}
