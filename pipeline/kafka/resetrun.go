package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/deadletter"
)

// resetTimeout is how long the transaction that voids a partition's state may take.
const resetTimeout = 10 * time.Minute

// resetWait is how long open transactions of the stage may take to end.
const resetWait = 10 * time.Second

// resetBytes bounds the transactions in which records are processed again, beside CommitRecords.
const resetBytes = 8 << 20

// Run carries the plan out. Wherever it ends once it has begun, by an error, by its context or killed, the stage
// processes nothing until another Run has finished: the plan is kept with the group's offsets, what is done in the
// changelog. It refuses to begin with ErrMembers while the group has members, and with ErrMoved where group or changelog
// are not as they were when it was planned. Of two at once the one that began last goes on, and the other ends
// and says so.
func (r *Reset) Run(ctx context.Context) (ResetResult, error) {
	if err := r.run(ctx); err != nil {
		return r.result, fmt.Errorf("reset %s: %w", r.cfg.Name, err)
	}
	return r.result, nil
}

func (r *Reset) run(ctx context.Context) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	total := int64(0)
	for _, p := range r.parts {
		if from := p.From; !p.Nothing && !p.Done {
			if p.begun() {
				from = p.Position.Offset
			}
			total += max(p.Until-from, 0)
		}
	}
	add, done := r.cfg.Progress("process "+r.mailbox+" again", "records", total)
	defer done()
	for _, p := range r.parts {
		if p.Nothing || p.Done {
			continue
		}
		if err := r.one(ctx, p, add); err != nil {
			return fmt.Errorf("partition %d: %w", p.Partition, err)
		}
	}
	return r.finish(ctx)
}

// begun tells whether the state of the mark's life is there already.
func (p *PartitionReset) begun() bool { return p.Position.Number >= p.mark.life }

// one resets a partition, from wherever an earlier run has left it.
func (r *Reset) one(ctx context.Context, p *PartitionReset, took func(int64)) error {
	if !p.begun() {
		if err := r.newLife(ctx, p); err != nil {
			return fmt.Errorf("begin the new state: %w", err)
		}
	}
	if p.mark.keep {
		return nil
	}
	stage := &resetStage{Stage: r.cfg.Stage, known: r.known}
	if err := r.timersSetAgain(ctx, p, stage); err != nil {
		return err
	}
	st, err := state.NewPartition(r.stateConfig(p.Partition, stage), r.backing(p.Partition))
	if err != nil {
		return err
	}
	run := &rebuild{r: r, p: p, stage: stage, state: st}
	return run.process(ctx, took)
}

// newLife ends the old state and begins the new one, in one transaction. The first of a reset's is what begins it:
// the marks of all partitions are in it.
func (r *Reset) newLife(ctx context.Context, p *PartitionReset) error {
	next := p.Position
	next.Life, next.Number, next.Offset = p.mark.life, p.mark.life, p.mark.from
	next.Schema, next.Partitions = r.cfg.Schema, r.count
	if !p.mark.keep {
		next.Clock = 0
	}
	var kept []*kgo.Record // what the new state begins with
	err := r.transact(ctx, func(produce func(*kgo.Record)) error {
		put := func(key, value []byte) *kgo.Record {
			rec := &kgo.Record{Topic: r.changelog, Partition: p.Partition, Key: key, Value: value}
			produce(rec)
			return rec
		}
		if err := r.endLife(p, put, func(rec *kgo.Record) { kept = append(kept, rec) }); err != nil {
			return err
		}
		kept = append(kept, put(state.PositionKey(), next.Encode()))
		return nil
	}, func(ctx context.Context) error {
		if r.marked {
			return nil
		}
		return r.setMarks(ctx)
	})
	if err != nil {
		return err
	}
	r.marked = true
	p.Position = next
	if p.mark.keep {
		return nil
	}
	// The working copy takes the same.
	back := r.backing(p.Partition)
	if err := back.Clear(); err != nil {
		return err
	}
	replay, err := state.NewReplay(r.stateConfig(p.Partition, r.cfg.Stage), back)
	if err != nil {
		return err
	}
	for _, rec := range kept {
		if err := replay.Apply(rec.Key, rec.Value, rec.Offset, r.cfg.Now()); err != nil {
			return err
		}
	}
	return replay.Finish()
}

