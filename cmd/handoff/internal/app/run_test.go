package app

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheEndOfAProcessIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		hung := make(chan struct{})
		began := time.Now()
		go func() {
			time.Sleep(time.Hour)
			stop()
		}()
		err := within(ctx, 10*time.Second, func() error { <-hung; return nil })
		if !errors.Is(err, errDrain) || time.Since(began) != time.Hour+10*time.Second {
			t.Errorf("%v after %v, want the end 10 s after the stop", err, time.Since(began))
		}
		close(hung)
		synctest.Wait()
		want := errors.New("failed")
		if err := within(t.Context(), time.Second, func() error { return want }); !errors.Is(err, want) {
			t.Errorf("%v, want the part's own error", err)
		}
	})
}
