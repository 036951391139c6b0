package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// rows is a store that takes each range once; it fails while it is away.
type rows struct {
	mu   sync.Mutex
	away bool           // guarded by mu
	all  map[string]int // guarded by mu; by partition and offset
	took map[string]bool
}

func (s *rows) Schema() uint32 { return 1 }

func (s *rows) Write(_ context.Context, in pipeline.Intent, records []pipeline.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errors.New("away")
	}
	if s.took[in.Token()] {
		return nil
	}
	s.took[in.Token()] = true
	for _, r := range records {
		s.all[fmt.Sprintf("%d/%d", r.Partition, r.Offset)]++
	}
	return nil
}

func (s *rows) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// sink starts the store's runner.
func (h *house) sink(s *rows, dir string) (stop func() error) {
	h.t.Helper()
	store, err := state.OpenStore(state.StoreConfig{Dir: dir})
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := kafka.NewSink(kafka.SinkConfig{Name: "keeper", Sink: s, BatchEvery: time.Millisecond, Config: kafka.Config{Connection: h.conn, Store: store,
		SessionTimeout: 6 * time.Second, TransactionTimeout: 2 * time.Second, DrainWait: 2 * time.Second, Logger: slog.New(slog.DiscardHandler)}})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(h.t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return func() error {
		cancel()
		err := <-done
		h.empty()
		return errors.Join(err, store.Close())
	}
}

// TestKeepStateOfASink: its offset is put back with the range it was writing, and no row comes twice;
// where those records are gone the range is given up, and it goes on.
func TestKeepStateOfASink(t *testing.T) {
	h, store, dir := newHouse(t), &rows{all: map[string]int{}, took: map[string]bool{}}, t.TempDir()
	keep := func() {
		t.Helper()
		cfg := h.resetConfig(nil)
		cfg.KeepState = true
		if _, err := h.reset(cfg); err != nil {
			t.Fatal(err)
		}
	}
	intents := func() (n int) {
		for k := range h.state() {
			if strings.HasSuffix(k, "intent") {
				n++
			}
		}
		return n
	}
	h.load(0, 40, began) // 50 records
	stop := h.sink(store, dir)
	h.until("all rows are there", func() bool { return store.count() == 50 && h.drained() && intents() == 0 })
	store.mu.Lock()
	store.away = true
	store.mu.Unlock()
	h.load(40, 40, began)
	h.until("it means to write", func() bool { return intents() > 0 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	offsets := kadm.Offsets{}
	for p := range int32(keeperPartitions) {
		offsets.Add(kadm.Offset{Topic: schemas.Mailbox("keeper"), Partition: p, At: 1, LeaderEpoch: -1})
	}
	if err := h.admin.CommitAllOffsets(t.Context(), schemas.Mailbox("keeper"), offsets); err != nil {
		t.Fatal(err)
	}
	open := intents()
	keep()
	if n := intents(); n != open {
		t.Errorf("%d ranges are meant to be written, want %d as before", n, open)
	}
	store.mu.Lock()
	store.away = false
	store.mu.Unlock()
	stop = h.sink(store, dir)
	h.until("all rows are there", func() bool { return store.count() == 100 && h.drained() && intents() == 0 })
	for at, n := range store.all {
		if n != 1 {
			t.Errorf("row %s came %d times", at, n)
		}
	}
	// Now what it means to write is deleted.
	store.mu.Lock()
	store.away = true
	store.mu.Unlock()
	h.load(80, 40, began)
	h.until("it means to write", func() bool { return intents() > 0 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for p, end := range h.ends(schemas.Mailbox("keeper")) {
		h.remove(schemas.Mailbox("keeper"), p, end)
	}
	keep()
	if n := intents(); n != 0 {
		t.Errorf("%d ranges that are gone are still meant to be written", n)
	}
	store.mu.Lock()
	store.away = false
	store.mu.Unlock()
	h.load(120, 40, began)
	stop = h.sink(store, dir)
	h.until("the new rows are there", func() bool { return store.count() == 150 && h.drained() })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
