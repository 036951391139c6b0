package kafka

import (
	"cmp"
	"runtime"
)

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

// rebuilds is how many partitions of a stage read a long changelog at the same time: as many as there are cores
// for, and the memory in which they collect it is half of what is there for hot state, which they do not
// have yet.
func rebuilds() int { return min(runtime.GOMAXPROCS(0), 4) }

// longChangelog is from how many offsets on a partition waits for its turn to read them.
const longChangelog = 100_000
