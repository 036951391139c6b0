package clickhouse_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas/rows"
	"github.com/handoff-dev/handoff/sinks/clickhouse"
)

// loseParts leaves an engine's directory as a kill between two steps of an
// insert does: the token is noted, the part that came with it has no name yet
// and is swept away at the next start. which picks parts of a table, by day.
func loseParts(t *testing.T, db *clickhouse.DB, close func() error, table string, which func(day string) bool) {
	t.Helper()
	list, err := db.Conn().Query(t.Context(), "SELECT partition, path FROM system.parts WHERE active AND database = 'handoff' AND table = '"+table+"'")
	if err != nil {
		t.Fatal(err)
	}
	var doomed []string
	for list.Next() {
		var day, path string
		if err := list.Scan(&day, &path); err != nil {
			t.Fatal(err)
		}
		if which(day) {
			doomed = append(doomed, path)
		}
	}
	if err := list.Close(); err != nil || len(doomed) == 0 {
		t.Fatalf("no part of %s to lose: %v", table, err)
	}
	if err := close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range doomed {
		if !strings.Contains(path, "/store/") {
			t.Fatalf("a part at %s", path)
		}
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTokenWithoutRows(t *testing.T) {
	all := func(string) bool { return true }
	for name, lost := range map[string]struct {
		table string
		which func(day string) bool
	}{
		"one day of a table":    {"messages", func(day string) bool { return strings.HasSuffix(day, "2") }},
		"a whole table":         {"deliveries", all},
		"what the view folds":   {"episode_events", all},
		"what the view folded":  {"episode_states", all},
		"one day of the folded": {"episode_states", func(day string) bool { return strings.HasSuffix(day, "2") }},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := startEngine(t, dir)
			db := connect(t, s)
			in, records := numbered(0, 0, 1200)
			if err := newSink(db).Write(t.Context(), in, records); err != nil {
				t.Fatal(err)
			}
			loseParts(t, db, s.Close, lost.table, lost.which)
			db = reach(t, startEngine(t, dir))
			if n := one[uint64](t, db, "SELECT count() FROM handoff."+lost.table); n >= 400 {
				t.Fatalf("%d rows of %s, some were to be lost", n, lost.table)
			}
			in.Again = true
			for range 2 {
				if err := newSink(db).Write(t.Context(), in, records); err != nil {
					t.Fatal(err)
				}
				complete(t, db, 1200)
			}
		})
	}
}

// TestFoldedAgain: transitions that are folded once more change no episode, be
// they its first, its last or all of them.
func TestFoldedAgain(t *testing.T) {
	db := connect(t, startEngine(t, ""))
	states := []string{"signalled", "offered", "requested", "open", "closed"}
	sink := clickhouse.NewSink(db, 1, func(records []pipeline.Record) rows.Batch {
		b := spread(records)
		for i := range b.EpisodeEvents {
			e := &b.EpisodeEvents[i]
			n := e.Offset / 3
			e.Address, e.Episode, e.To, e.From = fmt.Sprint(n%7), uint64(n/35), states[n/7%5], states[max(n/7%5-1, 0)]
			e.SignalledAt, e.RequestedAt, e.OpenedAt = noon, noon.Add(time.Duration(n)*time.Second), noon.Add(time.Duration(900-n)*time.Second)
			e.AgentReplies, e.TicketID = uint32(n%11), fmt.Sprint("ticket ", n%13)
		}
		return b
	})
	episodes := func() string {
		return one[string](t, db, "SELECT toString(groupArray(tuple(shop, address, episode, state, ticket_id, signalled_at, requested_at, opened_at, ended_at, agent_replies)))"+
			" FROM (SELECT * FROM handoff.episodes ORDER BY address, episode)")
	}
	var intents []pipeline.Intent
	var parts [][]pipeline.Record
	for i := range int64(4) {
		in, records := numbered(0, i*120, 120)
		intents, parts = append(intents, in), append(parts, records)
		if err := sink.Write(t.Context(), in, records); err != nil {
			t.Fatal(err)
		}
	}
	want := episodes()
	for i, in := range intents {
		in.Again = true
		if err := sink.Write(t.Context(), in, parts[i]); err != nil {
			t.Fatal(err)
		}
		if got := episodes(); got != want {
			t.Fatalf("episodes after %s again:\n%s\nbefore:\n%s", in.Token(), got, want)
		}
	}
	if !strings.Contains(want, "'closed'") || len(want) < 1000 {
		t.Errorf("not much was folded: %s", want)
	}
}

// TestRepairLostToo: the token of a repair is noted without its rows as well.
// The next one takes another.
func TestRepairLostToo(t *testing.T) {
	dir := t.TempDir()
	in, records := numbered(0, 0, 1200)
	for i := range 3 {
		s := startEngine(t, dir)
		db := connect(t, s)
		in.Again = i > 0
		if err := newSink(db).Write(t.Context(), in, records); err != nil {
			t.Fatal(err)
		}
		complete(t, db, 1200)
		loseParts(t, db, s.Close, "messages", func(day string) bool { return strings.HasSuffix(day, "2") })
	}
	db := reach(t, startEngine(t, dir))
	if err := newSink(db).Write(t.Context(), in, records); err != nil {
		t.Fatal(err)
	}
	complete(t, db, 1200)
}

// TestRepairTwiceAtOnce: a process that was replaced and its successor find
// the same rows missing, or the one some that the other is just adding.
func TestRepairTwiceAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := startEngine(t, dir)
	db := connect(t, s)
	in, records := numbered(0, 0, 9000)
	if err := newSink(db).Write(t.Context(), in, records); err != nil {
		t.Fatal(err)
	}
	loseParts(t, db, s.Close, "messages", func(string) bool { return true })
	db = reach(t, startEngine(t, dir))
	in.Again = true
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if err := newSink(db).Write(context.WithoutCancel(t.Context()), in, records); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	complete(t, db, 9000)
}

// TestRepairOfHalfTheRows: a repair's token is one for all of it, so that of
// two that find different rows missing the second adds no day twice.
func TestRepairOfHalfTheRows(t *testing.T) {
	db := connect(t, startEngine(t, ""))
	_, records := numbered(0, 0, 1200)
	var some []pipeline.Record
	for _, r := range records {
		if r.Offset%4 == 1 { // a day of them
			some = append(some, r)
		}
	}
	for _, part := range [][]pipeline.Record{some, records, some} {
		if err := db.Insert(t.Context(), "a repair", spread(part)); err != nil {
			t.Fatal(err)
		}
	}
	balanced(t, db, 1200)
}
