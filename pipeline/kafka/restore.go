package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// groupCommit is the group's offset of a partition, once no transaction is open on it.
type groupCommit struct {
	offset   int64
	number   uint64
	metadata string
	found    bool
	ours     bool // has a transaction number
}

// stableCommit asks the group, waiting for transactions that are still open to end.
func stableCommit(ctx context.Context, client *kgo.Client, group, topic string, id [16]byte, partition int32) (groupCommit, error) {
	return untilStable(ctx, func() (groupCommit, error) {
		all, err := fetchCommits(ctx, client, group, topic, id, []int32{partition})
		if err != nil {
			return groupCommit{}, err
		}
		return all[partition].commit, all[partition].err
	})
}

// untilStable asks until no transaction is open on the offset.
func untilStable(ctx context.Context, ask func() (groupCommit, error)) (groupCommit, error) {
	for {
		c, err := ask()
		if err == nil || !errors.Is(err, kerr.UnstableOffsetCommit) && !kerr.IsRetriable(err) {
			return c, err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return groupCommit{}, ctx.Err()
		}
	}
}

// commitAnswer is what the group says of one partition.
type commitAnswer struct {
	commit groupCommit
	err    error
}

// fetchCommits asks for the group's offsets. A partition that it does not answer for has none.
func fetchCommits(ctx context.Context, client *kgo.Client, group, topic string, id [16]byte, partitions []int32) (map[int32]commitAnswer, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	req.Group = group // the form before version 8
	old := kmsg.NewOffsetFetchRequestTopic()
	old.Topic, old.Partitions = topic, partitions
	req.Topics = append(req.Topics, old)
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	t := kmsg.NewOffsetFetchRequestGroupTopic()
	t.Topic, t.TopicID, t.Partitions = topic, id, partitions
	g.Topics = append(g.Topics, t)
	req.Groups = append(req.Groups, g)
	resp, err := req.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	for i := 0; err == nil && i < len(resp.Groups); i++ {
		err = kerr.ErrorForCode(resp.Groups[i].ErrorCode)
	}
	if err != nil {
		return nil, fmt.Errorf("ask for the offset of group %s: %w", group, err)
	}
	all := make(map[int32]commitAnswer, len(partitions))
	add := func(partition int32, offset int64, metadata *string, code int16) {
		if err := kerr.ErrorForCode(code); err != nil {
			all[partition] = commitAnswer{err: fmt.Errorf("ask for the offset of group %s: %w", group, err)}
			return
		}
		c := groupCommit{offset: offset, found: offset >= 0}
		if metadata != nil {
			c.metadata = *metadata
			c.number, c.ours = parseMetadata(*metadata)
		}
		all[partition] = commitAnswer{commit: c}
	}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				add(p.Partition, p.Offset, p.Metadata, p.ErrorCode)
			}
		}
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			add(p.Partition, p.Offset, p.Metadata, p.ErrorCode)
		}
	}
	return all, nil
}

// restore brings a partition's local state to where the group stands.
func (in *incarnation) restore(p *part) error {
	began := in.r.cfg.Now()
	var behind time.Time // since when group and changelog do not agree
	for {
		err := in.restoreOnce(p, began)
		now := in.r.cfg.Now()
		switch {
		case err == nil:
			in.r.metrics.restore.Observe(now.Sub(began).Seconds())
			return nil
		case errors.Is(err, errCleared):
			continue
		case errors.Is(err, ErrResetUnfinished):
			if err := in.awaitReset(p, err); err != nil {
				return err
			}
			behind = time.Time{}
			continue
		case !errors.As(err, new(errBehind)):
			return err
		case behind.IsZero():
			behind = now
		case now.Sub(behind) > in.r.cfg.RestoreWait:
			return fatal{err}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-p.ctx.Done():
			return p.ctx.Err()
		}
	}
}

const (
	// resetLook is how often it is looked whether a reset has ended.
	resetLook = time.Second
	// resetTell is how often it is told that its end is waited for.
	resetTell = time.Minute
)

