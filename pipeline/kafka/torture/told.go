package torture

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/schemas"
)

// slow is how long a first commit takes that is explained.
const slow = 2 * time.Second

// told is what a member has said of its way to its next commit.
type told struct {
	mu        sync.Mutex
	steps     []step          // guarded by mu; since its start, the last mark or the last trap
	producers map[int64]int16 // guarded by mu; of the stage's transactions: the first epoch of each id
}

// step is one thing that a member has said.
type step struct {
	at   time.Time
	says string
}

// mostSteps bounds what is kept: a member that is refused again and again says so each time.
const mostSteps = 200

// take keeps a step: its time in microseconds, then what it says.
func (t *told) take(line string) {
	at, says, _ := strings.Cut(line, " ")
	n, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.steps) < mostSteps {
		t.steps = append(t.steps, step{time.UnixMicro(n), says})
	}
}

func (t *told) forget() {
	t.mu.Lock()
	t.steps = nil
	t.mu.Unlock()
}

// produces keeps the id and epoch with which a member begins to produce: "<id> <epoch>".
func (t *told) produces(line string) {
	var id int64
	var epoch int16
	if _, err := fmt.Sscan(line, &id, &epoch); err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.producers == nil {
		t.producers = map[int64]int16{}
	}
	if _, known := t.producers[id]; !known {
		t.producers[id] = epoch
	}
}

// wrote tells whether a record is the member's: of its producer, no earlier than its start.
func (t *told) wrote(r *kgo.Record) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	epoch, known := t.producers[r.ProducerID]
	return known && r.ProducerEpoch >= epoch
}

// explain prints what took a member so long, in seconds since a moment.
func (t *torture) explain(p *process, since time.Time, what string, more ...step) {
	t.print("  slow: %s took %.2f s; seconds since then:", what, time.Since(since).Seconds())
	p.told.mu.Lock()
	all := append(slices.Clone(p.told.steps), more...)
	p.told.mu.Unlock()
	all = append(all, step{p.started, "the process was started"})
	slices.SortStableFunc(all, func(a, b step) int { return a.at.Compare(b.at) })
	for _, s := range all {
		if s.at.Before(since) {
			continue // before what is explained
		}
		t.print("    %6.2f  %s", s.at.Sub(since).Seconds(), s.says)
	}
}

// outputs reads what the stage puts out from now on, to see when a member's first output can be read.
type outputs struct {
	client *kgo.Client
}

// readWait is how long an output may take to be readable after its commit, and to ask where they end now.
const readWait = 20 * time.Second

func (e *epoch) outputsFromNow(ctx context.Context) (*outputs, error) {
	ctx, cancel := context.WithTimeout(ctx, readWait)
	defer cancel()
	topic := schemas.Mailbox(factsOf(e.stage))
	ends, err := e.admin.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("look up where %s ends: %w", topic, err)
	}
	from := map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) { from[o.Partition] = kgo.NewOffset().At(o.Offset) })
	client, err := kgo.NewClient(kgo.SeedBrokers(e.cluster.Brokers()...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.MetadataMinAge(50*time.Millisecond), kgo.FetchMaxWait(100*time.Millisecond))
	return &outputs{client}, err
}

// first waits for the first output of a member that can be read.
func (o *outputs) first(ctx context.Context, by *process) error {
	ctx, cancel := context.WithTimeout(ctx, readWait)
	defer cancel()
	for found := false; !found; {
		fetches := o.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("no output of the new process can be read %s after its first commit", readWait)
		}
		fetches.EachRecord(func(r *kgo.Record) { found = found || by.told.wrote(r) })
	}
	return nil
}
