package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
)

// table is an outside store that forgets what comes under a token it has, as ClickHouse does.
type table struct {
	mu     sync.Mutex
	tokens map[string]string // guarded by mu; rows by token
	rows   map[string]int    // guarded by mu
	sum    int               // guarded by mu; of the rows' amounts
	strike func() error      // guarded by mu; called some times, without mu
	times  int               // guarded by mu; how often it is still called
	stored bool              // guarded by mu; it is called after the rows are stored
	writes int               // guarded by mu
	fail   func(n int) error // before the n-th write
	lose   func(n int) error // after the n-th write: it is stored, but not known to be
	schema uint32
	tried  map[string]bool // guarded by mu; intents of which a write was begun
	blind  []string        // guarded by mu; those that came again as if for the first time
}

func newTable() *table {
	return &table{tokens: map[string]string{}, rows: map[string]int{}, tried: map[string]bool{}, schema: 1}
}

func (s *table) Schema() uint32 { return s.schema }

func (s *table) Write(_ context.Context, in pipeline.Intent, records []pipeline.Record) error {
	s.mu.Lock()
	if s.tried[in.Token()] && !in.Again {
		s.blind = append(s.blind, in.Token())
	}
	s.tried[in.Token()] = true
	s.mu.Unlock()
	if err := s.struck(false); err != nil {
		return err
	}
	if err := s.store(in, records); err != nil {
		return err
	}
	return s.struck(true)
}

// at arranges for fn to be called before, or after, rows are stored.
func (s *table) at(stored bool, times int, fn func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored, s.times, s.strike = stored, times, fn
}

func (s *table) struck(stored bool) error {
	s.mu.Lock()
	fn := s.strike
	if fn == nil || s.stored != stored || s.times == 0 {
		fn = nil
	} else {
		s.times--
	}
	s.mu.Unlock()
	if fn == nil {
		return nil
	}
	return fn()
}

func (s *table) store(in pipeline.Intent, records []pipeline.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.fail != nil {
		if err := s.fail(s.writes); err != nil {
			return err
		}
	}
	var rows []string
	for i, r := range records {
		if i > 0 && r.Offset <= records[i-1].Offset {
			return fmt.Errorf("%w: out of order", pipeline.ErrPermanent)
		}
		rows = append(rows, fmt.Sprintf("%d/%d", r.Partition, r.Offset))
	}
	joined := strings.Join(rows, " ")
	if was, again := s.tokens[in.Token()]; again {
		if was != joined {
			return fmt.Errorf("%w: token %s with other rows", pipeline.ErrPermanent, in.Token())
		}
	} else {
		s.tokens[in.Token()] = joined
		for i, r := range rows {
			s.rows[r]++
			amount, _ := strconv.Atoi(string(records[i].Value))
			s.sum += amount
		}
	}
	if s.lose != nil {
		return s.lose(s.writes)
	}
	return nil
}

// check verifies that every record of the mailbox is a row once.
func (s *table) check(c *cluster, name string) {
	c.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	n, sum := 0, 0
	for _, r := range c.flat("handoff." + name) {
		n++
		amount, _ := strconv.Atoi(string(r.Value))
		sum += amount
		if got := s.rows[fmt.Sprintf("%d/%d", r.Partition, r.Offset)]; got != 1 {
			c.t.Errorf("%d/%d is there %d times", r.Partition, r.Offset, got)
		}
	}
	if len(s.rows) != n {
		c.t.Errorf("%d rows, want %d", len(s.rows), n)
	}
	if s.sum != sum {
		c.t.Errorf("the rows' sum is %d, want %d", s.sum, sum)
	}
}

func (c *cluster) sinkConfig(s pipeline.Sink, cfg Config) SinkConfig {
	return SinkConfig{Config: cfg, Name: "facts", Sink: s, BatchRows: 150, BatchEvery: 20 * time.Millisecond}
}

