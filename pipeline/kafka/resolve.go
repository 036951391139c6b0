package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/deadletter"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// resolveBatch is how many dead letters are resolved in one transaction.
const resolveBatch = 200

// ResolverConfig of a Resolver.
type ResolverConfig struct {
	Connection
	// Settings of all shops, read to their end; required.
	Settings pipeline.Settings
	// Stages that exist; records of others cannot be put back.
	Stages []string
	// ShutsTexts tells which of them shut a person's texts over a lost record; required.
	ShutsTexts func(stage string) bool
	// By is who resolves.
	By string
	// Look says that nothing is to be resolved: nobody is fenced.
	Look bool
	// Now is the wall clock; default time.Now.
	Now func() time.Time
	// Took is told how far the read of the dead letters is; may be nil.
	Took func(n, of int64)
}

// Resolver puts dead letters back or drops them, each once, whoever tries at the same time.
type Resolver struct {
	cfg     ResolverConfig
	client  *kgo.Client
	letters *DeadLetters
}

var (
	// ErrDropped says that a dead letter was dropped for good.
	ErrDropped = errors.New("was dropped for good")
	// ErrReplayed says that a dead letter was put back already.
	ErrReplayed = errors.New("was put back already")
	// ErrRecordGone says that the record of a dead letter is not in its mailbox any more.
	ErrRecordGone = errors.New("the record is no longer in its mailbox")
	// ErrNoStage says that a dead letter is of a stage that does not exist.
	ErrNoStage = errors.New("there is no such stage")

	errLooks = errors.New("it was opened only to look")
)

// OpenResolver fences every other resolver, unless it is only to look, and reads the dead letters as they are from then on.
func OpenResolver(ctx context.Context, cfg ResolverConfig) (*Resolver, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	client, err := cfg.NewClient("handoff-dlq",
		kgo.TransactionalID(deadletter.ResolverID), kgo.TransactionTimeout(15*time.Second), kgo.RecordPartitioner(byKey(schemas.TopicDeadLetters)),
		kgo.ProducerBatchMaxBytes(maxBatchBytes), kgo.MaxBufferedRecords(4*resolveBatch))
	if err != nil {
		return nil, err
	}
	if !cfg.Look {
		if _, _, err := client.ProducerID(ctx); err != nil {
			client.Close()
			return nil, fmt.Errorf("become the one who resolves dead letters (transactional id %s): %w", deadletter.ResolverID, err)
		}
	}
	letters, err := ReadDeadLetters(ctx, cfg.Connection, cfg.Took)
	if err != nil {
		client.Close()
		return nil, err
	}
	return &Resolver{cfg: cfg, client: client, letters: letters}, nil
}

// Close ends the client.
func (r *Resolver) Close() { r.client.Close() }

// Letters as they were when the resolver was opened, with what it did since.
func (r *Resolver) Letters() *DeadLetters { return r.letters }

// Check tells why a dead letter cannot be resolved that way; nil when it can. The errors wrap ErrDropped,
// ErrReplayed, ErrNoStage.
func (r *Resolver) Check(l *DeadLetter, how string) error {
	switch {
	case l.Resolution != nil && l.Resolution.How == deadletter.Dropped:
		return fmt.Errorf("dead letter %s %w, by %s on %s: %s", l.Place(), ErrDropped, l.Resolution.By, l.Resolution.At.Format(time.DateTime), l.Resolution.Why)
	case l.Resolution != nil:
		return fmt.Errorf("dead letter %s %w, by %s on %s", l.Place(), ErrReplayed, l.Resolution.By, l.Resolution.At.Format(time.DateTime))
	case !slices.Contains(r.cfg.Stages, l.Stage):
		return fmt.Errorf("dead letter %s is of stage %q: %w in this version", l.Place(), l.Stage, ErrNoStage)
	}
	return nil
}

// Resolve puts the dead letters back (how is deadletter.Replayed) or drops them (deadletter.Dropped), saying
// why. What was put back, the word that opens the texts it shut, and the resolution are committed
// together, some letters at a time, in order; done is told after each commit. The error is of the first letter that cannot be
// resolved; those before it may be.
func (r *Resolver) Resolve(ctx context.Context, letters []*DeadLetter, how, why string, done func(n int)) error {
	if r.cfg.Look {
		return fmt.Errorf("resolve dead letters: %w", errLooks)
	}
	for batch := range slices.Chunk(letters, resolveBatch) {
		if err := r.resolve(ctx, batch, how, why); err != nil {
			return err
		}
		done(len(batch))
	}
	return nil
}

