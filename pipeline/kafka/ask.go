package kafka

import (
	"context"
	"sync"
)

// asker asks the brokers on behalf of many at once: what one of them is told was asked for after it called,
// and for all who called by then. A process that comes back with 64 partitions asks a few times, not 64.
type asker[T any] struct {
	ask func(ctx context.Context) (T, error)

	asking sync.Mutex // one at a time
	mu     sync.Mutex
	next   *answer[T] // guarded by mu; not asked for yet
}

type answer[T any] struct {
	done chan struct{} // closed when the rest is set
	is   T
	err  error
}

// get returns what was asked for after it was called, or the error of ctx. The asking itself ends with life.
func (a *asker[T]) get(ctx, life context.Context) (T, error) {
	a.mu.Lock()
	to := a.next
	if to == nil {
		to = &answer[T]{done: make(chan struct{})}
		a.next = to
		go a.fetch(life, to)
	}
	a.mu.Unlock()
	select {
	case <-to.done:
		return to.is, to.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// fetch asks once whoever asked before is done; who calls from then on is told something newer.
func (a *asker[T]) fetch(life context.Context, to *answer[T]) {
	a.asking.Lock()
	defer a.asking.Unlock()
	a.mu.Lock()
	a.next = nil
	a.mu.Unlock()
	to.is, to.err = a.ask(life)
	close(to.done)
}
