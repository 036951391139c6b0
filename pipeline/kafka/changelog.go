package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// agreeWait is how long a changelog may stay behind its group's commit while it is read: commit markers
// reach the two topics independently.
const agreeWait = 10 * time.Second

// ErrNoPartition is wrapped by FoldChangelog's error for a partition that the changelog does not have.
var ErrNoPartition = errors.New("there is no such partition")

// FoldChangelog gives fold the committed changelog of a stage's partition from its beginning to where it
// ends now, and checks that it did not end before the group's last commit. took is told how many offsets
// were read, of how many; nil for nobody. The position of the fold is zero when nothing was ever
// committed. Whether the stage runs makes no difference, and nothing is changed.
func FoldChangelog(ctx context.Context, c Connection, stage string, partition int32, fold *state.Fold, took func(n, of int64)) error {
	return foldChangelog(ctx, c, stage, partition, fold, took, agreeWait)
}

func foldChangelog(ctx context.Context, c Connection, stage string, partition int32, fold *state.Fold, took func(n, of int64), agree time.Duration) error {
	o, err := newObserver(c)
	if err != nil {
		return err
	}
	defer o.close()
	commit, err := o.commitOf(ctx, stage, partition)
	if err != nil {
		return err
	}
	topic, next := schemas.Changelog(stage), int64(-1)
	for until := time.Now().Add(agree); ; {
		all, err := o.spans(ctx, topic)
		if err != nil {
			return err
		}
		s, ok := all[partition]
		if !ok {
			return fmt.Errorf("%s has %d partitions, 0 to %d: %w", topic, len(all), len(all)-1, ErrNoPartition)
		}
		s.from = max(s.from, next)
		next = s.end
		err = readSpans(ctx, c, topic, true, map[int32]span{partition: s}, func(n int64) {
			if took != nil {
				took(n, s.end-s.from)
			}
		}, func(r *kgo.Record) error { return fold.Apply(r.Key, r.Value, r.Offset) })
		if err == nil {
			err = fold.Finish()
		}
		pos := fold.Position()
		switch {
		case err != nil:
			return fmt.Errorf("%s/%d: %w", topic, partition, err)
		case pos.Number > 0 && int(pos.Partitions) != len(all):
			return fmt.Errorf("%s has %d partitions, but its state was written under %d", topic, len(all), pos.Partitions)
		case !commit.found || !commit.ours || pos.Number >= commit.number:
			return nil
		case time.Now().After(until):
			return fmt.Errorf("%s/%d ends at transaction %d, its group stands at %d: the changelog is not whole, or a commit hangs", topic, partition, pos.Number, commit.number)
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// PartitionCount asks how many partitions a topic has.
func PartitionCount(ctx context.Context, c Connection, topic string) (int, error) {
	o, err := newObserver(c)
	if err != nil {
		return 0, err
	}
	defer o.close()
	all, err := o.spans(ctx, topic)
	return len(all), err
}

// sleep waits, or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
