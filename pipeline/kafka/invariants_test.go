package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/deadletter"
)

// The runner's eight invariants, one test each; faults_test.go checks them again at every fault.

// clock is a wall clock that can be put forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time           { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(by time.Duration) { c.ahead.Add(int64(by)) }

// crashed returns what is left of a file system in memory when the power goes: all that was synced, and
// that share of what was not.
func crashed(fs vfs.FS, percent int, seed uint64) vfs.FS {
	return fs.(*vfs.MemFS).CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: newRandom(seed)})
}

// TestInvariantPositionIsTheGroupsOffset: wherever a partition goes on, after whatever, its state is of
// the transaction that the group's offset is of; the number tells transactions apart that read nothing.
func TestInvariantPositionIsTheGroupsOffset(t *testing.T) {
	t.Parallel()
	t.Run("after faults", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, seed(t), 3)
		resumes := 0
		for i := range 6 {
			if i == 3 {
				w.fs = newMem()
			}
			w.start()
			w.wire.on(&rule{key: kmsg.EndTxn, after: i%2 == 0, cut: true, skip: i, count: 2})
			w.feed(60)
			w.caughtUp()
			if i%3 == 2 {
				w.evict("handoff.mill")
				w.feed(20)
				w.caughtUp()
			}
			w.wire.clear()
			if i < 5 {
				w.stop()
				resumes += w.audit.check()
				w.checkPositions("mill")
			}
		}
		w.finish()
		if resumes += w.audit.check(); resumes < 15 {
			t.Errorf("only %d partitions went on from something", resumes)
		}
	})
	t.Run("of a transaction without records", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, seed(t), 1)
		var wall clock
		life := func(store *state.Store, during func()) {
			cfg := w.config(store)
			cfg.Now = wall.now
			w.cluster.run(cfg, func(*running) { during() })
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
		}
		life(w.open(), func() {
			w.produce(w.order("shop|a", step{Do: "timer", Name: "later", In: time.Hour}))
			w.caughtUp()
		})
		before, again := crashed(w.fs, 100, 1), crashed(w.fs, 100, 1)
		_, ended, err := state.ReadPosition(w.openAt(before).Backing("mill", 0))
		if err != nil || ended.Next == 0 {
			t.Fatalf("where the store stands: %+v %v", ended, err)
		}
		wall.forward(2 * time.Hour)
		life(w.open(), func() { eventually(t, "it fires", func() bool { return len(w.fired()) == 1 }) })
		w.checkPositions("mill")
		if offset, number, _ := w.groupCommitOf("mill", 0); offset != 1 || number != 2 {
			t.Errorf("the group is at offset %d of transaction %d, want 1 of 2", offset, number)
		}
		// A store that has the first transaction only is at the same offset, and must not go on there: not
		// while the second one's marker has not come to the changelog,
		w.fs = again
		asked, come := w.changelogEndsAt(ended.Next)
		life(w.open(), func() {
			eventually(t, "the changelog is asked again and again", func() bool { return asked.Load() > 3 })
			if n := w.size(schemas.Changelog("mill")); n <= ended.Next+1 {
				t.Error("the second transaction is not in the changelog: this test shows nothing")
			}
			come()
		})
		// and not when it has.
		w.fs = before
		life(w.open(), func() {
			w.produce(w.order("shop|a", step{Do: "count", Name: "a"}))
			w.caughtUp()
		})
		if fired := w.fired(); len(fired) != 1 {
			t.Errorf("the timer fired %d times: %q", len(fired), fired)
		}
		w.checkPositions("mill")
	})
}

// changelogEndsAt has the brokers say so of its only partition, until come is called: as they do while
// the marker of a transaction that its group's offset is of is on its way.
func (w *world) changelogEndsAt(offset int64) (asked *atomic.Int64, come func()) {
	asked = new(atomic.Int64)
	var has atomic.Bool
	w.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.KeepControl()
		l := req.(*kmsg.ListOffsetsRequest)
		if has.Load() || len(l.Topics) != 1 || l.Topics[0].Topic != schemas.Changelog("mill") || l.Topics[0].Partitions[0].Timestamp != -1 {
			return nil, nil, false
		}
		asked.Add(1)
		resp := l.ResponseKind().(*kmsg.ListOffsetsResponse)
		topic, partition := kmsg.NewListOffsetsResponseTopic(), kmsg.NewListOffsetsResponseTopicPartition()
		topic.Topic, partition.Offset = l.Topics[0].Topic, offset
		topic.Partitions = append(topic.Partitions, partition)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	return asked, func() { has.Store(true) }
}

// order makes one order for a key.
func (w *world) order(key string, steps ...step) *kgo.Record {
	w.t.Helper()
	return w.work.order(key, steps...)
}

