package caller

import (
	"time"

	"github.com/handoff-dev/handoff/pipeline"
)

// A destination that is away for hours leaves more calls waiting than memory should hold. So no more than Config.Held
// are held, about; beyond that a lane that waits gives its calls up and is spilled: of it stay its name, its account,
// when it is due, and how many calls it has. They are read back from the partition's state when its turn comes. What is
// known of their attempts is kept meanwhile, so that nothing is done or told otherwise than if they had been held.

const (
	// callBytes is what a call that is held takes of the heap, in a lane of its own, and laneBytes what a spilled lane
	// does: BenchmarkWaiting. pastBytes is what is kept of a tried call that is not held.
	callBytes, laneBytes, pastBytes = 900, 260, 300
	// longLane is how many calls a lane may have at most that gives them up though it goes on: reading all of a longer
	// one back for each of its calls would take too long.
	longLane = 100
)

// HeapBytes is what the calls that have not ended take of the Go heap, about. There are few of them unless a
// destination is away: then as many as are asked for meanwhile, of which most are not held.
func (k *Caller) HeapBytes() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	kept := 0
	for _, p := range k.partitions {
		kept += len(p.kept)
	}
	return int64(k.held)*callBytes + int64(k.spilled)*laneBytes + int64(kept)*pastBytes
}

// hold adds a call to a lane that holds its calls. The lock is held.
func (k *Caller) hold(l *lane, pc *pipeline.PendingCall) {
	c := &call{pc: *pc, lane: l, past: past{attempts: pc.Call.Attempt}}
	l.calls = append(l.calls, c)
	l.p.calls[pc.Call.ID] = c
	k.held++
	k.metrics.open.WithLabelValues(l.account.destination).Inc()
}

// spillFor spills a lane that another call joins, or a new one, and tells whether it did. The lock is held.
func (k *Caller) spillFor(l *lane, pc *pipeline.PendingCall) bool {
	if len(l.calls) > 0 {
		return k.spill(l)
	}
	if l.running || pc.Call.TryFor > 0 {
		return false
	}
	l.remember(&pc.Call)
	k.spilled++
	return true
}

// spill lets a lane that waits give up its calls if too many are held, and tells whether it did. It does not while one of
// them is under way. Those that are tried for a while only end soon, and must be looked after meanwhile. The lock is held.
func (k *Caller) spill(l *lane) bool {
	if len(l.calls) == 0 || l.running || k.held < k.cfg.Held {
		return false
	}
	for _, c := range l.calls {
		if c.ended || c.posted || c.awaited != 0 || c.confirmed != 0 || c.pc.Call.TryFor > 0 {
			return false
		}
	}
	l.remember(&l.head().pc.Call)
	for _, c := range l.calls {
		if c.past != (past{attempts: c.pc.Call.Attempt}) && !(l.inherited && c.past == k.doubtful(c)) {
			kept := c.past // not a pointer into the call, which would keep it
			l.p.kept[c.pc.Call.ID] = &kept
		}
		delete(l.p.calls, c.pc.Call.ID)
	}
	k.held -= len(l.calls)
	l.calls, l.spilled = nil, int32(len(l.calls))
	k.spilled++
	return true
}

// remember notes of a lane's first call what counts while it is not held.
func (l *lane) remember(first *pipeline.Call) {
	l.oldest = first.Created.UnixMilli()
	l.little = hasLittle(first)
	l.delayed = !first.NotBefore.IsZero() && !first.Passes
}

// addSpilled notes a call of a spilled lane. The lock is held.
func (k *Caller) addSpilled(l *lane, pc *pipeline.PendingCall) {
	l.news++
	if l.spilled == 0 || !pc.Known {
		l.spilled++
		k.metrics.open.WithLabelValues(l.account.destination).Inc()
	}
}

