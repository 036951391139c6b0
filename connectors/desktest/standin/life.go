package standin

import (
	"context"
	"strings"
	"sync"
	"time"
)

// Clock is the time that a channel's or bot's stand-in lives by.
type Clock interface {
	// Now is the present.
	Now() time.Time
	// After sends once d has passed.
	After(d time.Duration) <-chan time.Time
}

type wallClock struct{}

func (wallClock) Now() time.Time                         { return time.Now() }
func (wallClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Life is what a stand-in does by itself: its clock, work in the background
// until Close, and telling of changes. Safe for concurrent use, and while the
// stand-in's own lock is held, except Close.
type Life struct {
	Clock
	ctx  context.Context
	stop context.CancelFunc
	work sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	changed chan struct{}
}

// NewLife begins a life by a clock; nil means the wall clock.
func NewLife(clock Clock) *Life {
	if clock == nil {
		clock = wallClock{}
	}
	ctx, stop := context.WithCancel(context.Background())
	return &Life{Clock: clock, ctx: ctx, stop: stop, changed: make(chan struct{})}
}

// Go runs f in the background, with a context that Close ends. After Close it
// does nothing.
func (l *Life) Go(f func(ctx context.Context)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.work.Go(func() { f(l.ctx) })
	}
}

// Within gives a context that ends with ctx and with the life.
func (l *Life) Within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	release := context.AfterFunc(l.ctx, cancel)
	return ctx, func() {
		release()
		cancel()
	}
}

// Wait lets d pass by the clock; false when ctx or the life ended first.
func (l *Life) Wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-l.After(d):
		return true
	case <-ctx.Done():
		return false
	case <-l.ctx.Done():
		return false
	}
}

// Changed gives a channel that is closed at the next Change.
func (l *Life) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// Change wakes who waits on Changed.
func (l *Life) Change() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
}

// Closed tells whether Close was called.
func (l *Life) Closed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// Close ends the work in the background and waits for it.
func (l *Life) Close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.stop()
	l.work.Wait()
}

// Number forgives a plus sign of a phone number in a form that was not escaped
// and so came as a space.
func Number(s string) string {
	trimmed := strings.TrimSpace(s)
	if strings.HasPrefix(s, " ") && trimmed != "" && trimmed[0] >= '0' && trimmed[0] <= '9' {
		return "+" + trimmed
	}
	return trimmed
}
