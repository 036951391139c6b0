package kafka

import "cmp"

const (
	defaultCacheBytes = 256 << 20
	// besideCache is what a runner's members take beside hot state, in bytes: records that are fetched,
	// processed and not committed yet, and produced ones on their way.
	besideCache = 144 << 20
)

// HeapBytes is what a runner of this configuration needs of the Go heap, with room for garbage. The sum of a
// process's runners is a good debug.SetMemoryLimit: without one the heap grows to twice what is in use
// before garbage is collected, hot state included. The Store's memtables and block cache are not in the
// heap.
func (c Config) HeapBytes() int64 {
	return int64(cmp.Or(c.CacheBytes, defaultCacheBytes)) + besideCache
}
