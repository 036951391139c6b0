package app

import (
	"context"
	"fmt"

	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// Lag opens what tells how far stages are behind. Close it.
func (a *App) Lag() (*kafka.LagReader, error) { return kafka.OpenLag(a.conn) }

// StatePartitions returns how many partitions a stage's state has.
func (a *App) StatePartitions(ctx context.Context, stage string) (int, error) {
	return kafka.PartitionCount(ctx, a.conn, schemas.Changelog(stage))
}

// FoldState gives fold the committed state of a stage's partition; see kafka.FoldChangelog.
func (a *App) FoldState(ctx context.Context, stage string, partition int32, fold *state.Fold, took func(n, of int64)) error {
	if err := kafka.FoldChangelog(ctx, a.conn, stage, partition, fold, took); err != nil {
		return fmt.Errorf("read the state of %s: %w", stage, err)
	}
	return nil
}
