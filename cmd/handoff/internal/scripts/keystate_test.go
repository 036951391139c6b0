package scripts

import (
	"slices"
	"strings"
	"time"
)

// keyState is one key's state of one stage: entries in the order of their names.
type keyState struct {
	names  []string
	values [][]byte
	seen   map[string]bool
}

// Get implements pipeline.State.
func (s *keyState) Get(name string) ([]byte, bool) {
	if i, ok := slices.BinarySearch(s.names, name); ok {
		return s.values[i], true
	}
	return nil, false
}

// Put implements pipeline.State.
func (s *keyState) Put(name string, value []byte) {
	i, ok := slices.BinarySearch(s.names, name)
	if ok {
		s.values[i] = value
		return
	}
	s.names, s.values = slices.Insert(s.names, i, name), slices.Insert(s.values, i, value)
}

// Delete implements pipeline.State.
func (s *keyState) Delete(name string) {
	if i, ok := slices.BinarySearch(s.names, name); ok {
		s.names, s.values = slices.Delete(s.names, i, i+1), slices.Delete(s.values, i, i+1)
	}
}

// Scan implements pipeline.State.
func (s *keyState) Scan(prefix string, fn func(name string, value []byte) bool) {
	i, _ := slices.BinarySearch(s.names, prefix)
	for ; i < len(s.names) && strings.HasPrefix(s.names[i], prefix); i++ {
		if !fn(s.names[i], s.values[i]) {
			return
		}
	}
}

// Seen implements pipeline.State.
func (s *keyState) Seen(id []byte, _ time.Time) bool {
	if s.seen[string(id)] {
		return true
	}
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	s.seen[string(id)] = true
	return false
}
