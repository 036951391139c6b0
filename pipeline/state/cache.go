package state

import (
	"slices"
	"strings"
)

// entry is one cached entry, timer or call. A missing one is cached too, with ok false. The value is
// never modified in place: changelog records and batches share it.
type entry struct {
	raw     []byte // changelog key; name is its tail
	name    string
	value   []byte
	kind    byte
	ok      bool
	written bool  // in the open transaction
	unsaved bool  // committed, not in the backing yet
	due     int64 // timers: when the backing says it is due; 0 when it has none
}

// keyed is everything cached of one record key, ordered by kind and name.
type keyed struct {
	key     []byte
	entries []*entry
	bytes   int
}

// find returns where the entry is, or belongs.
func (k *keyed) find(kind byte, name string) (int, bool) {
	return slices.BinarySearchFunc(k.entries, name, func(e *entry, name string) int {
		if e.kind != kind {
			return int(e.kind) - int(kind)
		}
		return strings.Compare(e.name, name)
	})
}

// cache holds keys in two generations: what was used since the last turn, and what was used between
// the last two. Turning drops the older one, so the cache never holds more than about its limit.
type cache struct {
	limit     int
	hot, cold map[string]*keyed
	bytes     int // of the hot generation
}

const (
	keyedBytes = 120 // of a keyed and its place in the map
	entryBytes = 112 // of an entry
)

func newCache(limit int) cache {
	return cache{limit: limit, hot: map[string]*keyed{}, cold: map[string]*keyed{}}
}

// of returns the cached key, empty when it is new.
func (c *cache) of(key []byte) *keyed {
	if k := c.hot[string(key)]; k != nil {
		return k
	}
	k := c.cold[string(key)]
	if k == nil {
		k = &keyed{key: slices.Clone(key), bytes: keyedBytes + 2*len(key)}
	} else {
		delete(c.cold, string(key))
	}
	c.hot[string(k.key)] = k
	c.bytes += k.bytes
	return k
}

// add inserts a new entry at its place.
func (c *cache) add(k *keyed, at int, e *entry) {
	k.entries = slices.Insert(k.entries, at, e)
	c.grow(k, entryBytes+len(e.raw)+len(e.value))
}

func (c *cache) grow(k *keyed, bytes int) {
	k.bytes += bytes
	c.bytes += bytes
}

// turn drops the older generation once the newer one has half of the limit. Nothing unsaved may be
// cached then: it would be forgotten.
func (c *cache) turn() {
	if c.bytes <= c.limit/2 {
		return
	}
	c.hot, c.cold, c.bytes = map[string]*keyed{}, c.hot, 0
}
