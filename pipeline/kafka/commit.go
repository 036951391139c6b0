package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline/state"
)

// send produces a record in the open transaction, opening it with the first one.
func (in *incarnation) send(r *kgo.Record) error {
	if !in.begun.Load() {
		if err := in.beginTransaction(); err != nil {
			return err
		}
	}
	in.client.Produce(in.ctx, r, in.promise)
	return nil
}

func (in *incarnation) beginTransaction() error {
	in.begin.Lock()
	defer in.begin.Unlock()
	if in.begun.Load() {
		return nil
	}
	if err := in.client.BeginTransaction(); err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	in.begun.Store(true)
	return nil
}

// produced remembers the first record that could not be produced.
func (in *incarnation) produced(r *kgo.Record, err error) {
	if err == nil {
		return
	}
	in.begin.Lock()
	defer in.begin.Unlock()
	if in.produceErr == nil {
		in.produceErr = fmt.Errorf("produce to %s: %w", r.Topic, err)
	}
}

var errNotCommitted = errors.New("the transaction was not committed, or it is not known whether it was")

// commit ends the open transaction. On an error nothing of it may be used.
func (in *incarnation) commit() error {
	began := time.Now()
	touched := make([]*part, 0, len(in.order))
	for _, p := range in.order {
		if p.state.Touched() {
			touched = append(touched, p)
		}
	}
	if err := in.workers.each(touched, (*part).seal); err != nil {
		return err
	}
	if err := in.watched(in.client, "a commit", func() error { return in.endTransaction(touched) }); err != nil {
		return err
	}
	in.r.setWaiting(in.member, nil)
	in.took = (3*in.took + time.Since(began)) / 4
	if err := in.committed(touched); err != nil {
		return err
	}
	in.ended = time.Now()
	in.r.metrics.commit.Observe(in.ended.Sub(began).Seconds())
	if in.r.failing.Load() {
		return fatal{ErrFailing}
	}
	return nil
}

// endTransaction has Kafka take all of the transaction: records, offsets, its end.
func (in *incarnation) endTransaction(touched []*part) error {
	// The bound is for a broker that is away for good: past it the outcome is unknown.
	ctx, cancel := context.WithTimeout(in.ctx, 2*in.r.cfg.TransactionTimeout)
	defer cancel()
	if err := in.client.Flush(ctx); err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	in.begin.Lock()
	failed := in.produceErr
	in.begin.Unlock()
	if failed != nil {
		return failed
	}
	if err := in.commitOffsets(ctx, touched); err != nil {
		return errors.Join(errNotCommitted, err)
	}
	if err := in.client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return errors.Join(errNotCommitted, err)
	}
	return nil
}

// committed makes the transaction the partitions' own and tells the Caller.
func (in *incarnation) committed(touched []*part) error {
	caller := in.r.cfg.Caller
	changes := make([]state.Changes, len(touched))
	for i, p := range touched {
		changes[i] = p.state.Committed(p.position.Offset + 1)
		in.r.metrics.pending(p.id, changes[i])
		in.r.reader.advanced(p.id, p.state.Next(), p.state.Clock())
		p.produce.reset()
		p.recycle()
	}
	in.r.metrics.records.Add(float64(in.txn.records))
	in.begun.Store(false)
	idle := in.idle()
	in.did, in.txn = in.txn.records, openTransaction{}
	crowded := false
	for _, p := range touched {
		crowded = crowded || p.state.Crowded()
	}
	if caller != nil || idle || crowded || in.r.cfg.Now().Sub(in.saved) >= in.r.cfg.SaveEvery {
		if err := in.save(); err != nil {
			return err
		}
	}
	if caller == nil {
		return nil
	}
	for i, p := range touched {
		if len(changes[i].Stored)+len(changes[i].Ended) > 0 {
			in.r.calling.Lock()
			caller.Committed(p.id, changes[i].Stored, changes[i].Ended)
			in.r.calling.Unlock()
		}
	}
	return nil
}

func isOutOfRange(err error) bool { return errors.Is(err, kerr.OffsetOutOfRange) }
