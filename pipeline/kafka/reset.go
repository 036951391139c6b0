package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// ResetStart says from where records are processed again. The zero value continues an unfinished reset,
// and otherwise begins at the first record that is there.
type ResetStart struct {
	// Earliest begins at the first record that is there, also in place of an unfinished reset.
	Earliest bool
	// Offsets to begin at, by partition.
	Offsets map[int32]int64
	// Time to begin at: the first record whose timestamp is not before it.
	Time time.Time
}

func (s ResetStart) zero() bool { return !s.Earliest && s.Offsets == nil && s.Time.IsZero() }

// ResetConfig of a Reset.
type ResetConfig struct {
	Connection
	// Name of the stage; required.
	Name string
	// Stage that processes the records again; nil where only KeepState is possible.
	Stage pipeline.Stage
	// Settings of all shops, read to their end; required with Stage.
	Settings pipeline.Settings
	// Schema version of the stage's state, and SeenWindow, as its runner has them.
	Schema     uint32
	SeenWindow time.Duration
	// Dir takes the state while it is worked on; empty means the system's place for what is temporary. A
	// directory is made in it and removed again.
	Dir string
	// Partitions to reset; all when empty.
	Partitions []int32
	// Start of what is processed again.
	Start ResetStart
	// Emit produces those outputs again, under the same ids, that the Stage says may be (pipeline.Repeater);
	// all others are discarded, without it all.
	Emit bool
	// KeepState throws nothing away and processes nothing: the group is set to where the changelog
	// stands, or to the first record that is there.
	KeepState bool
	// WillRun says that the plan is to be carried out: a reset that was killed and left open where the group stands
	// is fenced for the plan.
	WillRun bool
	// AllowFailures is how many records may become dead letters that did not before.
	AllowFailures int
	// CommitRecords is how many records are processed in one transaction; default 10000.
	CommitRecords int
	// Now is the wall clock; default time.Now.
	Now func() time.Time
	// Progress begins to show a long read or write; default none.
	Progress func(what, unit string, total int64) (add func(int64), done func())
}

// Reset rebuilds a stage's state from its mailbox, or sets where it goes on. Nothing is changed before
// Run.
type Reset struct {
	cfg       ResetConfig
	mailbox   string
	changelog string
	dir       string
	store     *state.Store
	admin     *Admin
	client    *kgo.Client // for requests
	topicID   [16]byte
	count     int32
	parts     []*PartitionReset
	known     knownLetters
	marked    bool // the group's offsets say that the reset has begun

	producer  *kgo.Client // of the transactions, once others are fenced
	addsGroup bool        // the broker adds a group to a transaction by itself
	result    ResetResult
}

// PartitionReset is what a reset does to one partition.
type PartitionReset struct {
	Partition int32
	// Group's offset, -1 when it has none, and whether something else than a runner has set it.
	Group   int64
	Foreign bool
	// Position of the state that the changelog has; zero when there is none.
	Position state.Position
	// First record that is in the mailbox: those before are gone.
	First int64
	// From and Until are what is processed again: from the first offset to before the last.
	From, Until int64
	// Lost is how many offsets were never processed and are gone.
	Lost int64
	// State that is thrown away, or kept.
	State state.Size
	// Continues is when the unfinished reset began that is continued; zero for a new one.
	Continues time.Time
	// Nothing was ever processed: there is nothing to do.
	Nothing bool
	// Done says that of a reset that is continued nothing is left to do here.
	Done bool

	commit groupCommit
	mark   resetMark
	read   int64 // the changelog's end that the plan knows
}

// ResetResult is what a reset did.
type ResetResult struct {
	// Processed records, and those passed over because they are dead letters.
	Processed, Skipped int64
	// Failed records that are dead letters now, by place in the mailbox.
	Failed []string
	// Emitted records.
	Emitted int64
}

