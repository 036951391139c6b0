package kafka

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
)

// seedFlag replays what a run drew at random: go test ./pipeline/kafka -run <test> -seed <seed>.
var seedFlag = flag.Uint64("seed", 0, "seed of random workloads; 0 draws one")

// patience is for a machine that does much else.
var patience = 90 * time.Second

func TestMain(m *testing.M) {
	flag.DurationVar(&patience, "patience", patience, "how long a test waits for what must come")
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		// These tests wait for brokers and groups more than they compute.
		if err := f.Value.Set("6"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	goleak.VerifyTestMain(m)
}

// seed of a test; it is in its log, and replays it.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := *seedFlag
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("replay with -seed %d", s)
	return s
}

// world is a stage under test with all it depends on: a cluster of three brokers, a wire that can be
// cut, a store in memory, and a workload.
type world struct {
	*cluster
	wire  *wire
	mill  *mill
	work  *workload
	fs    vfs.FS
	store *state.Store
	run   *running
	audit *auditor
	// atProcess is called with the next record that the stage processes, once.
	atProcess atomic.Pointer[func()]
	other     *member
	kill      bool // the runner is to be killed: its open transaction must not last
}

// member is a second runner of the stage, with a store of its own.
type member struct {
	w      *world
	runner *Runner
	store  *state.Store
	run    *running
}

func newWorld(t *testing.T, seed uint64, partitions int32) *world {
	t.Helper()
	return newWorldOn(newClusterOf(t, 3, partitions, "mill"), seed)
}

func newWorldOn(c *cluster, seed uint64) *world {
	w := &world{cluster: c, wire: newWire(), work: newWorkload(seed, 40), fs: newMem()}
	w.mill = &mill{processed: func(in *pipeline.Input) {
		if in.Record == nil {
			return
		}
		if fn := w.atProcess.Swap(nil); fn != nil {
			(*fn)()
		}
	}}
	return w
}

// open opens the store in the world's file system.
func (w *world) open() *state.Store {
	w.t.Helper()
	s, err := state.OpenStore(state.StoreConfig{Dir: "db", FS: w.fs})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// config of the world's runners: they notice within a second what befell them.
func (w *world) config(store *state.Store) Config {
	cfg := w.cluster.config(w.mill, store)
	cfg.SessionTimeout, cfg.TransactionTimeout = 6*time.Second, 5*time.Second
	cfg.MaxRecordBytes = largest
	cfg.Options = append(cfg.Options, w.wire.option(), kgo.RequestRetries(3), kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }))
	return cfg
}

// start starts the first runner on what the file system has.
func (w *world) start() {
	w.t.Helper()
	w.store = w.open()
	w.audit = &auditor{c: w.cluster, stage: "mill", store: w.store}
	cfg := w.config(w.store)
	cfg.Caller = w.audit
	if w.kill {
		cfg.TransactionTimeout, cfg.DrainWait = 2*time.Second, 500*time.Millisecond
	}
	w.run = start(w.t, cfg)
}

// stop stops it and checks what it left in its store.
func (w *world) stop() {
	w.t.Helper()
	if err := w.run.stop(); err != nil {
		w.t.Error(err)
	}
	w.checkStore("mill", w.store)
	w.audit.check()
	if err := w.store.Close(); err != nil {
		w.t.Error(err)
	}
}

// second prepares another member; join starts it.
func (w *world) second() *member {
	w.t.Helper()
	store, err := state.OpenStore(state.StoreConfig{Dir: "db", FS: newMem()})
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := w.cluster.config(w.mill, store)
	cfg.SessionTimeout, cfg.TransactionTimeout = 6*time.Second, 5*time.Second
	cfg.MaxRecordBytes = largest
	r, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.other = &member{w: w, runner: r, store: store}
	return w.other
}

// join lets the member join the group, and waits until the group has noticed.
func (m *member) join() {
	if m.run == nil {
		m.run = launch(m.w.t, m.runner)
	}
	m.w.awaitGroup(func(state string, members int) bool { return members > 1 || state != "Stable" })
}

func (m *member) leave() {
	m.w.t.Helper()
	if m.run != nil {
		if err := m.run.stop(); err != nil {
			m.w.t.Error(err)
		}
		m.w.checkStore("mill", m.store)
	}
	if err := m.store.Close(); err != nil {
		m.w.t.Error(err)
	}
}

// awaitGroup waits a while for the group to be so. It is called from wherever a fault strikes, so it
// does not fail the test: what comes after does.
func (w *world) awaitGroup(is func(state string, members int) bool) {
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if g := w.GroupInfo("handoff.mill"); g != nil && is(g.State, len(g.Members)) {
			return
		}
	}
}

// evict puts all members out of the group; they are not told.
func (c *cluster) evict(group string) { c.evictSome(group, c.memberIDs(group)) }

// memberIDs of a group.
func (c *cluster) memberIDs(group string) (ids []string) {
	if g := c.GroupInfo(group); g != nil {
		for _, m := range g.Members {
			ids = append(ids, m.MemberID)
		}
	}
	return ids
}

func (c *cluster) evictSome(group string, ids []string) {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = group
	for _, id := range ids {
		out := kmsg.NewLeaveGroupRequestMember()
		out.MemberID = id
		req.Members = append(req.Members, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := req.RequestWith(ctx, c.client); err != nil {
		c.t.Errorf("evict: %v", err)
	}
}

// feed posts n orders.
func (w *world) feed(n int) { w.t.Helper(); w.produce(w.work.draw(n)...) }

// caughtUp waits until all orders are committed.
func (w *world) caughtUp() {
	w.t.Helper()
	eventually(w.t, "all is committed", func() bool { return w.drained("mill") })
}

// finish settles everything, stops all members and checks every invariant.
func (w *world) finish() {
	w.t.Helper()
	w.wire.clear()
	w.settled(&mill{})
	if w.other != nil {
		w.other.leave()
	}
	w.stop()
	w.checkPositions("mill")
	w.checkOutputs(&mill{})
}

// newMem is an empty file system in memory; crashed tells what a power loss leaves of it.
func newMem() vfs.FS { return vfs.NewCrashableMem() }
