package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"time"
)

const sigQuit = syscall.SIGQUIT

// ofSink is a trap's client: the sink's.
const ofSink = "sink"

// errMissed says that a trap did not spring in time: the round does not count.
var errMissed = errors.New("the trap did not spring")

// fault is one thing that goes wrong. run returns how long after a member's death its successor
// committed, 0 where no member died.
type fault struct {
	name string
	run  func(ctx context.Context, e *epoch) (recovery time.Duration, err error)
}

// deal returns the fault of a round: all of them in an order of the seed's, then again in another.
func (t *torture) deal(round int) fault {
	all := t.faults
	order := rand.New(rand.NewPCG(t.seed, uint64(round/len(all)))).Perm(len(all))
	return all[order[round%len(all)]]
}

// catalogue of faults for a cluster of that many nodes; 0 nodes is kfake.
func catalogue(nodes int) []fault {
	all := memberFaults()
	all = append(all, movingFaults()...)
	all = append(all, trapFaults()...)
	all = append(all, copyFaults()...)
	if nodes > 0 {
		all = append(all, frozenBroker())
		all = append(all, brokerFaults()...)
	}
	if nodes > 1 {
		all = append(all, coordinatorFaults()...)
	}
	return all
}

// trapFaults are traps laid in a member that is at work.
func trapFaults() []fault {
	var all []fault
	add := func(place, what, moment string, acts ...string) {
		for _, act := range acts {
			t := trap{Place: place, What: what, Moment: moment, Act: act, Stall: transactionTimeout + time.Second}
			all = append(all, fault{t.String(), func(ctx context.Context, e *epoch) (time.Duration, error) { return e.spring(ctx, t) }})
		}
	}
	add(placeWire, "Fetch", answer, actKill, actError)
	add(placeWire, "Produce", before, actKill, actError)
	add(placeWire, "Produce", after, actKill, actStall)
	add(placeWire, "Produce", answer, actKill, actError)
	add(placeWire, "TxnOffsetCommit", before, actKill, actError, actStall)
	add(placeWire, "TxnOffsetCommit", after, actKill)
	add(placeWire, "TxnOffsetCommit", answer, actKill, actError)
	add(placeWire, "EndTxn", before, actKill, actError, actStall)
	add(placeWire, "EndTxn", after, actKill, actError)
	add(placeWire, "EndTxn", answer, actKill, actError, actStall)
	add(placeWire, "Heartbeat", answer, actError)
	add(placeWire, "ListOffsets", answer, actError)
	add(placeDisk, ".log", before, actKill, actError)
	add(placeDisk, ".log", during, actKill, actError)
	add(placeDisk, ".log", after, actKill)
	add(placeStage, "", before, actKill)
	add(placeStage, "", after, actKill)
	add(placeTimer, "", after, actKill)
	add(placeSink, "Write", before, actKill, actError)
	add(placeSink, "Write", during, actKill, actError)
	add(placeSink, "Write", after, actKill, actError)
	add(placeCaller, "Committed", before, actKill)
	add(placeCaller, "Committed", after, actKill)
	return all
}

