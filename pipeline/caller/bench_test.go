package caller

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// BenchmarkCalls makes calls that are answered at once, 1000 lanes of 100 shops: what the caller
// itself costs per call, from its commit to the commit of its result.
func BenchmarkCalls(b *testing.B) {
	for _, retry := range []Retry{Idempotent, Blind} {
		b.Run(map[Retry]string{Idempotent: "idempotent", Blind: "blind"}[retry], func(b *testing.B) {
			s, d := newStage(b), newDestination(retry)
			s.inbox = nil
			var wg sync.WaitGroup
			wg.Add(b.N)
			poster := &straight{stage: s, wg: &wg}
			k, err := New(Config{
				Gate: s, Destinations: map[string]Destination{"x": d}, Partitions: 1, Incarnation: "one",
				Poster: poster, Log: slog.New(slog.DiscardHandler), Held: b.N + 1,
			})
			if err != nil {
				b.Fatal(err)
			}
			s.k = k
			k.Assigned(0, s, nil)
			calls, bodies := make([]pipeline.PendingCall, b.N), map[string][]byte{}
			poster.bodies = bodies
			for i := range calls {
				lane := i % 1000
				calls[i] = textCall(fmt.Sprint(i), fmt.Sprint("shop", lane%100), "x", fmt.Sprint("lane", lane))
				bodies[calls[i].Call.ID] = calls[i].Call.Body
			}
			b.ReportAllocs()
			b.ResetTimer()
			begin := time.Now()
			for i := 0; i < len(calls); i += 1000 {
				k.Committed(0, calls[i:min(i+1000, len(calls))], nil)
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/time.Since(begin).Seconds(), "calls/s")
			b.StopTimer()
			if err := k.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkWaiting holds calls that wait for the gate, each in a lane of its own: bytes each, and what is reckoned.
func BenchmarkWaiting(b *testing.B) {
	s := newStage(b)
	defer begin(b, s, nil, map[string]Destination{"x": newDestination(Idempotent)})()
	s.set(func() { s.noLease = true })
	before := heapInUse()
	b.ResetTimer()
	for i := 0; i < b.N; i += 1000 {
		calls := make([]pipeline.PendingCall, min(1000, b.N-i))
		for j := range calls {
			calls[j] = waitingCall(i + j)
		}
		s.k.Committed(0, calls, nil)
	}
	b.StopTimer()
	b.ReportMetric(float64(heapInUse()-before)/float64(b.N), "bytes/call")
	b.ReportMetric(float64(s.k.HeapBytes())/float64(b.N), "reckoned/call")
}

// BenchmarkAway has a shop's desk be away while conversations ask for it, each in a lane of its own: until deliver is
// told of each. What one takes must not grow with how many there are.
func BenchmarkAway(b *testing.B) {
	for _, n := range []int{2000, 32_000} {
		b.Run(fmt.Sprint(n, " conversations"), func(b *testing.B) {
			for b.Loop() {
				s, desk := newStage(b), newDestination(Idempotent)
				s.inbox = make(chan *handoffv1.Record, 2*n)
				desk.do = func(context.Context, Attempt, int) error {
					return &Error{Kind: Retryable, Code: "503", Meaning: "away"}
				}
				end := begin(b, s, func(c *Config) { c.TellFailing, c.Held = []string{"desk"}, 2*n }, map[string]Destination{"desk": desk})
				calls := make([]pipeline.PendingCall, n)
				for i := range calls {
					calls[i] = textCall(fmt.Sprint(i), "acme", "desk", fmt.Sprint(i))
				}
				s.k.Committed(0, calls, nil)
				for deadline := time.Now().Add(time.Minute); len(s.failing()) < n; time.Sleep(10 * time.Millisecond) {
					if time.Now().After(deadline) {
						b.Fatalf("deliver was told of %d of %d", len(s.failing()), n)
					}
				}
				end()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/conversation")
		})
	}
}

// TestHeapBytes: what waiting calls are reckoned to take of the heap is about what they do.
func TestHeapBytes(t *testing.T) {
	s := newStage(t)
	defer begin(t, s, nil, map[string]Destination{"x": newDestination(Idempotent)})()
	s.set(func() { s.noLease = true })
	before := heapInUse()
	const n = 5000
	for i := 0; i < n; i += 1000 {
		calls := make([]pipeline.PendingCall, 1000)
		for j := range calls {
			calls[j] = waitingCall(i + j)
		}
		s.k.Committed(0, calls, nil)
	}
	if took, reckoned := int64(heapInUse()-before), s.k.HeapBytes(); 2*reckoned < took || reckoned > 2*took {
		t.Errorf("%d waiting calls take %d bytes, reckoned are %d", n, took, reckoned)
	}
	for i := range n {
		s.k.Committed(0, nil, []pipeline.PendingCall{waitingCall(i)})
	}
	if left := s.k.HeapBytes(); left != 0 {
		t.Errorf("%d bytes are reckoned with no call left", left)
	}
}

// heapInUse is the heap without garbage.
func heapInUse() uint64 {
	var now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&now)
	return now.HeapAlloc
}

// waitingCall is one as deliver stores it, whose body is in its state.
func waitingCall(i int) pipeline.PendingCall {
	c := textCall(fmt.Sprintf("%022d", i), fmt.Sprint("shop", i%100), "x", fmt.Sprintf("%018d", i))
	c.Call.Body = nil
	return c
}

// straight commits what is posted at once.
type straight struct {
	*stage
	wg     *sync.WaitGroup
	bodies map[string][]byte
}

// Post implements Poster.
func (p *straight) Post(_ context.Context, _ string, key, value []byte) error {
	r, err := schemas.Decode(key, value)
	if err != nil {
		return err
	}
	if c := r.GetCallResult(); c != nil {
		p.k.Committed(0, nil, []pipeline.PendingCall{{Key: key, Call: pipeline.Call{ID: c.GetCallId()}}})
		p.wg.Done()
		return nil
	}
	a := r.GetAttemptStarted()
	p.k.Committed(0, []pipeline.PendingCall{{Known: true, Key: key, Call: pipeline.Call{
		ID: a.GetCallId(), Attempt: a.GetAttempt(), Incarnation: a.GetIncarnation(), Body: p.bodies[a.GetCallId()],
	}}}, nil)
	return nil
}
