// Package episodes reads the table of handoff.episodes: which conversations people have now, as escalate has
// committed it. It is what the messaging platform's question is answered from before it sends on its own
// (H13). Memory is for those who are in an episode alone.
package episodes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// ErrPending says that the table was not read to its end yet: who is in no episode is not known.
var ErrPending = errors.New("the table of episodes is still being read")

// quiet is how long nothing may come before the end counts as read although its very last records were
// compacted away.
const quiet = time.Second

// tellEvery is how often it is told that the table cannot be read.
const tellEvery = time.Minute

// Config of a Table.
type Config struct {
	kafka.Connection
	// Logger; default slog.Default().
	Logger *slog.Logger
}

// Table is the table as far as it was read. It is safe for concurrent use.
type Table struct {
	conn   kafka.Connection
	client *kgo.Client
	log    *slog.Logger
	told   time.Time // when Run told last that the table cannot be read

	mu   sync.RWMutex
	read bool                             // guarded by mu: to the end, once
	held map[string]*handoffv1.WithPeople // guarded by mu, by record key; never changed once there
}

// Open makes a table. Nothing is read before Run.
func Open(cfg Config) (*Table, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	client, err := cfg.NewClient("handoff-episodes",
		kgo.ConsumeTopics(schemas.TopicEpisodes),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // reading it again does no harm
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords())
	if err != nil {
		return nil, fmt.Errorf("configure the client of %s: %w", schemas.TopicEpisodes, err)
	}
	return &Table{conn: cfg.Connection, client: client, log: cfg.Logger, held: map[string]*handoffv1.WithPeople{}}, nil
}

// Close ends the client. Run must have returned.
func (t *Table) Close() {
	t.client.PurgeTopicsFromConsuming(schemas.TopicEpisodes) // or metadata that comes now has it begin to read, for ever
	t.client.Close()
}

// Of returns what people have of an address's conversations; nil for nothing. The error is ErrPending until
// the table was read to its end once. The answer must not be changed.
func (t *Table) Of(shop, address string) (*handoffv1.WithPeople, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if !t.read {
		return nil, ErrPending
	}
	return t.held[schemas.Key{Shop: shop, Address: address}.String()], nil
}

// Run reads the table and follows it until ctx ends. A broker that is away is waited for.
func (t *Table) Run(ctx context.Context) error {
	left := t.ends(ctx)
	for ctx.Err() == nil {
		poll, cancel := context.WithTimeout(ctx, quiet)
		fetches := t.client.PollFetches(poll)
		cancel()
		t.apply(fetches)
		if t.pause(ctx, fetches) || left == nil {
			continue
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if end, ok := left[r.Partition]; ok && r.Offset+1 >= end {
				delete(left, r.Partition)
			}
		})
		if fetches.NumRecords() == 0 {
			if _, err := t.ask(ctx); err == nil { // the broker is there, so nothing more comes
				clear(left)
			}
		}
		if len(left) == 0 {
			left = nil
			t.mu.Lock()
			t.read = true
			t.mu.Unlock()
		}
	}
	return nil
}

// pause keeps a broker that is away, or does not let the table be read, from being asked without end, and tells whether
// it is so; the client tries again by itself.
func (t *Table) pause(ctx context.Context, fetches kgo.Fetches) bool {
	var err error
	fetches.EachError(func(_ string, _ int32, e error) {
		if !errors.Is(e, context.DeadlineExceeded) && !errors.Is(e, context.Canceled) { // the poll's own end
			err = e
		}
	})
	if err == nil || fetches.NumRecords() > 0 {
		return false
	}
	if time.Since(t.told) >= tellEvery {
		t.told = time.Now()
		t.log.Warn("the table of episodes cannot be read", "error", err)
	}
	select {
	case <-time.After(100 * time.Millisecond):
	case <-ctx.Done():
	}
	return true
}

// ends returns the end of every partition that is not empty, once the broker tells it; never nil.
func (t *Table) ends(ctx context.Context) map[int32]int64 {
	for {
		all, err := t.ask(ctx)
		if err == nil || ctx.Err() != nil {
			return all
		}
		t.log.Warn("waiting for the table of episodes", "topic", schemas.TopicEpisodes, "error", err)
		select {
		case <-time.After(quiet):
		case <-ctx.Done():
			return all
		}
	}
}

func (t *Table) ask(ctx context.Context) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return t.conn.Ends(ctx, schemas.TopicEpisodes) //nolint:wrapcheck // It names the topic.
}

func (t *Table) apply(fetches kgo.Fetches) {
	if fetches.NumRecords() == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	fetches.EachRecord(func(r *kgo.Record) {
		if r.Attrs.IsControl() {
			return
		}
		record, err := schemas.Decode(r.Key, bytes.Clone(r.Value))
		if err != nil || record.GetWithPeople() == nil {
			t.log.Error("record of the table of episodes ignored", "partition", r.Partition, "offset", r.Offset, "error", err)
			return
		}
		if held := record.GetWithPeople(); len(held.GetConversations()) > 0 {
			t.held[string(r.Key)] = held
		} else {
			delete(t.held, string(r.Key))
		}
	})
}
