package scripts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// crew is the processes that run the five groups, two at most, and what befalls them.
type crew struct {
	plant  *plant
	stages []pipeline.Stage
	// static members keep their names over restarts, as on a real broker; kfake needs new ones.
	static  bool
	rand    *rand.Rand
	members [2]*member
	disks   [2]vfs.FS
	befell  map[string]int
}

// member is a process: a runner of every group, a store, a network of its own.
type member struct {
	store *state.Store
	wires *wires
	stop  context.CancelFunc
	// told that it was told to end; ended is closed when all its runners have, err is what they say.
	told  atomic.Bool
	ended chan struct{}
	err   error
}

// endsWithin is how long a member may take to end: a run that hangs says where.
const endsWithin = time.Minute

func newCrew(p *plant, stages []pipeline.Stage, static bool) *crew {
	return &crew{plant: p, stages: stages, static: static, rand: p.rand, befell: map[string]int{}}
}

// start starts a member on the disk it has; a new one is empty.
func (c *crew) start(n int) error {
	if c.disks[n] == nil {
		c.disks[n] = vfs.NewCrashableMem()
	}
	store, err := state.OpenStore(state.StoreConfig{Dir: "state", FS: c.disks[n]})
	if err != nil {
		return fmt.Errorf("open the state of member %d: %w", n, err)
	}
	m := &member{store: store, wires: &wires{open: map[net.Conn]bool{}}, ended: make(chan struct{})}
	runners, err := c.runners(n, m)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	runs, ctx := errgroup.WithContext(ctx)
	for _, r := range runners {
		runs.Go(func() error { return r.Run(ctx) })
	}
	go func() {
		m.err = runs.Wait()
		close(m.ended)
		if !m.told.Load() { // nobody would do its work, and all others wait for it
			c.plant.fail(fmt.Errorf("member %d ended by itself: %w", n, m.err))
		}
	}()
	c.members[n] = m
	return nil
}

// runners of a member. How much goes into a transaction is drawn, so that what came together is cut
// anywhere.
func (c *crew) runners(n int, m *member) ([]*kafka.Runner, error) {
	cfg := kafka.Config{
		Connection: kafka.Connection{Brokers: c.plant.to.Brokers, Options: []kgo.Opt{kgo.Dialer(m.wires.dial)}},
		Store:      m.store, Settings: c.plant.table, Schema: 1, Now: c.plant.now, SettingsWait: 100 * 365 * 24 * time.Hour, // held records wait as for settings
		CommitEvery: 20 * time.Millisecond, SessionTimeout: 3 * time.Second, TransactionTimeout: 2 * time.Second,
		DrainWait: time.Second, Logger: slog.New(slog.DiscardHandler), CacheBytes: 8 << 20,
	}
	if os.Getenv("HANDOFF_TEST_LOG") != "" {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if c.static {
		cfg.Instance = fmt.Sprintf("member%d", n)
	}
	var all []*kafka.Runner
	for _, s := range c.stages {
		of := cfg
		of.Stage, of.CommitRecords = planted{s, c.plant.losing, c.plant.holds}, 1+c.rand.IntN(1<<c.rand.IntN(8))
		if c.plant.holds.wanted { // what waits fills the room for what is polled, and others are to be read beside it
			of.CommitRecords += 1000
		}
		if s.Name() == schemas.StageDeliver {
			of.Caller = &courier{c.plant.desk}
		}
		r, err := kafka.New(of)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	cfg.Now = time.Now // how long rows wait for others is no matter of scripts
	sink, err := kafka.NewSink(kafka.SinkConfig{Config: cfg, Name: schemas.StageAnalytics, Sink: c.plant.rows, BatchEvery: 5 * time.Millisecond})
	return append(all, sink), err
}

// end ends a member: it finishes what it is doing and says goodbye, or its network is cut and all that is
// left is what its disk had synced, and some of the rest.
func (c *crew) end(n int, abruptly bool) error {
	m := c.members[n]
	c.members[n] = nil
	var left vfs.FS
	if abruptly {
		left = c.disks[n].(*vfs.MemFS).CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: c.rand.IntN(101), RNG: c.rand})
		m.wires.cut()
	}
	m.told.Store(true)
	m.stop()
	select {
	case <-m.ended:
	case <-time.After(endsWithin):
		return fmt.Errorf("member %d has not ended %s after it was told to", n, endsWithin)
	}
	err := errors.Join(m.err, m.store.Close())
	if abruptly {
		c.disks[n] = left
	}
	return err
}

func (c *crew) close() error {
	var errs []error
	for n, m := range c.members {
		if m != nil {
			errs = append(errs, c.end(n, false))
		}
	}
	return errors.Join(errs...)
}

// strike has one thing happen to the crew: a member restarts, with its disk or without, told to or killed;
// or the second one comes, or goes. kill tells whether it may be the kind that others notice only when its
// session ends.
func (c *crew) strike(kill bool) error {
	second := c.members[1] != nil
	switch what := c.rand.IntN(6); {
	case what < 2 && !second:
		c.befell["joined"]++
		return c.start(1)
	case what < 2:
		c.befell["left"]++
		return c.end(1, false)
	}
	n := 0
	if second {
		n = c.rand.IntN(2)
	}
	name, abruptly := "restarted", kill && c.rand.IntN(2) == 0
	if abruptly {
		name = "killed"
	}
	if err := c.end(n, abruptly); err != nil {
		return err
	}
	if c.rand.IntN(2) == 0 {
		name += ", disk lost"
		c.disks[n] = nil
	}
	c.befell[name]++
	return c.start(n)
}

// wires are a member's connections.
type wires struct {
	mu   sync.Mutex
	down bool              // guarded by mu
	open map[net.Conn]bool // guarded by mu
}

var errCut = errors.New("the line was cut")

func (w *wires) dial(ctx context.Context, network, host string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, host)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, errors.Join(errCut, conn.Close())
	}
	w.open[conn] = true
	return conn, nil
}

// cut ends every connection, and none comes again.
func (w *wires) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = true
	for conn := range w.open {
		_ = conn.Close() // it is as good as closed if that fails
	}
}
