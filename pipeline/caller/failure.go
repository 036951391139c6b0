package caller

import (
	"time"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// acquire takes a token and the breaker's permit for one request, or tells when to come back.
func (w *work) acquire(now time.Time) (step, bool) {
	k, a, p := w.k, w.l.account, w.l.p
	k.mu.Lock()
	defer k.mu.Unlock()
	owned := len(k.partitions)
	if p.revoked {
		owned++ // it is on its way out: the step is dropped anyway
	}
	a.limit(w.dest.Limit(w.rel.Attempt.Shop), min(1, float64(owned)/float64(k.cfg.Partitions)), now)
	if p.revoked {
		return step{at: now}, false
	}
	again, ok := a.acquire(now)
	if ok {
		w.l.claims = false
		a.claims--
	}
	return step{at: again, failing: !ok && a.out()}, ok
}

// giveBack returns the breaker's permit of a request that was not made after all. A probe that is not
// made leaves the breaker open for another while.
func (w *work) giveBack() {
	w.k.mu.Lock()
	defer w.k.mu.Unlock()
	if a := w.l.account; a.breaker.IsHalfOpen() {
		a.breaker.RecordFailure()
	}
}

// answered notes that the destination answered as it should.
func (w *work) answered() {
	w.c.failures, w.c.last = 0, nil
	w.k.mu.Lock()
	w.l.told = false
	w.l.account.answered(w.k.cfg.Now())
	w.k.mu.Unlock()
}

// failed decides what comes after a failed request or look-up.
func (w *work) failed(err error, lookup bool) step {
	k, c, a := w.k, w.c, w.l.account
	e, now := AsError(err), k.cfg.Now()
	c.last = e
	k.metrics.failures.WithLabelValues(a.destination, kindName(e.Kind)).Inc()
	again := now
	switch e.Kind {
	case Limited:
		again = now.Add(min(max(e.RetryAfter, limitedLeast), limitedMost))
		k.metrics.limited.WithLabelValues(a.destination).Add(again.Sub(now).Seconds())
		k.mu.Lock()
		a.breaker.RecordSuccess() // it answers, only not now
		a.limited(now, again)
		k.mu.Unlock()
	case Unauthorized:
		again = now.Add(k.cfg.OutageRetry)
		k.cfg.Log.Error("the destination refused the shop's token; put a good one into the settings",
			"destination", a.destination, "shop", a.shop, "code", e.Code, "meaning", e.Meaning)
		k.mu.Lock()
		a.breaker.RecordSuccess()
		a.until, a.refused = latest(a.until, again), true
		k.mu.Unlock()
	case Permanent:
		w.answeredNo()
		if !lookup {
			return w.end(w.complete(&handoffv1.Outcome{
				Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, Code: e.Code, Meaning: e.Meaning,
				ProviderOptedOut: e.OptedOut, TicketGone: e.TicketGone,
			}, c.started))
		}
		c.failures++
		again = now.Add(k.cfg.backoff(c.failures))
	case Ambiguous, Retryable:
		k.mu.Lock()
		a.failed()
		k.mu.Unlock()
		c.failures++
		again = now.Add(k.cfg.backoff(c.failures))
	}
	if e.Kind == Ambiguous && !lookup {
		if w.kind == Blind {
			return w.end(w.complete(unknown(e.Error()), c.started))
		}
		c.maybe, c.lookupAfter = true, now.Add(k.cfg.Settle)
		if w.kind == Queryable {
			again = latest(again, c.lookupAfter)
		}
	}
	return step{at: w.bounds().until(again, now), failing: true}
}

// answeredNo notes a refusal: the destination is well.
func (w *work) answeredNo() {
	w.k.mu.Lock()
	w.l.account.answered(w.k.cfg.Now())
	w.k.mu.Unlock()
}

func kindName(k ErrorKind) string {
	switch k {
	case Ambiguous:
		return "ambiguous"
	case Retryable:
		return "retryable"
	case Limited:
		return "limited"
	case Unauthorized:
		return "unauthorized"
	case Permanent:
		return "permanent"
	}
	return "other"
}

// retryPost is the pause before a result that was not acknowledged is posted again: it doubles, and
// half of it is drawn.
func (k *Caller) retryPost(tries int) time.Duration {
	const first, most = 50 * time.Millisecond, 5 * time.Second
	d := most
	if tries < 7 {
		d = min(most, first<<tries)
	}
	return d/2 + time.Duration(k.cfg.Rand()*float64(d/2))
}
