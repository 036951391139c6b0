package desktest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// Clock is a stand-in's clock: it stands still until Advance moves it. Safe for
// concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that shows an evening in November 2026.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 11, 21, 21, 0, 0, 0, time.UTC)} }

// Now is the present.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance lets d pass.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Secret takes a reference for the secret itself.
func Secret(ref settings.SecretRef) (string, error) { return string(ref), nil }

// Serve serves a stand-in until the test ends, and gives its URL and a client.
func Serve(t *testing.T, stand interface {
	http.Handler
	Close()
}) (url string, client *http.Client) {
	t.Helper()
	server := httptest.NewServer(stand)
	transport := &http.Transport{}
	t.Cleanup(func() {
		stand.Close()
		transport.CloseIdleConnections()
		server.Close()
	})
	return server.URL, &http.Client{Transport: transport, Timeout: 5 * time.Second}
}

// Settle waits until a stand-in has nothing more to deliver.
func Settle(t *testing.T, hooks *standin.Webhooks) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !hooks.Idle() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("webhooks were not delivered within 10s")
		}
	}
}

// Receiver takes a stand-in's webhooks as the gateway does, until the test ends.
// One that is not signed or cannot be read fails the test. Safe for concurrent
// use.
type Receiver struct {
	// URL takes the webhooks.
	URL string

	mu     sync.Mutex
	status int
	posts  int
	events []ingress.Event
}

// NewReceiver serves a receiver of hook that knows the secret.
func NewReceiver(t *testing.T, hook ingress.Webhook, secret string) *Receiver {
	r := &Receiver{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		in := &ingress.Request{Header: req.Header, Body: body, Secret: secret}
		if err == nil {
			err = hook.Verify(in)
		}
		events, decodeErr := hook.Decode(in)
		if err = errors.Join(err, decodeErr); err != nil {
			t.Errorf("webhook %s: %v", body, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.posts++
		r.events = append(r.events, events...)
		if r.status != 0 {
			w.WriteHeader(r.status)
			return
		}
		hook.Answer(w)
	}))
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

// Answer makes the receiver answer with a status from now on; 0 takes webhooks
// again.
func (r *Receiver) Answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// Posts counts the webhooks that came.
func (r *Receiver) Posts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.posts
}

// Take gives the events that came since it was last called.
func (r *Receiver) Take() []ingress.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	return events
}

// Attempt is the first try of a call about Address. ticket is the desk's id,
// empty where there is none yet.
func Attempt(shop *settings.Shop, call string, cmd *handoffv1.Command, ticket string, now time.Time) caller.Attempt {
	return caller.Attempt{CallID: call, Number: 1, Created: now, Command: cmd, TicketID: ticket, Shop: shop, Record: &handoffv1.Record{
		Shop: shop.Shop, Channel: handoffv1.Channel_CHANNEL_SMS, Account: "+15557770000", Address: Address,
		Conversation: schemas.Conversation(handoffv1.Channel_CHANNEL_SMS, "+15557770000"),
	}}
}

// Do makes an attempt that must succeed.
func Do(t *testing.T, desk caller.Destination, a caller.Attempt) *handoffv1.Outcome {
	t.Helper()
	outcome, err := desk.Do(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

// Customer is what a customer whose name is not known wrote.
func Customer(text string) *handoffv1.ThreadMessage {
	return &handoffv1.ThreadMessage{
		Author: handoffv1.AuthorKind_AUTHOR_KIND_CUSTOMER, Text: text, At: timestamppb.New(time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)),
	}
}
