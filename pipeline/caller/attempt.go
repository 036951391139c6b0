package caller

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// Pauses before a call is looked at again for a reason of this process rather than of the
// destination's.
const (
	// leaseAgain: the lease was not good; the next heartbeat may mend it.
	leaseAgain = 200 * time.Millisecond
	// behindAgain: unread records may forbid the text.
	behindAgain = 100 * time.Millisecond
	// gateAgain: committed state could not be read.
	gateAgain = time.Second
	// waitAgain: a call that waits for a commit is asked about now and then all the same.
	waitAgain = 30 * time.Second
	// announceAgain: the start of a blind attempt was posted and its commit does not come.
	announceAgain = 30 * time.Second
	// lookupLonger is how long after a call's time it is still tried to learn what came of it.
	lookupLonger = 15 * time.Minute
	// limitedLeast and limitedMost bound what a "too many requests" says of itself.
	limitedLeast, limitedMost = time.Second, 15 * time.Minute
)

// work is one attempt on its way: what the gate said about the head of a lane.
type work struct {
	k    *Caller
	l    *lane
	c    *call
	pc   pipeline.PendingCall // as it was when the attempt began
	rel  Release
	dest Destination
	kind Retry
	// attempt committed for this assignment, and the last that any assignment announced.
	confirmed, announced uint32
}

// attempt tries the head of a lane once and settles the lane. c is nil for a lane that does not hold its calls.
func (k *Caller) attempt(l *lane, c *call) {
	if c == nil {
		var again time.Duration
		if c, again = k.load(l); c == nil {
			k.settle(l, nil, step{at: k.cfg.Now().Add(again)})
			return
		}
	}
	k.mu.Lock()
	w := &work{k: k, l: l, c: c, pc: c.pc, confirmed: c.confirmed, announced: c.pc.Call.Attempt}
	commits, ended := l.p.commits, c.ended
	k.mu.Unlock()
	var s step
	if !ended {
		if s = w.try(); s.failing {
			w.tellFailing()
		}
	}
	s.commits = commits
	k.settle(l, c, s)
}

// try asks everything that must be asked before a request, in an order in which nothing that counts
// comes before a pause: lease, unread records, gate, then tokens, then the request.
func (w *work) try() step {
	k, p, call := w.k, w.l.p, w.pc.Call
	now := k.cfg.Now()
	if !p.read.Lease(p.number) {
		return step{at: now.Add(leaseAgain)}
	}
	behind := p.read.Behind(p.number)
	var err error
	if w.rel, err = k.cfg.Gate.Release(p.read, w.pc, now); err != nil {
		k.cfg.Log.Error("the gate cannot be read", "call", call.ID, "error", err)
		return step{at: now.Add(gateAgain)}
	}
	if w.rel.Attempt.Command == nil {
		return step{onCommit: true, at: latest(w.rel.Until, now.Add(gateAgain))}
	}
	if w.dest = k.cfg.Destinations[call.Destination]; w.dest == nil {
		return w.end(&handoffv1.Outcome{
			Status:  handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED,
			Meaning: fmt.Sprintf("this deployment has no connector %q", call.Destination),
		})
	}
	w.kind = w.dest.Retry(w.rel.Attempt.Command)
	if call.TryFor > 0 && w.c.began.IsZero() && w.rel.Verdict == Start {
		w.c.began = now
	}
	if s, done := w.past(now); done {
		return s
	}
	return w.judged(now, behind)
}

// past deals with attempts that may have been made before; done is false when there are none, or the
// same again does no harm.
func (w *work) past(now time.Time) (s step, done bool) {
	c := w.c
	if w.kind == Blind && w.announced == 0 {
		c.maybe, c.attempts = false, 0 // never announced, so never started
	}
	if !c.maybe {
		return step{}, false
	}
	if w.kind == Idempotent && w.rel.Verdict != Refuse {
		life := w.dest.KeyLife()
		if life == 0 || now.Add(w.k.cfg.RequestTimeout).Before(w.pc.Call.Created.Add(life)) {
			return step{}, false
		}
	}
	if now.Before(c.lookupAfter) {
		return step{at: c.lookupAfter}, true
	}
	if w.kind == Blind {
		return w.end(unknown("the provider was asked once and did not answer")), true
	}
	return w.lookup(now), true
}

// lookup asks whether an earlier attempt arrived. If not, everything before a request is asked anew.
func (w *work) lookup(now time.Time) step {
	if s, ok := w.acquire(now); !ok {
		return s
	}
	a := w.rel.Attempt
	a.Number = w.c.attempts
	found, err := w.request("lookup", a, w.dest.Lookup)
	if err == nil {
		w.answered()
		if found == nil {
			w.c.maybe = false
			return step{at: now}
		}
		found.Found = true
		return w.end(w.complete(found, w.c.started))
	}
	s := w.failed(err, true)
	if w.over(w.k.cfg.Now().Add(-lookupLonger)) {
		return w.end(unknown("its time ran out, and whether an earlier attempt arrived could not be told: " + err.Error()))
	}
	return s
}

