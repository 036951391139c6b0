package kafka

// besideCache is what a runner's members take beside hot state, in bytes: records that are fetched,
// processed and not committed yet, and produced ones on their way.
const besideCache = 192 << 20

// MemoryLimit is a soft limit of the Go heap, for debug.SetMemoryLimit, of a process whose runners have
// hot state of these sizes, in bytes. Without one the heap grows to twice what is in use before garbage
// is collected, hot state included. The Store's memtables and block cache are not in the heap.
func MemoryLimit(cacheBytes ...int) int64 {
	var limit int64
	for _, n := range cacheBytes {
		limit += int64(n) + besideCache
	}
	return limit
}
