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
	cfg   Config
	back  Backing
	pos   Position
	life  Position // the backing's at first; zero once nothing is left of that
	empty bool     // nothing was written to the backing yet, and nothing was there

	txn     []replayed // since the last position; their memory is the caller's
	kept    kept       // up to the last position, not written yet
	resume  Resume     // after the last position
	scratch []byte
}

// replayed is a changelog record; ok is false for a deletion.
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
	empty := pos.Number == 0
	if empty {
		err := back.Scan(nil, nil, func(_, _ []byte) bool {
			empty = false
			return false
		})
		if err != nil {
			return nil, err
		}
	}
	return &Replay{cfg: cfg, back: back, pos: pos, life: pos, empty: empty}, nil
}

// Position of the last position record, or the backing's.
func (r *Replay) Position() Position { return r.pos }

// loadBytes is from when on, at the latest, what was collected is loaded as files.
const loadBytes = 8 << 20

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
	r.kept.put(r.txn)
	clear(r.txn)
	r.txn = r.txn[:0]
	r.pos, r.resume = pos, Resume{Next: offset + 1, At: now}
	if r.kept.bytes() < r.cfg.ReplayBytes {
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
	r.kept.clear()
	r.txn, r.resume = r.txn[:0], Resume{}
	r.pos, r.life, r.empty = Position{}, Position{}, true
	return nil
}

func (r *Replay) flush() error {
	batch := r.back.Batch()
	if r.kept.bytes() >= min(loadBytes, r.cfg.ReplayBytes) {
		n := len(r.kept.records) + 2
		batch = r.back.Load(n, len(r.kept.memory)+4*n)
	}
	for c := range r.kept.all {
		if err := r.write(batch, &c); err != nil {
			return err
		}
	}
	batch.Set([]byte{kindPos}, r.pos.Encode())
	batch.Set([]byte{kindSaved}, r.resume.encode())
	if err := batch.Apply(); err != nil {
		return err
	}
	r.kept.clear()
	r.resume, r.empty = Resume{}, false
	return nil
}

func (r *Replay) write(batch Batch, c *replayed) error {
	kind := c.key[0]
	if r.empty && !c.ok {
		return nil // there is nothing to delete
	}
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
		if !r.empty {
			r.scratch = appendLocal(r.scratch[:0], kind, key, name)
			old, _, err := r.back.Get(r.scratch)
			if err != nil {
				return err
			}
			if len(old) == 8 {
				was = int64(binary.BigEndian.Uint64(old))
			}
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
