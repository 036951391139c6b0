package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/handoff-dev/handoff/schemas"
)

// Runner runs one stage as a member of its consumer group.
type Runner struct {
	cfg       Config
	mailbox   string
	changelog string
	sink      *SinkConfig // nil for a stage
	metrics   *runnerMetrics
	reader    *reader
	failures  failureWindow
	records   recordPool
	failing   atomic.Bool  // too many failures: stop after the commit
	owned     atomic.Int32 // partitions at work, of all members
	// cacheBytes bounds hot state now: what is configured, or less where the heap's limit is near.
	cacheBytes atomic.Int64
	// rebuilding has room for as many partitions as may read a long changelog at once.
	rebuilding chan struct{}

	settleEvery time.Duration
	nearRecords int64

	calling sync.Mutex // the Caller is told of one thing at a time

	mu     sync.Mutex
	ready  []error             // guarded by mu; of each member, nil when ready
	waits  []waits             // guarded by mu; of each member, for the cluster to take records
	left   map[int32]time.Time // guarded by mu; since when state is kept of partitions that left
	claims map[int32]*claim    // guarded by mu; whose the local state of a partition is
	copies copies              // guarded by mu
}

var (
	// ErrFailing ends Run when too many records in a row, or in a short time, became dead letters:
	// most likely the stage is at fault, not the records.
	ErrFailing = errors.New("too many failing records, the stage stops")
	errNotYet  = errors.New("not started")
)

// fatal ends Run: trying again cannot mend it.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// New returns a runner; Run starts it.
func New(cfg Config) (*Runner, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("configure runner: %w", err)
	}
	name := cfg.Stage.Name()
	r := &Runner{cfg: cfg, mailbox: schemas.Mailbox(name), changelog: schemas.Changelog(name),
		left: map[int32]time.Time{}, claims: map[int32]*claim{}, settleEvery: settleEvery, nearRecords: nearRecords, copies: newCopies(cfg.Instance)}
	r.cacheBytes.Store(int64(cfg.CacheBytes))
	for range cfg.Members {
		r.ready, r.waits = append(r.ready, errNotYet), append(r.waits, waits{})
	}
	cfg.Logger = cfg.Logger.With("stage", name)
	r.cfg = cfg
	r.reader, r.rebuilding = newReader(r), make(chan struct{}, rebuilds())
	m, err := newRunnerMetrics(cfg.Registerer, name, r)
	if err != nil {
		return nil, fmt.Errorf("register metrics of %s: %w", name, err)
	}
	r.metrics = m
	return r, nil
}

// Ready returns nil while the stage's partitions are processed, and why not otherwise.
func (r *Runner) Ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, err := range r.ready {
		if err != nil {
			return err
		}
	}
	for _, w := range r.waits {
		if w.why != nil && r.cfg.Now().Sub(w.told) < r.waitsFor() {
			return w.why
		}
	}
	return nil
}

// setWaiting notes that a member waits for the cluster to take records, and why; nil that it took some.
func (r *Runner) setWaiting(member int, why error) {
	r.mu.Lock()
	r.waits[member] = waits{why, r.cfg.Now()}
	r.mu.Unlock()
}

func (r *Runner) setReady(member int, err error) {
	r.mu.Lock()
	r.ready[member] = err
	r.mu.Unlock()
}

// Run processes until ctx ends, then finishes the open transaction, waits for running requests and
// leaves, within DrainWait. Brokers that are away, fencing and unknown outcomes of commits are retried
// for ever with a fresh client. It returns an error for what trying again cannot mend.
func (r *Runner) Run(ctx context.Context) error {
	defer r.metrics.unregister()
	members, ctx := errgroup.WithContext(ctx)
	for i := range r.cfg.Members {
		members.Go(func() error { return r.member(ctx, i) })
	}
	members.Go(func() error { return r.refuseTopics(ctx) })
	members.Go(func() error { return r.keepCache(ctx) })
	return members.Wait()
}

// member is one member of the group, in as many incarnations as it takes.
func (r *Runner) member(ctx context.Context, member int) error {
	failed := 0
	for {
		began := r.cfg.Now()
		err := r.incarnation(ctx, member)
		if ctx.Err() != nil {
			r.setReady(member, errors.New("stopped"))
			return nil //nolint:nilerr // It was told to end, and what is not committed is not lost.
		}
		if Refused(err) {
			err = fmt.Errorf("%w; \"handoff acls run %s\" lists all that the stage needs", err, r.cfg.Stage.Name())
		}
		r.setReady(member, err)
		if f := (fatal{}); errors.As(err, &f) {
			return fmt.Errorf("run %s: %w", r.cfg.Stage.Name(), f.error)
		}
		if failed++; r.cfg.Now().Sub(began) > 30*time.Second {
			failed = 1
		}
		r.metrics.restarts.Inc()
		wait := backoff(failed)
		r.cfg.Logger.Warn("starting over from what is committed", "error", err, "in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// mostBackoff bounds how long what failed is left alone. What it waits for is back between two tries, so
// this is added to every recovery: from a coordinator that moves or loads, from a broker that restarts. The
// client's own default doubles to 5 s: what is back after 4 s it asks for after 7.75.
const mostBackoff = time.Second

// backoff of the n-th failure in a row: 50 ms doubling to mostBackoff, less up to half of it.
func backoff(n int) time.Duration {
	d := min(50*time.Millisecond<<min(max(n-1, 0), 5), mostBackoff)
	return d/2 + rand.N(d/2)
}

// failureWindow counts failing records.
type failureWindow struct {
	inARow atomic.Int32
	mu     sync.Mutex
	recent []time.Time // guarded by mu; within failureSpan
}

const (
	failuresInARow = 20
	failuresInSpan = 100
	failureSpan    = 10 * time.Second
)

func (w *failureWindow) succeeded() {
	if w.inARow.Load() != 0 {
		w.inARow.Store(0)
	}
}

// failed tells whether the stage must stop.
func (w *failureWindow) failed(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.recent) > 0 && now.Sub(w.recent[0]) > failureSpan {
		w.recent = w.recent[1:]
	}
	w.recent = append(w.recent, now)
	return w.inARow.Add(1) >= failuresInARow || len(w.recent) >= failuresInSpan
}
