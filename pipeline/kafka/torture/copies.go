package torture

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// standingBy is the client id with which copies of others' state are kept up.
const standingBy = "handoff-standby"

// copyFaults are about copies of state: member b keeps some of what a works on. Whoever dies, and however
// far behind the copies are, nothing may be lost or doubled.
func copyFaults() []fault {
	with := func(run func(ctx context.Context, e *epoch) (time.Duration, error)) func(ctx context.Context, e *epoch) (time.Duration, error) {
		return func(ctx context.Context, e *epoch) (time.Duration, error) {
			was := e.copies
			e.copies = true
			defer func() { e.copies = was }()
			return run(ctx, e)
		}
	}
	read := trap{Place: placeWire, What: "Fetch", Client: standingBy, Moment: answer, Act: actKill}
	write := trap{Place: placeDisk, What: ".log", Moment: during, Act: actKill}
	return []fault{
		{"kill -9 while copies of its state lag", with(diesAheadOfCopies)},
		{"kill -9 of who keeps copies, as it reads", with(func(ctx context.Context, e *epoch) (time.Duration, error) { return e.keeperDies(ctx, read) })},
		{"kill -9 of who keeps copies, as it writes", with(func(ctx context.Context, e *epoch) (time.Duration, error) { return e.keeperDies(ctx, write) })},
		{"kill -9 of both, while copies lag", with(bothDie)},
		{"kill -9 of both, as one takes over from a copy", with(diesTakingOver)},
		{"rolling restart of two that keep copies", with(rolling)},
	}
}

// await waits until a trap springs in a member, and misses where it does not.
func (e *epoch) await(ctx context.Context, p *process, t trap) error {
	select {
	case <-p.sprang(t.ID):
		return nil
	case <-p.dead:
		if t.Act == actKill {
			return nil
		}
		return fmt.Errorf("a member ended by itself: %s", p.said)
	case <-time.After(springWait):
		return errMissed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// keeper starts member b and waits until it is copying; from then on its copies lag, for longer than it takes
// the group to give up a member.
func (e *epoch) keeper(ctx context.Context) error {
	t := e.ready(trap{Place: placeWire, What: "Fetch", Client: standingBy, Moment: answer, Act: actStall, Stall: 2 * sessionTimeout})
	if err := e.startB(ctx, t); err != nil {
		return err
	}
	return e.await(ctx, e.b, t)
}

// diesAheadOfCopies has b take over from copies that lag, and then a come back.
func diesAheadOfCopies(ctx context.Context, e *epoch) (time.Duration, error) {
	if err := e.keeper(ctx); err != nil {
		return 0, err
	}
	if err := e.a.kill(); err != nil {
		return 0, err
	}
	if err := e.hasAll(ctx, e.b); err != nil {
		return 0, err
	}
	var err error
	if e.a, err = e.start("a", e.dirA); err != nil {
		return 0, err
	}
	if e.partitions == 1 {
		return 0, e.endB() // it keeps the only one
	}
	return 0, e.awaitCommit(e.a)
}

// hasAll waits until the other member's session is over, and this one commits after it.
func (e *epoch) hasAll(ctx context.Context, p *process) error {
	select {
	case <-time.After(sessionTimeout + time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := p.mark(); err != nil {
		return err
	}
	return e.awaitCommit(p)
}

// keeperDies kills b as it copies. It comes back with half a copy, and goes on.
func (e *epoch) keeperDies(ctx context.Context, t trap) (time.Duration, error) {
	if t.Place == placeDisk {
		if err := e.keeper(ctx); err != nil { // its first writes are its own partitions'
			return 0, err
		}
		t = e.ready(t)
		if err := e.b.lay(t); err != nil {
			return 0, err
		}
	} else {
		t = e.ready(t)
		if err := e.startB(ctx, t); err != nil && e.b.alive() {
			return 0, err
		}
	}
	if err := e.await(ctx, e.b, t); err != nil {
		return 0, err
	}
	if err := errors.Join(e.b.gone(endWait), e.hasAll(ctx, e.a)); err != nil {
		return 0, err
	}
	return 0, e.keeper(ctx)
}

// bothDie: with nobody left, each comes back to what it has.
func bothDie(ctx context.Context, e *epoch) (time.Duration, error) {
	if err := e.keeper(ctx); err != nil {
		return 0, err
	}
	if err := errors.Join(e.a.kill(), e.b.kill()); err != nil {
		return 0, err
	}
	if e.random.IntN(2) == 0 {
		return e.restartA(ctx)
	}
	var err error
	if e.b, err = e.start("b", e.dirB); err != nil {
		return 0, err
	}
	if e.partitions > 1 {
		if err := e.awaitCommit(e.b); err != nil {
			return 0, err
		}
	}
	if e.a, err = e.start("a", e.dirA); err != nil {
		return 0, err
	}
	return 0, e.awaitCommit(e.a)
}

// diesTakingOver kills b while it makes a copy whole that it takes over from.
func diesTakingOver(ctx context.Context, e *epoch) (time.Duration, error) {
	if err := e.keeper(ctx); err != nil {
		return 0, err
	}
	t := e.ready(trap{Place: placeWire, What: "Fetch", Client: restoring, Moment: answer, Act: actKill, Skip: -1})
	if err := errors.Join(e.b.lay(t), e.a.kill()); err != nil {
		return 0, err
	}
	missed := e.await(ctx, e.b, t)
	if missed != nil && !errors.Is(missed, errMissed) {
		return 0, missed
	}
	var err error
	if e.a, err = e.start("a", e.dirA); err != nil {
		return 0, err
	}
	if missed == nil {
		if err := e.b.gone(endWait); err != nil {
			return 0, err
		}
		e.b = nil
	} else if err := e.endB(); err != nil {
		return 0, err
	}
	return 0, errors.Join(missed, e.awaitCommit(e.a))
}