// endLife deletes the old state and voids it, all but what the stage carries over. The deletions are
// for the brokers' disks; what counts is the record that voids.
func (r *Reset) endLife(p *PartitionReset, put func(key, value []byte) *kgo.Record, keep func(*kgo.Record)) error {
	back := r.backing(p.Partition)
	if p.mark.keep {
		return r.keptIntent(p, back, func(key []byte) { put(key, nil) })
	}
	carrier, _ := r.cfg.Stage.(pipeline.Carrier)
	var carried [][2][]byte
	if err := state.Live(back, func(key, value []byte) bool {
		key = append([]byte(nil), key...)
		put(key, nil)
		if name, ok := state.EntryName(key); ok && carrier != nil && carrier.Carry(name) {
			carried = append(carried, [2][]byte{key, append([]byte(nil), value...)})
		}
		return true
	}); err != nil {
		return err
	}
	put(state.ResetKey(), []byte(p.mark.String()))
	for _, c := range carried {
		keep(put(c[0], c[1]))
	}
	return nil
}

// keptIntent drops a sink's intent over records that are gone: it can never be written again, and
// whether it was is not known.
func (r *Reset) keptIntent(p *PartitionReset, back state.Backing, drop func(key []byte)) error {
	if p.mark.from == p.Position.Offset {
		return nil
	}
	_, ok, err := state.ReadEntry(back, nil, intentName)
	if ok {
		drop(state.EntryKey(nil, intentName))
	}
	return err
}

// transact commits what fill produces, and the offsets that commit sets, as one transaction.
func (r *Reset) transact(ctx context.Context, fill func(produce func(*kgo.Record)) error, commit func(context.Context) error) error {
	err := r.transaction(ctx, fill, commit)
	if errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) {
		return fmt.Errorf("%w (%w)", errOvertaken, err)
	}
	return err
}

func (r *Reset) transaction(ctx context.Context, fill func(produce func(*kgo.Record)) error, commit func(context.Context) error) error {
	if err := r.producer.BeginTransaction(); err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	var mu sync.Mutex
	var failed error
	err := fill(func(rec *kgo.Record) {
		r.producer.Produce(ctx, rec, func(rec *kgo.Record, err error) {
			if err == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if failed == nil {
				failed = fmt.Errorf("produce to %s: %w", rec.Topic, err)
			}
		})
	})
	flushed := r.producer.Flush(ctx)
	mu.Lock()
	err = errors.Join(err, failed, flushed)
	mu.Unlock()
	if err == nil {
		err = commit(ctx)
	}
	if err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return errors.Join(err, r.producer.EndTransaction(undo, kgo.TryAbort))
	}
	if err := r.producer.EndTransaction(ctx, kgo.TryCommit); err != nil {
		// What was not committed keeps nobody waiting.
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = r.producer.EndTransaction(undo, kgo.TryAbort)
		return fmt.Errorf("commit (whether it did is not known; run the reset again): %w", err)
	}
	return nil
}

// timersSetAgain looks through what an earlier run has processed for timers that were put back there.
func (r *Reset) timersSetAgain(ctx context.Context, p *PartitionReset, stage *resetStage) error {
	if len(r.known.timers) == 0 {
		return nil
	}
	all := map[int32]span{p.Partition: {p.mark.from, p.Position.Offset}}
	return readSpans(ctx, r.cfg.Connection, r.mailbox, false, all, func(int64) {}, func(rec *kgo.Record) error {
		for _, h := range rec.Headers {
			if h.Key == deadletter.HeaderReplay {
				stage.putBack(rec.Key, rec.Value)
			}
		}
		return nil
	})
}

// rebuild processes one partition's records again.
type rebuild struct {
	r       *Reset
	p       *PartitionReset
	stage   *resetStage
	state   *state.Partition
	out     []*kgo.Record // of the open transaction
	bytes   int
	records int
}