// awaitReset waits a moment for a reset to end. Whether it is at work or was interrupted cannot be known here.
func (in *incarnation) awaitReset(p *part, err error) error {
	in.r.setReady(in.member, err)
	in.mu.Lock()
	now := in.r.cfg.Now()
	tell := now.Sub(in.toldReset) >= resetTell
	if tell {
		in.toldReset = now
	}
	in.mu.Unlock()
	if tell {
		in.r.cfg.Logger.Warn("waiting for the end of a reset", "error", err)
	}
	select {
	case <-time.After(resetLook):
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

// errCleared says that local state was from before a reset, and is gone now.
var errCleared = errors.New("local state was cleared")

// errBehind says that changelog and group do not agree yet: a marker is on its way, or never comes.
type errBehind struct{ why string }

func (e errBehind) Error() string { return e.why }

// stableCommit asks where the group stands, and tells when that takes long: while a transaction is open
// on the offset, or the cluster is away.
func (in *incarnation) stableCommit(p *part) (groupCommit, error) {
	for {
		ctx, cancel := context.WithTimeout(p.ctx, in.r.cfg.RestoreWait)
		commit, err := untilStable(ctx, func() (groupCommit, error) {
			all, err := in.asks.commits.get(ctx, in.ctx)
			if err != nil {
				return groupCommit{}, err
			}
			return all[p.id].commit, all[p.id].err
		})
		cancel()
		if p.ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return commit, err
		}
		err = fmt.Errorf("%s/%d: where the group stands is not known after %s: a transaction on its offset does not end, or the cluster is away",
			in.r.mailbox, p.id, in.r.cfg.RestoreWait)
		in.r.cfg.Logger.Warn("waiting for the group's offset", "error", err)
		in.r.setReady(in.member, err)
	}
}

// restoreOnce asks the group and replays the changelog to what it said.
func (in *incarnation) restoreOnce(p *part, now time.Time) error {
	cfg := in.r.cfg.partitionConfig(p.id, in.partitions)
	back := in.r.backing(p.id, in)
	commit, err := in.stableCommit(p)
	if err != nil {
		return err
	}
	if m, ok := parseResetMark(commit.metadata); ok {
		return fmt.Errorf("%s/%d: %w, begun at %s; unless it is at work, run \"%s\" to finish it", in.r.mailbox, p.id, ErrResetUnfinished,
			m.began().Format(time.RFC3339), m.command(cfg.Stage.Name()))
	}
	if commit.found && !commit.ours {
		return fatal{fmt.Errorf("the offset of group %s for %s/%d was set to %d by something else (metadata %q): state and offset must move together; \"handoff reset %s --keep-state\" sets it back to where the state stands",
			schemas.Mailbox(cfg.Stage.Name()), in.r.mailbox, p.id, commit.offset, commit.metadata, cfg.Stage.Name())}
	}
	changelog, err := in.changelogSpan(p.ctx, p.id, commit)
	if err != nil {
		return err
	}
	pos, resume, err := state.ReadPosition(back)
	if err == nil && pos.Number > 0 && in.stale(resume, changelog, now) {
		in.r.cfg.Logger.Info("rebuilding local state: it is too old or not of this changelog", "partition", p.id)
		pos, resume, err = state.Position{}, state.Resume{}, back.Clear()
	}
	if err != nil {
		return fatal{err}
	}
	if pos.Number == 0 {
		// Whatever is there is not of a position: begin empty.
		if err := back.Clear(); err != nil {
			return fatal{err}
		}
		resume.Next = changelog.from
	}
	replay, err := state.NewReplay(cfg, back)
	if err != nil {
		return fatal{err}
	}
	reached := func() bool {
		at := replay.Position()
		return commit.found && at.Number == commit.number && at.Offset == commit.offset
	}
	// All of it is read, also beyond what the group says: a position ahead of the group is an error. One
	// more offset is the marker of the last transaction.
	if n := changelog.end - resume.Next; n > 1 || n == 1 && !reached() {
		if err := in.replay(p, replay, resume.Next, changelog.end, reached); err != nil {
			return err
		}
	}
	if err := replay.Finish(); err != nil {
		return fatal{err}
	}
	at := replay.Position()
	if err := in.agree(p, at, commit); err != nil || at.Number == 0 {
		return err
	}
	return in.readable(p, at.Offset)
}

// agree decides where the partition goes on, or that group and changelog do not agree.
func (in *incarnation) agree(p *part, at state.Position, commit groupCommit) error {
	switch {
	case commit.found && at.Number == commit.number && at.Offset == commit.offset:
		return nil
	case commit.found:
		return errBehind{fmt.Sprintf("%s/%d: the group stands at offset %d of transaction %d, the changelog at offset %d of transaction %d; should that last, \"handoff reset %s --keep-state\" goes on from the changelog",
			in.r.changelog, p.id, commit.offset, commit.number, at.Offset, at.Number, in.r.cfg.Stage.Name())}
	case at.Number > 0:
		p.forgotten = true
		return nil
	}
	return in.fromLogStart(p)
}

// fromLogStart begins a partition that was never processed at its first record.
func (in *incarnation) fromLogStart(p *part) error {
	mailbox, err := in.asks.mailbox.get(p.ctx, in.ctx)
	if err != nil {
		return err
	}
	s, ok := mailbox.spans[p.id]
	if !ok {
		return fmt.Errorf("look up where %s begins: partition %d was not answered", in.r.mailbox, p.id)
	}
	p.first = s.from
	return nil
}

// stale tells whether local state must be rebuilt: tombstones it needs may be gone from the changelog,
// or its place is not in there.
func (in *incarnation) stale(r state.Resume, changelog span, now time.Time) bool {
	return r.Next < changelog.from || r.Next > changelog.end || now.Sub(r.At) > schemas.ChangelogTombstones/2
}

// replay reads the changelog from an offset to end. Where nothing more comes before it, reached says
// whether that is enough.
func (in *incarnation) replay(p *part, to *state.Replay, from, end int64, reached func() bool) error {
	if end-from > longChangelog {
		select {
		case in.r.rebuilding <- struct{}{}:
			defer func() { <-in.r.rebuilding }()
		case <-p.ctx.Done():
			return p.ctx.Err()
		}
	}
	client, err := kgo.NewClient(in.r.cfg.options("handoff-restore",
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{in.r.changelog: {p.id: kgo.NewOffset().At(from)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMaxPartitionBytes(4<<20))...)
	if err != nil {
		return fatal{fmt.Errorf("configure restoring client: %w", err)}
	}
	defer closeConsumer(client, in.r.changelog)
	for next, quiet := from, 0; next < end; {
		poll, cancel := context.WithTimeout(p.ctx, time.Second)
		fetches := client.PollRecords(poll, 10000)
		cancel()
		if p.ctx.Err() != nil {
			return p.ctx.Err()
		}
		if fetches.NumRecords() == 0 {
			// Compaction may have removed the very last records: nothing comes, and nothing will.
			if quiet++; quiet >= 3 || reached() {
				return nil
			}
		} else {
			quiet = 0
		}
		for _, e := range fetches.Errors() {
			if e.Partition >= 0 {
				return fmt.Errorf("read %s/%d: %w", in.r.changelog, p.id, e.Err)
			}
		}
		applied := 0
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			next = r.Offset + 1
			if r.Attrs.IsControl() {
				continue
			}
			if err := to.Apply(r.Key, r.Value, r.Offset, in.r.cfg.Now()); err != nil {
				return in.unfit(p, err)
			}
			applied++
		}
		in.r.metrics.restored.Add(float64(applied))
	}
	return nil
}

// unfit decides what an error of the replay means: local state from before a reset is cleared, and the
// next try reads the whole changelog.
func (in *incarnation) unfit(p *part, err error) error {
	if !errors.Is(err, state.ErrOtherLife) {
		return fatal{err}
	}
	in.r.cfg.Logger.Info("rebuilding local state: it is from before a reset", "partition", p.id)
	if err := in.r.backing(p.id, in).Clear(); err != nil {
		return fatal{err}
	}
	return errCleared
}
