package clickhouse_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas/rows"
	"github.com/handoff-dev/handoff/sinks/clickhouse"
	"github.com/handoff-dev/handoff/sinks/clickhouse/embedded"
)

// numbered makes records whose value is their offset.
func numbered(partition int32, from int64, n int) (pipeline.Intent, []pipeline.Record) {
	list := make([]pipeline.Record, n)
	for i := range list {
		list[i] = pipeline.Record{Topic: "facts", Partition: partition, Offset: from + int64(i), Value: []byte("x")}
	}
	return pipeline.Intent{Topic: "facts", Partition: partition, From: from, To: from + int64(n) - 1, Rows: n, Schema: 1}, list
}

// spread makes rows of records: messages, transitions and deliveries in turn,
// over many days, the same for the same record.
func spread(records []pipeline.Record) rows.Batch {
	var b rows.Batch
	for _, r := range records {
		o := rows.Origin{
			Partition: r.Partition, Offset: r.Offset, ID: fmt.Sprintf("%08x%024x", r.Partition, r.Offset),
			Time: noon.Add(time.Duration(r.Offset%4) * 24 * time.Hour), ReceivedAt: noon, DecidedAt: noon.Add(time.Duration(r.Offset)),
			Shop: "acme", Channel: "sms", Account: "a", Address: fmt.Sprint(r.Partition, "/", r.Offset/3), Conversation: "sms:a",
		}
		switch r.Offset % 3 {
		case 0:
			b.Messages = append(b.Messages, rows.Message{Origin: o, MessageID: o.ID, Direction: "in", Text: "some words that a customer writes"})
		case 1:
			b.EpisodeEvents = append(b.EpisodeEvents, rows.EpisodeEvent{Origin: o, Episode: 1, To: "requested", SignalledAt: o.Time, RequestedAt: o.Time, AgentReplies: 1})
		default:
			b.Deliveries = append(b.Deliveries, rows.Delivery{Origin: o, CallID: o.ID, Action: "send_text", Status: "done", Segments: 1, Credits: 1})
		}
	}
	return b
}

func newSink(db *clickhouse.DB) *clickhouse.Sink { return clickhouse.NewSink(db, 1, spread) }

// balanced checks that exactly these records are stored, once, and that the
// folded episodes are as many as the transitions, each folded once.
func balanced(t *testing.T, db *clickhouse.DB, records int) {
	t.Helper()
	events := complete(t, db, records)
	// A replay that passed the view would double its rows before any merge.
	if n := one[uint64](t, db, "SELECT count() FROM (SELECT 1 FROM handoff.episode_states)"); n > events {
		t.Errorf("%d folded rows of %d transitions", n, events)
	}
}

// complete is balanced, but that transitions may have been folded again, which
// changes no episode. It returns how many transitions there are.
func complete(t *testing.T, db *clickhouse.DB, records int) uint64 {
	t.Helper()
	audit, err := db.Audit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var total, events uint64
	for _, a := range audit {
		total += a.Rows
		if a.Repeated != 0 {
			t.Errorf("%s holds %d rows twice", a.Table, a.Repeated)
		}
		if a.Table == "episode_events" {
			events = a.Rows
		}
	}
	if total != uint64(records) {
		t.Errorf("%d rows of %d records", total, records)
	}
	if n := one[uint64](t, db, "SELECT count() FROM handoff.episodes"); n != events {
		t.Errorf("%d episodes of %d", n, events)
	}
	return events
}

