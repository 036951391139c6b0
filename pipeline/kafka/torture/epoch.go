package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/handoff-dev/handoff/schemas"
)

// roundsPerEpoch is how many rounds share their topics.
const roundsPerEpoch = 8

// Bounds of waiting, for a machine that is busy.
const (
	springWait  = 25 * time.Second // for a trap to spring
	commitWait  = 90 * time.Second // for the first commit after a fault
	settledWait = 2 * time.Minute  // for everything to be drained and as the model has it
)

// epoch is a stage with topics of its own, under fault after fault.
type epoch struct {
	*torture
	life       context.Context // of its members
	number     int
	stage      string
	partitions int
	compacted  bool
	dir        string
	random     *rand.Rand
	books      *books
	traffic    *traffic

	// copies has members keep copies of each other's state.
	copies bool
	// session of members that are started.
	session time.Duration
	a, b    *process
	trapN   int
	lives   int // of members, for the names of directories
	dirA    string
	dirB    string
	old     string // an earlier copy of a's state; empty: none
}

// partitionCounts that epochs take turns at.
func partitionCounts() []int { return []int{4, 1, 16, 64, 2, 32, 8, 3} }

// runEpoch runs rounds until the epoch or all that were asked for are done.
func (t *torture) runEpoch(ctx context.Context, number int) (err error) {
	counts := partitionCounts()
	e := &epoch{torture: t, life: ctx, number: number, partitions: counts[number%len(counts)], compacted: number%2 == 1, copies: number%3 == 2, session: sessionTimeout,
		stage: fmt.Sprintf("torture%x-%d", t.seed&0xffffff, number), random: rand.New(rand.NewPCG(t.seed, 1000+uint64(number)))}
	e.dir = filepath.Join(t.dir, fmt.Sprintf("epoch%d", number))
	if err := os.MkdirAll(filepath.Join(e.dir, "outside", "rows"), 0o755); err != nil {
		return err
	}
	facts := min(e.partitions, 3)
	if err := createTopics(ctx, t.admin, e.stage, e.partitions, facts, e.compacted); err != nil {
		return err
	}
	e.books = newBooks(t.cluster.Brokers(), t.admin, e.stage, e.partitions, facts, filepath.Join(e.dir, "outside"), e.compacted)
	if e.traffic, err = newTraffic(t.cluster.Brokers(), newWorkload(t.seed, number, e.stage, e.partitions), t.rate); err != nil {
		return err
	}
	posting, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); e.traffic.run(posting) }()
	defer func() {
		stop()
		<-done
		e.traffic.client.Close()
	}()
	defer func() { err = errors.Join(err, e.endMembers()) }()
	e.dirA, e.dirB = e.freshDir("a"), e.freshDir("b")
	if e.a, err = e.start("a", e.dirA); err != nil {
		return err
	}
	if err := e.awaitCommit(e.a); err != nil {
		return fmt.Errorf("the first commit of %s: %w", e.stage, err)
	}
	for i := range roundsPerEpoch {
		if t.rounds >= t.wanted || ctx.Err() != nil {
			break
		}
		if err := e.round(ctx, i); err != nil {
			return e.orUnmarked(ctx, err)
		}
		if i == roundsPerEpoch/2-1 {
			if err := e.settle(ctx, false); err != nil {
				return err
			}
		}
	}
	if err := e.settle(ctx, true); err != nil {
		return err
	}
	return e.removeTopics(ctx)
}

// orUnmarked adds to why the members are not at work again that the broker did not end transactions.
func (e *epoch) orUnmarked(ctx context.Context, err error) error {
	f, _, audited := e.books.audit(ctx, e.traffic.posted.Load())
	if audited != nil || len(f.unmarked) == 0 {
		return err
	}
	return fmt.Errorf("the broker did not end %d transactions, the first in %s; then: %w", len(f.unmarked), f.unmarked[0], err)
}

// round injects one fault and sees the members at work again.
func (e *epoch) round(ctx context.Context, i int) error {
	f := e.deal(e.number*roundsPerEpoch + i)
	began := time.Now()
	// Some time for things to be on their way, a part of it idle.
	select {
	case <-time.After(time.Duration(e.random.IntN(400)) * time.Millisecond):
	case <-ctx.Done():
		return ctx.Err()
	}
	recovery, err := f.run(ctx, e)
	outcome := "hit"
	switch {
	case errors.Is(err, errMissed):
		outcome = "missed"
		e.missed++
		if err := e.disarm(ctx); err != nil {
			return fmt.Errorf("epoch %d, after %s was missed: %w", e.number, f.name, err)
		}
	case err != nil:
		return fmt.Errorf("epoch %d, %s: %w", e.number, f.name, err)
	default:
		e.rounds++
	}
	again := ""
	if recovery > 0 {
		e.recoveries = append(e.recoveries, recovery)
		again = fmt.Sprintf("  works again after %.2f s", recovery.Seconds())
	}
	e.print("round %3d  epoch %2d  %2d partitions  %-58s %s in %.1f s%s", e.rounds, e.number, e.partitions, f.name, outcome, time.Since(began).Seconds(), again)
	return e.steady(ctx)
}

// disarm takes away a trap that did not spring: it would in a later round. It may have sprung just now.
func (e *epoch) disarm(ctx context.Context) error {
	if e.b != nil {
		if err := e.b.disarm(); err != nil {
			return err
		}
		if !e.b.alive() {
			e.b = nil
		}
	}
	if err := e.a.disarm(); err != nil || e.a.alive() {
		return err
	}
	_, err := e.restartA(ctx)
	return err
}