// fired lists the timers that came out, committed.
func (w *world) fired() []string {
	w.t.Helper()
	var all []string
	for _, r := range w.flat("out") {
		if isTimer(r.Value) {
			all = append(all, string(r.Key)+" "+string(r.Value))
		}
	}
	slices.Sort(all)
	return all
}

// TestInvariantStoreIsTheFoldOfTheChangelog: at any moment a store has what the committed changelog
// amounts to up to the store's own position, and nothing of a transaction that may still be aborted.
func TestInvariantStoreIsTheFoldOfTheChangelog(t *testing.T) {
	t.Parallel()
	s := seed(t)
	w := newWorld(t, s, 3)
	var mu sync.Mutex
	var seized []vfs.FS // what a power loss would have left at those moments
	seize := func() {
		mu.Lock()
		defer mu.Unlock()
		seized = append(seized, crashed(w.fs, 100, s))
	}
	w.start()
	w.feed(60)
	w.caughtUp()
	for _, r := range []*rule{
		{key: kmsg.TxnOffsetCommit, act: seize, cut: true, count: 5},
		{key: kmsg.EndTxn, act: seize, cut: true, count: 5},
		{key: kmsg.EndTxn, act: seize, after: true, cut: true, count: 5},
	} {
		w.wire.on(r)
		w.feed(60)
		eventually(t, "it strikes", func() bool { return r.done.Load() > 0 })
		w.caughtUp()
		w.wire.clear()
	}
	w.finish()
	for i, fs := range seized {
		store, err := state.OpenStore(state.StoreConfig{Dir: "db", FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		w.checkStore("mill", store)
		if t.Failed() {
			t.Fatalf("at the %d. moment", i+1)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(seized) < 3 {
		t.Errorf("%d moments seen, want at least 3", len(seized))
	}
}

// TestInvariantEachInputOnce: whatever happens in between, what comes out is what a single thread without
// Kafka makes of the same records.
func TestInvariantEachInputOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seed(t), 4)
	w.start()
	for _, r := range []*rule{
		{key: kmsg.Produce, cut: true}, {key: kmsg.Produce, cut: true, after: true},
		{key: kmsg.EndTxn, cut: true, count: 6}, {key: kmsg.EndTxn, cut: true, after: true, count: 6},
	} {
		w.wire.on(r)
		w.feed(50)
		eventually(t, "it strikes", func() bool { return r.done.Load() > 0 })
		w.caughtUp()
		w.wire.clear()
	}
	w.evict("handoff.mill")
	w.feed(50)
	w.caughtUp()
	w.stop()
	w.fs = newMem()
	w.start()
	w.feed(50)
	w.finish()
}

// TestInvariantNoAbortedWriteIsReadable numbers every attempt to process a record, so that what an
// aborted transaction wrote is known apart: no reader of outputs, changelog, dead letters or the stage's
// own state may ever see it.
func TestInvariantNoAbortedWriteIsReadable(t *testing.T) {
	t.Parallel()
	c := newClusterOf(t, 3, 2, "tries")
	var tries atomic.Int64
	var mu sync.Mutex
	shown := map[string]bool{} // guarded by mu; what the Reader showed
	caller := &recorder{}
	tried := &stage{name: "tries", process: func(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
		caller.mu.Lock()
		read := caller.reader
		caller.mu.Unlock()
		for i := range 10 {
			key := fmt.Appendf(nil, "shop|%d", i)
			if v, ok, err := read.Get(schemas.Partition(key, 2), key, "try"); err == nil && ok {
				mu.Lock()
				shown[string(v)] = true
				mu.Unlock()
			}
		}
		n := strconv.FormatInt(tries.Add(1), 10)
		switch string(in.Record.Value) {
		case "aborted":
			t.Errorf("a record of an aborted transaction was read")
		case "bad":
			return fmt.Errorf("try %s", n)
		}
		st.Put("try", []byte(n))
		fx.Emit("out", in.Key, []byte(n))
		return nil
	}}
	store, err := state.OpenStore(state.StoreConfig{Dir: "db", FS: newMem()})
	if err != nil {
		t.Fatal(err)
	}
	cfg := c.config(tried, store)
	line := newWire()
	cfg.Caller = caller
	cfg.Options = append(cfg.Options, line.option(), kgo.RequestRetries(2), kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }))
	bad := 0
	c.produceAborted(&kgo.Record{Topic: "handoff.tries", Key: []byte("shop|1"), Value: []byte("aborted")})
	c.run(cfg, func(*running) {
		for i := range 4 {
			c.load("tries", 30, 10)
			c.produce(&kgo.Record{Topic: "handoff.tries", Key: []byte("shop|1"), Value: []byte("bad")})
			bad++
			eventually(t, "all is committed", func() bool { return c.drained("tries") })
			line.on(&rule{key: kmsg.EndTxn, cut: true, count: 2 + i})
		}
		line.clear()
		c.load("tries", 30, 10)
		eventually(t, "all is committed", func() bool { return c.drained("tries") })
	})
	committed := map[string]bool{}
	for _, r := range c.flat("out") {
		committed[string(r.Value)] = true
	}
	written := c.everWritten("out")
	if len(written) <= len(committed) {
		t.Fatalf("%d writes, %d committed: nothing was aborted, this test shows nothing", len(written), len(committed))
	}
	readable := func(what string, tries map[string]bool) {
		for try := range tries {
			if !committed[try] {
				t.Errorf("%s shows try %s, which was aborted", what, try)
			}
		}
	}
	readable("the stage's Reader", shown)
	last := map[string]bool{}
	collect := func(store *state.Store) {
		t.Helper()
		for p, f := range c.folds("tries", nil) {
			for _, v := range f.of(entries) {
				last[v] = true
			}
			for key := range f.keys {
				if err := state.ScanEntries(store.Backing("tries", p), []byte(key), "", func(_ string, v []byte) bool {
					last[string(v)] = true
					return true
				}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	collect(store)
	// What is restored from a changelog with aborted transactions in it is committed too.
	restored, err := state.OpenStore(state.StoreConfig{Dir: "db", FS: newMem()})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Store = restored
	c.run(cfg, func(run *running) { eventually(t, "it is restored", func() bool { return run.runner.Ready() == nil }) })
	collect(restored)
	c.checkStore("tries", restored)
	if err := restored.Close(); err != nil {
		t.Fatal(err)
	}
	readable("the changelog or a store", last)
	reasons := map[string]bool{}
	for _, r := range c.flat(schemas.TopicDeadLetters) {
		reasons[header(r, deadletter.HeaderReason)] = true
	}
	if len(reasons) != bad || len(c.flat(schemas.TopicDeadLetters)) != bad {
		t.Errorf("%d dead letters with reasons %q, want %d", len(c.flat(schemas.TopicDeadLetters)), slices.Sorted(maps.Keys(reasons)), bad)
	}
	c.checkPositions("tries")
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// produceAborted posts records in a transaction that is aborted.
func (c *cluster) produceAborted(records ...*kgo.Record) {
	c.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("aborts"), kgo.RecordPartitioner(byKey("")))
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	if err := client.BeginTransaction(); err != nil {
		c.t.Fatal(err)
	}
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
	if err := client.EndTransaction(ctx, kgo.TryAbort); err != nil {
		c.t.Fatal(err)
	}
}

// TestInvariantTimerFiresOnce: a due timer fires once, although nothing is read in its transaction, the
// transaction's outcome is not known, the runner starts over, or its state is lost.
func TestInvariantTimerFiresOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seed(t), 2)
	var wall clock
	begin := func() *running {
		w.store = w.open()
		cfg := w.config(w.store)
		cfg.Now = wall.now
		return start(t, cfg)
	}
	run := begin()
	want := 0
	next := func() { // sets timers an hour ahead
		for i := range 10 {
			w.produce(w.order(fmt.Sprintf("shop|%d", i), step{Do: "timer", Name: fmt.Sprintf("t%d", want+i), In: time.Duration(wall.ahead.Load()) + time.Hour}))
		}
		want += 10
		w.caughtUp()
	}
	passed := func() {
		t.Helper()
		wall.forward(time.Hour)
		eventually(t, fmt.Sprintf("%d timers fire", want), func() bool { return len(w.fired()) >= want })
	}
	next()
	passed()
	for _, r := range []*rule{
		{key: kmsg.Produce, cut: true, after: true}, {key: kmsg.TxnOffsetCommit, cut: true, after: true},
		{key: kmsg.EndTxn, cut: true, count: 6}, {key: kmsg.EndTxn, cut: true, after: true, count: 6},
	} {
		next()
		w.wire.on(r)
		passed()
		if r.done.Load() == 0 {
			t.Errorf("%v did not strike", r.key)
		}
		w.wire.clear()
	}
	next()
	w.evict("handoff.mill")
	passed()
	for _, lost := range []bool{false, true} {
		next()
		if err := run.stop(); err != nil {
			t.Fatal(err)
		}
		if err := w.store.Close(); err != nil {
			t.Fatal(err)
		}
		if lost {
			w.fs = newMem()
		}
		run = begin()
		passed()
	}
	next()
	passed()
	if err := run.stop(); err != nil {
		t.Fatal(err)
	}
	w.checkStore("mill", w.store)
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	once := map[string]bool{}
	for _, f := range w.fired() {
		if once[f] || !strings.HasSuffix(f, " for time 1") {
			t.Errorf("fired again: %s", f)
		}
		once[f] = true
	}
	if len(once) != want {
		t.Errorf("%d timers fired, want %d", len(once), want)
	}
	w.checkPositions("mill")
}

// deaf makes the broker answer the heartbeats of today's members as if all were well, so that they do
// not learn that they were put out of the group.
func (c *cluster) deaf(group string) {
	members := map[string]bool{}
	for _, m := range c.GroupInfo(group).Members {
		members[m.MemberID] = true
	}
	c.ControlKey(int16(kmsg.Heartbeat), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		h := req.(*kmsg.HeartbeatRequest)
		if h.Group != group || !members[h.MemberID] {
			return nil, nil, false
		}
		return h.ResponseKind(), nil, true
	})
}

// TestInvariantOneOwner: a member that was put out of its group without knowing commits nothing, also
// when its transaction read nothing that would give it away.
func TestInvariantOneOwner(t *testing.T) {
	t.Parallel()
	t.Run("it only fires timers", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, seed(t), 2)
		var wall, otherWall clock
		w.store = w.open()
		cfg := w.config(w.store)
		cfg.Now = wall.now
		zombie := start(t, cfg)
		for i := range 10 {
			w.produce(w.order(fmt.Sprintf("shop|%d", i), step{Do: "timer", Name: "t", In: time.Hour}))
		}
		w.caughtUp()
		eventually(t, "it is ready", func() bool { return zombie.runner.Ready() == nil })
		w.deaf("handoff.mill")
		w.evict("handoff.mill")
		other := newMem()
		store, err := state.OpenStore(state.StoreConfig{Dir: "db", FS: other})
		if err != nil {
			t.Fatal(err)
		}
		owner := w.cluster.config(w.mill, store)
		owner.Now = otherWall.now
		heir := start(t, owner)
		eventually(t, "another member owns all", func() bool {
			g := w.GroupInfo("handoff.mill")
			return heir.runner.Ready() == nil && g != nil && g.State == "Stable" && g.NumAssigned() == 2
		})
		tried := w.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Count: -1, Observe: true})
		wall.forward(2 * time.Hour)
		eventually(t, "the evicted one tries to commit", func() bool { return tried.Hits() > 0 })
		otherWall.forward(2 * time.Hour)
		eventually(t, "all timers fire", func() bool { return len(w.fired()) >= 10 })
		for _, r := range []*running{zombie, heir} {
			if err := r.stop(); err != nil {
				t.Error(err)
			}
		}
		if fired := w.fired(); len(fired) != 10 {
			t.Errorf("%d timers fired, want 10: %q", len(fired), fired)
		}
		w.checkPositions("mill")
		for _, s := range []*state.Store{w.store, store} {
			w.checkStore("mill", s)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("it only writes a sink's intent", zombieSink)
	t.Run("it makes a sink's first intent", zombieIntent)
	t.Run("it is busy", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, seed(t), 3)
		w.start()
		w.feed(40)
		w.caughtUp()
		w.deaf("handoff.mill")
		w.evict("handoff.mill")
		two := w.second()
		two.join()
		w.feed(80)
		w.finish()
	})
}

