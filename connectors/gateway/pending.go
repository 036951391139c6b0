package gateway

import (
	"errors"
	"log/slog"
	"sync"
	"time"
)

// requestOverhead is what a waiting request costs besides its body: goroutines, headers, the record.
const requestOverhead = 8 << 10

// pending bounds the bytes of requests between verification and Kafka's acknowledgement.
type pending struct {
	limit int

	mu   sync.Mutex
	used int
}

func newPending(limit int) *pending { return &pending{limit: limit} }

// take reserves room for a body of n bytes; false when there is none.
func (p *pending) take(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used+n+requestOverhead > p.limit {
		return false
	}
	p.used += n + requestOverhead
	return true
}

// give returns what take reserved for n bytes.
func (p *pending) give(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used -= n + requestOverhead
}

func (p *pending) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}

// unreadyFor is how long after a failed publish the gateway calls itself not ready. It ends by itself,
// since a gateway that gets no traffic has no publish to prove it well.
const unreadyFor = 10 * time.Second

// acknowledgements remembers whether Kafka answers, and says so in the log when that changes.
type acknowledgements struct {
	log *slog.Logger
	now func() time.Time

	mu       sync.Mutex
	failedAt time.Time // of the last failure since the last success
	failures int       // since the last success
}

// succeeded notes a request that went through. One that posted nothing proves nothing of Kafka.
func (a *acknowledgements) succeeded(o outcome) {
	if o != accepted {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failures > 0 {
		a.log.Info("Kafka acknowledges again", "requests_answered_503", a.failures)
	}
	a.failures = 0
}

func (a *acknowledgements) failed(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failures == 0 {
		a.log.Warn("Kafka does not acknowledge; webhooks are answered 503 until it does", "error", err)
	}
	a.failures++
	a.failedAt = a.now()
}

// ready returns an error while Kafka is known not to answer.
func (a *acknowledgements) ready() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failures > 0 && a.now().Sub(a.failedAt) < unreadyFor {
		return errors.New("Kafka does not acknowledge")
	}
	return nil
}
