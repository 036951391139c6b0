package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline/state"
)

// standby keeps local state of partitions that are somebody else's, as the group's leader has shared them
// out, near what is committed, by reading their changelogs. A partition that comes here is then restored
// from what is left to read. It also looks how near the process is to all states, which tells the leader
// what may come here without a stop, and asks for what the process has warmed up for.
type standby struct {
	in      *incarnation // whose client asks for offsets
	token   *incarnation // what its claims are by
	client  *kgo.Client
	parts   map[int32]*state.Replay
	looked  time.Time // when it looked where changelogs end
	asked   []int32   // what it asked for last, having warmed up for it
	askedAt time.Time
}

const (
	standbyLook = time.Second      // how often it looks for partitions nobody here has
	standbyTry  = 10 * time.Second // how long a failure to begin is left alone
	nearLook    = 5 * time.Second  // how often it looks how near the process is, where nothing is waited for
	askAgain    = 30 * time.Second // how long a leader that gave nothing is not asked again
)

// followOthers runs until the incarnation ends. Standby is an aid: its failures are told and tried
// again, and never end anything.
func (in *incarnation) followOthers() {
	s := &standby{in: in, token: &incarnation{}, parts: map[int32]*state.Replay{}}
	defer s.close()
	wait := standbyLook
	for {
		select {
		case <-time.After(wait):
		case <-in.ctx.Done():
			return
		}
		wait = standbyLook
		if err := s.step(); err != nil && in.ctx.Err() == nil {
			in.r.cfg.Logger.Warn("copies of state fall behind; trying again", "error", err, "in", standbyTry)
			s.close()
			wait = standbyTry
		}
	}
}

// close gives everything up.
func (s *standby) close() {
	if s.client != nil {
		closeConsumer(s.client, s.in.r.changelog)
		s.client = nil
	}
	for id := range s.parts {
		s.drop(id)
	}
}

func (s *standby) drop(id int32) {
	delete(s.parts, id)
	s.in.r.unclaim(id, s.token)
	s.in.r.metrics.standby.Set(float64(len(s.parts)))
}

// look asks where the changelogs end, if it is time to.
func (s *standby) look() (map[int32]span, error) {
	now := s.in.r.cfg.Now()
	if len(s.parts) == 0 && now.Sub(s.looked) < nearLook {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(s.in.ctx, standbyTry)
	defer cancel()
	changelogs, err := spans(ctx, s.in.admin, s.in.r.changelog)
	if err != nil && len(s.parts) == 0 {
		return nil, nil //nolint:nilerr // Nothing falls behind; what was measured last counts until the next look.
	}
	s.looked = now
	return changelogs, err
}

// measure notes how near the process is, given where changelogs ended before what was read last, and asks
// for a rebalance once the process has warmed up.
func (s *standby) measure(changelogs map[int32]span) {
	if changelogs == nil {
		return
	}
	s.in.r.measure(changelogs, s.parts)
	warm := s.in.r.warmedUp()
	if now := s.in.r.cfg.Now(); len(warm) > 0 && (!slices.Equal(warm, s.asked) || now.Sub(s.askedAt) >= askAgain) {
		s.asked, s.askedAt = warm, now
		s.in.client.ForceRebalance()
	}
}

// step begins what can be begun and reads for a while.
func (s *standby) step() error {
	if err := s.begin(); err != nil {
		return err
	}
	changelogs, err := s.look()
	if err != nil {
		return err
	}
	until := s.in.r.cfg.Now().Add(standbyLook)
	for len(s.parts) > 0 && s.in.ctx.Err() == nil && s.in.r.cfg.Now().Before(until) {
		poll, cancel := context.WithDeadline(s.in.ctx, until)
		fetches := s.client.PollRecords(poll, 10000)
		cancel()
		for _, e := range fetches.Errors() {
			if e.Partition >= 0 && !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled) {
				return fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
			}
		}
		var failed error
		fetches.EachPartition(func(t kgo.FetchTopicPartition) {
			if failed == nil && t.Partition >= 0 {
				failed = s.apply(t.Partition, t.Records)
			}
		})
		if failed != nil {
			return failed
		}
	}
	s.measure(changelogs)
	return nil
}

// begin follows the partitions that are to be kept here, unless a member of this process has them, and
// lets go of others. Their state stays for a while, as that of a partition that left.
func (s *standby) begin() error {
	var free []int32
	keep := s.in.r.toKeep()
	for id := range s.parts {
		if !slices.Contains(keep, id) {
			s.client.RemoveConsumePartitions(map[string][]int32{s.in.r.changelog: {id}})
			s.drop(id)
		}
	}
	for _, id := range keep {
		if s.parts[id] == nil && s.in.r.claimFree(id, s.token) {
			free = append(free, id)
		}
	}
	if len(free) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.in.ctx, standbyTry)
	defer cancel()
	changelogs, err := spans(ctx, s.in.admin, s.in.r.changelog)
	from := make(map[int32]kgo.Offset, len(free))
	for _, id := range free {
		var at int64
		if err == nil {
			at, err = s.beginAt(id, changelogs[id])
		}
		switch {
		case errors.Is(err, errTaken):
			delete(s.parts, id)
			err = nil
		case err != nil:
			s.drop(id)
		default:
			from[id] = kgo.NewOffset().At(at)
		}
	}
	if err != nil {
		return err
	}
	if s.client == nil {
		client, err := kgo.NewClient(s.in.r.cfg.options("handoff-standby",
			kgo.ConsumeResetOffset(kgo.NoResetOffset()),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.FetchMaxPartitionBytes(1<<20))...)
		if err != nil {
			return fmt.Errorf("configure standby client: %w", err)
		}
		s.client = client
	}
	s.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{s.in.r.changelog: from})
	s.in.r.metrics.standby.Set(float64(len(s.parts)))
	return nil
}

// beginAt prepares a partition's local state and returns where its changelog goes on.
func (s *standby) beginAt(id int32, changelog span) (int64, error) {
	in := s.in
	cfg := in.r.cfg.partitionConfig(id, in.partitions)
	back := in.r.backing(id, s.token)
	pos, resume, err := state.ReadPosition(back)
	if err != nil {
		return 0, err
	}
	at := resume.Next
	if pos.Number == 0 || in.stale(resume, changelog, in.r.cfg.Now()) {
		at = changelog.from
		if err := back.Clear(); err != nil {
			return 0, err
		}
	}
	s.parts[id], err = state.NewReplay(cfg, back)
	return at, err
}

// apply brings local state up to what was read. A partition that was assigned here meanwhile, or whose
// state was reset, is let go of; the latter is begun anew.
func (s *standby) apply(id int32, records []*kgo.Record) error {
	replay := s.parts[id]
	if replay == nil {
		return nil
	}
	var err error
	for _, r := range records {
		if err = replay.Apply(r.Key, r.Value, r.Offset, s.in.r.cfg.Now()); err != nil {
			break
		}
	}
	if err == nil {
		if err = replay.Finish(); err == nil {
			if len(records) > 0 {
				s.in.r.copied(id, records[len(records)-1].Offset+1)
			}
			return nil
		}
	}
	s.client.RemoveConsumePartitions(map[string][]int32{s.in.r.changelog: {id}})
	if errors.Is(err, state.ErrOtherLife) {
		err = s.in.r.backing(id, s.token).Clear()
	}
	s.drop(id)
	if errors.Is(err, errTaken) {
		return nil
	}
	return err
}
