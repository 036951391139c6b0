package standin

import (
	"sync"
	"time"
)

// Bucket is a leaky bucket on an injected clock: it holds Size requests and
// leaks them evenly over Per. Safe for concurrent use.
type Bucket struct {
	size int
	per  time.Duration
	now  func() time.Time

	mu    sync.Mutex
	level float64
	last  time.Time
}

// NewBucket makes an empty bucket of size requests per duration. A size of 0
// never fills.
func NewBucket(size int, per time.Duration, now func() time.Time) *Bucket {
	return &Bucket{size: size, per: per, now: now, last: now()}
}

// Take puts one request in. It tells how many more fit, and, when the bucket
// was full and the request is refused, after how long one fits again.
func (b *Bucket) Take() (ok bool, remaining int, retryAfter time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.size == 0 {
		return true, 0, 0
	}
	now := b.now()
	leak := float64(b.size) / b.per.Seconds()
	b.level = max(0, b.level-now.Sub(b.last).Seconds()*leak)
	b.last = now
	if b.level+1 > float64(b.size) {
		over := b.level + 1 - float64(b.size)
		return false, 0, time.Duration(over / leak * float64(time.Second))
	}
	b.level++
	return true, b.size - int(b.level), 0
}

// Size is the number of requests that the empty bucket takes; 0 is unlimited.
func (b *Bucket) Size() int { return b.size }