func startSink(t *testing.T, cfg SinkConfig) *running {
	t.Helper()
	r, err := NewSink(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	run := &running{t: t, runner: r, cancel: cancel, done: make(chan error, 1)}
	go func() { run.done <- r.Run(ctx) }()
	return run
}

// TestSinkExactlyOnce restarts a sink at random moments, with a store that is away at times and writes
// that are stored without being known to be. Whatever is tried again says so.
func TestSinkExactlyOnce(t *testing.T) {
	t.Parallel()
	random := newRandom(seed(t))
	c := newCluster(t, 2, "facts")
	store := newTable()
	away := errors.New("the store is away")
	store.fail = func(n int) error {
		if n%3 == 0 {
			return away
		}
		return nil
	}
	store.lose = func(n int) error {
		if n%4 == 0 {
			return errors.New("no answer")
		}
		return nil
	}
	dir := t.TempDir()
	const rounds = 6
	for i := range rounds {
		if i%3 == 2 {
			dir = t.TempDir()
		}
		local := openStore(t, dir)
		run := startSink(t, c.sinkConfig(store, c.config(nil, local)))
		c.load("facts", 400, 100)
		enough := random.IntN(4)
		eventually(t, "some writes are tried", func() bool {
			store.mu.Lock()
			defer store.mu.Unlock()
			return store.writes >= 3*i+enough
		})
		if i == rounds-1 {
			eventually(t, "all is committed", func() bool { return c.drained("facts") })
		}
		if err := run.stop(); err != nil {
			t.Fatal(err)
		}
		if err := local.Close(); err != nil {
			t.Fatal(err)
		}
	}
	store.check(c, "facts")
	if len(store.blind) > 0 {
		t.Errorf("tried again as if for the first time: %s", store.blind)
	}
}

func TestSinkRefusesIntentOfAnotherSchema(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1, "facts")
	c.load("facts", 20, 5)
	store := newTable()
	store.fail = func(int) error { return errors.New("away") }
	local := openStore(t, t.TempDir())
	run := startSink(t, c.sinkConfig(store, c.config(nil, local)))
	eventually(t, "a write is tried", func() bool { store.mu.Lock(); defer store.mu.Unlock(); return store.writes > 1 })
	if err := run.stop(); err != nil {
		t.Fatal(err)
	}
	other := newTable()
	other.schema = 2
	run = startSink(t, c.sinkConfig(other, c.config(nil, local)))
	if err := run.ended(); err == nil || !strings.Contains(err.Error(), "schema 1") {
		t.Errorf("Run: %v", err)
	}
	store.mu.Lock()
	store.fail = func(int) error { return fmt.Errorf("%w: never", pipeline.ErrPermanent) }
	store.mu.Unlock()
	run = startSink(t, c.sinkConfig(store, c.config(nil, local)))
	if err := run.ended(); !errors.Is(err, pipeline.ErrPermanent) {
		t.Errorf("Run: %v", err)
	}
	store.mu.Lock()
	store.fail = nil
	store.mu.Unlock()
	run = startSink(t, c.sinkConfig(store, c.config(nil, local)))
	eventually(t, "all is committed", func() bool { return c.drained("facts") })
	if err := run.stop(); err != nil {
		t.Fatal(err)
	}
	store.check(c, "facts")
	if err := local.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSinkRebalance moves partitions between two sinks of one store.
func TestSinkRebalance(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 4, "facts")
	store := newTable()
	local := openStore(t, t.TempDir())
	one := startSink(t, c.sinkConfig(store, c.config(nil, local)))
	for range 2 {
		c.load("facts", 800, 100)
		other := openStore(t, t.TempDir())
		two := startSink(t, c.sinkConfig(store, c.config(nil, other)))
		eventually(t, "two members share the partitions", func() bool {
			g := c.GroupInfo("handoff.facts")
			return g != nil && len(g.Members) == 2 && g.Members[0].NumAssigned() == 2 && g.Members[1].NumAssigned() == 2
		})
		c.load("facts", 800, 100)
		if err := two.stop(); err != nil {
			t.Fatal(err)
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all is committed", func() bool { return c.drained("facts") })
	if err := one.stop(); err != nil {
		t.Fatal(err)
	}
	store.check(c, "facts")
	if err := local.Close(); err != nil {
		t.Fatal(err)
	}
}

// What is left of a batch are often the markers of the transactions that wrote it. They are skipped, and
// then nothing is due: a loop that takes them for a batch polls without waiting, for ever.
func TestMarkersAloneAreNoBatch(t *testing.T) {
	now := time.Now()
	r := &Runner{cfg: Config{Now: func() time.Time { return now }}, sink: &SinkConfig{BatchRows: 10, BatchEvery: time.Second}}
	r.reader = newReader(r)
	in := &incarnation{r: r, ctx: t.Context()}
	p := newPart(in, 0)
	defer p.cancel()
	var err error
	if p.state, err = state.NewPartition(state.Config{Stage: sinkStage{"s"}, Partitions: 1, Schema: 1}, state.Memory()); err != nil {
		t.Fatal(err)
	}
	p.sink = &sinkPart{since: now}
	in.order = []*part{p}
	if err := p.workSink(); err != nil { // as after its last marker was skipped
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	if wait := in.sinkWait(); wait != idlePoll {
		t.Errorf("with nothing to write the loop waits %s, want %s", wait, idlePoll)
	}
}
