// Package reader asks a shop's own classifier over HTTP what a message is about. It is asked by the gateway, before
// the message is written, so that what it said is a fact of the record: stages do no I/O, and a record that is read
// again is read the same.
//
// The question of the format "handoff" is a POST of
//
//	{"text": "where is it?", "intents": ["order_status", "cancel_order"], "model": "small"}
//
// and the answer 200 with
//
//	{"intent": "order_status", "confidence": 0.93}
//
// where an empty intent says that none of them fits. The format "openai" is a chat completion of the same: the
// message and the intents go as the text of the conversation, and the answer's content is that JSON object. A key
// goes along as a bearer token.
//
// Nothing that the classifier does can hold a message up for longer than the shop's time-out or lead it astray: an
// intent that was not offered is no answer, and after several failures in a row it is not asked for a while.
package reader

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/handoff-dev/handoff/pipeline/caller/httpcall"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

const (
	// maxText is how much of a message is asked about, in bytes, maxAnswer how much of an answer is read.
	maxText   = 4 << 10
	maxAnswer = 64 << 10
)

// Why there is no reading.
const (
	failedTimeout     = "timeout"
	failedUnreachable = "unreachable"
	failedStatus      = "status"
	failedAnswer      = "answer"
	failedLabel       = "label"
	failedOpen        = "open"
	failedKey         = "key"
)

// Config of a Client.
type Config struct {
	// Intents that ship: every classifier may answer them.
	Intents []string
	// Secret resolves a reference.
	Secret func(settings.SecretRef) (string, error)
	// Transport of requests; default one of its own.
	Transport http.RoundTripper
	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer
}

// Client asks the classifiers of all shops. It is safe for concurrent use.
type Client struct {
	cfg      Config
	http     *http.Client
	breakers breakers
	metrics  *metrics
}

// New checks the configuration and makes a client.
func New(cfg Config) (*Client, error) {
	if cfg.Secret == nil || len(cfg.Intents) == 0 {
		return nil, errors.New("reader config: Secret or Intents is missing")
	}
	if cfg.Transport == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.MaxIdleConnsPerHost = 64
		cfg.Transport = own
	}
	c := &Client{cfg: cfg, breakers: breakers{of: map[string]circuitbreaker.CircuitBreaker[any]{}}}
	// It follows no redirect, which would take the key, and the customer's words, to where the shop did not say.
	c.http = httpcall.NewClient(cfg.Transport)
	var err error
	c.metrics, err = newMetrics(cfg.Registerer)
	return c, err
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// failure is why there is no reading.
type failure string

// Error names it.
func (f failure) Error() string { return string(f) }

// Read asks the shop's classifier about a message and returns within its time-out; nil where the shop has none.
func (c *Client) Read(ctx context.Context, shop *settings.Shop, text string) *handoffv1.OutsideReading {
	e := shop.Classifier.Endpoint
	if e.URL == "" {
		return nil
	}
	b := c.breakers.get(shop.Shop + " " + e.URL)
	if !b.TryAcquirePermit() {
		c.metrics.ended(failedOpen, 0)
		return says(shop, nil, failure(failedOpen))
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	read, err := c.ask(ctx, shop, cut(text))
	took := time.Since(began)
	out := says(shop, read, err)
	out.TookMs = uint32(took.Milliseconds())
	if broken(out.GetFailed()) {
		b.RecordFailure()
	} else {
		b.RecordSuccess()
	}
	c.metrics.ended(out.GetFailed(), took)
	return out
}

// broken tells whether a failure counts for the breaker: one of the classifier's, and not of a single message.
func broken(failed string) bool { return failed != "" && failed != failedLabel }

// ask asks once. Its errors are failures.
func (c *Client) ask(ctx context.Context, shop *settings.Shop, text string) (*answer, error) {
	e := shop.Classifier.Endpoint
	intents := offered(shop, c.cfg.Intents)
	body, err := question(e.Format, e.Model, intents, text)
	if err != nil {
		return nil, failure(failedAnswer)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(body))
	if err != nil {
		return nil, failure(failedUnreachable)
	}
	req.Header.Set("Content-Type", "application/json")
	if e.Key != "" {
		key, err := c.cfg.Secret(e.Key)
		if err != nil {
			return nil, failure(failedKey)
		}
		req.Header.Set("Authorization", "Bearer "+key)
	}
	said, err := httpcall.Do(c.http, req, "the classifier", maxAnswer)
	switch {
	case said != nil && said.Status != http.StatusOK:
		return nil, failure(failedStatus)
	case errors.Is(err, httpcall.ErrTooLarge):
		return nil, failure(failedAnswer)
	case err != nil:
		return nil, unanswered(ctx)
	}
	return taken(e.Format, said.Body, intents)
}

// taken reads an answer: only an intent that was offered is one. Its errors are failures.
func taken(format string, body []byte, intents []string) (*answer, error) {
	a, err := answerOf(format, body)
	if err != nil {
		return nil, failure(failedAnswer)
	}
	if a.Intent != "" && !slices.Contains(intents, a.Intent) {
		return nil, failure(failedLabel)
	}
	return a, nil
}

// Reading is what a message's record would carry had the shop's classifier answered this, in the format "handoff";
// had it failed so, where said is nil: "" is "timeout". Nobody is asked: it is for conversation scripts. shipped are the
// intents that ship. A shop without a classifier of its own has no reading.
func Reading(shop *settings.Shop, shipped []string, said []byte, failed string) *handoffv1.OutsideReading {
	if shop.Classifier.Endpoint.URL == "" {
		return nil
	}
	a, err := (*answer)(nil), error(failure(cmp.Or(failed, failedTimeout)))
	if said != nil {
		a, err = taken("", said, offered(shop, shipped))
	}
	return says(shop, a, err)
}

// says makes a reading of an answer, or of the failure that there was in place of one.
func says(shop *settings.Shop, a *answer, err error) *handoffv1.OutsideReading {
	e := shop.Classifier.Endpoint
	out := &handoffv1.OutsideReading{Classifier: name(e.URL, e.Model)}
	if f, failed := errors.AsType[failure](err); failed {
		out.Failed = string(f)
	} else {
		out.Intent, out.Confidence = a.Intent, float32(*a.Confidence)
	}
	return out
}

// unanswered tells a classifier that was too slow from one that could not be reached.
func unanswered(ctx context.Context) error {
	if ctx.Err() != nil {
		return failure(failedTimeout)
	}
	return failure(failedUnreachable)
}

// offered are the intents that the shop's classifier may answer.
func offered(shop *settings.Shop, shipped []string) []string {
	all := slices.Concat(shipped, shop.Handoff.Intents, shop.Classifier.Endpoint.Intents)
	out := make([]string, 0, len(all))
	for _, intent := range all {
		if !slices.Contains(out, intent) {
			out = append(out, intent)
		}
	}
	return out
}

// name says in readings who was asked: the host, without what could be secret in the rest of the URL.
func name(endpoint, model string) string {
	host := "endpoint"
	if u, err := url.Parse(endpoint); err == nil {
		host = u.Host
	}
	if model == "" {
		return host
	}
	return host + "/" + model
}
