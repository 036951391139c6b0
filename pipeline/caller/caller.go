package caller

import (
	"container/heap"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
)

// recheckEvery is how often, at most, calls that wait for a commit are asked about after one.
const recheckEvery = 100 * time.Millisecond

// Caller makes the outside calls of one stage. It implements pipeline.Caller. Calls wait in memory in
// lanes, one goroutine watches over all of them, and only a running request has a goroutine of its
// own, which makes others later. It is safe for concurrent use.
type Caller struct {
	cfg     Config
	metrics *metrics

	// wake tells the loop that something changed.
	wake chan struct{}
	// jobs are taken by goroutines that have made an attempt and wait for another.
	jobs    chan job
	stop    chan struct{}
	stopped chan struct{}
	// base ends the requests that still run when Close's time is over.
	base    context.Context
	abandon context.CancelFunc
	workers sync.WaitGroup

	mu         sync.Mutex
	closed     bool
	epoch      uint64
	partitions map[int32]*partition
	accounts   map[accountKey]*account
	timeline   timeline
	// round are the accounts that have something to do and may do it, in turn.
	round []*account
	// parked are the accounts that wait for a time, full those that wait for a request to end.
	parked, full map[*account]struct{}
	running      int
	// held is how many calls are in memory, spilled how many lanes do not hold theirs.
	held, spilled int
}

type accountKey struct{ destination, shop string }

var _ pipeline.Caller = (*Caller)(nil)

// New starts a Caller without partitions. Close ends it.
func New(cfg Config) (*Caller, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	k := &Caller{
		cfg: cfg, wake: make(chan struct{}, 1), jobs: make(chan job), stop: make(chan struct{}), stopped: make(chan struct{}),
		partitions: map[int32]*partition{}, accounts: map[accountKey]*account{},
		parked: map[*account]struct{}{}, full: map[*account]struct{}{},
	}
	k.base, k.abandon = context.WithCancel(context.Background())
	var err error
	if k.metrics, err = newMetrics(k, cfg.Registerer); err != nil {
		k.abandon()
		return nil, fmt.Errorf("caller: register metrics: %w", err)
	}
	go k.loop()
	return k, nil
}

// Close starts nothing new and waits for running requests until ctx ends; those are then given up,
// and whoever owns their partition next takes them for calls that may have been made. The error says
// so.
func (k *Caller) Close(ctx context.Context) error {
	k.mu.Lock()
	if !k.closed {
		k.closed = true
		close(k.stop)
	}
	for n := range k.partitions {
		k.drop(n)
	}
	k.mu.Unlock()
	<-k.stopped
	defer k.abandon()
	done := make(chan struct{})
	go func() {
		k.workers.Wait()
		close(done)
	}()
	select {
	case <-done:
		k.metrics.unregister()
		return nil
	case <-ctx.Done():
		k.abandon()
		<-done
		k.metrics.unregister()
		return fmt.Errorf("close the caller: requests were still running: %w", ctx.Err())
	}
}

// Assigned implements pipeline.Caller. Only the head of a lane can have been started by another
// process, for a lane goes on when the end of the call before is committed; or the one that passed it.
func (k *Caller) Assigned(number int32, read pipeline.Reader, inherited []pipeline.PendingCall) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	k.drop(number)
	k.epoch++
	now := k.cfg.Now()
	p := &partition{
		number: number, read: read, assigned: now,
		incarnation: fmt.Sprintf("%s/%d", k.cfg.Incarnation, k.epoch),
		lanes:       map[string]*lane{}, calls: map[string]*call{}, waiting: map[*lane]struct{}{}, kept: map[string]*past{},
		idle: make(chan struct{}),
	}
	k.partitions[number] = p
	for i := range inherited {
		k.add(p, &inherited[i]).inherited = true
	}
	for _, l := range p.lanes {
		k.doubt(l)
		l.pass(now)
		k.schedule(l, now)
	}
	k.signal()
}

// Committed implements pipeline.Caller.
func (k *Caller) Committed(number int32, stored, ended []pipeline.PendingCall) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.partitions[number]
	if p == nil {
		return
	}
	p.commits++
	now := k.cfg.Now()
	for i := range stored {
		pc := &stored[i]
		if c := p.calls[pc.Call.ID]; c != nil {
			k.replace(p, c, pc, now)
		} else if l := k.add(p, pc); l.hasNext(pc, now) {
			delete(p.waiting, l)
			k.schedule(l, now)
		}
	}
	for i := range ended {
		k.remove(p, &ended[i], now)
	}
	if len(p.waiting) > 0 {
		at := latest(now, p.recheck.Add(recheckEvery))
		p.recheck = at
		for l := range p.waiting {
			k.schedule(l, at)
		}
		clear(p.waiting)
	}
	k.signal()
}

