package clickhouse

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas/rows"
)

// insertLimit ends an insert that hangs, and a dead process's that still runs
// while its successor inserts the same range.
const insertLimit = 60 * time.Second

// Sink stores the analytics topic. It implements [pipeline.Sink].
type Sink struct {
	db     *DB
	schema uint32
	toRows func([]pipeline.Record) rows.Batch
}

// NewSink makes a sink of a database whose tables exist. toRows turns records
// into rows, one each, the same ones every time; schema is its version.
func NewSink(db *DB, schema uint32, toRows func([]pipeline.Record) rows.Batch) *Sink {
	return &Sink{db: db, schema: schema, toRows: toRows}
}

// Schema implements [pipeline.Sink].
func (s *Sink) Schema() uint32 { return s.schema }

// Write implements [pipeline.Sink]: it inserts the range's rows into their
// tables, each insert under a token that names the range. A second Write of the same
// intent, after a failure half-way or by another process, adds what is missing
// and nothing else; of an intent that is written [pipeline.Intent.Again] it also
// makes sure that nothing is. Errors that trying again cannot mend wrap
// [pipeline.ErrPermanent].
func (s *Sink) Write(ctx context.Context, in pipeline.Intent, records []pipeline.Record) error {
	if in.Schema != s.schema {
		return fmt.Errorf("%w: the intent %s was written with row version %d, this program writes %d: let a program of that version finish it", pipeline.ErrPermanent, in.Token(), in.Schema, s.schema)
	}
	if len(records) != in.Rows {
		return fmt.Errorf("%w: the intent %s is of %d records, the topic gave %d", pipeline.ErrPermanent, in.Token(), in.Rows, len(records))
	}
	t, batch := token(in, records), s.toRows(records)
	if err := s.db.Insert(ctx, t, batch); err != nil || !in.Again {
		return err
	}
	return s.complete(ctx, t, in, records, &batch)
}

// token names the range and what was in it. The records' bytes are part of it,
// not their rows: a topic that was made anew has the same ranges with other
// records, and ClickHouse drops what comes under a known token in silence.
func token(in pipeline.Intent, records []pipeline.Record) string {
	sum := sha256.New()
	var head [24]byte
	for i := range records {
		r := &records[i]
		binary.BigEndian.PutUint64(head[:], uint64(r.Offset))
		binary.BigEndian.PutUint64(head[8:], uint64(len(r.Key)))
		binary.BigEndian.PutUint64(head[16:], uint64(len(r.Value)))
		sum.Write(head[:])
		sum.Write(r.Key)
		sum.Write(r.Value)
	}
	return in.Token() + "/" + hex.EncodeToString(sum.Sum(nil)[:8])
}

// Insert stores a batch under a token. The same token must always come with
// the same rows: other ones under it are taken for a repetition and dropped.
func (db *DB) Insert(ctx context.Context, token string, batch rows.Batch) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"async_insert":               0,
		"insert_deduplicate":         1,
		"insert_deduplication_token": token,
		"deduplicate_blocks_in_dependent_materialized_views": 1,
		"max_execution_time": int(insertLimit / time.Second),
	}))
	for _, t := range tables(&batch) {
		if t.rows == 0 {
			continue
		}
		if err := db.insertTable(ctx, t); err != nil {
			return fmt.Errorf("insert %d rows of %s into %s: %w", t.rows, token, t.name, steer(err))
		}
	}
	return nil
}

// insertTable sends one table's rows as one insert.
func (db *DB) insertTable(ctx context.Context, t table) error {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	batch, err := db.conn.PrepareBatch(ctx, "INSERT INTO "+db.name(t.name)+" ("+strings.Join(names, ", ")+")")
	if err != nil {
		return err
	}
	defer func() { _ = batch.Close() }() // after Send it has nothing to do
	if err := fill(batch, t); err != nil {
		return fmt.Errorf("%w: %w", pipeline.ErrPermanent, err)
	}
	return batch.Send()
}
