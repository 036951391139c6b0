package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/schemas"
)

// StageLag is how far a stage is behind in its mailbox, and who works on it.
type StageLag struct {
	Stage string
	// State of the consumer group, as the cluster calls it: Stable, Empty (nobody runs the stage),
	// PreparingRebalance, CompletingRebalance, Dead (it never ran).
	State string
	// Members of the group, by instance.
	Members []Member
	// Partitions in order.
	Partitions []PartitionLag
}

// Member is a process that runs the stage.
type Member struct {
	// Instance is its name, "<stage>-<instance>"; its member id where it has none.
	Instance string
	// Host it connects from.
	Host string
	// Partitions it owns.
	Partitions []int32
}

// PartitionLag is how far one partition is behind.
type PartitionLag struct {
	Partition int32
	// Committed is the offset to be read next; -1 when nothing was committed.
	Committed int64
	// End is the last stable offset: what a stage can read now.
	End int64
	// Records between both. Transaction markers count, but 0 when nothing else is left.
	Records int64
	// Oldest is when the oldest unread record was received; zero when there is none, or it could not be
	// read in time.
	Oldest time.Time
	// Gone is how many records were deleted from the mailbox before they were read.
	Gone int64
	// Owner is the member's instance; "" for none.
	Owner string
	// ResetBegan is when a reset began that is not finished, so that the stage processes nothing, whatever it has
	// read; zero for none. Finish is the command that finishes it.
	ResetBegan time.Time
	Finish     string
}

// Records that are unread in all partitions.
func (s *StageLag) Records() int64 {
	n := int64(0)
	for _, p := range s.Partitions {
		n += p.Records
	}
	return n
}

// Gone is the sum of the partitions'.
func (s *StageLag) Gone() int64 {
	n := int64(0)
	for _, p := range s.Partitions {
		n += p.Gone
	}
	return n
}

// Resets returns the partitions of which a reset is not finished, in order.
func (s *StageLag) Resets() []PartitionLag {
	var all []PartitionLag
	for _, p := range s.Partitions {
		if !p.ResetBegan.IsZero() {
			all = append(all, p)
		}
	}
	return all
}

// Oldest is the earliest of the partitions'; zero for none.
func (s *StageLag) Oldest() time.Time {
	var oldest time.Time
	for _, p := range s.Partitions {
		if !p.Oldest.IsZero() && (oldest.IsZero() || p.Oldest.Before(oldest)) {
			oldest = p.Oldest
		}
	}
	return oldest
}

// LagReader tells how far stages are behind, whether they run or not. It joins no group.
type LagReader struct {
	c Connection
	o *observer
}

// OpenLag returns a reader; nothing is asked yet. Close it.
func OpenLag(c Connection) (*LagReader, error) {
	o, err := newObserver(c)
	return &LagReader{c: c, o: o}, err
}

// Close ends the connection.
func (l *LagReader) Close() { l.o.close() }

// Read asks about stages. Their lags are of about one moment: commits are read before ends, so that none
// is too small.
func (l *LagReader) Read(ctx context.Context, stages []string) ([]StageLag, error) {
	all := make([]StageLag, len(stages))
	unread := map[string]map[int32]*PartitionLag{}
	for i, stage := range stages {
		if err := l.stage(ctx, stage, &all[i]); err != nil {
			return nil, err
		}
		for j := range all[i].Partitions {
			if p := &all[i].Partitions[j]; p.Records > 0 {
				topic := schemas.Mailbox(stage)
				if unread[topic] == nil {
					unread[topic] = map[int32]*PartitionLag{}
				}
				unread[topic][p.Partition] = p
			}
		}
	}
	return all, l.oldest(ctx, unread)
}