var (
	// ErrResetStart is wrapped by errors about where a reset is to begin.
	ErrResetStart = errors.New("cannot begin there")
	// ErrMembers says that the group has members: the stage runs.
	ErrMembers = errors.New("the stage is running")
	// ErrNoState says that there is no state to keep.
	ErrNoState = errors.New("the changelog has no state")
	// ErrMoved says that the stage, or another reset of it, went on after the plan was made.
	ErrMoved = errors.New("the stage, or another reset of it, went on meanwhile: plan again")
	// ErrFailsNow says that a record cannot be processed which could be, or was not reached, before.
	ErrFailsNow = errors.New("a record cannot be processed")
)

// OpenReset reads what there is and plans. The caller must Close it.
func OpenReset(ctx context.Context, cfg ResetConfig) (_ *Reset, err error) {
	orDefault(&cfg.CommitRecords, 10_000)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string, string, int64) (func(int64), func()) { return func(int64) {}, func() {} }
	}
	if cfg.Stage == nil && !cfg.KeepState {
		return nil, fmt.Errorf("reset %s: no stage given that could process its records again", cfg.Name)
	}
	if _, ok := cfg.Stage.(pipeline.Repeater); cfg.Emit && !ok {
		return nil, fmt.Errorf("reset %s: none of its outputs may be produced again: who reads them would take them for new", cfg.Name)
	}
	if cfg.Start.Time.After(cfg.Now()) {
		// No record would be processed again, and all state thrown away.
		return nil, fmt.Errorf("reset %s: %w: %s is in the future", cfg.Name, ErrResetStart, cfg.Start.Time.UTC().Format(time.RFC3339))
	}
	r := &Reset{cfg: cfg, mailbox: schemas.Mailbox(cfg.Name), changelog: schemas.Changelog(cfg.Name)}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("reset %s: %w", cfg.Name, err), r.Close())
		}
	}()
	if r.admin, err = NewAdmin(cfg.Connection); err != nil {
		return nil, err
	}
	if r.client, err = cfg.NewClient("handoff-reset"); err != nil {
		return nil, err
	}
	if r.dir, err = os.MkdirTemp(cfg.Dir, "reset-"+cfg.Name+"-"); err != nil {
		return nil, fmt.Errorf("make a place to work in: %w", err)
	}
	if r.store, err = state.OpenStore(state.StoreConfig{Dir: r.dir}); err != nil {
		return nil, err
	}
	letters, err := ReadDeadLetters(ctx, cfg.Connection, nil)
	if err != nil {
		return nil, err
	}
	r.known = knownOf(cfg.Name, letters)
	return r, r.plan(ctx)
}

// Close removes what the reset worked on.
func (r *Reset) Close() error {
	var errs []error
	if r.producer != nil {
		r.producer.Close()
	}
	if r.store != nil {
		errs = append(errs, r.store.Close())
	}
	if r.client != nil {
		r.client.Close()
	}
	if r.admin != nil {
		r.admin.Close()
	}
	if r.dir != "" {
		errs = append(errs, os.RemoveAll(r.dir))
	}
	return errors.Join(errs...)
}

// Plan of each partition, in order.
func (r *Reset) Plan() []*PartitionReset { return r.parts }

// Members of the stage's group that are live, or were until a moment ago: a process that was stopped
// stays in its group until its session ends.
func (r *Reset) Members(ctx context.Context) ([]string, error) {
	wait, cancel := context.WithTimeout(ctx, resetWait)
	defer cancel()
	var g kadm.DescribedGroup
	if err := coordinated(wait, func(ctx context.Context) error {
		groups, err := r.admin.client.DescribeGroups(ctx, r.mailbox)
		if g = groups[r.mailbox]; err == nil && !errors.Is(g.Err, kerr.GroupIDNotFound) {
			err = g.Err
		}
		return err
	}); err != nil {
		return nil, fmt.Errorf("ask for the members of group %s: %w", r.mailbox, err)
	}
	var names []string
	for _, m := range g.Members {
		name := m.ClientID
		if m.InstanceID != nil {
			if name = *m.InstanceID; name == r.instance() {
				continue // another reset, in the moment of its beginning
			}
		}
		names = append(names, name+" on "+strings.TrimPrefix(m.ClientHost, "/"))
	}
	if len(g.Members) == 0 && g.State != "" && g.State != "Empty" && g.State != "Dead" {
		names = append(names, "members that are joining")
	}
	slices.Sort(names)
	return names, nil
}

