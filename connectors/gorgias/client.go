// Package gorgias connects Handoff to Gorgias with an API key: it makes and
// updates tickets, reads what agents did on them, and reads the webhooks that
// hint at it. Facts about the API: Gorgias' REST reference and what accounts
// were seen to answer. Every message that Handoff puts on a ticket carries the
// time it was sent, because Gorgias itself sends an agent's message without one.
package gorgias

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

// account is how one shop is reached at Gorgias.
type account struct {
	// BaseURL without a path, e.g. https://shop.gorgias.com.
	BaseURL string
	// Email of the user that the API key belongs to. Messages written by this
	// user over the API are Handoff's own.
	Email string
	// Key is the API key itself, not a reference to it.
	Key string
	// InboundDomain makes the from address: number@domain (H3); empty: the
	// number alone.
	InboundDomain string
}

// check refuses an account that cannot work, or that would send the key in
// clear text to another machine.
func (a account) check() error {
	u, err := url.Parse(a.BaseURL)
	if err != nil || u.Host == "" {
		return fmt.Errorf("gorgias base URL %q: want e.g. https://shop.gorgias.com", a.BaseURL)
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return fmt.Errorf("gorgias base URL %q: only https keeps the key secret", a.BaseURL)
	}
	if a.Email == "" || a.Key == "" {
		return errors.New("gorgias account: e-mail address and API key are needed")
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
	// customers remembers customer ids by external id, so that an append costs
	// one request.
	customers *idCache
}

func newClient(to account, h *http.Client) (*client, error) {
	if err := to.check(); err != nil {
		return nil, err
	}
	return &client{account: to, http: h, base: strings.TrimRight(to.BaseURL, "/"), customers: &idCache{ids: map[string]int64{}}}, nil
}

// do makes one request and decodes a 2xx answer into out (nil to ignore it).
// doing completes "… the desk failed" in errors; every error is a *caller.Error.
func (c *client) do(ctx context.Context, method, path string, body, out any, doing string) error {
	var reader io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return &caller.Error{Kind: caller.Permanent, Meaning: doing + ": the request cannot be written as JSON", Err: err}
		}
		reader = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/api"+path, reader)
	if err != nil {
		return &caller.Error{Kind: caller.Permanent, Meaning: doing + ": bad address", Err: err}
	}
	req.SetBasicAuth(c.account.Email, c.account.Key)
	req.Header.Set("Accept", "application/json")
	if reader != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return unanswered(doing, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return unanswered(doing, err)
	}
	if len(answer) > maxAnswer {
		return &caller.Error{Kind: caller.Permanent, Meaning: doing + ": the answer is too large"}
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return refused(doing, resp.StatusCode, resp.Header, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		// It was carried out, but what came of it is not known.
		return &caller.Error{Kind: caller.Ambiguous, Code: strconv.Itoa(resp.StatusCode), Meaning: doing + ": the answer is no JSON of the documented shape", Err: err}
	}
	return nil
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

// retryAfter reads the seconds of the Retry-After header.
func retryAfter(h http.Header, fallback time.Duration) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(value, 64); err == nil && seconds >= 0 && seconds < 1e6 {
		return max(time.Duration(seconds*float64(time.Second)), time.Second)
	}
	return fallback
}
