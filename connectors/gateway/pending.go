package gateway

import (
	"context"
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

// askAgain is how long the cluster is left alone before it is asked again what it lacks.
const askAgain = time.Second

// acknowledgements remembers whether Kafka answers, and says so in the log when that changes.
type acknowledgements struct {
	log *slog.Logger
	now func() time.Time
	ask func(context.Context) error // Config.WhyNotWritten, or nil
	// doubt has one when a publish has failed since it was asked last.
	doubt chan struct{}

	mu       sync.Mutex
	failedAt time.Time // of the last failure since the last success
	failures int       // since the last success
	why      error     // what was lacking when it was asked last
}

func newAcknowledgements(cfg *Config) *acknowledgements {
	return &acknowledgements{log: cfg.Log, now: cfg.Now, ask: cfg.WhyNotWritten, doubt: make(chan struct{}, 1)}
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
	select {
	case a.doubt <- struct{}{}:
	default:
	}
}

// follow asks what Kafka lacks, before the first request and whenever one has failed, and then again and again until it
// lacks nothing.
func (a *acknowledgements) follow(ctx context.Context) {
	for a.ask != nil && ctx.Err() == nil {
		why := a.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		again := time.After(askAgain)
		if a.lacks(why); why == nil {
			select {
			case <-a.doubt:
			case <-ctx.Done():
			}
		}
		select {
		case <-again:
		case <-ctx.Done():
		}
	}
}

// lacks notes what Kafka lacks, and tells it when that is something else than before.
func (a *acknowledgements) lacks(why error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch was := a.why; {
	case why != nil && (was == nil || was.Error() != why.Error()):
		a.log.Warn("Kafka does not take what webhooks bring; they are answered 503 until it does", "error", why)
	case why == nil && was != nil:
		a.log.Info("what Kafka lacked is there")
	}
	a.why = why
}

// ready returns an error while Kafka is known not to answer.
func (a *acknowledgements) ready() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.why != nil:
		return a.why
	case a.failures > 0 && a.now().Sub(a.failedAt) < unreadyFor:
		return errors.New("Kafka does not acknowledge")
	}
	return nil
}