// spring lays the trap in member a and sees what becomes of it.
func (e *epoch) spring(ctx context.Context, t trap) (time.Duration, error) {
	t = e.ready(t)
	if err := e.a.lay(t); err != nil {
		return 0, err
	}
	select {
	case <-e.a.sprang(t.ID):
	case <-e.a.dead:
	case <-time.After(springWait):
		return 0, errMissed
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	switch {
	case t.Act == actKill:
	case t.Place == placeDisk:
		// A disk that fails ends the member, by an error or by a panic of the database's.
		if err := e.a.gone(endWait); err != nil {
			return 0, err
		}
	default:
		return 0, e.awaitCommit(e.a)
	}
	return e.restartA(ctx)
}

// ready gives the trap its number, the stage's client and how often it is passed first.
func (e *epoch) ready(t trap) trap {
	e.trapN++
	t.ID = e.trapN
	if t.Skip == 0 {
		t.Skip = e.random.IntN(4)
	}
	switch {
	case t.Client == ofSink:
		t.Client = "handoff-" + factsOf(e.stage)
	case t.Place == placeWire && t.Client == "":
		t.Client = "handoff-" + e.stage // and, beginning alike, the sink's
	}
	return t
}

// restartA starts member a again after its death, and tells how long after it the first commit came. It
// returns once an output of the new process can be read.
func (e *epoch) restartA(ctx context.Context, laid ...trap) (time.Duration, error) {
	if err := e.a.gone(endWait); err != nil {
		return 0, err
	}
	died := e.a.died
	out, err := e.outputsFromNow(ctx)
	if err != nil {
		return 0, err
	}
	defer out.client.Close()
	if e.a, err = e.start("a", e.dirA, laid...); err != nil {
		return 0, err
	}
	if err := e.commitOf(e.a); err != nil {
		e.explain(e.a, died, "the end of a member without a commit of its successor's")
		return 0, err
	}
	took := time.Since(died)
	if err := out.first(ctx, e.a); err != nil {
		e.explain(e.a, died, "a recovery")
		return 0, err
	}
	readable := step{time.Now(), "its first output can be read"}
	e.readable = append(e.readable, readable.at.Sub(died))
	if readable.at.Sub(died) > slow {
		e.explain(e.a, died, "a recovery", readable)
	}
	return took, nil
}

// memberFaults are about whole processes and their state.
func memberFaults() []fault {
	restore := trap{Place: placeWire, What: "Fetch", Client: restoring, Act: actKill}
	sent, cut := restore, restore
	sent.Moment, restore.Moment, cut.Moment, cut.Act = after, answer, answer, actError
	return []fault{
		{"kill -9", killed},
		{"kill -9 in the session that ships", killedInSession},
		{"kill -9, and its state is lost", wiped},
		{"kill -9, and its state is of long ago", older},
		{"kill -9, and again while it starts", killedStarting},
		{"graceful restart", graceful},
		{"kill while restoring, request sent", func(ctx context.Context, e *epoch) (time.Duration, error) { return e.restoring(ctx, sent) }},
		{"kill while restoring, answer read", func(ctx context.Context, e *epoch) (time.Duration, error) { return e.restoring(ctx, restore) }},
		{"error while restoring", func(ctx context.Context, e *epoch) (time.Duration, error) { return e.restoring(ctx, cut) }},
		{"kill while the memtable is flushed", func(ctx context.Context, e *epoch) (time.Duration, error) { return e.flushing(ctx, actKill) }},
		{"error while the memtable is flushed", func(ctx context.Context, e *epoch) (time.Duration, error) { return e.flushing(ctx, actError) }},
		{"another member comes and goes", comesAndGoes},
		{"another member comes and is killed", comesAndDies},
		{"a member stops as another is killed", stopsBesideDead},
		{"kill as partitions are revoked", func(ctx context.Context, e *epoch) (time.Duration, error) {
			return e.moving(ctx, trap{Place: placeCaller, What: "Revoked", Moment: before, Act: actKill, Skip: -1})
		}},
		{"kill as calls are inherited", func(ctx context.Context, e *epoch) (time.Duration, error) {
			return e.starting(ctx, trap{Place: placeCaller, What: "Assigned", Moment: before, Act: actKill, Skip: -1})
		}},
		{"a zombie before its offsets are committed", zombie(trap{Place: placeWire, What: "TxnOffsetCommit", Moment: before, Act: actStop})},
		{"a zombie before its transaction ends", zombie(trap{Place: placeWire, What: "EndTxn", Moment: before, Act: actStop})},
		{"a zombie that fires a timer", zombie(trap{Place: placeTimer, Moment: before, Act: actStop})},
		{"a zombie before it writes rows", zombie(trap{Place: placeSink, What: "Write", Moment: before, Act: actStop})},
		{"a zombie while it writes rows", zombie(trap{Place: placeSink, What: "Write", Moment: during, Act: actStop})},
		{"a zombie before its intent is committed", zombie(trap{Place: placeWire, What: "TxnOffsetCommit", Client: ofSink, Moment: before, Act: actStop})},
		{"rolling restart of two members", rolling},
	}
}

// movingFaults have partitions leave while a member is in the middle of something.
func movingFaults() []fault {
	var all []fault
	for _, t := range []trap{
		{Place: placeWire, What: "Fetch", Moment: answer},
		{Place: placeWire, What: "Produce", Moment: before},
		{Place: placeWire, What: "TxnOffsetCommit", Moment: before},
		{Place: placeWire, What: "TxnOffsetCommit", Moment: answer},
		{Place: placeWire, What: "EndTxn", Moment: before},
		{Place: placeWire, What: "EndTxn", Moment: answer},
		{Place: placeDisk, What: ".log", Moment: before},
		{Place: placeSink, What: "Write", Moment: during},
	} {
		t.Act, t.Stall = actStall, 1500*time.Millisecond
		all = append(all, fault{"partitions leave: " + t.String(), func(ctx context.Context, e *epoch) (time.Duration, error) { return e.leaving(ctx, t) }})
	}
	return all
}

// leaving has another member come while member a is held up by a trap.
func (e *epoch) leaving(ctx context.Context, t trap) (time.Duration, error) {
	t = e.ready(t)
	if err := e.a.lay(t); err != nil {
		return 0, err
	}
	select {
	case <-e.a.sprang(t.ID):
	case <-e.a.dead:
		return 0, fmt.Errorf("member a ended by itself: %s", e.a.said)
	case <-time.After(springWait):
		return 0, errMissed
	}
	if err := e.startB(ctx); err != nil {
		return 0, err
	}
	return 0, e.awaitCommit(e.a)
}

// stopsBesideDead: whoever is told to stop must not wait for what its group still expects of a dead one.
func stopsBesideDead(ctx context.Context, e *epoch) (time.Duration, error) {
	if err := e.startB(ctx); err != nil {
		return 0, err
	}
	b := e.b
	e.b = nil
	if err := b.kill(); err != nil {
		return 0, err
	}
	return graceful(ctx, e)
}

func killed(ctx context.Context, e *epoch) (time.Duration, error) {
	if err := e.a.kill(); err != nil {
		return 0, err
	}
	return e.restartA(ctx)
}

// killedInSession: whoever comes back under its own name does not wait for the session of its predecessor,
// which is long where it matters.
func killedInSession(ctx context.Context, e *epoch) (time.Duration, error) {
	if e.fake {
		return 0, errMissed // names are new at each start there
	}
	e.session = shippedSession
	_, err := graceful(ctx, e)
	var took time.Duration
	if err == nil {
		took, err = killed(ctx, e)
	}
	e.session = sessionTimeout
	if err == nil && took > shippedSession/2 {
		err = fmt.Errorf("a member that came back under its own name worked after %s: it waited for the session of %s", took, shippedSession)
	}
	if err == nil {
		_, err = graceful(ctx, e) // to a short session
	}
	return took, err
}

// wiped starts the member on an empty disk.
func wiped(ctx context.Context, e *epoch) (time.Duration, error) {
	if err := e.a.kill(); err != nil {
		return 0, err
	}
	e.dirA = e.freshDir("a")
	return e.restartA(ctx)
}

// older starts the member on a copy of its state from an earlier round, and keeps one of now.
func older(ctx context.Context, e *epoch) (time.Duration, error) {
	if err := e.a.kill(); err != nil {
		return 0, err
	}
	if e.old == "" {
		e.old = e.freshDir("copy")
		if err := copyDir(e.dirA, e.old); err != nil {
			return 0, err
		}
		if _, err := e.restartA(ctx); err != nil {
			return 0, err
		}
		select {
		case <-time.After(2 * time.Second): // so that much has changed since
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if err := e.a.kill(); err != nil {
			return 0, err
		}
	}
	e.dirA = e.freshDir("a")
	if err := copyDir(e.old, e.dirA); err != nil {
		return 0, err
	}
	return e.restartA(ctx)
}

// killedStarting kills it a few times before it gets anywhere.
func killedStarting(ctx context.Context, e *epoch) (time.Duration, error) {
	for range 2 + e.random.IntN(3) {
		if err := e.a.kill(); err != nil {
			return 0, err
		}
		var err error
		if e.a, err = e.start("a", e.dirA); err != nil {
			return 0, err
		}
		select {
		case <-time.After(time.Duration(e.random.IntN(1200)) * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return killed(ctx, e)
}

func graceful(ctx context.Context, e *epoch) (time.Duration, error) {
	took, err := e.a.stop()
	e.stops = append(e.stops, took)
	if err != nil {
		return 0, err
	}
	return e.restartA(ctx)
}

// restoring lays a trap in a member that begins with nothing.
func (e *epoch) restoring(ctx context.Context, t trap) (time.Duration, error) {
	if err := e.a.kill(); err != nil {
		return 0, err
	}
	e.dirA = e.freshDir("a")
	if t.Skip = -1; e.partitions > 1 {
		t.Skip = e.random.IntN(e.partitions)
	}
	return e.startTrapped(ctx, t)
}

// starting lays a trap in a member that starts after a kill.
func (e *epoch) starting(ctx context.Context, t trap) (time.Duration, error) {
	if err := e.a.kill(); err != nil {
		return 0, err
	}
	return e.startTrapped(ctx, t)
}

// flushing lays a trap at the table that a database writes when it is closed.
func (e *epoch) flushing(ctx context.Context, act string) (time.Duration, error) {
	t := e.ready(trap{Place: placeDisk, What: ".sst", Moment: during, Act: act})
	t.Skip = 0
	if err := e.a.lay(t); err != nil {
		return 0, err
	}
	if err := e.a.tellStop(); err != nil {
		return 0, err
	}
	if err := e.a.gone(endWait); err != nil {
		return 0, err
	}
	select {
	case <-e.a.sprang(t.ID):
		return e.restartA(ctx)
	default:
		if _, err := e.restartA(ctx); err != nil {
			return 0, err
		}
		return 0, errMissed
	}
}

// startTrapped starts member a with a trap laid; where it dies of it, it is started again without.
func (e *epoch) startTrapped(ctx context.Context, t trap) (time.Duration, error) {
	skip := max(t.Skip, 0)
	t = e.ready(t)
	t.Skip = skip
	var err error
	if e.a, err = e.start("a", e.dirA, t); err != nil {
		return 0, err
	}
	select {
	case <-e.a.sprang(t.ID):
	case <-e.a.dead:
	case <-e.a.committed: // it got by
		return 0, errMissed
	case <-time.After(springWait):
		return 0, errMissed
	}
	if t.Act == actError && t.Place == placeWire {
		return 0, e.awaitCommit(e.a)
	}
	return e.restartA(ctx)
}

// startB has a second member, which takes part when there are partitions for it.
func (e *epoch) startB(ctx context.Context, laid ...trap) (err error) {
	if e.b, err = e.start("b", e.dirB, laid...); err != nil {
		return err
	}
	if e.partitions == 1 {
		return nil
	}
	return e.awaitCommit(e.b)
}

func comesAndGoes(ctx context.Context, e *epoch) (time.Duration, error) {
	if err := e.startB(ctx); err != nil {
		return 0, err
	}
	return 0, e.endB()
}

// comesAndDies leaves partitions with a member that is dead: they come back when its session ends.
func comesAndDies(ctx context.Context, e *epoch) (time.Duration, error) {
	if err := e.startB(ctx); err != nil {
		return 0, err
	}
	err := e.b.kill()
	e.b = nil
	return 0, err
}

// moving lays a trap in member a and has partitions move to another member.
func (e *epoch) moving(ctx context.Context, t trap) (time.Duration, error) {
	if e.partitions == 1 {
		return 0, errMissed
	}
	t = e.ready(t)
	t.Skip = 0
	if err := e.a.lay(t); err != nil {
		return 0, err
	}
	var err error
	if e.b, err = e.start("b", e.dirB); err != nil {
		return 0, err
	}
	select {
	case <-e.a.dead:
	case <-time.After(springWait):
		return 0, errMissed
	}
	return e.restartA(ctx)
}

// zombie freezes member a at a trap until its group has put it out and another member has its
// partitions; then it goes on with what it had in hand, none of which may count.
func zombie(t trap) func(ctx context.Context, e *epoch) (time.Duration, error) {
	return func(ctx context.Context, e *epoch) (time.Duration, error) {
		if err := e.startB(ctx); err != nil {
			return 0, err
		}
		t := e.ready(t)
		if err := e.a.lay(t); err != nil {
			return 0, err
		}
		select {
		case <-e.a.sprang(t.ID):
		case <-e.a.dead:
			return 0, fmt.Errorf("member a ended by itself: %s", e.a.said)
		case <-time.After(springWait):
			return 0, errMissed
		}
		select {
		case <-time.After(sessionTimeout + time.Second):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if err := e.b.mark(); err != nil {
			return 0, err
		}
		if err := e.awaitCommit(e.b); err != nil { // it has all partitions by now
			return 0, err
		}
		return 0, e.a.signal(syscall.SIGCONT)
	}
}

// rolling restarts both of two members, one after the other, twice.
func rolling(ctx context.Context, e *epoch) (time.Duration, error) {
	if err := e.startB(ctx); err != nil {
		return 0, err
	}
	for i := range 2 {
		if _, err := graceful(ctx, e); err != nil && e.partitions > 1 {
			return 0, err
		}
		if err := e.endB(); err != nil {
			return 0, err
		}
		if i == 1 {
			break
		}
		if err := e.startB(ctx); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// remove a directory that nobody needs any more.
func remove(dir string) { _ = os.RemoveAll(dir) }
