package caller

import (
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// Gate decides, just before a request starts, whether it may and with what. deliver implements it
// from committed state only; it reads no clock and does no I/O but read's.
type Gate interface {
	// Release judges the head of a lane. now is the wall clock.
	Release(read pipeline.Reader, call pipeline.PendingCall, now time.Time) (Release, error)
}

// Verdict of the gate.
type Verdict int

const (
	// Start: the request may start now.
	Start Verdict = iota
	// Wait: not yet; asked again at Release.Until, and after the partition's next commit that changed a
	// call. A gate whose opening changes none stores the waiting calls again.
	Wait
	// Refuse: never; the call ends as REFUSED (or EXPIRED) with the reason.
	Refuse
)

// Release is the gate's answer for one call.
type Release struct {
	Verdict Verdict
	// Attempt is complete but for its Number. It is filled in whatever the verdict, because an earlier
	// attempt of a call that may not start again is still looked up; empty when the call has ended.
	Attempt Attempt
	// Text is true for a text to a subscriber: none starts while deliver's partition is behind.
	Text bool
	// ConsentVersion that was read; goes into the outcome.
	ConsentVersion uint64
	// Expired is true where a refusal means that the call's time ran out: it ends as EXPIRED.
	Expired bool
	// Reason and Meaning of a refusal, or of what a call waits for.
	Reason  handoffv1.BlockReason
	Meaning string
	// Until is when to ask again; zero means that a commit decides (it is asked now and then anyway).
	Until time.Time
}
