package scripts

import (
	"slices"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/schemas"
)

// keyState is one key's state of one stage: entries in the order of their names.
type keyState struct {
	entries []keyEntry
	seen    [][schemas.IDSize]byte
}

type keyEntry struct {
	name  string
	value []byte
}

// forget empties the state and keeps its room.
func (s *keyState) forget() {
	clear(s.entries)
	s.entries, s.seen = s.entries[:0], s.seen[:0]
}

// find returns the place of an entry, or where it belongs.
func (s *keyState) find(name string) (int, bool) {
	from, to := 0, len(s.entries)
	for from < to {
		middle := (from + to) / 2
		switch c := strings.Compare(s.entries[middle].name, name); {
		case c == 0:
			return middle, true
		case c < 0:
			from = middle + 1
		default:
			to = middle
		}
	}
	return from, false
}

// Get implements pipeline.State.
func (s *keyState) Get(name string) ([]byte, bool) {
	for i := range s.entries { // a dozen at most: most differ in length
		if e := &s.entries[i]; e.name == name {
			return e.value, true
		}
	}
	return nil, false
}

// Put implements pipeline.State.
func (s *keyState) Put(name string, value []byte) {
	for i := range s.entries {
		if e := &s.entries[i]; e.name == name {
			e.value = value
			return
		}
	}
	i, _ := s.find(name)
	s.entries = slices.Insert(s.entries, i, keyEntry{name, value})
}

// Delete implements pipeline.State.
func (s *keyState) Delete(name string) {
	if i, ok := s.find(name); ok {
		s.entries = slices.Delete(s.entries, i, i+1)
	}
}

// Scan implements pipeline.State.
func (s *keyState) Scan(prefix string, fn func(name string, value []byte) bool) {
	i, _ := s.find(prefix)
	for ; i < len(s.entries) && strings.HasPrefix(s.entries[i].name, prefix); i++ {
		if !fn(s.entries[i].name, s.entries[i].value) {
			return
		}
	}
}

// Seen implements pipeline.State.
func (s *keyState) Seen(id []byte, _ time.Time) bool {
	one := [schemas.IDSize]byte(id)
	if slices.Contains(s.seen, one) {
		return true
	}
	s.seen = append(s.seen, one)
	return false
}
