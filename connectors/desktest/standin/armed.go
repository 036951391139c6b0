package standin

import "sync"

// Armed holds the faults of a stand-in that has its own type of them; the zero
// value holds none. Safe for concurrent use.
type Armed[F any] struct {
	mu     sync.Mutex
	faults []*armed[F]
}

type armed[F any] struct {
	fault                      F
	times, every, seen, struck int
}

// Inject arms a fault. It strikes so many times, 0 for until Clear, and only
// each so-manieth request it could; every 0 and 1 mean each.
func (a *Armed[F]) Inject(fault F, times, every int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = append(a.faults, &armed[F]{fault: fault, times: times, every: max(every, 1)})
}

// Clear disarms all faults.
func (a *Armed[F]) Clear() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = nil
}

// Strike picks the fault of a request, or nil: the first injected of those that
// could hit it and are due.
func (a *Armed[F]) Strike(hits func(F) bool) *F {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.faults {
		if f.times > 0 && f.struck >= f.times || !hits(f.fault) {
			continue
		}
		if f.seen++; f.seen%f.every != 0 {
			continue
		}
		f.struck++
		strike := f.fault
		return &strike
	}
	return nil
}
