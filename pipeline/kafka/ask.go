package kafka

import (
	"context"
	"sync"

	"golang.org/x/sync/singleflight"
)

// asker asks the brokers on behalf of many at once: what one of them is told was asked for after it called,
// and for all who called by then. A process that comes back with 64 partitions asks a few times, not 64.
type asker[T any] struct {
	ask func(ctx context.Context) (T, error)

	asking sync.Mutex         // one at a time
	calls  singleflight.Group // those that are not asked for yet
}

// get returns what was asked for after it was called, or the error of ctx. The asking itself ends with life.
func (a *asker[T]) get(ctx, life context.Context) (T, error) {
	answer := a.calls.DoChan("", func() (any, error) {
		a.asking.Lock()
		defer a.asking.Unlock()
		a.calls.Forget("") // who calls from now on is told something newer
		return a.ask(life)
	})
	select {
	case r := <-answer:
		return r.Val.(T), r.Err //nolint:forcetypeassert // It is what ask returned.
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
