package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
)

// TakeEmits returns what the inputs processed since the last call want produced, in order. The slice
// is valid until the next Process or Advance.
func (p *Partition) TakeEmits() []pipeline.Emit {
	emits := p.emits
	p.emits = p.emits[:0]
	return emits
}

// TakeFailures returns the dead letters since the last call, in order; valid as TakeEmits is.
func (p *Partition) TakeFailures() []Failure {
	failures := p.failures
	p.failures = p.failures[:0]
	return failures
}

func (p *Partition) clearOutputs() {
	clear(p.emits)
	clear(p.failures)
	p.emits, p.failures = p.emits[:0], p.failures[:0]
	p.bytes, p.fired, p.touched = 0, 0, false
}

// Seal ends the open transaction: it gives every changed entry once to changelog, a nil value for a
// deleted one, and the position last. Keys and values are never modified afterwards. Nothing may be
// processed until Committed or Abort.
func (p *Partition) Seal(changelog func(key, value []byte)) Position {
	for _, e := range p.dirty {
		changelog(e.raw, e.value)
	}
	p.seen.seal(p.open.Clock, changelog)
	p.sealed = p.open
	p.sealed.Number++
	p.sealed.Schema, p.sealed.Partitions = p.cfg.Schema, p.cfg.Partitions
	changelog(PositionKey(), p.sealed.Encode())
	return p.sealed
}

// Changes tells the stage's Caller what a transaction did to calls.
type Changes struct {
	// Stored or replaced calls, in the order of their creation.
	Stored []pipeline.PendingCall
	// Ended call ids.
	Ended []string
}

// Committed says that the sealed transaction is committed; next is the changelog offset after its
// position. The changes show in the backing only after Save.
func (p *Partition) Committed(next int64) Changes {
	var stored []orderedCall
	var changes Changes
	for i, e := range p.dirty {
		p.dirty[i] = nil
		e.written = false
		if !e.unsaved {
			e.unsaved = true
			p.unsaved = append(p.unsaved, e)
		}
		switch {
		case e.kind != kindCall:
		case !e.ok:
			changes.Ended = append(changes.Ended, e.name)
		default:
			// It was encoded in this transaction.
			if c, err := p.pendingCall(e.raw[1:], e.value); err == nil {
				stored = append(stored, c)
			}
		}
	}
	if stored != nil {
		changes.Stored = inOrder(stored)
	}
	p.dirty = p.dirty[:0]
	p.seen.committed()
	p.committed, p.open, p.resume.Next, p.stale = p.sealed, p.sealed, next, true
	p.clearOutputs()
	return changes
}

// Unsaved tells whether committed transactions are missing from the backing.
func (p *Partition) Unsaved() bool { return p.stale }

// Crowded tells whether the cache is over its limit and cannot shrink before Save.
func (p *Partition) Crowded() bool { return p.stale && p.cache.bytes > p.cache.limit }

// Save writes all committed transactions that are not in the backing yet, in one batch. No transaction
// may be open. now is written beside the position, to tell how old the backing is.
func (p *Partition) Save(now time.Time) error {
	if p.failed != nil || !p.stale {
		return p.failed
	}
	b := p.back.Batch()
	var dueKey []byte
	for i, e := range p.unsaved {
		p.unsaved[i] = nil
		e.unsaved = false
		if e.ok {
			b.Set(e.raw, e.value)
		} else {
			b.Delete(e.raw)
		}
		if e.kind != kindTimer {
			continue
		}
		was := e.due
		if e.due = 0; e.ok {
			e.due = int64(binary.BigEndian.Uint64(e.value))
		}
		dueKey = moveDue(b, dueKey, e.raw, was, e.due)
	}
	p.unsaved = p.unsaved[:0]
	err := p.seen.save(b)
	p.resume.At = now
	b.Set([]byte{kindPos}, p.committed.Encode())
	b.Set([]byte{kindSaved}, p.resume.encode())
	if err == nil {
		err = b.Apply()
	}
	if err != nil {
		p.failed = err
		return err
	}
	p.stale = false
	p.cache.turn()
	return nil
}

