package kafka

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/handoff-dev/handoff/schemas"
)

// moment is a point in a runner's life at which something strikes.
type moment struct {
	name string
	// restored says that it comes while lost state is restored.
	restored bool
	rule     *rule
	process  bool // it is when the stage is called, and no request
	applied  bool // it is when committed state was written to the store, and no request
}

// moments of a transaction, in its order. An answer to its end that has come and is not given on yet is
// the moment before the apply.
func moments() []moment {
	return []moment{
		{name: "after the poll", process: true},
		{name: "mid-produce", rule: &rule{key: kmsg.Produce}},
		{name: "mid-produce, answer lost", rule: &rule{key: kmsg.Produce, after: true}},
		{name: "mid-flush", rule: &rule{key: kmsg.Produce, skip: 2}},
		{name: "before the offsets commit", rule: &rule{key: kmsg.TxnOffsetCommit}},
		{name: "after the offsets commit", rule: &rule{key: kmsg.TxnOffsetCommit, after: true}},
		{name: "before the end", rule: &rule{key: kmsg.EndTxn}},
		{name: "after the end, applied", rule: &rule{key: kmsg.EndTxn, after: true}},
		{name: "after the apply", applied: true},
		{name: "mid-restore", restored: true, rule: &rule{key: kmsg.Fetch, after: true, least: 300}},
	}
}

// stroke is what strikes.
type stroke struct {
	name                        string
	fails, again, revoked, lost bool
	// killed: the runner is gone, and its machine: of its store only some of what was not synced is left.
	killed bool
}

func strokes() []stroke {
	return []stroke{
		{name: "fails", fails: true},
		{name: "fails again and again", fails: true, again: true},
		{name: "revoked", revoked: true},
		{name: "lost", lost: true},
		{name: "revoked and fails", revoked: true, fails: true},
		{name: "lost and fails", lost: true, fails: true},
		{name: "killed", killed: true, fails: true},
	}
}

// TestFaults lets every stroke fall at every moment, under a random workload, and checks the outcome
// against the model and the invariants.
func TestFaults(t *testing.T) {
	t.Parallel()
	base := seed(t)
	for i, m := range moments() {
		for _, s := range strokes() {
			name := m.name + "/" + s.name
			h := fnv.New64a()
			h.Write([]byte(name))
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				newWorld(t, base^h.Sum64(), 4).strike(moments()[i], s)
			})
		}
	}
}

// strike runs half of a workload, lets the stroke fall in the other half, and finishes.
func (w *world) strike(m moment, s stroke) {
	w.t.Helper()
	w.kill = s.killed
	w.start()
	w.feed(80)
	w.caughtUp()
	if s.revoked {
		w.second()
	}
	var left vfs.FS // of a killed one's store
	percent := []int{0, 50, 100}[w.work.random.IntN(3)]
	act := func() {
		if s.revoked {
			w.other.join()
		}
		if s.lost {
			w.evict("handoff.mill")
		}
		if s.killed {
			left = crashed(w.fs, percent, 1)
			w.wire.sever(true)
		}
	}
	if m.restored {
		w.stop()
		w.fs = newMem()
	}
	struck := w.place(m, s, act)
	if m.restored {
		w.start()
	}
	w.feed(80)
	select {
	case <-struck:
	case <-time.After(patience):
		w.t.Fatal("it does not strike")
	}
	if s.killed {
		w.revive(left)
	}
	w.wire.sever(false)
	w.caughtUp()
	w.feed(20)
	w.finish()
}

// place arranges for act at the moment, and for what fails then; it returns what is closed after it.
func (w *world) place(m moment, s stroke, act func()) (struck chan struct{}) {
	struck = make(chan struct{})
	var once sync.Once
	strike := func() {
		once.Do(func() {
			act()
			if s.fails && m.rule == nil {
				w.wire.sever(true)
			}
			close(struck)
		})
	}
	switch {
	case m.process:
		w.atProcess.Store(&strike)
	case m.applied:
		w.audit.applied.Store(&strike)
	default:
		r := m.rule
		r.act, r.cut = strike, s.fails
		if s.again {
			r.count = 6
		}
		w.wire.on(r)
	}
	return struck
}

