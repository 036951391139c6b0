package reader

import (
	"sync"
	"time"
)

const (
	// opensAfter failures in a row a classifier is not asked.
	opensAfter = 5
	// staysOpen is for how long; then one message tries.
	staysOpen = 10 * time.Second
)

// breakers holds one breaker per shop and URL.
type breakers struct {
	mu sync.Mutex
	of map[string]*breaker
}

func (b *breakers) get(key string) *breaker {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.of[key]
	if one == nil {
		one = &breaker{}
		b.of[key] = one
	}
	return one
}

// breaker keeps a shop's messages from waiting for a classifier that is down.
type breaker struct {
	mu       sync.Mutex
	failures int
	until    time.Time
}

// allows tells whether the classifier may be asked. While it is shut off, one question a span may.
func (b *breaker) allows(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < opensAfter {
		return true
	}
	if now.Before(b.until) {
		return false
	}
	b.until = now.Add(staysOpen)
	return true
}

// ended counts how a question ended.
func (b *breaker) ended(now time.Time, failed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !failed {
		b.failures = 0
		return
	}
	if b.failures++; b.failures >= opensAfter {
		b.until = now.Add(staysOpen)
	}
}
