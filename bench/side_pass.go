package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// passThrough is the limit: poll, produce to the same partition, commit offsets in the same
// transaction, and nothing else. Polled records are produced as they are, without a copy or an
// allocation, and the partition is not computed again.
func passThrough(ctx context.Context, s sideSpec) error {
	compression, err := compressionCodec(s.Compression)
	if err != nil {
		return err
	}
	linger := 5 * time.Millisecond
	if s.LowLatency {
		linger = 0
	}
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(s.Brokers...),
		kgo.TransactionalID(s.group()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionTimeout(15*time.Second),
		kgo.MaxBufferedRecords(200_000), kgo.ProducerBatchMaxBytes(1<<20), kgo.ProducerLinger(linger),
		kgo.ProducerBatchCompression(compression),
		kgo.ConsumerGroup(s.group()), kgo.ConsumeTopics(s.In),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxPartitionBytes(4<<20),
		// As the runner has it: a batch that comes while the broker still ends the transaction before is sent again
		// after that, and after the default of 5 s otherwise.
		kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		return fmt.Errorf("configure the pass-through: %w", err)
	}
	defer session.Close()
	var failed firstError
	promise := failed.promise
	filler := make([]byte, besideMost(s.Beside))
	for ctx.Err() == nil {
		fetches := session.PollRecords(ctx, 10_000)
		if fetches.NumRecords() == 0 {
			continue
		}
		if err := session.Begin(); err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		until := time.Now().Add(s.commitEvery())
		for polled := 0; ; {
			fetches.EachRecord(func(r *kgo.Record) {
				polled++
				for _, b := range s.Beside {
					session.Produce(ctx, &kgo.Record{Topic: b.Topic, Partition: r.Partition, Key: r.Key, Value: filler[:b.Bytes]}, promise)
				}
				r.Topic = s.Out
				session.Produce(ctx, r, promise)
			})
			// Like the runner: a transaction ends when nothing more waits, when it is old or when it is large.
			if !time.Now().Before(until) || polled >= 50_000 || session.Client().BufferedFetchRecords() == 0 && s.LowLatency {
				break
			}
			poll, cancel := context.WithDeadline(ctx, until)
			fetches = session.PollRecords(poll, 10_000)
			cancel()
		}
		if _, err := session.End(ctx, kgo.TryCommit); err != nil && ctx.Err() == nil {
			return fmt.Errorf("end the transaction: %w", err)
		}
		if err := failed.get(); err != nil && ctx.Err() == nil {
			return fmt.Errorf("produce: %w", err)
		}
	}
	return nil
}
