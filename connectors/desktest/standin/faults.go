// Package standin holds what the connectors' stand-ins share: a clock, work in
// the background, faults injected into their answers, webhooks delivered with
// the faults that vendors show, leaky buckets, and the console through which a
// person or a test acts as agent at a help desk. It knows no vendor; each
// stand-in adds its own API, signatures and error shapes. Nothing here is used
// in production.
package standin

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// FaultKind says how one answer of a stand-in goes wrong.
type FaultKind string

// The faults that a stand-in can show.
const (
	// NoAnswer carries the request out and cuts the connection instead of
	// answering: the caller cannot tell what happened.
	NoAnswer FaultKind = "no-answer"
	// Dropped cuts the connection without carrying the request out.
	Dropped FaultKind = "dropped"
	// Refused answers with Fault.Status in the vendor's own error shape.
	Refused FaultKind = "refused"
	// Slow carries the request out at once and answers after Fault.Delay, or
	// not at all when the caller has gone by then.
	Slow FaultKind = "slow"
)

// Fault is one injected misbehaviour.
type Fault struct {
	// Method and Path choose the requests: an empty method matches any, Path
	// matches when the request's path contains it.
	Method, Path string
	Kind         FaultKind
	// Status is the answer of a Refused fault.
	Status int
	// RetryAfter is sent with a Refused fault as whole seconds, when positive.
	RetryAfter time.Duration
	// Delay is that of a Slow fault, in real time.
	Delay time.Duration
	// Times is how many requests are hit; 0 means one.
	Times int
}

// Faults injects faults in front of a handler. Safe for concurrent use.
type Faults struct {
	mu      sync.Mutex
	pending []Fault
}

// Add queues a fault. Faults that match the same request act one at a time,
// oldest first.
func (f *Faults) Add(fault Fault) {
	if fault.Times <= 0 {
		fault.Times = 1
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = append(f.pending, fault)
}

// Clear forgets all faults that have not acted yet.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = nil
}

func (f *Faults) take(r *http.Request) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.pending {
		p := &f.pending[i]
		if p.Method != "" && p.Method != r.Method || !strings.Contains(r.URL.Path, p.Path) {
			continue
		}
		hit := *p
		if p.Times--; p.Times == 0 {
			f.pending = append(f.pending[:i], f.pending[i+1:]...)
		}
		return hit, true
	}
	return Fault{}, false
}

// Wrap puts the faults in front of next. refuse writes an error answer of the
// given status in the vendor's shape.
func (f *Faults) Wrap(next http.Handler, refuse func(w http.ResponseWriter, status int)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fault, hit := f.take(r)
		if !hit {
			next.ServeHTTP(w, r)
			return
		}
		switch fault.Kind {
		case Dropped:
			panic(http.ErrAbortHandler)
		case NoAnswer:
			next.ServeHTTP(&recorder{header: http.Header{}}, r)
			panic(http.ErrAbortHandler)
		case Refused:
			if fault.RetryAfter > 0 {
				w.Header().Set("Retry-After", fmt.Sprint(int(fault.RetryAfter.Seconds())))
			}
			refuse(w, fault.Status)
		default:
			slow(w, r, next, fault.Delay)
		}
	})
}

func slow(w http.ResponseWriter, r *http.Request, next http.Handler, delay time.Duration) {
	rec := &recorder{header: http.Header{}, status: http.StatusOK}
	next.ServeHTTP(rec, r)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
	for name, values := range rec.header {
		w.Header()[name] = values
	}
	w.WriteHeader(rec.status)
	_, _ = w.Write(rec.body.Bytes()) // the caller may have gone: nobody to tell
}

// recorder keeps an answer that is sent late or never.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) { r.status = status }

func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
