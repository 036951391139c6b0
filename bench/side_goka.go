package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/storage"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"
)

// gokaGroup is also the table's name, but for its suffix.
func gokaGroup(s sideSpec) string { return s.Name }

// gokaConfig is goka's own with what its documentation leaves to the user: all replicas acknowledge, as
// on the other sides, and batches, buffers and intervals of the same sizes as theirs.
func gokaConfig(s sideSpec) (*sarama.Config, error) {
	c := goka.DefaultConfig()
	c.Version = sarama.V3_6_0_0
	c.ChannelBufferSize = 4096
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Interval = s.commitEvery()
	c.Consumer.Fetch.Default = 4 << 20
	c.Consumer.Group.InstanceId = s.Name + "-1"
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Flush.Bytes = 256 << 10
	c.Producer.Flush.Frequency = 20 * time.Millisecond
	if s.LowLatency {
		c.Producer.Flush.Frequency = 5 * time.Millisecond
	}
	switch s.Compression {
	case "", "none":
		c.Producer.Compression = sarama.CompressionNone
	case "lz4":
		c.Producer.Compression = sarama.CompressionLZ4
	case "snappy":
		c.Producer.Compression = sarama.CompressionSnappy
	case "zstd":
		c.Producer.Compression = sarama.CompressionZSTD
	default:
		return nil, fmt.Errorf("no compression %q", s.Compression)
	}
	return c, nil
}

// runGoka runs a machine on goka. A key's entry of its table is the count and, for dedupe, the ids seen
// within the window with their times: one table is what a goka processor has.
func runGoka(ctx context.Context, s sideSpec) error {
	config, err := gokaConfig(s)
	if err != nil {
		return err
	}
	goka.ReplaceGlobalConfig(config)
	topics := goka.NewTopicManagerConfig()
	topics.Table.Replication, topics.Stream.Replication = 1, 1
	callback := func(gc goka.Context, message any) { gokaCount(gc, message, s) }
	graph := goka.DefineGroup(goka.Group(gokaGroup(s)),
		goka.Input(goka.Stream(s.In), new(codec.Bytes), callback),
		goka.Output(goka.Stream(s.Out), new(codec.Bytes)),
		goka.Persist(new(codec.Bytes)))
	processor, err := goka.NewProcessor(s.Brokers, graph,
		goka.WithPartitionChannelSize(1000),
		goka.WithTopicManagerBuilder(goka.TopicManagerBuilderWithConfig(config, topics)),
		goka.WithLogger(log.New(os.Stderr, "", 0)),
		goka.WithStorageBuilder(storage.BuilderWithOptions(s.Dir, &opt.Options{
			BlockCacheCapacity: int(s.CacheBytes) / s.Partitions,
			WriteBuffer:        16 << 20,
			Filter:             filter.NewBloomFilter(10),
		})))
	if err != nil {
		return fmt.Errorf("configure goka: %w", err)
	}
	if err := processor.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("run goka: %w", err)
	}
	return nil
}

// seenEntry is how long an id and its time are in a table's entry, behind the count.
const seenEntry = idBytes + 8

func gokaCount(gc goka.Context, message any, s sideSpec) {
	value, ok := message.([]byte)
	if !ok || len(value) < idBytes {
		gc.Fail(fmt.Errorf("a message of %T", message))
		return
	}
	old, _ := gc.Value().([]byte)
	entry := make([]byte, 8, len(old)+8+seenEntry)
	if s.Machine == machineDedupe {
		var known bool
		if entry, known = gokaSeen(entry, old, value[:idBytes], gc.Timestamp()); known {
			return
		}
	}
	var n uint64
	if len(old) >= 8 {
		n = binary.BigEndian.Uint64(old)
	}
	binary.BigEndian.PutUint64(entry, n+1)
	gc.SetValue(entry)
	output := make([]byte, 8, 8+len(value))
	binary.BigEndian.PutUint64(output, n+1)
	gc.Emit(goka.Stream(s.Out), gc.Key(), append(output, value...))
}

// gokaSeen appends to entry the ids of old that are still within the window, and the new one. known
// tells that the id is among the old ones.
func gokaSeen(entry, old, id []byte, at time.Time) (_ []byte, known bool) {
	oldest := at.Add(-window).UnixMilli()
	for i := 8; i+seenEntry <= len(old); i += seenEntry {
		e := old[i : i+seenEntry]
		if string(e[:idBytes]) == string(id) {
			return entry, true
		}
		if int64(binary.BigEndian.Uint64(e[idBytes:])) >= oldest {
			entry = append(entry, e...)
		}
	}
	entry = append(entry, id...)
	return binary.BigEndian.AppendUint64(entry, uint64(at.UnixMilli())), false
}
