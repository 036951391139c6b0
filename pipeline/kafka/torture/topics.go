package torture

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/schemas"
)

// tape is a topic as far as it was read: its committed records, in order.
type tape struct {
	topic   string
	brokers []string
	next    map[int32]int64
	records map[int32][]*kgo.Record

	open     map[writer]int16 // epochs of transactions without a marker yet
	unmarked []string         // where a producer wrote again although its last transaction has no marker
}

// writer is a transactional producer in a partition.
type writer struct {
	partition int32
	id        int64
}

// mark follows the transactions of a partition. A broker ends a transaction by a marker before its
// producer may write with a later epoch; one that forgets it lets the next transaction's marker decide
// about this one too, whatever its producer was told. No client can mend that.
func (t *tape) mark(r *kgo.Record) {
	w := writer{r.Partition, r.ProducerID}
	switch epoch, open := t.open[w]; {
	case r.ProducerID < 0:
	case r.Attrs.IsControl():
		delete(t.open, w)
	case r.Attrs.IsTransactional():
		if open && r.ProducerEpoch > epoch {
			t.unmarked = append(t.unmarked, fmt.Sprintf("%s/%d before offset %d", t.topic, r.Partition, r.Offset))
		}
		t.open[w] = r.ProducerEpoch
	}
}

func newTape(brokers []string, topic string) *tape {
	return &tape{topic: topic, brokers: brokers, next: map[int32]int64{}, records: map[int32][]*kgo.Record{}, open: map[writer]int16{}}
}

// wind reads on to where the topic's committed records end now.
func (t *tape) wind(ctx context.Context, admin *kadm.Client) error {
	ends, err := admin.ListCommittedOffsets(ctx, t.topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("look up where %s ends: %w", t.topic, err)
	}
	from, left := map[int32]kgo.Offset{}, map[int32]int64{}
	for p, o := range ends[t.topic] {
		if t.next[p] < o.Offset {
			from[p], left[p] = kgo.NewOffset().At(t.next[p]), o.Offset
		}
	}
	if len(left) == 0 {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(t.brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{t.topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.MetadataMinAge(250*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	for quiet := 0; len(left) > 0 && quiet < 3; {
		poll, cancel := context.WithTimeout(ctx, 2*time.Second)
		fetches := client.PollFetches(poll)
		cancel()
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("read %s: %w", t.topic, err)
		}
		if fetches.NumRecords() > 0 {
			quiet = 0
		} else {
			quiet++ // compaction may have taken the last of them
		}
		fetches.EachRecord(func(r *kgo.Record) {
			t.next[r.Partition] = r.Offset + 1
			t.mark(r)
			if end, ok := left[r.Partition]; ok && r.Offset+1 >= end {
				delete(left, r.Partition)
			}
			if !r.Attrs.IsControl() {
				t.records[r.Partition] = append(t.records[r.Partition], r)
			}
		})
	}
	return nil
}

// count of records read.
func (t *tape) count() (n int) {
	for _, records := range t.records {
		n += len(records)
	}
	return n
}

// committedAt is where a group stands in a partition.
type committedAt struct {
	offset int64
	number uint64 // of the transaction; 0 when it was not the runner's
}

// groupAt returns the committed offsets of a stage's group.
func groupAt(ctx context.Context, admin *kadm.Client, stage string) (map[int32]committedAt, error) {
	all, err := admin.FetchOffsets(ctx, schemas.Mailbox(stage))
	if err != nil {
		return nil, fmt.Errorf("ask where group %s stands: %w", schemas.Mailbox(stage), err)
	}
	at := map[int32]committedAt{}
	for p, o := range all[schemas.Mailbox(stage)] {
		c := committedAt{offset: o.At}
		if text, ok := strings.CutPrefix(o.Metadata, "handoff:"); ok {
			c.number, _ = strconv.ParseUint(text, 10, 64) // 0 is found to be wrong
		}
		at[p] = c
	}
	return at, nil
}

// groupSaid is the group of a stage as its coordinator knows it, for whoever looks for what is missing: a member in
// it that no process is has been made up by the broker, and keeps its partitions from those that are.
func groupSaid(ctx context.Context, admin *kadm.Client, stage string) string {
	mailbox := schemas.Mailbox(stage)
	groups, err := admin.DescribeGroups(ctx, mailbox)
	if err != nil {
		return fmt.Sprintf("the group %s: %v", mailbox, err)
	}
	g := groups[mailbox]
	said := fmt.Sprintf("the group %s is %s", mailbox, g.State)
	for _, m := range g.Members {
		name := m.MemberID
		if m.InstanceID != nil {
			name = *m.InstanceID
		}
		owned, _ := m.Assigned.AsConsumer()
		partitions := 0
		if owned != nil {
			for _, t := range owned.Topics {
				partitions += len(t.Partitions)
			}
		}
		said += fmt.Sprintf(", %s has %d partitions", name, partitions)
	}
	return said
}

// createTopics makes the topics of an epoch. A compacted changelog is compacted all the time.
func createTopics(ctx context.Context, admin *kadm.Client, stage string, partitions, facts int, compact bool) error {
	setting := func(s string) *string { return &s }
	large := setting(strconv.Itoa(schemas.MaxRecordBytes + schemas.MaxRecordBytes/4))
	plain := map[string]*string{"max.message.bytes": large}
	changelog := map[string]*string{"cleanup.policy": setting("delete"), "retention.ms": setting("-1"), "max.message.bytes": large}
	if compact {
		changelog = map[string]*string{"max.message.bytes": large, "cleanup.policy": setting("compact"), "segment.ms": setting("500"), "min.cleanable.dirty.ratio": setting("0.001"),
			"delete.retention.ms": setting(strconv.FormatInt(schemas.ChangelogTombstones.Milliseconds(), 10))}
	}
	for _, t := range []struct {
		name       string
		partitions int
		configs    map[string]*string
	}{
		{schemas.Mailbox(stage), partitions, plain},
		{schemas.Changelog(stage), partitions, changelog},
		{schemas.Mailbox(factsOf(stage)), facts, plain},
		{schemas.Changelog(factsOf(stage)), facts, changelog},
		{schemas.TopicDeadLetters, schemas.AnalyticsPartitions, plain},
	} {
		_, err := admin.CreateTopic(ctx, int32(t.partitions), -1, t.configs, t.name)
		if err != nil && (!errors.Is(err, kerr.TopicAlreadyExists) || t.name != schemas.TopicDeadLetters) {
			return fmt.Errorf("create %s: %w", t.name, err)
		}
	}
	for {
		have, err := admin.ListTopics(ctx, schemas.Mailbox(stage), schemas.Changelog(stage), schemas.Mailbox(factsOf(stage)), schemas.Changelog(factsOf(stage)), schemas.TopicDeadLetters)
		if err == nil && have.Error() == nil && led(have) {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait for topics of %s: %w", stage, errors.Join(ctx.Err(), err, have.Error()))
		}
	}
}

// led tells whether all partitions have a leader.
func led(topics kadm.TopicDetails) bool {
	for _, t := range topics {
		for _, p := range t.Partitions {
			if p.Err != nil || p.Leader < 0 {
				return false
			}
		}
	}
	return true
}