// zombieSink: the store takes long; meanwhile the member is put out, and the partition's next owner
// writes the same intent and goes on. The first one's commits must be refused.
func zombieSink(t *testing.T) {
	t.Parallel()
	c := newClusterOf(t, 3, 2, "facts")
	rows := newTable()
	held, release := make(chan struct{}, 16), make(chan struct{})
	var holding atomic.Bool
	holding.Store(true)
	rows.fail = func(int) error {
		if holding.Load() {
			rows.mu.Unlock()
			held <- struct{}{}
			<-release
			rows.mu.Lock()
		}
		return nil
	}
	stores := [2]*state.Store{}
	for i := range stores {
		var err error
		if stores[i], err = state.OpenStore(state.StoreConfig{Dir: "db", FS: newMem()}); err != nil {
			t.Fatal(err)
		}
	}
	c.load("facts", 900, 100)
	zombie := startSink(t, c.sinkConfig(rows, c.config(nil, stores[0])))
	<-held
	<-held // both partitions' intents are committed, and being written
	holding.Store(false)
	c.deaf("handoff.facts")
	c.evict("handoff.facts")
	heir := startSink(t, c.sinkConfig(rows, c.config(nil, stores[1])))
	eventually(t, "another member writes everything", func() bool { return c.drained("facts") })
	tried := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Count: -1, Observe: true})
	close(release)
	eventually(t, "the evicted one tries to commit", func() bool { return tried.Hits() > 0 })
	c.load("facts", 300, 100)
	eventually(t, "all is committed", func() bool { return c.drained("facts") })
	for _, r := range []*running{zombie, heir} {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	}
	rows.check(c, "facts")
	c.checkPositions("facts")
	for _, s := range stores {
		c.checkStore("facts", s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
