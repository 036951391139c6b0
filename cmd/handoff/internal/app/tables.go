package app

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/sinks/clickhouse"
)

// tables brings ClickHouse's tables up to date while everything else runs already. As a sink it takes
// nothing before they are: a ClickHouse that is away when a process starts is to the runner what one that
// goes away later is, so the lag shows and grows, and nothing else waits for it.
type tables struct {
	pipeline.Sink
	db *clickhouse.DB
	// asked once ClickHouse was tried for the first time, there once the tables are up to date.
	asked, there atomic.Bool
	log          *slog.Logger
}

// errNoTables is what the sink says until the tables are there.
var errNoTables = errors.New("the tables are not up to date yet")

// Write implements pipeline.Sink.
func (t *tables) Write(ctx context.Context, in pipeline.Intent, records []pipeline.Record) error {
	if !t.there.Load() {
		return errNoTables
	}
	return t.Sink.Write(ctx, in, records)
}

// ready objects until ClickHouse was tried once.
func (t *tables) ready() error {
	if !t.asked.Load() {
		return errNoTables
	}
	return nil
}

// run tries until the tables are up to date or ctx ends.
func (t *tables) run(ctx context.Context) error {
	for wait := time.Second; ; wait = min(2*wait, 10*time.Second) {
		err := t.db.Migrate(ctx)
		t.there.Store(err == nil)
		t.asked.Store(true)
		if err == nil {
			return nil
		}
		t.log.Warn("analytics waits for ClickHouse", "error", err, "again_in", wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}
