package caller

import (
	"container/heap"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
)

// partition is one assignment of a partition to this process.
type partition struct {
	number int32
	read   pipeline.Reader
	// incarnation is the process's and the assignment's: what an earlier assignment started is
	// somebody else's.
	incarnation string
	// assigned is when it began.
	assigned time.Time
	lanes    map[string]*lane
	// calls that are held, by their ids.
	calls map[string]*call
	// waiting are the lanes whose head the gate made wait for a commit.
	waiting map[*lane]struct{}
	// kept is what is known of tried calls that are not held, by their ids.
	kept map[string]*past
	// recheck is when they were last asked after a commit; commits counts commits.
	recheck time.Time
	commits uint64
	running int
	revoked bool
	// idle is closed when revoked and nothing runs.
	idle chan struct{}
}

// lane is a queue of calls that run one at a time, in order. It holds all of its calls, or none: see spill.
type lane struct {
	name    string
	p       *partition
	account *account
	calls   []*call
	// due is when the head is tried next; index is the place in the heap, -1 when not there.
	due   time.Time
	index int32
	key   int32 // length of the key that name begins with

	running bool
	queued  bool // waits for its turn among the account's
	turn    uint32
	// Of a turn: it is among those with little time, and listed as one that deliver is to be told of, or as brief.
	soon, untold, brief bool

	claims bool // its attempt has not taken its token yet
	placed bool // its attempt counts among the account's requests
	told   bool // deliver was told that these calls fail
	// inherited: it had calls when the partition was assigned. One of those may have been started by somebody else.
	inherited bool

	// Of calls that are not held: how many there are, about, and at least one; what commits told of them is counted;
	// and of the first that it has little time, that it waits for its time and others may pass it, when it was made
	// (Unix ms).
	little, delayed bool
	spilled         int32
	news            uint32
	oldest          int64
}

// call is one stored call that is held. The Caller's lock guards it, but for its past.
type call struct {
	pc   pipeline.PendingCall
	lane *lane
	// confirmed is the attempt at a blind destination whose start was committed for this assignment; 0
	// for none.
	confirmed uint32
	// awaited is the attempt whose commit is awaited.
	awaited uint32
	// ended tells that the call was removed while it ran.
	ended bool
	// posted tells that its result is in the mailbox.
	posted bool
	past
}

// past is what is known of a call's attempts. The worker alone writes it while the lane runs.
type past struct {
	// maybe tells that an earlier attempt may have arrived, of this process or of an earlier owner.
	maybe bool
	// lookupAfter is the earliest time at which that can be told.
	lookupAfter time.Time
	attempts    uint32
	failures    int
	last        *Error
	// consentVersion and started are of the last request that started.
	consentVersion uint64
	started        time.Time
	// began is when it was tried first, or could have been but for the destination: a call's TryFor counts from here.
	// Of others it stays zero.
	began time.Time
}

// bounds are when a call ends by itself.
type bounds struct {
	giveUp time.Time
	tryFor time.Duration
	began  time.Time
}

func boundsOf(of *pipeline.Call, began time.Time) bounds {
	return bounds{of.GiveUpAt, of.TryFor, began}
}

// bounds of the call as it is. The lock is held.
func (c *call) bounds() bounds { return boundsOf(&c.pc.Call, c.began) }

// ends is when the call is given up; zero for never, or for one that has not begun.
func (b bounds) ends() time.Time {
	if b.tryFor > 0 && !b.began.IsZero() {
		if tried := b.began.Add(b.tryFor); b.giveUp.IsZero() || tried.Before(b.giveUp) {
			return tried
		}
	}
	return b.giveUp
}

// until is the earlier of a moment and the call's end, where that is still to come. Of one whose time to be tried is
// over the end is now.
func (b bounds) until(at, now time.Time) time.Time {
	switch end := b.ends(); {
	case end.IsZero() || !end.Before(at):
		return at
	case now.Before(end):
		return end
	case b.tryFor > 0:
		return now
	}
	return at
}

// empty tells that no call is left in the lane.
func (l *lane) empty() bool { return len(l.calls) == 0 && l.spilled == 0 }

// head is the first call; nil when there is none, or none is held.
func (l *lane) head() *call {
	if len(l.calls) == 0 {
		return nil
	}
	return l.calls[0]
}

// urgent tells whether the head has so little time that it goes before others of its account.
func (l *lane) urgent() bool {
	if l.spilled > 0 {
		return l.little
	}
	c := l.head()
	if c == nil {
		return false
	}
	return hasLittle(&c.pc.Call)
}

// little is how much time a call has at most that goes before others.
const little = 5 * time.Minute

func hasLittle(of *pipeline.Call) bool {
	return of.TryFor > 0 && of.TryFor <= little || !of.GiveUpAt.IsZero() && of.GiveUpAt.Sub(of.Created) <= little
}

// mayRun are the calls that an earlier owner may have started: the head, and the first that could pass it while it
// waited for its time.
func (l *lane) mayRun() []*call {
	all := l.calls[:1]
	if head := l.head().pc.Call; head.NotBefore.IsZero() || head.Passes {
		return all
	}
	for i, c := range l.calls {
		if c.pc.Call.Passes {
			return []*call{l.calls[0], l.calls[i]}
		}
	}
	return all
}

// pass lets the first call that passes others go before a head that waits for its time, and tells whether one did.
func (l *lane) pass(now time.Time) bool {
	return !l.running && l.reorder(now)
}

// reorder is pass, whether the lane runs or not.
func (l *lane) reorder(now time.Time) bool {
	head := l.head()
	if head == nil || head.pc.Call.Passes || !head.pc.Call.NotBefore.After(now) {
		return false
	}
	for i, c := range l.calls {
		if c.pc.Call.Passes {
			copy(l.calls[1:i+1], l.calls[:i])
			l.calls[0] = c
			return true
		}
	}
	return false
}

func (l *lane) remove(c *call) {
	for i, other := range l.calls {
		if other == c {
			l.calls = append(l.calls[:i], l.calls[i+1:]...)
			return
		}
	}
}

func laneName(pc *pipeline.PendingCall) string { return string(pc.Key) + "\n" + pc.Call.Lane }

// timeline is a heap of lanes by the time their head is due.
type timeline []*lane

var _ heap.Interface = (*timeline)(nil)

func (h timeline) Len() int           { return len(h) }
func (h timeline) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h timeline) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = int32(i), int32(j)
}

// Push implements heap.Interface.
func (h *timeline) Push(x any) {
	l := x.(*lane)
	l.index = int32(len(*h))
	*h = append(*h, l)
}

// Pop implements heap.Interface.
func (h *timeline) Pop() any {
	old := *h
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	l.index = -1
	return l
}
