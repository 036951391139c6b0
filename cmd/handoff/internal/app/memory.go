package app

import (
	"context"
	"os"
	"runtime/debug"
	"time"
)

// gcPercent is how much garbage may be beside what is in use, of it.
const gcPercent = 400

// limitMemory bounds the heap by what the stages are configured to take, unless GOMEMLIMIT says otherwise.
// Below that bound garbage is collected seldom: what a stage makes of a record lives no longer than it, and
// the collector would look through the hot state for it again and again. GOGC says otherwise.
func limitMemory(bytes int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(bytes)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

const (
	// memoryLimitEvery is how often is looked whether the bound should be another.
	memoryLimitEvery = 5 * time.Second
	// memoryLimitStep is what it changes by: setting it stops the process for a moment.
	memoryLimitStep = 16 << 20
)

// keepMemoryLimit raises the bound by what waits until ctx ends: a provider that is away has calls wait in memory, and
// with them at the bound the collector would take half of the process for finding nothing.
func keepMemoryLimit(ctx context.Context, configured int64, waiting func() int64) error {
	if os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	tick := time.NewTicker(memoryLimitEvery)
	defer tick.Stop()
	for is := configured; ; {
		if want := configured + waiting()/memoryLimitStep*memoryLimitStep; want != is {
			is = want
			debug.SetMemoryLimit(is)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