func (b *rebuild) process(ctx context.Context, took func(int64)) error {
	r, p := b.r, b.p
	all := map[int32]span{p.Partition: {b.state.Next(), p.mark.until}}
	if err := readSpans(ctx, r.cfg.Connection, r.mailbox, false, all, took, func(rec *kgo.Record) error { return b.record(ctx, rec) }); err != nil {
		return err
	}
	// Timers that were due by then fired, and what they did is known outside.
	if err := b.full(ctx, func() error {
		return b.state.Advance(time.UnixMilli(p.mark.clock), r.settings(), true)
	}); err != nil {
		return err
	}
	if err := b.state.Edit(nil, p.mark.until, func(pipeline.State) error { return nil }); err != nil {
		return err
	}
	return b.commit(ctx)
}

func (r *Reset) settings() pipeline.Settings {
	if r.cfg.Settings == nil {
		return noSettings{}
	}
	return r.cfg.Settings
}

// record runs the stage on one record.
func (b *rebuild) record(ctx context.Context, rec *kgo.Record) error {
	r := b.r
	in := pipeline.Record{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Key: rec.Key, Value: rec.Value, Time: rec.Timestamp}
	if right := schemas.Partition(rec.Key, int(r.count)); right != rec.Partition {
		cause := wrongPartition(right)
		if r.known.has(&pipeline.Input{Record: &in}) {
			cause = errKnownLetter
		}
		if err := b.state.Reject(&in, cause, r.settings()); err != nil {
			return err
		}
		return b.collect()
	}
	if err := b.full(ctx, func() error { return b.state.Process(&in, r.cfg.Now(), r.settings(), true) }); err != nil {
		return err
	}
	r.result.Processed++
	// A timer that was set again fires in the transaction that set it: whoever goes on after it need not
	// know that it may.
	if b.records++; b.stage.again || b.records < r.cfg.CommitRecords && b.bytes+b.state.Bytes() < resetBytes {
		return nil
	}
	return b.commit(ctx)
}

// full does what may fill the transaction, committing as often as that is.
func (b *rebuild) full(ctx context.Context, do func() error) error {
	for {
		err := do()
		if failed := b.collect(); failed != nil {
			return failed
		}
		if !errors.Is(err, state.ErrFull) {
			return err
		}
		if err := b.commit(ctx); err != nil {
			return err
		}
	}
}

// collect takes what the last input put out: dead letters always, the rest if it is wanted.
func (b *rebuild) collect() error {
	r := b.r
	repeater, _ := r.cfg.Stage.(pipeline.Repeater)
	for _, e := range b.state.TakeEmits() {
		if b.p.mark.emit && repeater != nil && repeater.Repeat(&e) {
			b.emit(e)
			r.result.Emitted++
		}
	}
	for _, f := range b.state.TakeFailures() {
		if errors.Is(f.Cause, errKnownLetter) {
			r.result.Skipped++
			continue
		}
		name := f.Name(r.cfg.Name, b.p.Partition)
		if len(r.result.Failed) >= r.cfg.AllowFailures {
			return fmt.Errorf("%w: %s: %w", ErrFailsNow, name, f.Cause)
		}
		r.result.Failed = append(r.result.Failed, name)
		rec := &kgo.Record{}
		fillDeadLetter(rec, r.cfg.Name, b.p.Partition, r.cfg.Now(), &f)
		b.out = append(b.out, rec)
	}
	for _, e := range b.stage.lost {
		b.emit(e)
	}
	b.stage.lost = b.stage.lost[:0]
	return nil
}

func (b *rebuild) emit(e pipeline.Emit) {
	b.out = append(b.out, &kgo.Record{Topic: e.Topic, Key: e.Key, Value: e.Value, Timestamp: e.Time})
	b.bytes += len(e.Key) + len(e.Value)
}

// commit ends the transaction.
func (b *rebuild) commit(ctx context.Context) error {
	if !b.state.Touched() {
		return nil
	}
	var position *kgo.Record
	at := b.state.Seal(func(key, value []byte) {
		position = &kgo.Record{Topic: b.r.changelog, Partition: b.p.Partition, Key: key, Value: value}
		b.out = append(b.out, position)
	})
	if err := b.r.transact(ctx, func(produce func(*kgo.Record)) error {
		for _, rec := range b.out {
			produce(rec)
		}
		return nil
	}, func(context.Context) error { return nil }); err != nil {
		return err
	}
	b.state.Committed(position.Offset + 1)
	b.out, b.bytes, b.records = nil, 0, 0
	b.p.Position = at
	return b.state.Save(b.r.cfg.Now())
}
