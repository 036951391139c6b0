package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/schemas"
)

// span is a part of a partition: from an offset to the one before end.
type span struct{ from, end int64 }

// errNoTopic is about a topic that the cluster does not have.
var errNoTopic = errors.New("there is no such topic (handoff topics apply creates it)")

// spans asks where the partitions of a topic begin and where what is committed ends.
func spans(ctx context.Context, admin *kadm.Client, topic string) (map[int32]span, error) {
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	var ends kadm.ListedOffsets
	if err == nil {
		ends, err = admin.ListCommittedOffsets(ctx, topic)
	}
	if err == nil {
		err = ends.Error()
	}
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		err = fmt.Errorf("%w: %w", errNoTopic, err)
	case err == nil && len(ends[topic]) == 0:
		err = errNoTopic
	}
	if err != nil {
		return nil, fmt.Errorf("look up the ends of %s: %w", topic, err)
	}
	all := map[int32]span{}
	for p, o := range ends[topic] {
		all[p] = span{starts[topic][p].Offset, o.Offset}
	}
	return all, nil
}

// spansNow asks for spans with a client of its own.
func spansNow(ctx context.Context, c Connection, topic string) (map[int32]span, error) {
	admin, err := NewAdmin(c)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	return spans(ctx, admin.client, topic)
}

// endsOf returns the end of every partition that is not empty.
func endsOf(all map[int32]span) map[int32]int64 {
	left := map[int32]int64{}
	for p, s := range all {
		if s.from < s.end {
			left[p] = s.end
		}
	}
	return left
}

// Ends asks where what is committed ends in every partition of a topic that is not empty.
func (c Connection) Ends(ctx context.Context, topic string) (map[int32]int64, error) {
	all, err := spansNow(ctx, c, topic)
	return endsOf(all), err
}

// ReadTopic gives fn every committed record of a topic that is there now, in order within partitions.
func (c Connection) ReadTopic(ctx context.Context, topic string, fn func(*kgo.Record) error) error {
	return readTopic(ctx, c, topic, nil, fn)
}

// ReadKey gives fn every committed record of a key that is in a topic now, in order. One partition is read:
// the key's.
func (c Connection) ReadKey(ctx context.Context, topic string, key []byte, fn func(*kgo.Record) error) error {
	all, err := spansNow(ctx, c, topic)
	if err != nil {
		return err
	}
	partition := schemas.Partition(key, len(all))
	return readSpans(ctx, c, topic, false, map[int32]span{partition: all[partition]}, func(int64) {}, func(r *kgo.Record) error {
		if !bytes.Equal(r.Key, key) {
			return nil
		}
		return fn(r)
	})
}

// readTopic gives fn every committed record of a topic that is there now, in order within partitions.
func readTopic(ctx context.Context, c Connection, topic string, took func(n, of int64), fn func(*kgo.Record) error) error {
	all, err := spansNow(ctx, c, topic)
	if err != nil {
		return err
	}
	of := int64(0)
	for _, s := range all {
		of += s.end - s.from
	}
	return readSpans(ctx, c, topic, false, all, func(n int64) {
		if took != nil {
			took(n, of)
		}
	}, fn)
}

// pollError is the first partition's error among what a poll brought; nil where it has none. That the poll itself
// was ended is no error.
func pollError(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		if e.Partition >= 0 && !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled) {
			return fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
	}
	return nil
}

// spanQuiet is how long nothing may come before a changelog's span counts as read although its last
// records were compacted away.
const spanQuiet = 3 * time.Second

// readSpans gives fn every committed record of the spans. took is told by how many offsets it has come
// further.
func readSpans(ctx context.Context, c Connection, topic string, compacted bool, all map[int32]span, took func(int64), fn func(*kgo.Record) error) error {
	left, at := map[int32]int64{}, map[int32]kgo.Offset{}
	next := map[int32]int64{}
	for p, s := range all {
		if s.from < s.end {
			left[p], at[p], next[p] = s.end, kgo.NewOffset().At(s.from), s.from
		}
	}
	if len(left) == 0 {
		return nil
	}
	client, err := c.NewClient("handoff-read",
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMaxPartitionBytes(4<<20))
	if err != nil {
		return err
	}
	defer closeConsumer(client, topic)
	quiet := time.Now()
	for len(left) > 0 {
		poll, cancel := context.WithTimeout(ctx, time.Second)
		fetches := client.PollRecords(poll, 10000)
		cancel()
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("read %s: %w", topic, err)
		}
		if err := pollError(fetches); err != nil {
			return err
		}
		if !fetches.Empty() {
			quiet = time.Now()
		} else if compacted && time.Since(quiet) > spanQuiet {
			return nil
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			end, ok := left[r.Partition]
			if !ok || r.Offset >= end {
				delete(left, r.Partition)
				continue
			}
			if r.Offset+1 >= end {
				delete(left, r.Partition)
			}
			took(r.Offset + 1 - next[r.Partition])
			next[r.Partition] = r.Offset + 1
			if r.Attrs.IsControl() {
				continue
			}
			if err := fn(r); err != nil {
				return err
			}
		}
	}
	return nil
}