// plan of all partitions.
func (r *Reset) plan(ctx context.Context) error {
	topics, err := r.admin.client.ListTopics(ctx, r.mailbox, r.changelog)
	if err == nil {
		err = topics.Error()
	}
	if err != nil {
		return fmt.Errorf("look up topics: %w", err)
	}
	r.topicID, r.count = topics[r.mailbox].ID, int32(len(topics[r.mailbox].Partitions))
	if n := len(topics[r.changelog].Partitions); n != int(r.count) {
		return fmt.Errorf("%s has %d partitions and %s has %d: the counts must be the same", r.mailbox, r.count, r.changelog, n)
	}
	wanted := r.cfg.Partitions
	if len(wanted) == 0 {
		for p := range r.count {
			wanted = append(wanted, p)
		}
	}
	mailbox, err := spans(ctx, r.admin.client, r.mailbox)
	if err != nil {
		return err
	}
	changelog, err := spans(ctx, r.admin.client, r.changelog)
	if err != nil {
		return err
	}
	var byTime kadm.ListedOffsets
	if t := r.cfg.Start.Time; !t.IsZero() {
		if byTime, err = r.admin.client.ListOffsetsAfterMilli(ctx, t.UnixMilli(), r.mailbox); err == nil {
			err = byTime.Error()
		}
		if err != nil {
			return fmt.Errorf("look up offsets of %s by time: %w", r.mailbox, err)
		}
	}
	total := int64(0)
	for _, s := range changelog {
		total += s.end - s.from
	}
	add, done := r.cfg.Progress("read "+r.changelog, "records", total)
	defer done()
	for _, id := range slices.Compact(slices.Sorted(slices.Values(wanted))) {
		if id < 0 || id >= r.count {
			return fmt.Errorf("%w: %s has no partition %d, but 0 to %d", ErrResetStart, r.mailbox, id, r.count-1)
		}
		p := &PartitionReset{Partition: id, First: mailbox[id].from, read: changelog[id].end}
		if err := r.readState(ctx, p, changelog[id], add); err != nil {
			return err
		}
		if err := r.planOne(ctx, p, mailbox[id], byTime[r.mailbox][id].Offset); err != nil {
			return fmt.Errorf("partition %d: %w", id, err)
		}
		r.parts = append(r.parts, p)
	}
	if slices.ContainsFunc(r.parts, (*PartitionReset).continued) {
		// What is begun is finished first, and nothing else with it.
		r.parts = slices.DeleteFunc(r.parts, func(p *PartitionReset) bool { return !p.continued() })
		r.marked = true
	}
	return nil
}

// Emits tells whether outputs are produced again, and Keeps whether the state is kept: as the reset was
// begun, where one is continued.
func (p *PartitionReset) Emits() bool { return p.mark.emit }

// Keeps is explained at Emits.
func (p *PartitionReset) Keeps() bool { return p.mark.keep }

// continued tells whether an unfinished reset is gone on with.
func (p *PartitionReset) continued() bool { return !p.Continues.IsZero() }

// stateConfig of a partition; stage is what runs on its state.
func (r *Reset) stateConfig(partition int32, stage pipeline.Stage) state.Config {
	if stage == nil {
		stage = sinkStage{r.cfg.Name}
	}
	return state.Config{Stage: stage, Partition: partition, Partitions: r.count, Schema: r.cfg.Schema, SeenWindow: r.cfg.SeenWindow}
}

func (r *Reset) backing(partition int32) state.Backing {
	return r.store.Backing(r.cfg.Name, partition)
}

