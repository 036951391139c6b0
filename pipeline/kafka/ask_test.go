package kafka

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestAsker: many who ask at once cost few requests, and nobody is told what was asked for before it called.
func TestAsker(t *testing.T) {
	var asked atomic.Int64
	a := &asker[int64]{ask: func(context.Context) (int64, error) {
		n := asked.Add(1)
		time.Sleep(20 * time.Millisecond)
		return n, nil
	}}
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			before := asked.Load()
			got, err := a.get(t.Context(), t.Context())
			if err != nil || got <= before {
				t.Errorf("told answer %d (%v) though %d were asked for before the call", got, err, before)
			}
		})
	}
	all.Wait()
	if n := asked.Load(); n > 4 {
		t.Errorf("64 at once were asked for %d times", n)
	}
	before := asked.Load()
	if got, err := a.get(t.Context(), t.Context()); got != before+1 || err != nil {
		t.Errorf("one later is told answer %d (%v), want %d", got, err, before+1)
	}
}

// TestAskerEnds: who gives up does not wait for the answer, and an error is everybody's.
func TestAskerEnds(t *testing.T) {
	failed := errors.New("no answer")
	life, end := context.WithCancel(t.Context())
	a := &asker[int]{ask: func(ctx context.Context) (int, error) {
		<-ctx.Done()
		return 0, failed
	}}
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := a.get(short, life); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who waits 10 ms is told %v", err)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if _, err := a.get(t.Context(), life); !errors.Is(err, failed) {
				t.Errorf("told %v, want the error of the request", err)
			}
		})
	}
	time.Sleep(10 * time.Millisecond)
	end()
	all.Wait()
}
