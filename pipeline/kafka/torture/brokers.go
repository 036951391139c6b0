package torture

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/handoff-dev/handoff/schemas"
)

// frozenBroker stops a node for a while.
func frozenBroker() fault {
	return fault{"a broker freezes for longer than a session", func(ctx context.Context, e *epoch) (time.Duration, error) {
		n := 1 + e.random.IntN(e.nodes)
		if err := e.cluster.Pause(n); err != nil {
			return 0, err
		}
		select {
		case <-time.After(sessionTimeout + time.Second):
		case <-ctx.Done():
		}
		if err := e.cluster.Resume(n); err != nil {
			return 0, err
		}
		return 0, e.back(ctx)
	}}
}

// brokerFaults are about a node, be it the only one or one among others. The worst moment of all is just
// after a commit was acknowledged: then its markers are still to be written, by whoever coordinates the
// transactions next.
func brokerFaults() []fault {
	node := func(e *epoch) int { return 1 + e.random.IntN(e.nodes) }
	ending := func(moment string) fault {
		t := trap{Place: placeWire, What: "EndTxn", Moment: moment, Act: actStall, Stall: 200 * time.Millisecond}
		return fault{"a broker is killed -9: " + t.String(), func(ctx context.Context, e *epoch) (time.Duration, error) { return 0, e.crashEnding(ctx, t) }}
	}
	return []fault{
		ending(after),
		ending(answer),
		{"a broker is killed -9 and comes back", func(ctx context.Context, e *epoch) (time.Duration, error) { return 0, e.crash(ctx, node(e)) }},
		{"a broker restarts", func(ctx context.Context, e *epoch) (time.Duration, error) {
			n := node(e)
			if err := errors.Join(e.cluster.Stop(ctx, n), e.cluster.Start(ctx, n)); err != nil {
				return 0, err
			}
			return 0, e.back(ctx)
		}},
		{"a broker and a member are killed -9 at once", func(ctx context.Context, e *epoch) (time.Duration, error) {
			n := node(e)
			if err := errors.Join(e.a.kill(), e.bounce(ctx, n)); err != nil {
				return 0, err
			}
			_, err := e.restartA(ctx) // its time is the broker's
			return 0, err
		}},
	}
}

// crashEnding kills the node that coordinates a member's transactions as one of them ends.
func (e *epoch) crashEnding(ctx context.Context, t trap) error {
	n, err := coordinator(ctx, e.admin.FindTxnCoordinators, e.stage+"-a")
	if err != nil {
		return err
	}
	t = e.ready(t)
	if err := e.a.lay(t); err != nil {
		return err
	}
	select {
	case <-e.a.sprang(t.ID):
	case <-e.a.dead:
		return fmt.Errorf("member a ended by itself: %s", e.a.said)
	case <-time.After(springWait):
		return errMissed
	}
	return e.crash(ctx, n)
}

// crash kills a node and starts it again.
func (e *epoch) crash(ctx context.Context, n int) error {
	if err := e.bounce(ctx, n); err != nil {
		return err
	}
	return e.back(ctx)
}

// bounce kills a node and starts it again, a node among others once these have taken over.
//
// One that is back before still leads what it led. Seen with Kafka 4.2.2: as a coordinator it loads its
// transaction log to the end, also what no other copy has, and sends the markers of a commit that was just
// prepared. Then another node leads the log, without that entry, and aborts the same transaction: its
// partitions have both markers, and what was committed is up to which came first. No client can mend that.
func (e *epoch) bounce(ctx context.Context, n int) error {
	if err := e.cluster.Kill(n); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commitWait)
	defer cancel()
	for e.nodes > 1 {
		topics, err := e.admin.ListTopicsWithInternal(ctx)
		if err == nil && !leads(topics, int32(n)) {
			break
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait until others lead what node %d led: %w", n, errors.Join(ctx.Err(), err))
		}
	}
	return e.cluster.Start(ctx, n)
}

// leads tells whether a node leads any partition.
func leads(topics kadm.TopicDetails, node int32) bool {
	for _, t := range topics {
		for _, p := range t.Partitions {
			if p.Leader == node {
				return true
			}
		}
	}
	return false
}

// back waits for the first commit since now: the broker is there again.
func (e *epoch) back(context.Context) error {
	began := time.Now()
	if err := e.a.mark(); err != nil {
		return err
	}
	if err := e.awaitCommit(e.a); err != nil {
		return err
	}
	e.broker = append(e.broker, time.Since(began))
	return nil
}

// coordinatorFaults move what only one node does at a time.
func coordinatorFaults() []fault {
	return []fault{
		{"the group's coordinator is killed -9", func(ctx context.Context, e *epoch) (time.Duration, error) {
			n, err := coordinator(ctx, e.admin.FindGroupCoordinators, schemas.Mailbox(e.stage))
			if err != nil {
				return 0, err
			}
			return 0, e.crash(ctx, n)
		}},
		{"the transactions' coordinator is killed -9", func(ctx context.Context, e *epoch) (time.Duration, error) {
			n, err := coordinator(ctx, e.admin.FindTxnCoordinators, e.stage+"-a")
			if err != nil {
				return 0, err
			}
			return 0, e.crash(ctx, n)
		}},
		{"the transactions' coordinator freezes as a transaction ends", func(ctx context.Context, e *epoch) (time.Duration, error) {
			n, err := coordinator(ctx, e.admin.FindTxnCoordinators, e.stage+"-a")
			if err != nil {
				return 0, err
			}
			t := e.ready(trap{Place: placeWire, What: "EndTxn", Moment: before, Act: actStall, Stall: 500 * time.Millisecond})
			if err := e.a.lay(t); err != nil {
				return 0, err
			}
			select {
			case <-e.a.sprang(t.ID):
			case <-time.After(springWait):
				return 0, errMissed
			}
			if err := e.cluster.Pause(n); err != nil {
				return 0, err
			}
			select {
			case <-time.After(sessionTimeout + 2*time.Second):
			case <-ctx.Done():
			}
			if err := e.cluster.Resume(n); err != nil {
				return 0, err
			}
			return 0, e.back(ctx)
		}},
	}
}

// coordinator returns the node that coordinates a group (kadm.FindGroupCoordinators) or the transactions
// of an id.
func coordinator(ctx context.Context, find func(context.Context, ...string) kadm.FindCoordinatorResponses, name string) (int, error) {
	for _, r := range find(ctx, name) {
		if r.Err != nil {
			return 0, fmt.Errorf("find the coordinator of %s: %w", name, r.Err)
		}
		return int(r.NodeID), nil
	}
	return 0, fmt.Errorf("find the coordinator of %s: no answer", name)
}
