package standin

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Delivery is one webhook on its way.
type Delivery struct {
	// Hook identifies the subscription, for breakers and counts.
	Hook   string
	URL    string
	Header http.Header
	Body   []byte
}

// Verdict is what a stand-in makes of the outcome of one delivery attempt.
type Verdict struct {
	// RetryAfter repeats the delivery after that real time when positive.
	RetryAfter time.Duration
}

// Webhooks delivers webhooks from goroutines of its own, with the faults that
// vendors show. Close ends them. Safe for concurrent use.
type Webhooks struct {
	client *http.Client
	// judge is told the outcome of each attempt (status 0: no answer), counted
	// from 1, and may ask for another.
	judge func(d Delivery, status, attempt int) Verdict

	ctx     context.Context
	cancel  context.CancelFunc
	workers sync.WaitGroup

	mu        sync.Mutex
	more      *sync.Cond // the queue grew, or Close was called
	queue     []Delivery
	busy      int
	duplicate int
	drop      int
	swap      int
	held      []Delivery
	delivered int
}

// NewWebhooks starts a deliverer whose requests take at most timeout each, at
// most workers at once; with one they arrive in the order of sending. judge may
// be nil: then nothing is repeated.
func NewWebhooks(timeout time.Duration, workers int, judge func(d Delivery, status, attempt int) Verdict) *Webhooks {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Webhooks{
		// A connection for each: one that the receiver's restart broke would lose
		// the next webhook, because POSTs are not repeated.
		client: &http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true}},
		judge:  judge,
		ctx:    ctx, cancel: cancel,
	}
	w.more = sync.NewCond(&w.mu)
	for range max(workers, 1) {
		w.workers.Go(w.run)
	}
	return w
}

// Send queues a delivery, after the faults had their say.
func (w *Webhooks) Send(d Delivery) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.drop > 0 {
		w.drop--
		return
	}
	out := []Delivery{d}
	if w.duplicate > 0 {
		w.duplicate--
		out = append(out, d)
	}
	if w.swap > 0 {
		w.held = append(w.held, out...)
		if w.swap--; w.swap > 0 {
			return
		}
		slices.Reverse(w.held)
		out, w.held = w.held, nil
	}
	w.queue = append(w.queue, out...)
	w.more.Broadcast()
}

// Duplicate sends each of the next n webhooks twice.
func (w *Webhooks) Duplicate(n int) { w.set(func() { w.duplicate = n }) }

// Lose drops the next n webhooks.
func (w *Webhooks) Lose(n int) { w.set(func() { w.drop = n }) }

// Reverse holds the next n webhooks back and then sends them last one first.
func (w *Webhooks) Reverse(n int) { w.set(func() { w.swap = n }) }

func (w *Webhooks) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// Delivered counts the webhooks that were answered with 2xx.
func (w *Webhooks) Delivered() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.delivered
}

// Idle tells whether nothing is queued or on its way.
func (w *Webhooks) Idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.busy == 0 && len(w.queue) == 0
}

// Close drops what is still queued, ends the requests on their way and waits
// for the goroutines. It may be called twice.
func (w *Webhooks) Close() {
	w.cancel()
	w.set(w.more.Broadcast)
	w.workers.Wait()
	w.client.CloseIdleConnections()
}

func (w *Webhooks) run() {
	for {
		d, ok := w.next()
		if !ok {
			return
		}
		w.deliver(d)
		w.set(func() { w.busy-- })
	}
}

// next waits for a delivery; not ok means that Close was called.
func (w *Webhooks) next() (Delivery, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) == 0 && w.ctx.Err() == nil {
		w.more.Wait()
	}
	if w.ctx.Err() != nil {
		return Delivery{}, false
	}
	d := w.queue[0]
	w.queue = w.queue[1:]
	w.busy++
	return d, true
}

func (w *Webhooks) deliver(d Delivery) {
	for attempt := 1; w.ctx.Err() == nil; attempt++ {
		status := w.post(d)
		if status >= 200 && status < 300 {
			w.set(func() { w.delivered++ })
		}
		if w.judge == nil {
			return
		}
		verdict := w.judge(d, status, attempt)
		if verdict.RetryAfter <= 0 {
			return
		}
		timer := time.NewTimer(verdict.RetryAfter)
		select {
		case <-timer.C:
		case <-w.ctx.Done():
			timer.Stop()
		}
	}
}

func (w *Webhooks) post(d Delivery) (status int) {
	req, err := http.NewRequestWithContext(w.ctx, http.MethodPost, d.URL, bytes.NewReader(d.Body))
	if err != nil {
		return 0
	}
	req.Header = d.Header.Clone()
	resp, err := w.client.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // drained for the connection's sake only
	return resp.StatusCode
}
