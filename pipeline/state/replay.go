package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Replay brings a backing up to date from its changelog. Records are applied up to a position record,
// never a part of a transaction. Of records of one key that come near each other only the last is
// written.
type Replay struct {
	cfg  Config
	back Backing
	pos  Position
	life Position // the backing's at first; zero once nothing is left of that

	txn     []replayed     // since the last position; their memory is the caller's
	latest  map[string]int // of records, by changelog key
	records []replayed     // up to the last position, not written yet
	bytes   int            // of records
	resume  Resume         // after the last position
	scratch []byte
}

// replayed is a changelog record that is not written yet; ok is false for a deletion.
type replayed struct {
	key, value []byte
	ok         bool
}

// ErrOtherLife is returned by Replay.Apply when the state was reset after the backing was written last:
// the backing must be cleared, and the changelog read from its start.
var ErrOtherLife = errors.New("the state was reset since")

// NewReplay goes on from the backing's position. cfg is the partition's.
func NewReplay(cfg Config, back Backing) (*Replay, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	pos, _, err := ReadPosition(back)
	if err != nil {
		return nil, err
	}
	return &Replay{cfg: cfg, back: back, latest: map[string]int{}, pos: pos, life: pos}, nil
}

// Position of the last position record, or the backing's.
func (r *Replay) Position() Position { return r.pos }

// replayBytes is how much is collected before it is written.
const replayBytes = 8 << 20

// Apply takes the next changelog record; value is nil for a deletion. Both must stay as they are until
// the next position record was applied. offset is the record's, now the wall time.
func (r *Replay) Apply(key, value []byte, offset int64, now time.Time) error {
	if len(key) == 0 {
		return fmt.Errorf("%w: changelog record %d has no key", ErrFormat, offset)
	}
	switch kind := key[0]; kind {
	case kindPos:
		return r.position(value, offset, now)
	case kindTimer:
		if value != nil && len(value) != 8 {
			return fmt.Errorf("%w: changelog record %d: timer", ErrFormat, offset)
		}
	case kindEntry, kindCall, kindSeen:
	case kindReset:
		return r.reset()
	default:
		return fmt.Errorf("%w: changelog record %d is of kind %q; a newer Handoff wrote it", ErrFormat, offset, kind)
	}
	if key[0] != kindSeen {
		if _, _, err := cutKey(key[1:]); err != nil {
			return fmt.Errorf("changelog record %d: %w", offset, err)
		}
	}
	r.txn = append(r.txn, replayed{key: key, value: value, ok: value != nil})
	return nil
}

// position ends a transaction: its records count.
func (r *Replay) position(value []byte, offset int64, now time.Time) error {
	pos, err := DecodePosition(value)
	if err != nil {
		return fmt.Errorf("changelog record %d: %w", offset, err)
	}
	if err := (&Partition{cfg: r.cfg}).accept(pos); err != nil {
		return err
	}
	if r.life.Number > 0 && pos.Life != r.life.Life {
		return fmt.Errorf("%w: changelog record %d", ErrOtherLife, offset)
	}
	for i := range r.txn {
		r.keep(&r.txn[i])
	}
	clear(r.txn)
	r.txn = r.txn[:0]
	r.pos, r.resume = pos, Resume{Next: offset + 1, At: now}
	if r.bytes < replayBytes {
		return nil
	}
	return r.flush()
}

// reset forgets everything that came before.
func (r *Replay) reset() error {
	if err := r.back.Clear(); err != nil {
		return err
	}
	clear(r.txn)
	clear(r.latest)
	r.txn, r.records, r.bytes, r.resume = r.txn[:0], r.records[:0], 0, Resume{}
	r.pos, r.life = Position{}, Position{}
	return nil
}

// keep copies a record over an earlier one of its key.
func (r *Replay) keep(c *replayed) {
	i, ok := r.latest[string(c.key)]
	if !ok {
		i = len(r.records)
		if i < cap(r.records) {
			r.records = r.records[:i+1] // its memory is used again
		} else {
			r.records = append(r.records, replayed{})
		}
		k := &r.records[i]
		k.key, k.value = append(k.key[:0], c.key...), k.value[:0]
		r.latest[string(c.key)] = i
		r.bytes += 2*len(c.key) + 64
	}
	k := &r.records[i]
	r.bytes += len(c.value) - len(k.value)
	k.value, k.ok = append(k.value[:0], c.value...), c.ok
}

func (r *Replay) flush() error {
	batch := r.back.Batch()
	for i := range r.records {
		if err := r.write(batch, &r.records[i]); err != nil {
			return err
		}
	}
	batch.Set([]byte{kindPos}, r.pos.Encode())
	batch.Set([]byte{kindSaved}, r.resume.encode())
	if err := batch.Apply(); err != nil {
		return err
	}
	r.records, r.bytes, r.resume = r.records[:0], 0, Resume{}
	clear(r.latest)
	return nil
}

func (r *Replay) write(batch Batch, c *replayed) error {
	kind := c.key[0]
	if kind == kindSeen {
		if c.ok {
			batch.Set(c.key, c.value)
		} else {
			batch.Delete(c.key)
		}
		return nil
	}
	key, name, err := cutKey(c.key[1:])
	if err != nil {
		return err
	}
	var was, is int64
	if kind == kindTimer {
		r.scratch = appendLocal(r.scratch[:0], kind, key, name)
		old, _, err := r.back.Get(r.scratch)
		if err != nil {
			return err
		}
		if len(old) == 8 {
			was = int64(binary.BigEndian.Uint64(old))
		}
		if c.ok {
			is = int64(binary.BigEndian.Uint64(c.value))
		}
	}
	r.scratch = writeEntry(batch, r.scratch, kind, key, name, c.value, c.ok, was, is)
	return nil
}

// Finish writes what is left, up to the last position. Records after it belong to a transaction whose
// position did not come, and do not count.
func (r *Replay) Finish() error {
	if r.resume == (Resume{}) {
		return nil
	}
	return r.flush()
}
