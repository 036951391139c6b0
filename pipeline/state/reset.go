package state

import (
	"errors"
	"fmt"
)

// Live calls fn for every record of a changelog that still counts, until it returns false; key and value
// are valid during the call only. b is a backing that nothing but a Replay of the changelog has written.
// Positions and resets are not among them.
func Live(b Backing, fn func(key, value []byte) bool) error {
	var scratch []byte
	var bad error
	going := true
	if err := b.Scan([]byte{kindOwner}, []byte{kindOwner + 1}, func(k, v []byte) bool {
		key, rest, err := cutKey(k[1:])
		if err == nil && len(rest) == 0 {
			err = fmt.Errorf("%w: key %q", ErrFormat, k)
		}
		if err != nil {
			bad, going = err, false
			return false
		}
		scratch = appendKey(scratch[:0], rest[0], key, rest[1:])
		going = fn(scratch, v)
		return going
	}); err != nil || bad != nil || !going {
		return errors.Join(err, bad)
	}
	return b.Scan([]byte{kindSeen}, []byte{kindSeen + 1}, fn)
}

// Size of a state.
type Size struct {
	// Entries, Timers and Calls it has.
	Entries, Timers, Calls int64
}

// Add counts a changelog record that Live gave.
func (s *Size) Add(key []byte) {
	switch key[0] {
	case kindEntry:
		s.Entries++
	case kindTimer:
		s.Timers++
	case kindCall:
		s.Calls++
	}
}

// EntryName returns the name of an entry by its changelog key; ok is false for what is no entry.
func EntryName(key []byte) (name string, ok bool) {
	if len(key) == 0 || key[0] != kindEntry {
		return "", false
	}
	_, name, err := splitKey(key[1:])
	return name, err == nil
}

// EntryKey returns the changelog key of an entry.
func EntryKey(key []byte, name string) []byte { return appendKey(nil, kindEntry, key, name) }

// String tells the size to people.
func (s Size) String() string {
	return fmt.Sprintf("%d entries, %d timers, %d calls", s.Entries, s.Timers, s.Calls)
}