// revive ends what is left of a killed runner and starts another on what its machine kept.
func (w *world) revive(left vfs.FS) {
	w.t.Helper()
	if err := w.run.stop(); err != nil {
		w.t.Error(err)
	}
	if err := w.store.Close(); err != nil {
		w.t.Error(err)
	}
	w.evict("handoff.mill") // as its session's end would
	w.wire.clear()
	w.wire.sever(false)
	w.fs = left
	w.start()
}

// refusals are answers of a broker, each given some times while records flow.
func refusals() map[string]kfake.Fault {
	return map[string]kfake.Fault{
		"produce refused":              {Keys: []kmsg.Key{kmsg.Produce}, Topic: "out", Err: kerr.NotLeaderForPartition, Count: 3},
		"produce fails for good":       {Keys: []kmsg.Key{kmsg.Produce}, Topic: "out", Err: kerr.PolicyViolation, Count: 2},
		"changelog fails for good":     {Keys: []kmsg.Key{kmsg.Produce}, Topic: "handoff.mill.changelog", Err: kerr.PolicyViolation, Count: 2},
		"offset commit refused":        {Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.IllegalGeneration, Count: 2},
		"offset commit not known":      {Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.UnknownServerError, Count: 2},
		"end of transaction not known": {Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.UnknownServerError, Count: 2},
		"end timed out":                {Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.RequestTimedOut, Count: 2},
		"end fenced":                   {Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.ProducerFenced, Count: 1},
		"coordinator moves":            {Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.NotCoordinator, Count: 2},
		"fetch fails":                  {Keys: []kmsg.Key{kmsg.Fetch}, Topic: "handoff.mill", Err: kerr.UnknownServerError, Count: 2},
		"heartbeat: member unknown":    {Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID, Count: 1},
		"ends not known":               {Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.UnknownServerError, Count: 2},
	}
}

// TestRefusals lets the broker refuse requests of a running stage.
func TestRefusals(t *testing.T) {
	t.Parallel()
	base := seed(t)
	for name, fault := range refusals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, base, 3)
			w.start()
			w.feed(100)
			w.caughtUp()
			h := w.Fault(fault)
			w.feed(100)
			eventually(t, "it is refused", func() bool { return h.Hits() > 0 })
			w.caughtUp()
			h.Remove()
			w.feed(20)
			w.finish()
		})
	}
}

// TestRefusedAtStart lets the broker refuse what a runner asks before it owns anything, with state to
// restore.
func TestRefusedAtStart(t *testing.T) {
	t.Parallel()
	base := seed(t)
	for name, fault := range map[string]kfake.Fault{
		"offset fetch not known":    {Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.UnknownServerError, Count: 1},
		"producer id not given":     {Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.CoordinatorLoadInProgress, Count: 2},
		"changelog cannot be read":  {Keys: []kmsg.Key{kmsg.Fetch}, Topic: "handoff.mill.changelog", Err: kerr.UnknownServerError, Count: 2},
		"end of the log not known":  {Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "handoff.mill.changelog", Err: kerr.UnknownServerError, Count: 2},
		"group is not there to ask": {Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.CoordinatorNotAvailable, Count: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, base, 3)
			w.start()
			w.feed(100)
			w.caughtUp()
			w.stop()
			w.fs = newMem()
			h := w.Fault(fault)
			w.start()
			w.feed(100)
			eventually(t, "it is refused", func() bool { return h.Hits() > 0 })
			w.caughtUp()
			h.Remove()
			w.finish()
		})
	}
}

// TestRestarts starts the runner over and over, in the midst of whatever it does, with and without its
// local state.
func TestRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seed(t), 4)
	const rounds = 10
	for i := range rounds {
		if i%4 == 3 {
			w.fs = newMem() // the machine is lost
		}
		w.start()
		before := w.size("out")
		w.feed(150)
		part := int64(w.work.random.IntN(100))
		eventually(t, "some of it is done", func() bool { return w.size("out") >= before+part })
		if i < rounds-1 {
			w.stop()
		}
	}
	w.finish()
}

// TestRebalance moves partitions between two runners while records flow.
func TestRebalance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seed(t), 6)
	w.start()
	w.feed(200)
	for range 3 {
		w.second().join()
		w.feed(150)
		w.shared(3)
		w.feed(150)
		w.other.leave()
		w.other = nil
	}
	w.finish()
}

