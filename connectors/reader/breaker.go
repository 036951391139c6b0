package reader

import (
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

const (
	// opensAfter failures in a row a classifier is not asked.
	opensAfter = 5
	// staysOpen is for how long; then one message tries.
	staysOpen = 10 * time.Second
)

// breakers holds one breaker per shop and URL: it keeps a shop's messages from waiting for a classifier that is
// down.
type breakers struct {
	mu sync.Mutex
	of map[string]circuitbreaker.CircuitBreaker[any]
}

func (b *breakers) get(key string) circuitbreaker.CircuitBreaker[any] {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.of[key]
	if one == nil {
		one = circuitbreaker.NewBuilder[any]().WithFailureThreshold(opensAfter).WithSuccessThreshold(1).WithDelay(staysOpen).Build()
		b.of[key] = one
	}
	return one
}
