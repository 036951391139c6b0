package kafka

import (
	"cmp"
	"context"
	"math"
	"runtime"
	"runtime/metrics"
	"time"
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

// cacheLookEvery is how often is looked whether hot state leaves the collector enough room.
const cacheLookEvery = time.Second

// keepCache has hot state give way while little of the heap's limit is left for garbage, until ctx ends. At the limit
// the collector takes a third of the process and more for finding next to nothing; what is not in hot state is one read
// of the store.
func (r *Runner) keepCache(ctx context.Context) error {
	tick := time.NewTicker(cacheLookEvery)
	defer tick.Stop()
	heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/gomemlimit:bytes"}}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		metrics.Read(heap)
		is, configured := r.cacheBytes.Load(), int64(r.cfg.CacheBytes)
		if to := cacheWithin(is, configured, heap[0].Value.Uint64(), heap[1].Value.Uint64()); to != is {
			r.cacheBytes.Store(to)
		}
	}
}

// cacheWithin is the bound of hot state that follows on is where so many bytes of the heap were in use when garbage was
// collected last: a step less while they are more than seven eighths of the limit, and a step more below six, between
// half of what is configured and all of it. Live bytes follow a step within a collection, of which there are many in a
// second near the limit.
func cacheWithin(is, configured int64, live, limit uint64) int64 {
	step := configured / 32
	switch {
	case limit >= math.MaxInt64: // there is none
		return configured
	case live > limit/8*7:
		return max(is-step, configured/2)
	case live < limit/8*6:
		return min(is+step, configured)
	}
	return is
}
