package kafka

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// TestStandby: what another process owns is kept here too; when it goes, hardly anything is left to
// restore, and everything is counted once.
func TestStandby(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 4, "count")
	one, two := openStore(t, t.TempDir()), openStore(t, t.TempDir())
	first := start(t, c.config(counter{"count"}, one))
	eventually(t, "the first is ready", func() bool { return first.runner.Ready() == nil })
	perKey := c.load("count", 4000, 1000)
	eventually(t, "all are committed", func() bool { return c.drained("count") })

	cfg := c.config(counter{"count"}, two)
	registry := prometheus.NewRegistry()
	cfg.Standby, cfg.Registerer = 1, registry
	second := start(t, cfg)
	for key, n := range c.load("count", 2000, 1000) {
		perKey[key] += n
	}
	eventually(t, "the second has what the first committed", func() bool {
		if !c.drained("count") || second.runner.Ready() != nil {
			return false
		}
		for p := range int32(4) {
			pos, _, err := state.ReadPosition(two.Backing("count", p))
			if err != nil {
				t.Fatal(err)
			}
			if pos.Offset < c.committed("count", p) {
				return false
			}
		}
		return true
	})
	before := restoredRecords(t, registry)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	for key, n := range c.load("count", 1000, 1000) {
		perKey[key] += n
	}
	eventually(t, "the second goes on", func() bool { return c.drained("count") })
	if n := restoredRecords(t, registry) - before; n > 100 {
		t.Errorf("%v records were restored although the state was there", n)
	}
	if err := second.stop(); err != nil {
		t.Fatal(err)
	}
	c.checkCounts(perKey)
	c.checkStore("count", two)
	for _, s := range []*state.Store{one, two} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStandbyKeepsWhatIsCommitted: what a transaction that was aborted has written to the changelog is not in
