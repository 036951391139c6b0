package state

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
)

// ItemKind is what an Item is.
type ItemKind string

// Kinds of items.
const (
	Entry ItemKind = "entry"
	Timer ItemKind = "timer"
	Call  ItemKind = "call"
)

// Item is one thing that is kept under a record key.
type Item struct {
	Kind ItemKind
	// Key it is kept under.
	Key []byte
	// Name under the key: of the entry or timer; a call's id.
	Name string
	// Value of an entry.
	Value []byte
	// Due time of a timer.
	Due time.Time
	// Call that is pending.
	Call pipeline.Call
}

// Fold is committed state read from a changelog for people to look at: no stage is needed, nothing is
// restored, and only what is wanted is kept. Its backing holds it in the order of keys, then kinds, then
// names, and bounds memory where it is a Store's.
type Fold struct {
	back    Backing
	want    func(kind ItemKind, key []byte, name string) bool
	batch   Batch
	bytes   int
	open    bool // records after the last position were applied
	pos     Position
	scratch []byte
}

// NewFold begins with an empty backing that nobody else uses. want says what to keep; nil keeps all.
func NewFold(back Backing, want func(kind ItemKind, key []byte, name string) bool) *Fold {
	return &Fold{back: back, want: want, batch: back.Batch()}
}

// Apply takes the next record of the changelog, read committed; value is nil for a deletion.
func (f *Fold) Apply(key, value []byte, offset int64) error {
	if len(key) == 0 {
		return fmt.Errorf("%w: changelog record %d has no key", ErrFormat, offset)
	}
	var kind ItemKind
	switch key[0] {
	case kindPos:
		return f.position(value, offset)
	case kindEntry:
		kind = Entry
	case kindTimer:
		kind = Timer
	case kindCall:
		kind = Call
	case kindSeen:
		f.open = true
		return nil
	case kindReset: // everything before it is void
		f.open, f.pos = true, Position{}
		f.batch, f.bytes = f.back.Batch(), 0
		return f.back.Clear()
	default:
		return fmt.Errorf("%w: changelog record %d is of kind %q; a newer Handoff wrote it", ErrFormat, offset, key[0])
	}
	f.open = true
	recordKey, name, err := splitKey(key[1:])
	if err != nil {
		return fmt.Errorf("changelog record %d: %w", offset, err)
	}
	if f.want != nil && !f.want(kind, recordKey, name) {
		return nil
	}
	f.scratch = appendOrdered(f.scratch[:0], key[0], recordKey, name)
	if value == nil {
		f.batch.Delete(f.scratch)
	} else {
		f.batch.Set(f.scratch, append(appendBytes(nil, key), value...))
	}
	f.bytes += 2*len(key) + len(value)
	return nil
}

func (f *Fold) position(value []byte, offset int64) error {
	pos, err := DecodePosition(value)
	if err != nil {
		return fmt.Errorf("changelog record %d: %w", offset, err)
	}
	if pos.Number < f.pos.Number {
		return fmt.Errorf("%w: changelog record %d is of transaction %d, after one of %d", ErrFormat, offset, pos.Number, f.pos.Number)
	}
	f.pos, f.open = pos, false
	if f.bytes < loadBytes {
		return nil
	}
	return f.flush()
}

func (f *Fold) flush() error {
	if err := f.batch.Apply(); err != nil {
		return err
	}
	f.batch, f.bytes = f.back.Batch(), 0
	return nil
}

// Position of the last transaction applied; zero before the first.
func (f *Fold) Position() Position { return f.pos }

// Finish makes everything applied readable. An error says that the last transaction was not whole.
// Apply may go on after it.
func (f *Fold) Finish() error {
	if f.open {
		return fmt.Errorf("%w: the changelog ends inside a transaction, after number %d", ErrFormat, f.pos.Number)
	}
	return f.flush()
}

// Each calls fn for every item, in order, until it returns false. An item's memory is its own.
func (f *Fold) Each(fn func(Item) bool) error {
	var bad error
	err := f.back.Scan(nil, nil, func(_, stored []byte) bool {
		var item Item
		if item, bad = decodeItem(stored); bad != nil {
			return false
		}
		return fn(item)
	})
	if bad != nil {
		return bad
	}
	return err
}

// decodeItem reads a changelog key and its value, as Apply stored them.
func decodeItem(stored []byte) (Item, error) {
	r := reader{b: append([]byte(nil), stored...)}
	raw := r.bytes()
	if r.bad || len(raw) == 0 {
		return Item{}, fmt.Errorf("%w: stored item", ErrFormat)
	}
	key, name, err := splitKey(raw[1:])
	if err != nil {
		return Item{}, err
	}
	item := Item{Key: key, Name: name}
	switch raw[0] {
	case kindTimer:
		if len(r.b) != 8 {
			return Item{}, fmt.Errorf("%w: timer %q of %q", ErrFormat, name, key)
		}
		item.Kind, item.Due = Timer, time.UnixMilli(int64(binary.BigEndian.Uint64(r.b))).UTC()
	case kindCall:
		item.Kind = Call
		if _, item.Call, err = decodeCall(r.b); err != nil {
			return Item{}, fmt.Errorf("call %q of %q: %w", name, key, err)
		}
	default:
		item.Kind, item.Value = Entry, r.b
	}
	return item, nil
}

// appendOrdered appends a key that sorts by record key, then kind (entries, timers, calls), then name.
func appendOrdered(dst []byte, kind byte, key []byte, name string) []byte {
	for _, c := range key {
		if dst = append(dst, c); c == 0 {
			dst = append(dst, 0xff) // so that the end sorts before every longer key
		}
	}
	order := byte(1)
	switch kind {
	case kindTimer:
		order = 2
	case kindCall:
		order = 3
	}
	return append(append(dst, 0, 0, order), name...)
}
