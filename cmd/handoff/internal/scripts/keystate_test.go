package scripts

import (
	"slices"
	"strings"
	"time"
)

// keyState is one key's state of one stage: entries in the order of their names.
type keyState struct {
	entries []keyEntry
	seen    []string
}

type keyEntry struct {
	name  string
	value []byte
}

// find returns the place of an entry, or where it belongs.
func (s *keyState) find(name string) (int, bool) {
	return slices.BinarySearchFunc(s.entries, name, func(e keyEntry, name string) int { return strings.Compare(e.name, name) })
}

// Get implements pipeline.State.
func (s *keyState) Get(name string) ([]byte, bool) {
	if i, ok := s.find(name); ok {
		return s.entries[i].value, true
	}
	return nil, false
}

// Put implements pipeline.State.
func (s *keyState) Put(name string, value []byte) {
	i, ok := s.find(name)
	if ok {
		s.entries[i].value = value
		return
	}
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
	if slices.Contains(s.seen, string(id)) {
		return true
	}
	s.seen = append(s.seen, string(id))
	return false
}