// the copy, and a copy that is too old to trust is made anew.
func TestStandbyKeepsWhatIsCommitted(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, "count")
	one, two := openStore(t, t.TempDir()), openStore(t, t.TempDir())
	first := start(t, c.config(counter{"count"}, one))
	load := func() {
		c.load("count", 100, 20)
		eventually(t, "all are committed", func() bool { return c.drained("count") })
	}
	load()
	copied := func() bool {
		pos, _, err := state.ReadPosition(two.Backing("count", 0))
		return err == nil && pos.Number > 0 && pos.Offset >= c.committed("count", 0)
	}
	keeper := func(later time.Duration) *running {
		cfg := c.config(counter{"count"}, two)
		cfg.Standby, cfg.Now = 1, func() time.Time { return time.Now().Add(later) }
		return start(t, cfg)
	}
	second := keeper(0)
	eventually(t, "the second has a copy", copied)

	stray, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("stray"), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.DefaultProduceTopic(schemas.Changelog("count")))
	if err != nil {
		t.Fatal(err)
	}
	defer stray.Close()
	pos, _, err := state.ReadPosition(two.Backing("count", 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := stray.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := stray.ProduceSync(t.Context(), &kgo.Record{Key: state.EntryKey([]byte("shop|stray"), "n"), Value: []byte("1")},
		&kgo.Record{Key: state.PositionKey(), Value: pos.Encode()}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := stray.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	load()
	eventually(t, "the copy is up to date", copied)
	if _, ok, err := state.ReadEntry(two.Backing("count", 0), []byte("shop|stray"), "n"); ok || err != nil {
		t.Errorf("the copy has what was aborted (%v)", err)
	}
	if err := second.stop(); err != nil {
		t.Fatal(err)
	}

	ghost := []byte("a key whose deletion the changelog has forgotten")
	batch := two.Backing("count", 0).Batch()
	batch.Set(ghost, nil)
	if err := batch.Apply(); err != nil {
		t.Fatal(err)
	}
	second = keeper(schemas.ChangelogTombstones/2 + time.Hour)
	load()
	eventually(t, "the copy is made anew", func() bool {
		_, ok, err := two.Backing("count", 0).Get(ghost)
		return !ok && err == nil && copied()
	})
	for _, r := range []*running{second, first} {
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*state.Store{one, two} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStandbyStartsOver: a member whose client was dropped begins a new life with its standby: what the
// old life followed is let go of and followed again, what it owned too, and nothing is restored for it.
func TestStandbyStartsOver(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 4, "count")
	one, two := openStore(t, t.TempDir()), openStore(t, t.TempDir())
	first := start(t, c.config(counter{"count"}, one))
	eventually(t, "the first is ready", func() bool { return first.runner.Ready() == nil })
	perKey := map[string]int{}
	load := func(n int) {
		for key, n := range c.load("count", n, 1000) {
			perKey[key] += n
		}
	}
	load(4000)
	cfg := c.config(counter{"count"}, two)
	registry, line := prometheus.NewRegistry(), newWire()
	cfg.Standby, cfg.Registerer = 1, registry
	cfg.Options = append(cfg.Options, line.option(), kgo.RequestRetries(3))
	second := start(t, cfg)
	level := func() bool {
		g := c.GroupInfo("handoff.count")
		if g == nil || len(g.Members) != 2 || g.Members[0].NumAssigned() != 2 || g.Members[1].NumAssigned() != 2 {
			return false
		}
		if !c.drained("count") || second.runner.Ready() != nil {
			return false
		}
		for p := range int32(4) {
			pos, _, err := state.ReadPosition(two.Backing("count", p))
			if err != nil {
				t.Fatal(err)
			}
			if pos.Offset < c.committed("count", p) {
				return false
			}
		}
		return true
	}
	eventually(t, "the second has everything, its own and the first's", level)
	lives := counted(t, registry, "handoff_runner_restarts_total")
	for range 3 {
		dropped := line.on(&rule{key: kmsg.EndTxn, after: true, cut: true, count: 4})
		load(1000)
		eventually(t, "the second's commit has no answer", func() bool { return dropped.hits.Load() > 0 })
		line.clear()
		eventually(t, "the second has everything again", level)
	}
	if n := counted(t, registry, "handoff_runner_restarts_total") - lives; n < 3 {
		t.Errorf("the member started over %v times, want 3 at least", n)
	}
	before := restoredRecords(t, registry)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	load(1000)
	eventually(t, "the second goes on alone", func() bool { return c.drained("count") })
	if n := restoredRecords(t, registry) - before; n > 100 {
		t.Errorf("%v records were restored although the state was there", n)
	}
	if err := second.stop(); err != nil {
		t.Fatal(err)
	}
	c.checkCounts(perKey)
	c.checkStore("count", two)
	for _, s := range []*state.Store{one, two} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMembers: several members in one process share the partitions, hand them over to each other and
// to another process and back, on one store.
func TestMembers(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 6, "count")
	one, two := openStore(t, t.TempDir()), openStore(t, t.TempDir())
	cfg := c.config(counter{"count"}, one)
	cfg.Members = 3
	first := start(t, cfg)
	perKey := map[string]int{}
	load := func(n int) {
		for key, n := range c.load("count", n, 300) {
			perKey[key] += n
		}
	}
	load(3000)
	eventually(t, "all are committed", func() bool { return c.drained("count") && first.runner.Ready() == nil })
	eventually(t, "the cache is shared by the partitions of all members", func() bool { return first.runner.owned.Load() == 6 })
	for range 3 {
		cfg := c.config(counter{"count"}, two)
		cfg.Members = 2
		second := start(t, cfg)
		load(1000)
		eventually(t, "two processes go on", func() bool { return c.drained("count") && second.runner.Ready() == nil })
		load(1000)
		if err := second.stop(); err != nil {
			t.Fatal(err)
		}
		load(1000)
		eventually(t, "the first goes on", func() bool { return c.drained("count") })
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	if n := first.runner.owned.Load(); n != 0 {
		t.Errorf("the cache is shared by %d partitions after all left", n)
	}
	c.checkCounts(perKey)
	c.checkStore("count", one)
	for _, s := range []*state.Store{one, two} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMembersShareTheCache: the bound is for the partitions of all members together.
func TestMembersShareTheCache(t *testing.T) {
	r := &Runner{cfg: Config{CacheBytes: 60 << 10}}
	r.cacheBytes.Store(60 << 10)
	member := func(ids ...int32) *incarnation {
		in := &incarnation{r: r, partitions: 6, parts: map[int32]*part{}}
		for _, id := range ids {
			s, err := state.NewPartition(state.Config{Stage: counter{"count"}, Partition: id, Partitions: 6}, state.Memory())
			if err != nil {
				t.Fatal(err)
			}
			in.parts[id] = &part{in: in, id: id, state: s}
		}
		in.reorder()
		return in
	}
	check := func(members []*incarnation, want int) {
		t.Helper()
		total := 0
		for _, in := range members {
			in.shareCache()
			for id, p := range in.parts {
				got := p.state.CacheBytes()
				total += got
				if got != want {
					t.Errorf("partition %d has %d bytes, want %d", id, got, want)
				}
			}
		}
		if total > r.cfg.CacheBytes {
			t.Errorf("all partitions have %d bytes, the bound is %d", total, r.cfg.CacheBytes)
		}
	}
	one, two := member(0, 1, 2, 3), member(4, 5)
	check([]*incarnation{one, two}, 10<<10)
	delete(two.parts, 5)
	two.reorder()
	check([]*incarnation{one, two}, 12<<10)
	r.cacheBytes.Store(30 << 10) // it gives way
	check([]*incarnation{one, two}, 6<<10)
}

// TestCacheGivesWay: hot state shrinks while the heap in use is near the limit, down to half, and grows back.
func TestCacheGivesWay(t *testing.T) {
	const configured, limit = 320 << 20, 400 << 20
	is, live := int64(configured), func(cache int64) uint64 { return uint64(cache + 60<<20) }
	for range 100 {
		is = cacheWithin(is, configured, live(is), limit)
	}
	if l := live(is); l > limit/8*7 || l < limit/8*6 {
		t.Errorf("with a cache of %d MiB %d MiB of 400 are in use: neither room for garbage nor as much cache as there can be", is>>20, l>>20)
	}
	for range 100 {
		is = cacheWithin(is, configured, limit, limit)
	}
	if is != configured/2 {
		t.Errorf("a cache of 320 MiB shrinks to %d MiB, want half", is>>20)
	}
	for range 100 {
		is = cacheWithin(is, configured, limit/2, limit)
	}
	if is != configured {
		t.Errorf("the cache grows back to %d MiB, want all of 320", is>>20)
	}
	if got := cacheWithin(is, configured, limit, math.MaxInt64); got != configured {
		t.Errorf("without a limit the cache has %d bytes", got)
	}
}