// TestRebalanceAtRest moves partitions, and puts the runner out of its group, while no transaction is open
// whose end would tell: what leaves is let go of all the same, and restored when it comes back.
func TestRebalanceAtRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seed(t), 6)
	w.start()
	count := func() {
		for i := range 60 {
			w.produce(w.order(fmt.Sprintf("shop|%d", i), step{Do: "count", Name: "a"}))
		}
		w.caughtUp()
	}
	alone := func() bool {
		g := w.GroupInfo("handoff.mill")
		return g != nil && g.State == "Stable" && len(g.Members) == 1 && g.Members[0].NumAssigned() == 6
	}
	count()
	for range 2 {
		w.second().join()
		w.shared(3)
		eventually(t, "both are ready", func() bool { return w.run.runner.Ready() == nil && w.other.runner.Ready() == nil })
		count()
		w.other.leave()
		w.other = nil
		eventually(t, "all partitions are back", alone)
		count()
	}
	w.evict("handoff.mill")
	eventually(t, "it has joined again", alone)
	count()
	w.finish()
}

// TestRevokedAmidTransaction: what a transaction has of a partition that was taken away meanwhile is not committed,
// and nothing of a member that the group does not know.
func TestRevokedAmidTransaction(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, "count")
	in := &incarnation{r: &Runner{mailbox: schemas.Mailbox("count"), cfg: Config{Now: time.Now}}, id: "count-one", addsGroup: true,
		heartbeat: newHeartbeats(time.Now, time.Second)}
	var err error
	if in.client, err = kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID(in.id)); err != nil {
		t.Fatal(err)
	}
	defer in.client.Close()
	if err := in.client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := in.client.ProduceSync(t.Context(), &kgo.Record{Topic: "out", Value: []byte("of a partition")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	in.tell(event{revoked: []int32{0}})
	if err := in.commitOffsets(t.Context(), nil); !errors.Is(err, errRevoked) {
		t.Errorf("offsets are committed, error %v, although a partition was taken away", err)
	}
	in.events = nil
	if err := in.commitOffsets(t.Context(), nil); !errors.Is(err, errNotMember) {
		t.Errorf("offsets are committed, error %v, by who is in no group", err)
	}
}

// TestForgottenAmidJoin: a member that its group forgets while its request to join is under way is another one
// afterwards, and what it is given back at once was somebody else's meanwhile.
func TestForgottenAmidJoin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seed(t), 2)
	w.start()
	w.feed(100)
	w.caughtUp()
	released, first := make(chan struct{}), w.memberIDs("handoff.mill")
	held := w.wire.on(&rule{key: kmsg.JoinGroup, act: func() { <-released }})
	w.second().join()
	eventually(t, "the first asks to join", func() bool { return held.hits.Load() > 0 })
	w.evictSome("handoff.mill", first)
	members := func(n int) func() bool {
		return func() bool {
			g := w.GroupInfo("handoff.mill")
			return g == nil && n == 0 || g != nil && len(g.Members) == n && (n == 0 || g.State == "Stable" && g.Members[0].NumAssigned() == 2)
		}
	}
	eventually(t, "the second has everything", members(1))
	w.feed(100)
	w.caughtUp()
	w.other.leave()
	w.other = nil
	eventually(t, "the second is gone", members(0))
	close(released)
	eventually(t, "the first has everything", members(1))
	w.feed(100)
	w.caughtUp()
	w.finish()
}