// steady has member a alive, alone, and committing.
func (e *epoch) steady(ctx context.Context) error {
	if e.b != nil {
		if err := e.endB(); err != nil {
			return err
		}
	}
	if !e.a.alive() {
		return fmt.Errorf("member a ended by itself: %s", e.a.said)
	}
	if err := e.a.mark(); err != nil {
		return err
	}
	return e.awaitCommit(e.a)
}

func (e *epoch) endB() error {
	b := e.b
	e.b = nil
	if !b.alive() {
		return nil
	}
	took, err := b.stop()
	e.stops = append(e.stops, took)
	return err
}

func (e *epoch) freshDir(name string) string {
	e.lives++
	return filepath.Join(e.dir, fmt.Sprintf("%s%d", name, e.lives))
}

func (e *epoch) start(instance, dir string, laid ...trap) (*process, error) {
	if e.fake {
		instance = ""
	}
	return spawn(e.life, order{Brokers: e.cluster.Brokers(), Stage: e.stage, Partitions: e.partitions, Instance: instance, Dir: dir,
		Outside: filepath.Join(e.dir, "outside"), Fault: e.fault, Copies: e.copies, Session: e.session}, laid...)
}

// awaitCommit waits until the member has committed, since its start, the last mark or the last trap, and
// explains a commit that takes long.
func (e *epoch) awaitCommit(p *process) error {
	began := time.Now()
	err := e.commitOf(p)
	if took := time.Since(began); took > slow {
		e.explain(p, began, "a commit")
	}
	return err
}

func (e *epoch) commitOf(p *process) error {
	select {
	case <-p.committed:
		return nil
	case <-p.dead:
		return fmt.Errorf("a member ended by itself: %s", p.said)
	case <-time.After(commitWait):
		_ = p.cmd.Process.Signal(sigQuit) // its log shows where it hangs
		return fmt.Errorf("a member does not commit within %s", commitWait)
	}
}

// settle pauses the traffic and waits until everything is as the model has it; then it looks into the
// local state. The traffic goes on, unless it is the end.
func (e *epoch) settle(ctx context.Context, end bool) error {
	ctx, cancel := context.WithTimeout(ctx, settledWait+time.Minute)
	defer cancel()
	if err := e.traffic.pause(ctx); err != nil {
		return err
	}
	began := time.Now()
	f, m, err := e.settled(ctx)
	if err != nil {
		return err
	}
	if f.clean() {
		if err := e.auditStores(ctx, f); err != nil {
			return err
		}
	}
	if end || !f.clean() {
		e.records += m.records
	}
	if len(f.unmarked) > 0 {
		f.bad("the broker did not end %d transactions, the first in %s", len(f.unmarked), f.unmarked[0])
	}
	e.lost, e.doubled, e.wrong = e.lost+f.lost, e.doubled+f.doubled, e.wrong+f.wrong
	verdict := "as the model has it"
	if !f.clean() {
		verdict = fmt.Sprintf("NOT as the model has it: %d lost, %d doubled, %d wrong", f.lost, f.doubled, f.wrong)
	}
	e.print("checked    epoch %2d  %2d partitions  %d records, %d outputs, %d timers, %d calls, %d dead letters: %s (%.1f s)", e.number, e.partitions,
		m.records, e.books.out.count(), len(m.timers), len(m.calls), len(m.dead), verdict, time.Since(began).Seconds())
	for _, s := range f.said {
		e.print("  %s", s)
	}
	if !f.clean() {
		e.print("  %s", groupSaid(ctx, e.admin, e.stage))
		e.print("  member a runs: %v, member b: %v", e.a != nil, e.b != nil)
		return errFindings
	}
	if end {
		return nil
	}
	e.traffic.resume()
	return e.awaitCommit(e.a)
}

var errFindings = errors.New("the books do not balance")

// settled audits until nothing is missing.
func (e *epoch) settled(ctx context.Context) (*findings, *model, error) {
	deadline := time.Now().Add(e.patience)
	for {
		f, m, err := e.books.audit(ctx, e.traffic.posted.Load())
		if err == nil && (f.clean() || len(f.unmarked) > 0 || time.Now().After(deadline)) {
			return f, m, nil
		}
		if err != nil && time.Now().After(deadline) {
			return nil, nil, err
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// auditStores ends member a, one way or the other, looks into its local state and starts it again.
func (e *epoch) auditStores(ctx context.Context, f *findings) error {
	look := e.dirA
	if e.random.IntN(2) == 0 {
		took, err := e.a.stop()
		if err != nil {
			return err
		}
		e.stops = append(e.stops, took)
	} else {
		if err := e.a.kill(); err != nil {
			return err
		}
		look = e.freshDir("copy") // so that it is the member that recovers what the kill left
		if err := copyDir(e.dirA, look); err != nil {
			return err
		}
	}
	for _, dir := range []string{look, e.dirB} {
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		if err := e.books.auditStore(ctx, f, dir); err != nil {
			return err
		}
	}
	var err error
	e.a, err = e.start("a", e.dirA)
	return err
}

func (e *epoch) endMembers() error {
	var errs []error
	for _, p := range []*process{e.a, e.b} {
		if p != nil {
			errs = append(errs, p.kill())
		}
	}
	e.a, e.b = nil, nil
	return errors.Join(errs...)
}

func (e *epoch) removeTopics(ctx context.Context) error {
	if err := e.endMembers(); err != nil {
		return err
	}
	var names []string
	for _, stage := range []string{e.stage, factsOf(e.stage)} {
		names = append(names, schemas.Mailbox(stage), schemas.Changelog(stage))
	}
	if _, err := e.admin.DeleteTopics(ctx, names...); err != nil {
		return fmt.Errorf("remove topics: %w", err)
	}
	return os.RemoveAll(e.dir)
}
