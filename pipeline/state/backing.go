package state

import (
	"bytes"
	"slices"
	"strings"
	"sync"

	"github.com/RaduBerinde/btreemap"
)

// Backing holds the committed state of one partition: an ordered map of byte strings. Get and Scan may
// be called from any goroutine while one other applies batches; each sees whole batches only.
type Backing interface {
	// Get returns a copy of the value.
	Get(key []byte) (value []byte, ok bool, err error)
	// Scan calls fn for every key in [lower, upper) in byte order until fn returns false. key and value
	// are valid during the call only; a nil upper means no bound. fn must not write to the backing.
	Scan(lower, upper []byte, fn func(key, value []byte) bool) error
	// Before returns a copy of the value of the last key in [lower, upto], upto included; nil when there
	// is none.
	Before(lower, upto []byte) (value []byte, err error)
	// Cursor begins to read the backing as it is now. Close it.
	Cursor() (Cursor, error)
	// Batch begins a batch of writes, applied whole by Apply, in order.
	Batch() Batch
	// Load begins a batch of about so many writes, each of another key, of about so many bytes in all, in any
	// order and without ranges.
	Load(writes, bytes int) Batch
	// Clear removes everything, at once.
	Clear() error
}

// Cursor reads the keys of one record key after another. It does not see later batches.
type Cursor interface {
	// Prefix calls fn for every key that begins with an owner's prefix, in byte order, until fn returns
	// false. key and value are valid during the call only.
	Prefix(prefix []byte, fn func(key, value []byte) bool) error
	Close() error
}

// Batch collects writes. Keys and values are copied. A batch that is not wanted is left alone.
type Batch interface {
	Set(key, value []byte)
	Delete(key []byte)
	// DeleteRange removes [lower, upper).
	DeleteRange(lower, upper []byte)
	// Apply makes the writes visible, all or none. The batch is used up.
	Apply() error
}

// Memory returns an empty backing in memory, for scripts and tests.
func Memory() Backing {
	return &memory{entries: btreemap.New[string, []byte](32, strings.Compare)}
}

type memory struct {
	mu      sync.RWMutex
	entries *btreemap.BTreeMap[string, []byte] // guarded by mu; replaced values are never modified
}

func (m *memory) Get(key []byte) ([]byte, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	_, v, ok := m.entries.Get(string(key))
	return slices.Clone(v), ok, nil
}

func (m *memory) Scan(lower, upper []byte, fn func(key, value []byte) bool) error {
	m.mu.Lock()
	snapshot := m.entries.Clone()
	m.mu.Unlock()
	var k []byte
	for key, value := range snapshot.Ascend(btreemap.GE(string(lower)), btreemap.Max[string]()) {
		k = append(k[:0], key...)
		if upper != nil && bytes.Compare(k, upper) >= 0 || !fn(k, value) {
			return nil
		}
	}
	return nil
}

func (m *memory) Before(lower, upto []byte) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, value := range m.entries.Descend(btreemap.LE(string(upto)), btreemap.GE(string(lower))) {
		return slices.Clone(value), nil
	}
	return nil, nil
}

func (m *memory) Cursor() (Cursor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memoryCursor{&memory{entries: m.entries.Clone()}}, nil
}

type memoryCursor struct{ of *memory }

func (c *memoryCursor) Prefix(prefix []byte, fn func(key, value []byte) bool) error {
	return c.of.Scan(prefix, after(prefix), fn)
}

func (*memoryCursor) Close() error { return nil }

func (m *memory) Load(int, int) Batch { return m.Batch() }

func (m *memory) Batch() Batch { return &memoryBatch{of: m} }

func (m *memory) Clear() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = btreemap.New[string, []byte](32, strings.Compare)
	return nil
}

// memoryBatch keeps writes as they came; a range deletion has an upper bound.
type memoryBatch struct {
	of     *memory
	writes []memoryWrite
}

type memoryWrite struct {
	key, value, upper []byte
	set               bool
}

func (b *memoryBatch) Set(key, value []byte) {
	b.writes = append(b.writes, memoryWrite{key: bytes.Clone(key), value: append([]byte{}, value...), set: true})
}

func (b *memoryBatch) Delete(key []byte) {
	b.writes = append(b.writes, memoryWrite{key: bytes.Clone(key)})
}

func (b *memoryBatch) DeleteRange(lower, upper []byte) {
	b.writes = append(b.writes, memoryWrite{key: bytes.Clone(lower), upper: bytes.Clone(upper)})
}

func (b *memoryBatch) Apply() error {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	entries := b.of.entries
	for _, w := range b.writes {
		switch {
		case w.set:
			entries.ReplaceOrInsert(string(w.key), w.value)
		case w.upper == nil:
			entries.Delete(string(w.key))
		default:
			var gone []string
			for key := range entries.Ascend(btreemap.GE(string(w.key)), btreemap.LT(string(w.upper))) {
				gone = append(gone, key)
			}
			for _, key := range gone {
				entries.Delete(key)
			}
		}
	}
	b.writes = nil
	return nil
}