// moveDue moves a timer's place in the order of firing; 0 stands for none. raw is its entry's key.
func moveDue(b Batch, scratch, raw []byte, was, is int64) []byte {
	if was == is {
		return scratch
	}
	place := func(at int64) []byte {
		scratch = append(scratch[:0], kindDue)
		scratch = binary.BigEndian.AppendUint64(scratch, uint64(at))
		scratch = append(scratch, raw[1:]...)
		return scratch
	}
	if was != 0 {
		b.Delete(place(was))
	}
	if is != 0 {
		b.Set(place(is), nil)
	}
	return scratch
}

// Replay brings a backing up to date from its changelog. Records are applied up to a position record,
// never a part of a transaction.
type Replay struct {
	cfg     Config
	back    Backing
	batch   Batch
	bytes   int
	timers  map[string]int64 // due by entry key, as the batch leaves them
	pos     Position
	began   Position // the backing's at first; zero once nothing is left of that
	pending bool     // the batch ends with a position
	scratch []byte
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
	return &Replay{cfg: cfg, back: back, batch: back.Batch(), timers: map[string]int64{}, pos: pos, began: pos}, nil
}

// Position of the last position record, or the backing's.
func (r *Replay) Position() Position { return r.pos }

// replayBytes is how much is collected before it is written.
const replayBytes = 4 << 20

// Apply takes the next changelog record; value is nil for a deletion. offset is the record's, now the
// wall time.
func (r *Replay) Apply(key, value []byte, offset int64, now time.Time) error {
	if len(key) == 0 {
		return fmt.Errorf("%w: changelog record %d has no key", ErrFormat, offset)
	}
	r.bytes += len(key) + len(value)
	switch key[0] {
	case kindPos:
		return r.position(value, offset, now)
	case kindTimer:
		if err := r.timer(key, value); err != nil {
			return fmt.Errorf("changelog record %d: %w", offset, err)
		}
	case kindEntry, kindCall, kindSeen:
	case kindReset:
		return r.reset()
	default:
		return fmt.Errorf("%w: changelog record %d is of kind %q; a newer Handoff wrote it", ErrFormat, offset, key[0])
	}
	if value == nil {
		r.batch.Delete(key)
	} else {
		r.batch.Set(key, value)
	}
	return nil
}

func (r *Replay) position(value []byte, offset int64, now time.Time) error {
	pos, err := DecodePosition(value)
	if err != nil {
		return fmt.Errorf("changelog record %d: %w", offset, err)
	}
	if err := (&Partition{cfg: r.cfg}).accept(pos); err != nil {
		return err
	}
	if r.began.Number > 0 && pos.Life != r.began.Life {
		return fmt.Errorf("%w: changelog record %d", ErrOtherLife, offset)
	}
	r.pos = pos
	r.batch.Set([]byte{kindPos}, value)
	r.batch.Set([]byte{kindSaved}, Resume{Next: offset + 1, At: now}.encode())
	if r.bytes < replayBytes {
		r.pending = true
		return nil
	}
	return r.flush()
}

// reset forgets everything that came before.
func (r *Replay) reset() error {
	if err := r.back.Clear(); err != nil {
		return err
	}
	r.batch, r.bytes, r.pending = r.back.Batch(), 0, false
	r.pos, r.began = Position{}, Position{}
	clear(r.timers)
	return nil
}

func (r *Replay) timer(key, value []byte) error {
	if value != nil && len(value) != 8 {
		return fmt.Errorf("%w: timer", ErrFormat)
	}
	was, ok := r.timers[string(key)]
	if !ok {
		old, _, err := r.back.Get(key)
		if err != nil {
			return err
		}
		if len(old) == 8 {
			was = int64(binary.BigEndian.Uint64(old))
		}
	}
	var is int64
	if value != nil {
		is = int64(binary.BigEndian.Uint64(value))
	}
	r.timers[string(key)] = is
	r.scratch = moveDue(r.batch, r.scratch, key, was, is)
	return nil
}

func (r *Replay) flush() error {
	if err := r.batch.Apply(); err != nil {
		return err
	}
	r.batch, r.bytes, r.pending = r.back.Batch(), 0, false
	clear(r.timers)
	return nil
}

// Finish writes what is left, up to the last position. Records after it belong to a transaction whose
// position did not come; there are none when the changelog was read to a position.
func (r *Replay) Finish() error {
	if !r.pending {
		return nil
	}
	return r.flush()
}