// TestAnotherMember: whom the group knows under another id after a rebalance is told so, and is given nothing.
func TestAnotherMember(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, "count")
	mailbox, line := schemas.Mailbox("count"), newWire()
	in := &incarnation{r: &Runner{mailbox: mailbox}, connected: make(chan struct{})}
	in.balancer = newBalancer(in.r, 0)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumerGroup(mailbox), kgo.ConsumeTopics(mailbox), kgo.DisableAutoCommit(),
		kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.SessionTimeout(30*time.Second), kgo.HeartbeatInterval(100*time.Millisecond), line.option(),
		kgo.OnPartitionsAssigned(in.onAssigned), kgo.OnPartitionsRevoked(func(context.Context, *kgo.Client, map[string][]int32) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	close(in.connected)
	told := func() []event {
		in.mu.Lock()
		defer in.mu.Unlock()
		return slices.Clone(in.events)
	}
	eventually(t, "it is given the partitions", func() bool { return len(told()) == 1 && len(told()[0].assigned) == 2 })

	released, known := make(chan struct{}), c.memberIDs(mailbox)
	held := line.on(&rule{key: kmsg.JoinGroup, act: func() { <-released }})
	other := joinGroup(t, c.ListenAddrs(), mailbox, 30*time.Second, new(atomic.Bool))
	eventually(t, "it asks to join", func() bool { return held.hits.Load() > 0 })
	c.evictSome(mailbox, known)
	eventually(t, "the other has everything", func() bool {
		g := c.GroupInfo(mailbox)
		return g.State == "Stable" && len(g.Members) == 1 && g.Members[0].NumAssigned() == 2
	})
	other.Close()
	eventually(t, "the other is gone", func() bool { return len(c.memberIDs(mailbox)) == 0 })
	close(released)
	eventually(t, "it is told of what came", func() bool { return len(told()) > 1 })
	if e := told()[1]; !errors.Is(e.err, errNotMember) || len(e.assigned) > 0 {
		t.Errorf("it is told %+v, want that the group had forgotten it", e)
	}
}

// TestJoinOvertakesCommit: while a join is over at the broker and its answer still on the way, commits wait for it.
func TestJoinOvertakesCommit(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 4, "count")
	line, registry := newWire(), prometheus.NewRegistry()
	cfg := c.config(counter{"count"}, openStore(t, t.TempDir()))
	cfg.Registerer, cfg.Options = registry, append(cfg.Options, line.option())
	run := start(t, cfg)
	perKey := c.load("count", 200, 20)
	eventually(t, "it runs", func() bool { return run.runner.Ready() == nil && c.drained("count") })
	before := counted(t, registry, "handoff_runner_restarts_total")
	held := line.on(&rule{key: kmsg.JoinGroup, after: true, count: -1, act: func() { time.Sleep(300 * time.Millisecond) }})
	other := joinGroup(t, c.ListenAddrs(), schemas.Mailbox("count"), 30*time.Second, new(atomic.Bool))
	eventually(t, "a join is over", func() bool { return held.hits.Load() > 0 })
	for held.done.Load() == 0 {
		for key, n := range c.load("count", 20, 20) {
			perKey[key] += n
		}
	}
	other.Close()
	eventually(t, "all is processed", func() bool { return c.drained("count") })
	if n := counted(t, registry, "handoff_runner_restarts_total") - before; n > 0 {
		t.Errorf("it started over %v times", n)
	}
	if err := run.stop(); err != nil {
		t.Error(err)
	}
	if err := cfg.Store.Close(); err != nil {
		t.Error(err)
	}
	c.checkCounts(perKey)
}

// TestOldBroker: brokers from before Kafka 4, or one whose transactions are still of an earlier version, are told
// that a group's offsets belong to a transaction.
func TestOldBroker(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]*kversion.Versions{"3.7": kversion.V3_7_0(), "3.0": kversion.V3_0_0()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClusterWith(t, []kfake.Opt{kfake.MaxVersions(version)}, 4, "count")
			store := openStore(t, t.TempDir())
			run := start(t, c.config(counter{"count"}, store))
			perKey := c.load("count", 500, 20)
			eventually(t, "all is processed", func() bool { return c.drained("count") })
			if err := run.stop(); err != nil {
				t.Error(err)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
			c.checkCounts(perKey)
		})
	}
}

// shared waits until two members have that many partitions each.
func (w *world) shared(each int) {
	w.t.Helper()
	eventually(w.t, "two members share the partitions", func() bool {
		g := w.GroupInfo("handoff.mill")
		return g != nil && len(g.Members) == 2 && g.Members[0].NumAssigned() == each && g.Members[1].NumAssigned() == each
	})
}

// TestPartitionsThatStayGoOn: while another member's partitions move, those that stay are processed.
func TestPartitionsThatStayGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seed(t), 2)
	w.start()
	w.feed(50)
	w.caughtUp()
	began := w.committedSum()
	w.second().join()
	w.feed(50)
	eventually(t, "it goes on during the rebalance", func() bool { return w.committedSum() > began })
	w.shared(1)
	w.finish()
}

func (w *world) committedSum() (n int64) {
	for p := range w.partitions {
		n += w.committed("mill", p)
	}
	return n
}