func (r *Resolver) resolve(ctx context.Context, batch []*DeadLetter, how, why string) error {
	now := r.cfg.Now()
	var records []*kgo.Record
	for _, l := range batch {
		of, err := r.records(ctx, l, how, why, now)
		if err != nil {
			return fmt.Errorf("dead letter %s: %w", l.Place(), err)
		}
		records = append(records, of...)
	}
	err := transact(ctx, r.client, records)
	if errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) {
		return fmt.Errorf("resolve dead letters: somebody else began to meanwhile, and these were left as they were; look at them, and do it again: %w", err)
	}
	if err != nil {
		return fmt.Errorf("resolve dead letters: %w", err)
	}
	for _, l := range batch {
		l.Resolution = &Resolution{How: how, By: r.cfg.By, Why: why, At: now}
	}
	return nil
}

// transact commits records as one transaction.
func transact(ctx context.Context, client *kgo.Client, records []*kgo.Record) error {
	if err := client.BeginTransaction(); err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	if err := firstProduceError(client.ProduceSync(ctx, records...)); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return errors.Join(err, client.EndTransaction(undo, kgo.TryAbort))
	}
	if err := client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// firstProduceError names the topic of the first record that was not taken.
func firstProduceError(results kgo.ProduceResults) error {
	for _, r := range results {
		if r.Err != nil {
			return fmt.Errorf("produce to %s: %w", r.Record.Topic, r.Err)
		}
	}
	return nil
}

// records is what resolves one dead letter.
func (r *Resolver) records(ctx context.Context, l *DeadLetter, how, why string, now time.Time) ([]*kgo.Record, error) {
	if err := r.Check(l, how); err != nil {
		return nil, err
	}
	lost, err := r.lost(ctx, l, how)
	if err != nil {
		return nil, err
	}
	var records []*kgo.Record
	post := func(e pipeline.Emit) *kgo.Record {
		out := &kgo.Record{Topic: e.Topic, Key: e.Key, Value: e.Value, Timestamp: e.Time}
		records = append(records, out)
		return out
	}
	if e, ok := lost.Dropped(); ok && how == deadletter.Dropped {
		post(e)
	}
	if how == deadletter.Replayed {
		e, err := lost.PutBack(r.cfg.Settings, now)
		if err != nil {
			return nil, err
		}
		post(e).Headers = []kgo.RecordHeader{{Key: deadletter.HeaderReplay, Value: []byte(l.Place())}}
	}
	if r.cfg.ShutsTexts(l.Stage) {
		e, ok, err := lost.Resolved(r.cfg.Settings, now, &handoffv1.DeadLetterResolved{Dropped: how == deadletter.Dropped, By: r.cfg.By, Reason: why})
		if err != nil {
			return nil, err
		}
		if ok {
			post(e)
		}
	}
	return append(records, &kgo.Record{
		Topic: schemas.TopicDeadLetters, Partition: l.Partition, Key: l.Key, Timestamp: now,
		Headers: []kgo.RecordHeader{
			{Key: deadletter.HeaderResolves, Value: []byte(l.Place())}, {Key: deadletter.HeaderResolution, Value: []byte(how)},
			{Key: deadletter.HeaderBy, Value: []byte(r.cfg.By)}, {Key: deadletter.HeaderWhy, Value: []byte(why)},
		},
	}), nil
}

// lost is the dead letter as its stage lost it, with the whole value.
func (r *Resolver) lost(ctx context.Context, l *DeadLetter, how string) (*turn.Lost, error) {
	lost := &turn.Lost{Name: l.Name(), Stage: l.Stage, Key: l.Key, Value: l.Value, Time: l.Time}
	if l.Timer != "" {
		lost.Timer = &pipeline.Timer{Name: l.Timer, At: l.Time}
	}
	if l.Full == 0 || how != deadletter.Replayed {
		return lost, nil
	}
	mailbox := schemas.Mailbox(l.Stage)
	admin, err := NewAdmin(r.cfg.Connection)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	all, err := spans(ctx, admin.client, mailbox)
	if err != nil {
		return nil, err
	}
	found := false
	if s, ok := all[l.MailboxPartition]; ok && l.MailboxOffset >= s.from && l.MailboxOffset < s.end {
		one := map[int32]span{l.MailboxPartition: {l.MailboxOffset, l.MailboxOffset + 1}}
		err = readSpans(ctx, r.cfg.Connection, mailbox, false, one, func(int64) {}, func(rec *kgo.Record) error {
			lost.Value, found = rec.Value, rec.Offset == l.MailboxOffset
			return nil
		})
	}
	if err == nil && !found {
		err = fmt.Errorf("%w (%s/%d, offset %d), and its dead letter holds only the first %d of its %d bytes: it can be dropped only",
			ErrRecordGone, mailbox, l.MailboxPartition, l.MailboxOffset, len(l.Value), l.Full)
	}
	return lost, err
}