func TestSameIntentAgain(t *testing.T) {
	db := connect(t, startEngine(t, ""))
	sink := newSink(db)
	in, records := numbered(0, 0, 3000)
	next, more := numbered(0, 3000, 600)
	for range 3 {
		if err := sink.Write(t.Context(), in, records); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(sink.Write(t.Context(), next, more), sink.Write(t.Context(), in, records)); err != nil {
		t.Fatal(err)
	}
	balanced(t, db, 3600)
}

// TestHalfAnIntent: a crash between two tables leaves the one and not the
// other; the next attempt adds what is missing.
func TestHalfAnIntent(t *testing.T) {
	db := connect(t, startEngine(t, ""))
	in, records := numbered(1, 300, 900)
	half := clickhouse.NewSink(db, 1, func(records []pipeline.Record) rows.Batch {
		part := spread(records)
		part.EpisodeEvents, part.Deliveries = nil, nil
		return part
	})
	if err := half.Write(t.Context(), in, records); err != nil {
		t.Fatal(err)
	}
	if err := newSink(db).Write(t.Context(), in, records); err != nil {
		t.Fatal(err)
	}
	balanced(t, db, 900)
}

// TestTopicMadeAnew: the same range of another topic of that name is not taken
// for a repetition; the audit shows that places came twice.
func TestTopicMadeAnew(t *testing.T) {
	db := connect(t, startEngine(t, ""))
	in, records := numbered(0, 0, 30)
	_, others := numbered(0, 0, 30)
	others[29].Value = []byte("y")
	if err := errors.Join(newSink(db).Write(t.Context(), in, records), newSink(db).Write(t.Context(), in, others)); err != nil {
		t.Fatal(err)
	}
	if n := one[int64](t, db, "SELECT toInt64(sum(repeated)) FROM handoff.audit"); n != 30 {
		t.Errorf("%d repeated places, expected 30", n)
	}
}

// TestZombieAndSuccessor: two processes write the same intent at the same time.
func TestZombieAndSuccessor(t *testing.T) {
	db := connect(t, startEngine(t, ""))
	in, records := numbered(0, 0, 2000)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := newSink(db).Write(t.Context(), in, records); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	balanced(t, db, 2000)
}

// TestKilledInTheMiddle kills the engine with -9 at random moments of inserts
// and runs each intent again until it is acknowledged, as the runner does.
func TestKilledInTheMiddle(t *testing.T) {
	dir := t.TempDir()
	const intents, size = 6, 3000
	seed := rand.New(rand.NewPCG(1, uint64(os.Getpid())))
	s := startEngine(t, dir)
	db := connect(t, s)
	kills := 0
	for i := range intents {
		in, records := numbered(0, int64(i*size), size)
		for attempt := 0; ; attempt++ {
			var doomed *embedded.Server
			if attempt < 2 && i%2 == 0 {
				doomed = s
				delay := time.Duration(seed.IntN(400)) * time.Millisecond
				time.AfterFunc(delay, func() { kill(doomed) })
			}
			in.Again = attempt > 0
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			err := newSink(db).Write(ctx, in, records)
			cancel()
			if doomed != nil {
				<-doomed.Done()
				kills++
				s = startEngine(t, dir)
				db = reach(t, s)
			}
			if err == nil && doomed == nil {
				break
			}
			if errors.Is(err, pipeline.ErrPermanent) {
				t.Fatalf("a death was taken for a permanent error: %v", err)
			}
			if attempt > 5 {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d kills", kills)
	complete(t, db, intents*size)
}

func kill(s *embedded.Server) {
	if p, err := os.FindProcess(s.PID()); err == nil {
		_ = p.Kill()
	}
}

func TestRefusedIntents(t *testing.T) {
	db := connect(t, startEngine(t, ""))
	in, records := numbered(0, 0, 3)
	other := in
	other.Schema = 2
	if err := newSink(db).Write(t.Context(), other, records); !errors.Is(err, pipeline.ErrPermanent) || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("another version's intent: %v", err)
	}
	if err := newSink(db).Write(t.Context(), in, records[:2]); !errors.Is(err, pipeline.ErrPermanent) || !strings.Contains(err.Error(), "gave 2") {
		t.Errorf("an intent whose records are gone: %v", err)
	}
	if err := db.Conn().Exec(t.Context(), "DROP TABLE handoff.messages"); err != nil {
		t.Fatal(err)
	}
	if err := newSink(db).Write(t.Context(), in, records); !errors.Is(err, pipeline.ErrPermanent) || !strings.Contains(err.Error(), "run the migrations") {
		t.Errorf("a missing table: %v", err)
	}
}

// TestAwayIsRetryable: a ClickHouse that is not there is an error to wait
// out, both before and after it was reached.
func TestAwayIsRetryable(t *testing.T) {
	db, err := clickhouse.Open(clickhouse.Config{Addr: []string{"127.0.0.1:1"}, Protocol: clickhouse.HTTP})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	in, records := numbered(0, 0, 3)
	for name, err := range map[string]error{
		"write": newSink(db).Write(t.Context(), in, records), "ping": db.Ping(t.Context()), "migrate": db.Migrate(t.Context()),
	} {
		if err == nil || errors.Is(err, pipeline.ErrPermanent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMigrateAgain: by one process twice, by several at once, and after a
// restart on the same directory.
func TestMigrateAgain(t *testing.T) {
	dir := t.TempDir()
	s := startEngine(t, dir)
	db := reach(t, s)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := db.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	in, records := numbered(0, 0, 300)
	if err := newSink(db).Write(t.Context(), in, records); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db = connect(t, startEngine(t, dir))
	if err := errors.Join(db.Migrate(t.Context()), newSink(db).Write(t.Context(), in, records)); err != nil {
		t.Fatal(err)
	}
	balanced(t, db, 300)
}

// TestFullBatch is one second's fullest batch.
func TestFullBatch(t *testing.T) {
	db := connect(t, startEngine(t, ""))
	const size = 50_000
	in, records := numbered(0, 0, size)
	start := time.Now()
	if err := newSink(db).Write(t.Context(), in, records); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows in %s", size, time.Since(start))
	balanced(t, db, size)
}
