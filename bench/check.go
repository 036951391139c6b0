package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// checkWait bounds the reading back of an output.
const checkWait = 5 * time.Minute

// check reads the output back, committed records only, and compares it with what the first n inputs
// must have made: how many records, which ids, and for a counting side the counts of every key, one
// after the other without a gap.
func (w workload) check(ctx context.Context, c *cluster, topic string, n int, counts bool) error {
	want := w.expect(n, counts)
	ctx, cancel := context.WithTimeout(ctx, checkWait)
	defer cancel()
	ends, err := c.admin.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("ask for the output's ends: %w", err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	got := expected{}
	if counts {
		got.perKey = make([]uint32, w.Keys)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.ConsumeTopics(topic), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxPartitionBytes(4<<20))
	if err != nil {
		return fmt.Errorf("configure the checking consumer: %w", err)
	}
	defer client.Close()
	var bad error
	for len(left) > 0 && bad == nil {
		fetches := client.PollRecords(ctx, 50_000)
		if ctx.Err() != nil {
			return fmt.Errorf("read %d of %d output records: %w", got.records, want.records, ctx.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if end, ok := left[r.Partition]; ok && r.Offset+1 >= end {
				delete(left, r.Partition)
			}
			if !r.Attrs.IsControl() {
				bad = errors.Join(bad, got.add(r, counts))
			}
		})
	}
	if bad != nil {
		return bad
	}
	return got.compare(want)
}

// add takes one output record in.
func (e *expected) add(r *kgo.Record, counts bool) error {
	value := r.Value
	if counts {
		if len(value) < 8+idBytes {
			return fmt.Errorf("an output of %d bytes at %d/%d", len(value), r.Partition, r.Offset)
		}
		count := binary.BigEndian.Uint64(value)
		value = value[8:]
		key, err := keyNumber(r.Key)
		if err != nil || key >= len(e.perKey) {
			return fmt.Errorf("an output of key %q at %d/%d", r.Key, r.Partition, r.Offset)
		}
		e.perKey[key]++
		if uint64(e.perKey[key]) != count {
			return fmt.Errorf("key %q: count %d follows %d at %d/%d", r.Key, count, e.perKey[key]-1, r.Partition, r.Offset)
		}
	}
	e.records++
	e.ids += binary.BigEndian.Uint64(value)
	return nil
}

func (e *expected) compare(want expected) error {
	if e.records != want.records {
		return fmt.Errorf("%d output records, want %d", e.records, want.records)
	}
	if e.ids != want.ids {
		return errors.New("the ids of the outputs are not those of the inputs")
	}
	for key, n := range want.perKey {
		if e.perKey[key] != n {
			return fmt.Errorf("key number %d was counted to %d, want %d", key, e.perKey[key], n)
		}
	}
	return nil
}
