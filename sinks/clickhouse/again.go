package clickhouse

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas/rows"
)

// repairs is how often rows that are not there are inserted before the write
// counts as failed. More than one is needed only where ClickHouse dies again
// in the same instant of a repair.
const repairs = 5

// complete adds the rows of an intent that are not there although their token
// is known. A plain MergeTree notes the token of a part first and gives the
// part its name after it (MergeTreeSink::commitPart); killed between the two,
// it has the one and not the other, and takes every later attempt for a
// repetition. Replicated tables do both in one transaction, and one replica
// does not say what the others hold, so nothing is looked for there.
func (s *Sink) complete(ctx context.Context, token string, in pipeline.Intent, records []pipeline.Record, batch *rows.Batch) error {
	plain, err := s.db.plainTables(ctx)
	if err != nil || !plain {
		return err
	}
	for n := 1; ; n++ {
		stored, err := s.db.stored(ctx, in, batch)
		if err != nil {
			return err
		}
		var missing []pipeline.Record
		for _, r := range records {
			if !stored[r.Offset] {
				missing = append(missing, r)
			}
		}
		if len(missing) == 0 {
			return s.db.foldAgain(ctx, in)
		}
		if n > repairs {
			return fmt.Errorf("%d of %d rows of %s are not there after %d inserts that ClickHouse acknowledged", len(missing), len(records), token, n)
		}
		// The token is the same whichever rows are missing: it counts for each
		// day of a table by itself, and of two processes that repair at once
		// the one may see what the other has added so far.
		if err := s.db.Insert(ctx, fmt.Sprintf("%s/repair/%d", token, n), s.toRows(missing)); err != nil {
			return err
		}
	}
}

// plainTables tells whether the tables are on this server alone.
func (db *DB) plainTables(ctx context.Context) (bool, error) {
	var n uint64
	err := db.conn.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = {database:String} AND name IN ('messages', 'episode_states') AND NOT match(engine, '^(Replicated|Shared)')",
		clickhouse.Named("database", db.cfg.Database)).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("look up the tables' engines: %w", steer(err))
	}
	return n > 0, nil
}

// stored are the offsets of an intent's rows that are in their tables.
func (db *DB) stored(ctx context.Context, in pipeline.Intent, batch *rows.Batch) (map[int64]bool, error) {
	stored := make(map[int64]bool, in.Rows)
	first, last := span(batch)
	for _, t := range tables(batch) {
		if t.rows == 0 {
			continue
		}
		list, err := db.conn.Query(ctx, "SELECT offset FROM "+db.name(t.name)+" WHERE partition = {partition:Int32} AND offset >= {from:Int64} AND offset <= {to:Int64}"+
			" AND time >= {first:DateTime64(3, 'UTC')} AND time <= {last:DateTime64(3, 'UTC')}", append(place(in),
			clickhouse.DateNamed("first", first, clickhouse.MilliSeconds), clickhouse.DateNamed("last", last, clickhouse.MilliSeconds))...)
		if err != nil {
			return nil, fmt.Errorf("look for what %s holds of %s: %w", t.name, in.Token(), steer(err))
		}
		offsets, err := collect(list, t.name, func(r driver.Rows, offset *int64) error { return r.Scan(offset) })
		if err != nil {
			return nil, err
		}
		for _, offset := range offsets {
			stored[offset] = true
		}
	}
	return stored, nil
}

// foldAgain folds the range's transitions into the episodes once more: the
// parts of the view's table can be lost as those of any other. Folding twice
// changes nothing, see migrations/00009_folds.sql.
func (db *DB) foldAgain(ctx context.Context, in pipeline.Intent) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0, "insert_deduplicate": 0}))
	err := db.conn.Exec(ctx, "INSERT INTO "+db.name("episode_states")+" SELECT * FROM "+db.name("episode_folds")+
		"(partition = {partition:Int32}, first_offset = {from:Int64}, last_offset = {to:Int64})", place(in)...)
	if err != nil {
		return fmt.Errorf("fold the transitions of %s again: %w", in.Token(), steer(err))
	}
	return nil
}

// place names an intent's range to a query.
func place(in pipeline.Intent) []any {
	return []any{clickhouse.Named("partition", in.Partition), clickhouse.Named("from", in.From), clickhouse.Named("to", in.To)}
}

// span is from the earliest to the latest of a batch's times, widened to whole
// seconds, so that only those days are looked at. A time that is not known is
// stored as 1970.
func span(b *rows.Batch) (first, last time.Time) {
	first, last = time.Now(), time.Unix(0, 0)
	for at := range b.Times() {
		if at.IsZero() {
			at = time.Unix(0, 0)
		}
		if at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
	}
	return first.Truncate(time.Second).UTC(), last.Truncate(time.Second).Add(time.Second).UTC()
}
