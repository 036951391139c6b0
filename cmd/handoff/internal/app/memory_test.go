package app

import (
	"context"
	"math"
	"runtime/debug"
	"testing"
	"time"
)

// TestKeepMemoryLimit: the heap's bound grows by what waits, and GOMEMLIMIT is heeded instead where it is set.
func TestKeepMemoryLimit(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	const configured, waiting = 4 << 30, 1 << 30
	for _, c := range []struct {
		env  string
		want int64
	}{{"", configured + waiting}, {"2GiB", math.MaxInt64}} {
		debug.SetMemoryLimit(math.MaxInt64)
		t.Setenv("GOMEMLIMIT", c.env)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if err := keepMemoryLimit(ctx, configured, func() int64 { cancel(); return waiting }); err != nil {
			t.Fatal(err)
		}
		if got := debug.SetMemoryLimit(-1); got != c.want {
			t.Errorf("GOMEMLIMIT=%q: bound is %d, want %d", c.env, got, c.want)
		}
	}
}