// stage reads a stage's group, commits and ends.
func (l *LagReader) stage(ctx context.Context, stage string, into *StageLag) error {
	mailbox := schemas.Mailbox(stage)
	into.Stage = stage
	var group kadm.DescribedGroup
	var commits kadm.OffsetResponses
	err := l.o.ask(ctx, "ask for group "+mailbox, func(ctx context.Context) error {
		described, err := l.o.admin.DescribeGroups(ctx, mailbox)
		if err != nil {
			return err
		}
		if group = described[mailbox]; errors.Is(group.Err, kerr.GroupIDNotFound) {
			group.State = "Dead" // as clusters before 4.0 answer
			return nil
		}
		if group.Err != nil {
			return group.Err
		}
		commits, err = l.o.admin.FetchOffsets(ctx, mailbox)
		return err
	})
	if err != nil {
		return err
	}
	ends, err := l.o.spans(ctx, mailbox)
	if err != nil {
		return err
	}
	into.State = group.State
	owners := into.members(group, mailbox)
	for id := range int32(len(ends)) {
		s := ends[id]
		p := PartitionLag{Partition: id, Committed: -1, End: s.end, Owner: owners[id]}
		from := s.from
		if c, ok := commits.Lookup(mailbox, id); ok && c.At >= 0 {
			p.Committed = c.At
			p.Gone = max(s.from-c.At, 0)
			if mark, unfinished := parseResetMark(c.Metadata); unfinished {
				p.ResetBegan, p.Finish = mark.began(), mark.command(stage)
			}
			from = max(s.from, c.At)
		}
		p.Records = max(s.end-from, 0)
		into.Partitions = append(into.Partitions, p)
	}
	return nil
}

// members fills in who works on the stage, and returns who owns which partition.
func (s *StageLag) members(group kadm.DescribedGroup, mailbox string) map[int32]string {
	owners := map[int32]string{}
	for _, m := range group.Members {
		member := Member{Instance: m.MemberID, Host: strings.TrimPrefix(m.ClientHost, "/")}
		if m.InstanceID != nil {
			member.Instance = *m.InstanceID
		}
		if assigned, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range assigned.Topics {
				if t.Topic == mailbox {
					member.Partitions = append(member.Partitions, t.Partitions...)
				}
			}
		}
		slices.Sort(member.Partitions)
		for _, p := range member.Partitions {
			owners[p] = member.Instance
		}
		s.Members = append(s.Members, member)
	}
	slices.SortFunc(s.Members, func(a, b Member) int { return strings.Compare(a.Instance, b.Instance) })
	return owners
}

// oldestWait bounds the look at the oldest unread records.
const oldestWait = 5 * time.Second

// oldest reads the first unread record of every partition that has any.
func (l *LagReader) oldest(ctx context.Context, unread map[string]map[int32]*PartitionLag) error {
	from := map[string]map[int32]kgo.Offset{}
	left := 0
	for topic, partitions := range unread {
		from[topic] = map[int32]kgo.Offset{}
		for id, p := range partitions {
			from[topic][id] = kgo.NewOffset().At(p.End - p.Records)
			left++
		}
	}
	if left == 0 {
		return nil
	}
	client, err := l.c.NewClient("handoff-inspect",
		kgo.ConsumePartitions(from), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxPartitionBytes(64<<10))
	if err != nil {
		return err
	}
	defer closeConsumer(client, slices.Collect(maps.Keys(from))...)
	wait, cancel := context.WithTimeout(ctx, oldestWait)
	defer cancel()
	for left > 0 {
		fetches := client.PollFetches(wait)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if wait.Err() != nil {
			return nil //nolint:nilerr // The lag in records is known; the age is not.
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			p := unread[r.Topic][r.Partition]
			if p == nil {
				continue
			}
			if !r.Attrs.IsControl() {
				p.Oldest = r.Timestamp
			} else if r.Offset+1 >= p.End {
				p.Records = 0 // markers alone
			} else {
				continue
			}
			delete(unread[r.Topic], r.Partition)
			left--
		}
	}
	return nil
}