// removeSpilled notes the end of a call that is not held: one whose result an earlier owner posted. Whether it was the
// lane's last is for the state to say, which may show more than was told. The lock is held.
func (k *Caller) removeSpilled(p *partition, pc *pipeline.PendingCall, now time.Time) {
	delete(p.kept, pc.Call.ID)
	l := p.lanes[laneName(pc)]
	if l == nil || l.spilled == 0 {
		return // read back already, without it
	}
	l.news++
	l.inherited = false
	if l.spilled > 1 {
		l.spilled--
		k.metrics.open.WithLabelValues(l.account.destination).Dec()
	}
	delete(p.waiting, l)
	k.schedule(l, now)
}

// forgetSpilled takes a lane's calls that are not held off the books. The lock is held.
func (k *Caller) forgetSpilled(l *lane) {
	if l.spilled == 0 {
		return
	}
	k.metrics.open.WithLabelValues(l.account.destination).Sub(float64(l.spilled))
	k.spilled--
	l.spilled = 0
}

// load reads a spilled lane's calls back and returns the first; nil when none is left, or with when to try again. It is
// called by the lane's attempt. What was told of the calls while they were being read may be missing in what was read:
// then they are read again.
func (k *Caller) load(l *lane) (c *call, again time.Duration) {
	for l.p.read.Lease(l.p.number) {
		k.mu.Lock()
		news := l.news
		k.mu.Unlock()
		stored, err := l.p.read.Calls(l.p.number, l.recordKey())
		if err != nil {
			k.cfg.Log.Error("stored calls cannot be read", "key", l.name[:l.key], "error", err)
			return nil, gateAgain
		}
		k.mu.Lock()
		current := l.news == news
		if current && l.spilled > 0 && !l.p.revoked {
			k.loaded(l, stored)
		}
		c = l.head()
		k.mu.Unlock()
		if current {
			return c, 0
		}
	}
	return nil, leaseAgain
}

// loaded gives a lane its calls again. The lock is held.
func (k *Caller) loaded(l *lane, stored []pipeline.PendingCall) {
	k.forgetSpilled(l)
	lane := l.name[l.key+1:]
	for i := range stored {
		if stored[i].Call.Lane == lane {
			k.hold(l, &stored[i])
		}
	}
	k.doubt(l)
	for _, c := range l.calls {
		if kept := l.p.kept[c.pc.Call.ID]; kept != nil {
			c.past = *kept
			delete(l.p.kept, c.pc.Call.ID)
		}
	}
	l.reorder(k.cfg.Now())
}

// doubt marks the calls that an earlier owner may have started. The lock is held.
func (k *Caller) doubt(l *lane) {
	if !l.inherited || len(l.calls) == 0 {
		return
	}
	for _, c := range l.mayRun() {
		c.past = k.doubtful(c)
	}
}

// doubtful is what is known of a call that an earlier owner may have started.
func (k *Caller) doubtful(c *call) past {
	return past{
		maybe: true, attempts: max(c.pc.Call.Attempt, 1),
		lookupAfter: c.lane.p.assigned.Add(k.cfg.RequestTimeout + k.cfg.Settle),
	}
}

// recordKey is the key that the lane's calls are stored under.
func (l *lane) recordKey() []byte { return []byte(l.name[:l.key]) }

// made is when the first of the lane's calls was made.
func (l *lane) made() time.Time {
	if c := l.head(); c != nil {
		return c.pc.Call.Created
	}
	return time.UnixMilli(l.oldest)
}

// hasNext tells whether the lane is to be tried now that a call joined it: because that is its first, or may pass the
// first. Of a spilled lane it may tell so too often: the gate is asked once more.
func (l *lane) hasNext(joined *pipeline.PendingCall, now time.Time) bool {
	if l.spilled == 0 {
		return l.head().pc.Call.ID == joined.Call.ID || l.pass(now)
	}
	_, waits := l.p.waiting[l]
	return waits || l.spilled == 1 && !joined.Known || l.delayed && joined.Call.Passes
}
