package caller

import (
	"container/heap"
	"time"
)

// schedule sets when the head of a lane is tried next. A running lane settles by itself. The lock is
// held.
func (k *Caller) schedule(l *lane, at time.Time) {
	if l.queued {
		l.account.note(l)
	}
	if l.running || l.queued || l.p.revoked {
		return
	}
	l.due = at
	if l.index >= 0 {
		heap.Fix(&k.timeline, int(l.index))
	} else {
		heap.Push(&k.timeline, l)
	}
}

// loop is the one goroutine that starts requests.
func (k *Caller) loop() {
	defer close(k.stopped)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		k.mu.Lock()
		wait := k.dispatch(k.cfg.Now())
		k.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-k.stop:
			return
		case <-k.wake:
		case <-timer.C:
		}
	}
}

// dispatch starts every request that may start now and returns how long until the next one might. The
// lock is held.
func (k *Caller) dispatch(now time.Time) time.Duration {
	for len(k.timeline) > 0 && !k.timeline[0].due.After(now) {
		l := heap.Pop(&k.timeline).(*lane)
		l.account.enqueue(l)
		if l.isBrief() { // its end is looked after however long the account waits
			delete(k.parked, l.account)
		}
		k.activate(l.account)
	}
	for a := range k.parked {
		if !a.parked.After(now) {
			delete(k.parked, a)
			k.activate(a)
		}
	}
	for len(k.round) > 0 && k.running < k.cfg.Workers {
		a := k.round[0]
		k.round[0] = nil
		k.round = k.round[1:]
		a.active = false
		k.start(a, now)
	}
	next := now.Add(time.Hour)
	if len(k.timeline) > 0 {
		next = earlier(next, k.timeline[0].due)
	}
	for a := range k.parked {
		next = earlier(next, a.parked)
	}
	return max(next.Sub(now), 0)
}

// activate puts an account into the round unless it is there or waits for a time. The lock is held.
func (k *Caller) activate(a *account) {
	if _, parked := k.parked[a]; a.active || parked || a.queued == 0 {
		return
	}
	a.active = true
	k.round = append(k.round, a)
}

// start starts one request of an account, if it may, and puts the account back into the round. The
// lock is held.
func (k *Caller) start(a *account, now time.Time) {
	var l *lane
	switch until := a.closedUntil(now, a.claims); {
	case a.inFlight >= k.perShop(a):
		k.full[a] = struct{}{} // settle activates it again
		if a.failing {
			l = k.lapsed(a, now, now.Add(lapseAgain))
		}
	case until.IsZero():
		l = a.next()
	default:
		if a.tells && a.out() {
			l = a.nextUntold() // its attempt tells, and starts no request
		}
		if l == nil {
			l = k.lapsed(a, now, until)
		}
		if l == nil && a.queued > 0 {
			k.park(a, until)
		}
	}
	if l == nil {
		return
	}
	l.running, l.claims = true, true
	a.claims++
	delete(l.p.waiting, l)
	a.inFlight++
	l.placed = true
	l.p.running++
	k.running++
	k.workers.Add(1)
	k.work(job{l, l.head()})
	k.activate(a)
}

// job is one attempt to make.
type job struct {
	l *lane
	c *call
}

// idleWorker is how long a goroutine waits for another attempt.
const idleWorker = time.Second

// work has a goroutine make an attempt: one that has made another if there is any, because a stack that has grown once
// need not grow again. The lock is held.
func (k *Caller) work(j job) {
	select {
	case k.jobs <- j: // somebody waits
		return
	default:
	}
	go func() {
		idle := time.NewTimer(idleWorker)
		defer idle.Stop()
		for {
			k.attempt(j.l, j.c)
			idle.Reset(idleWorker)
			select {
			case j = <-k.jobs:
			case <-idle.C:
				return
			case <-k.stop:
				return
			}
		}
	}()
}

// lapseAgain is when a call that is tried for a while is looked after again, while it may not be tried.
const lapseAgain = time.Second

// lapsed looks after the calls of an account that are tried for a while only and cannot be tried now, because nothing
// is answered: their time begins, and they come again when it is over, or earlier. It takes out one whose time is over,
// for an attempt that ends it and makes no request; nil for none. The lock is held.
func (k *Caller) lapsed(a *account, now, again time.Time) (over *lane) {
	for over == nil {
		l := a.nextBrief()
		if l == nil {
			return nil
		}
		c := l.head()
		if c.began.IsZero() {
			c.began = now
		}
		if now.Before(c.bounds().ends()) {
			k.schedule(l, c.bounds().until(again, now))
			continue
		}
		over = l
	}
	return over
}

// perShop is how many requests one shop's destination may have running: fewer the busier all are, and
// one while it fails.
func (k *Caller) perShop(a *account) int {
	switch {
	case a.failing, k.running*4 >= k.cfg.Workers*3:
		return 1
	case k.running*2 >= k.cfg.Workers:
		return min(2, k.cfg.PerShop)
	default:
		return k.cfg.PerShop
	}
}

// park makes an account wait for a time. The lock is held.
func (k *Caller) park(a *account, until time.Time) {
	a.parked = until
	k.parked[a] = struct{}{}
}

// step is what comes of one attempt.
type step struct {
	// at is when the call is tried again; zero means after the next commit, or when the result's commit
	// removes it.
	at time.Time
	// onCommit: the gate is asked again after a commit later than the one counted here, or at at.
	onCommit bool
	commits  uint64
	// failing: the destination fails, so deliver is to be told if it waits for that.
	failing bool
	// announced: the start of a blind attempt was posted; at is when to do it again.
	announced bool
}

// settle puts a lane back after an attempt. The lock is not held.
func (k *Caller) settle(l *lane, c *call, s step) {
	k.mu.Lock()
	defer k.mu.Unlock()
	defer k.workers.Done()
	defer k.signal()
	a, p, now := l.account, l.p, k.cfg.Now()
	k.running--
	p.running--
	l.running = false
	k.leavePlace(l)
	// Others may have waited for their fair share of all.
	for other := range k.full {
		k.activate(other)
	}
	clear(k.full)
	if p.revoked {
		if p.running == 0 {
			close(p.idle)
		}
		k.sweep(a)
		return
	}
	switch {
	case c == nil && l.spilled > 0:
		k.schedule(l, s.at)
	case c == nil, c.ended:
		k.proceed(l, true, now)
	case l.pass(now):
		k.schedule(l, now)
	case c.posted:
	case c.confirmed != 0 && s.announced, s.announced && c.awaited == 0:
		k.schedule(l, now) // its commit was faster
	case s.onCommit && p.commits != s.commits:
		k.schedule(l, latest(now, p.recheck.Add(recheckEvery)))
	case s.onCommit:
		p.waiting[l] = struct{}{}
		if !s.at.IsZero() {
			k.schedule(l, s.at)
		}
		k.spill(l)
	default:
		k.schedule(l, s.at)
		k.spill(l)
	}
	k.sweep(a)
}

// leavePlace gives back what an attempt holds of its account: its place among the requests, and its claim
// to a token. An attempt that asks nothing more of the other side leaves it before it posts what came of
// that: how many requests a shop may have running is no measure of how fast Kafka acknowledges. The lock is
// held.
func (k *Caller) leavePlace(l *lane) {
	a := l.account
	if l.claims {
		l.claims = false
		a.claims--
		delete(k.parked, a) // its time was reckoned with this claim
	}
	if l.placed {
		l.placed = false
		a.inFlight--
		delete(k.full, a)
	}
	k.activate(a)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
