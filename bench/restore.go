package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// restoreNew is how many records wait for a side that starts again: enough for every partition.
const restoreNew = 1000

// restored is how long a side took to work again after kill -9.
type restored struct {
	first, all time.Duration // from the start of the process to the first new commit, and to the commit of all new records
}

// restoreRound kills the side twice: with its local state left, and with it wiped.
func (s *suite) restoreRound(ctx context.Context, e experiment, sides []string, round int) error {
	for _, side := range sides {
		figures, err := s.restoreRun(ctx, e, side)
		if err != nil {
			return fmt.Errorf("%s: %w", side, err)
		}
		if err := s.note(e, side, round, figures); err != nil {
			return err
		}
	}
	return nil
}

func (s *suite) restoreRun(ctx context.Context, e experiment, side string) (figures []figure, err error) {
	in, err := s.fillInput(ctx, e.workload)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.cluster.remove(ctx, in.name)) }()
	spec, err := s.spec(ctx, in, side)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.sweep(ctx, spec)) }()
	bounded, cancel := context.WithTimeout(ctx, e.Limit)
	defer cancel()
	p, err := startSide(bounded, spec)
	if err != nil {
		return nil, err
	}
	if _, err := s.follow(bounded, in, spec, p); err != nil {
		return nil, errors.Join(err, fmt.Errorf("%s", p.log.String()), p.kill())
	}
	if err := p.kill(); err != nil {
		return nil, err
	}
	warm, err := s.startAgain(bounded, &in, spec, false)
	if err != nil {
		return nil, fmt.Errorf("start again: %w", err)
	}
	entries, raw, err := s.readRaw(bounded, spec.changelog())
	if err != nil {
		return nil, err
	}
	wiped, err := s.startAgain(bounded, &in, spec, true)
	if err != nil {
		return nil, fmt.Errorf("start again without state: %w", err)
	}
	if err := in.check(ctx, s.cluster, spec.Out, in.Records, true); err != nil {
		return nil, fmt.Errorf("its result is wrong: %w", err)
	}
	return []figure{
		{Metric: metricWarm, Value: warm.all.Seconds(), Unit: "s"},
		{Metric: metricWiped, Value: wiped.all.Seconds(), Unit: "s"},
		{Metric: metricWiped + "-first", Value: wiped.first.Seconds(), Unit: "s"},
		{Metric: metricRaw, Value: raw.Seconds(), Unit: "s"},
		{Metric: metricEntries, Value: float64(entries), Unit: "records"},
		// What the lost state cost: without the start that is needed anyhow.
		{Metric: metricRestored, Value: (wiped.all - warm.all).Seconds(), Unit: "s"},
	}, nil
}

// startAgain puts new records in, starts the side, waits until they are committed and kills it.
func (s *suite) startAgain(ctx context.Context, in *input, spec sideSpec, wipe bool) (r restored, err error) {
	if wipe {
		if err := os.RemoveAll(spec.Dir); err != nil {
			return r, fmt.Errorf("wipe the state: %w", err)
		}
		if err := os.MkdirAll(spec.Dir, 0o755); err != nil {
			return r, fmt.Errorf("wipe the state: %w", err)
		}
	}
	compression, err := compressionCodec(s.compression)
	if err != nil {
		return r, err
	}
	before := in.Records
	in.Records += restoreNew
	if err := in.fillRange(ctx, s.cluster.brokers, in.topic, compression, before, in.Records); err != nil {
		return r, err
	}
	began := time.Now()
	p, err := startSide(ctx, spec)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, p.kill()) }()
	for {
		m, err := s.look(ctx, spec, p)
		if err != nil {
			return r, err
		}
		if m.committed > int64(before) && r.first == 0 {
			r.first = m.at.Sub(began)
		}
		if m.committed >= int64(in.Records) {
			r.all = m.at.Sub(began)
			return r, nil
		}
		select {
		case <-time.After(pollEvery):
		case <-p.ended:
			return r, errors.Join(p.alive(), fmt.Errorf("%s", p.log.String()))
		case <-ctx.Done():
			return r, errors.Join(ctx.Err(), fmt.Errorf("%s", p.log.String()))
		}
	}
}

// readRaw is how long a plain consumer, which does nothing with them, needs for a topic's records.
func (b *bench) readRaw(ctx context.Context, topic string) (n int, took time.Duration, err error) {
	ends, err := b.cluster.admin.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, 0, fmt.Errorf("ask for the changelog's ends: %w", err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	began := time.Now()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.brokers...), kgo.ConsumeTopics(topic), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxPartitionBytes(4<<20))
	if err != nil {
		return 0, 0, fmt.Errorf("configure the plain consumer: %w", err)
	}
	defer client.Close()
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return 0, 0, fmt.Errorf("read the changelog: %w", ctx.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			n++
			if end, ok := left[r.Partition]; ok && r.Offset+1 >= end {
				delete(left, r.Partition)
			}
		})
	}
	return n, time.Since(began), nil
}