// judged follows the gate's verdict.
func (w *work) judged(now time.Time, behind time.Duration) step {
	k, rel := w.k, w.rel
	over := w.over(now)
	switch {
	case rel.Verdict == Refuse && !rel.Expired:
		k.metrics.refusals.WithLabelValues(reasonName(rel.Reason)).Inc()
		return w.end(&handoffv1.Outcome{
			Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED, BlockReason: rel.Reason, Meaning: rel.Meaning,
			ConsentVersion: rel.ConsentVersion,
		})
	case rel.Verdict == Refuse, over:
		return w.end(w.expired())
	case rel.Verdict == Wait:
		until := rel.Until
		if until.IsZero() {
			until = now.Add(waitAgain)
		}
		return step{onCommit: true, at: w.bounds().until(until, now)}
	case rel.Text && behind > k.cfg.BehindLimit:
		return step{at: now.Add(behindAgain)}
	case w.kind == Blind && w.confirmed == 0:
		return w.announce(now)
	}
	if s, ok := w.acquire(now); !ok {
		s.at = w.bounds().until(s.at, now)
		return s
	}
	if rel.Text {
		// Taking a token can have waited for a lock; a text starts on an answer of this moment.
		now = k.cfg.Now()
		again, err := k.cfg.Gate.Release(w.l.p.read, w.pc, now)
		if err != nil || again.Verdict != Start || !w.l.p.read.Lease(w.l.p.number) {
			w.giveBack()
			return step{at: now}
		}
		w.rel = again
	}
	return w.do(now)
}

// do makes the request. started is when the gate was read: from then on the request counts as on its
// way.
func (w *work) do(started time.Time) step {
	k, c := w.k, w.c
	if w.kind == Blind {
		c.attempts = w.confirmed
		k.mu.Lock()
		c.confirmed = 0
		k.mu.Unlock()
	} else {
		c.attempts++
	}
	c.started, c.consentVersion = started, w.rel.ConsentVersion
	a := w.rel.Attempt
	a.Number = c.attempts
	outcome, err := w.request("request", a, w.dest.Do)
	if err == nil && outcome == nil {
		err = &Error{Kind: Ambiguous, Meaning: "the connector said neither what came of it nor what went wrong"}
	}
	if err != nil {
		return w.failed(err, false)
	}
	w.answered()
	return w.end(w.complete(outcome, started))
}

// request calls a connector under the time-out and turns its panic into an error.
func (w *work) request(what string, a Attempt, f func(context.Context, Attempt) (*handoffv1.Outcome, error)) (o *handoffv1.Outcome, err error) {
	k, destination := w.k, w.pc.Call.Destination
	timeout := k.cfg.RequestTimeout
	if d, ok := w.dest.(Patient); ok {
		timeout = max(timeout, d.RequestTimeout(a.Shop))
	}
	if w.pc.Call.TryFor > 0 { // an answer that comes later is none
		timeout = min(timeout, w.bounds().ends().Sub(k.cfg.Now()))
	}
	ctx, cancel := context.WithTimeout(k.base, timeout)
	defer cancel()
	k.metrics.attempts.WithLabelValues(destination, what).Inc()
	begin := time.Now()
	defer func() {
		k.metrics.seconds.WithLabelValues(destination).Observe(time.Since(begin).Seconds())
		if p := recover(); p != nil {
			k.cfg.Log.Error("a connector panicked", "destination", destination, "call", a.CallID, "panic", p, "stack", string(debug.Stack()))
			o, err = nil, &Error{Kind: Ambiguous, Meaning: "the connector failed", Err: fmt.Errorf("panic: %v", p)}
		}
	}()
	return f(ctx, a)
}

// complete fills in what the caller knows of an outcome.
func (w *work) complete(o *handoffv1.Outcome, started time.Time) *handoffv1.Outcome {
	if o.Status == handoffv1.OutcomeStatus_OUTCOME_STATUS_UNSPECIFIED {
		o.Status = handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE
	}
	if !started.IsZero() {
		o.StartedAt = timestamppb.New(started)
	}
	o.EndedAt = timestamppb.New(w.k.cfg.Now())
	o.ConsentVersion = w.c.consentVersion
	return o
}

// bounds of the call as it was when the attempt began: a commit may replace it meanwhile.
func (w *work) bounds() bounds { return boundsOf(&w.pc.Call, w.c.began) }

func (w *work) over(now time.Time) bool {
	g := w.bounds().ends()
	return !g.IsZero() && !now.Before(g)
}

// expired is how a call ends whose time ran out: for a refused token that is the refusal.
func (w *work) expired() *handoffv1.Outcome {
	o := &handoffv1.Outcome{
		Status:      handoffv1.OutcomeStatus_OUTCOME_STATUS_EXPIRED,
		BlockReason: handoffv1.BlockReason_BLOCK_REASON_EXPIRED, Meaning: "its time ran out before it could be done",
	}
	if w.rel.Reason != handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED {
		o.BlockReason = w.rel.Reason
	}
	if last := w.c.last; last != nil {
		o.Code, o.Meaning = last.Code, last.Error()
		if last.Kind == Unauthorized {
			o.Status, o.BlockReason = handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED
		}
	} else if w.rel.Meaning != "" {
		o.Meaning = w.rel.Meaning
	}
	return o
}

func unknown(meaning string) *handoffv1.Outcome {
	return &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_UNKNOWN, Meaning: meaning}
}