// Revoked implements pipeline.Caller.
func (k *Caller) Revoked(ctx context.Context, number int32) {
	k.mu.Lock()
	p := k.drop(number)
	k.mu.Unlock()
	if p == nil {
		return
	}
	select {
	case <-p.idle:
	case <-ctx.Done():
	}
}

// drop forgets a partition; what runs goes on. The lock is held.
func (k *Caller) drop(number int32) *partition {
	p := k.partitions[number]
	if p == nil {
		return nil
	}
	delete(k.partitions, number)
	p.revoked = true
	for _, c := range p.calls {
		k.forget(c)
	}
	for _, l := range p.lanes {
		k.forgetSpilled(l)
		k.dropLane(l)
	}
	if p.running == 0 {
		close(p.idle)
	}
	return p
}

// add appends a call to its lane and returns the lane. The lock is held.
func (k *Caller) add(p *partition, pc *pipeline.PendingCall) *lane {
	name := laneName(pc)
	l := p.lanes[name]
	if l == nil {
		l = &lane{name: name, key: int32(len(pc.Key)), p: p, account: k.accountOf(pc), index: -1}
		l.account.lanes++
		p.lanes[name] = l
	}
	l.told = false
	l.account.note(l)
	if l.spilled > 0 || k.held >= k.cfg.Held && k.spillFor(l, pc) {
		k.addSpilled(l, pc)
	} else {
		k.hold(l, pc)
	}
	return l
}

// accountOf returns the account that a call is made at. The lock is held.
func (k *Caller) accountOf(pc *pipeline.PendingCall) *account {
	at := accountKey{destination: pc.Call.Destination}
	if key, err := schemas.ParseKey(pc.Key); err == nil {
		at.shop = key.Shop
	}
	a := k.accounts[at]
	if a == nil {
		a = k.newAccount(at.destination, at.shop)
		k.accounts[at] = a
	}
	return a
}

// replace takes over what a commit changed of a known call: an attempt's start, or nothing but that the
// gate is worth asking again. A start of another
// incarnation that this process committed was never made by that one, for it starts only after its
// own commit: the attempt is announced again under the next number. The lock is held.
func (k *Caller) replace(p *partition, c *call, pc *pipeline.PendingCall, now time.Time) {
	c.pc = *pc
	l := c.lane
	if _, waits := p.waiting[l]; waits && l.head() == c {
		delete(p.waiting, l)
		k.schedule(l, now)
		return
	}
	if c.awaited == 0 || c.posted {
		return
	}
	if pc.Call.Incarnation == p.incarnation && pc.Call.Attempt == c.awaited {
		c.confirmed = pc.Call.Attempt
	}
	c.awaited = 0
	if l.head() == c {
		k.schedule(l, now)
	}
}

// remove takes an ended call out of its lane and lets the next one go on. The lock is held.
func (k *Caller) remove(p *partition, pc *pipeline.PendingCall, now time.Time) {
	c := p.calls[pc.Call.ID]
	if c == nil {
		k.removeSpilled(p, pc, now)
		return
	}
	delete(p.calls, pc.Call.ID)
	k.forget(c)
	c.ended = true
	l := c.lane
	l.inherited = false
	wasHead := l.head() == c
	l.remove(c)
	if l.running {
		return // settle goes on
	}
	k.proceed(l, wasHead, now)
}

// proceed starts the lane's next call, or removes the empty lane. The lock is held.
func (k *Caller) proceed(l *lane, newHead bool, now time.Time) {
	if l.empty() {
		delete(l.p.waiting, l)
		delete(l.p.lanes, l.name)
		k.dropLane(l)
		return
	}
	if l.pass(now) || newHead {
		delete(l.p.waiting, l)
		k.schedule(l, now)
	}
	if len(l.calls) <= longLane {
		k.spill(l) // others have their turn first
	}
}

// dropLane takes a lane without calls off the books. The lock is held.
func (k *Caller) dropLane(l *lane) {
	if l.index >= 0 {
		heap.Remove(&k.timeline, int(l.index))
	}
	l.account.lanes--
	k.sweep(l.account)
}

// forget takes a call off the books. The lock is held.
func (k *Caller) forget(c *call) {
	k.held--
	k.metrics.open.WithLabelValues(c.lane.account.destination).Dec()
}

// sweep removes an account that nothing is left to say to, so that shops that come and go leave
// nothing behind. One that is limited or failing is kept. The lock is held.
func (k *Caller) sweep(a *account) {
	if a.lanes > 0 || a.inFlight > 0 || a.slower < 1 || a.failing || !a.breaker.IsClosed() || a.until.After(k.cfg.Now()) {
		return
	}
	if a.bucket != nil && a.bucket.TokensAt(k.cfg.Now()) < float64(a.bucket.Burst()) {
		return
	}
	delete(k.accounts, accountKey{a.destination, a.shop})
	delete(k.parked, a)
	delete(k.full, a)
}

func (k *Caller) signal() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