// readState brings the working copy of a partition's state up to its changelog's end.
func (r *Reset) readState(ctx context.Context, p *PartitionReset, s span, took func(int64)) error {
	back := r.backing(p.Partition)
	replay, err := state.NewReplay(r.stateConfig(p.Partition, r.cfg.Stage), back)
	if err != nil {
		return err
	}
	err = readSpans(ctx, r.cfg.Connection, r.changelog, true, map[int32]span{p.Partition: s}, took, func(rec *kgo.Record) error {
		return replay.Apply(rec.Key, rec.Value, rec.Offset, r.cfg.Now())
	})
	if err == nil {
		err = replay.Finish()
	}
	if err != nil {
		return fmt.Errorf("read %s/%d: %w", r.changelog, p.Partition, err)
	}
	p.Position = replay.Position()
	return state.Live(back, func(key, _ []byte) bool {
		p.State.Add(key)
		return true
	})
}

// planOne decides what is done to a partition. byTime is the offset of the start's time, -1 when no
// record is that new.
func (r *Reset) planOne(ctx context.Context, p *PartitionReset, mailbox span, byTime int64) error {
	commit, err := r.commitOf(ctx, p.Partition)
	if err != nil {
		return err
	}
	p.commit, p.Group = commit, -1
	if commit.found {
		p.Group = commit.offset
	}
	mark, unfinished := parseResetMark(commit.metadata)
	p.Foreign = commit.found && !commit.ours && !unfinished
	if unfinished && r.cfg.Start.zero() && !r.cfg.KeepState {
		p.Continues, p.mark, p.From, p.Until = mark.began(), mark, mark.from, mark.until
		p.Done = p.Position.Number >= mark.life && p.Position.Offset >= mark.until && p.Position.Clock >= mark.clock
		return nil
	}
	if !commit.found && p.Position.Number == 0 {
		p.Nothing = true
		return nil
	}
	until, clock := p.processedUntil(), p.Position.Clock
	if unfinished {
		until, clock = mark.until, mark.clock
	}
	if r.cfg.KeepState {
		switch {
		case unfinished && !mark.keep:
			return fmt.Errorf("%w, its state is void: finish it, or begin it anew", ErrResetUnfinished)
		case p.Position.Number == 0:
			return fmt.Errorf("%w to keep: rebuild it from the mailbox", ErrNoState)
		}
		until = p.Position.Offset
	}
	until = min(until, mailbox.end)
	p.Lost = max(p.First-until, 0)
	p.Until = max(until, p.First)
	if p.From, err = r.start(p, byTime); err != nil {
		return err
	}
	now := r.cfg.Now().UnixMilli()
	life := max(commit.number, p.Position.Number, mark.life) + 1
	p.mark = resetMark{from: p.From, until: p.Until, life: max(life, uint64(now)), clock: clock, at: now, emit: r.cfg.Emit, keep: r.cfg.KeepState}
	return nil
}

// processedUntil is the offset before which everything was processed, and its outputs committed.
func (p *PartitionReset) processedUntil() int64 {
	switch {
	case p.Position.Number == 0:
		return p.commit.offset
	case p.commit.ours:
		return max(p.commit.offset, p.Position.Offset)
	}
	return p.Position.Offset
}

// start is where a partition begins.
func (r *Reset) start(p *PartitionReset, byTime int64) (int64, error) {
	at, named := r.cfg.Start.Offsets[p.Partition]
	switch {
	case r.cfg.KeepState:
		return p.Until, nil
	case named && at < p.First:
		return 0, fmt.Errorf("%w: offset %d is no longer in %s, the first one there is %d", ErrResetStart, at, r.mailbox, p.First)
	case named && at > p.Until:
		return 0, fmt.Errorf("%w: offset %d was not processed yet; the state is of what is before %d", ErrResetStart, at, p.Until)
	case named:
		return at, nil
	case r.cfg.Start.Time.IsZero():
		return p.First, nil
	case byTime < 0:
		return p.Until, nil
	}
	return min(max(byTime, p.First), p.Until), nil
}
