// Package zendesk connects Handoff to Zendesk Support with an API token: it
// makes and updates tickets, reads what agents did on them, and reads the
// webhooks that hint at it. Facts about the API: Zendesk's Ticketing API
// reference; what a second try means there is written at Desk.Retry.
package zendesk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/pipeline/caller"
)

// maxAnswer bounds what is read of one answer.
const maxAnswer = 16 << 20

// account is how one shop is reached at Zendesk.
type account struct {
	// BaseURL without a path, e.g. https://shop.zendesk.com.
	BaseURL string
	// Email of the user that the API token acts as. Messages written by this
	// user over the API are Handoff's own.
	Email string
	// Token is the API token itself, not a reference to it.
	Token string
}

// check refuses an account that cannot work, or that would send the token in
// clear text to another machine.
func (a account) check() error {
	u, err := url.Parse(a.BaseURL)
	if err != nil || u.Host == "" {
		return fmt.Errorf("zendesk base URL %q: want e.g. https://shop.zendesk.com", a.BaseURL)
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return fmt.Errorf("zendesk base URL %q: only https keeps the token secret", a.BaseURL)
	}
	if a.Email == "" || a.Token == "" {
		return errors.New("zendesk account: e-mail address and API token are needed")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// client makes requests for one account. Safe for concurrent use.
type client struct {
	account account
	http    *http.Client
	base    string
	// requesters remembers user ids by external id, so that an append costs one
	// request. own is the API user's id.
	requesters *idCache
	own        *idCache
}

func newClient(to account, h *http.Client) (*client, error) {
	if err := to.check(); err != nil {
		return nil, err
	}
	return &client{
		account: to, http: h, base: strings.TrimRight(to.BaseURL, "/"),
		requesters: newIDCache(4096), own: newIDCache(1),
	}, nil
}

// request is one API request.
type request struct {
	method string
	path   string // with query
	body   any    // nil for none
	// key is the Idempotency-Key; only ticket creation knows it.
	key string
	// doing completes "the desk could not …" in errors.
	doing string
}

// do makes one request and decodes a 2xx answer into out (nil to ignore it).
// Every error is a *caller.Error.
func (c *client) do(ctx context.Context, r request, out any) (http.Header, error) {
	var body io.Reader
	if r.body != nil {
		encoded, err := json.Marshal(r.body)
		if err != nil {
			return nil, &caller.Error{Kind: caller.Permanent, Meaning: r.doing + ": the request cannot be written as JSON", Err: err}
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, body)
	if err != nil {
		return nil, &caller.Error{Kind: caller.Permanent, Meaning: r.doing + ": bad address", Err: err}
	}
	req.SetBasicAuth(c.account.Email+"/token", c.account.Token)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unanswered(r.doing, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, unanswered(r.doing, err)
	}
	if len(answer) > maxAnswer {
		return nil, &caller.Error{Kind: caller.Permanent, Meaning: r.doing + ": the answer is too large"}
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return resp.Header, refused(r.doing, resp.StatusCode, resp.Header, answer)
	}
	if out == nil {
		return resp.Header, nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		// It was carried out, but what came of it is not known.
		return resp.Header, &caller.Error{Kind: caller.Ambiguous, Code: strconv.Itoa(resp.StatusCode), Meaning: r.doing + ": the answer is no JSON of the documented shape", Err: err}
	}
	return resp.Header, nil
}

// unanswered classifies a request that no answer came to.
func unanswered(doing string, err error) *caller.Error {
	var op *net.OpError
	var dns *net.DNSError
	if errors.As(err, &dns) || errors.As(err, &op) && op.Op == "dial" {
		return &caller.Error{Kind: caller.Retryable, Meaning: doing + ": the desk cannot be reached", Err: err}
	}
	return &caller.Error{Kind: caller.Ambiguous, Meaning: doing + ": no answer from the desk", Err: err}
}

// retryAfter reads the header of that name: seconds, or an HTTP date.
func retryAfter(h http.Header, fallback time.Duration) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(value, 64); err == nil && seconds >= 0 && seconds < 1e6 {
		return max(time.Duration(seconds*float64(time.Second)), time.Second)
	}
	return fallback
}
