// Package httpcall makes the HTTP requests of outside calls, for connectors: one bounded request, never
// repeated, whose failure says whether the other side may have taken it. No error names a URL, because
// URLs hold tokens, accounts and customers, and errors reach notes and logs.
package httpcall

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/handoff-dev/handoff/pipeline/caller"
)

// ErrTooLarge is the cause where an answer is longer than was asked for.
var ErrTooLarge = errors.New("the answer is too large")

// NewClient returns a client whose requests are carried by transport; nil means http.DefaultTransport.
// Redirects are not followed, so that a request is made once and only where it was meant for. A
// request's time is bounded by its context.
func NewClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Answer is what the other side said.
type Answer struct {
	// Status is the HTTP status.
	Status int
	Header http.Header
	Body   []byte
}

// OK tells whether the request succeeded: any 2xx.
func (a *Answer) OK() bool { return a.Status >= 200 && a.Status <= 299 }

// Refusal is the cause of an error about an answer that is not 2xx: what the other side said.
type Refusal struct{ *Answer }

// Error gives the status and the beginning of the body.
func (r *Refusal) Error() string {
	return fmt.Sprintf("HTTP %d: %s", r.Status, bytes.TrimSpace(r.Body[:min(len(r.Body), 512)]))
}

// StatusOf gives the HTTP status of the Refusal in err; 0 where there is none.
func StatusOf(err error) int {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return refusal.Status
	}
	return 0
}

// Do makes the request once and reads at most so many bytes of the answer's body. who names the other
// side in errors, e.g. "the desk". The error is a *caller.Error: Retryable where there was no connection
// and so nothing can have arrived, else Ambiguous. Where an answer began but its body broke off, or is
// longer (ErrTooLarge), both are returned: what was read and the Ambiguous error.
func Do(client *http.Client, req *http.Request, who string, most int64) (*Answer, error) {
	var connected atomic.Bool
	res, err := client.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})))
	switch {
	case err != nil && !connected.Load():
		return nil, &caller.Error{Kind: caller.Retryable, Meaning: who + " cannot be reached", Err: WithoutURL(err)}
	case err != nil:
		return nil, unanswered(who, err)
	}
	defer func() { _ = res.Body.Close() }()
	answer := &Answer{Status: res.StatusCode, Header: res.Header}
	answer.Body, err = io.ReadAll(io.LimitReader(res.Body, most+1))
	if err != nil {
		return answer, unanswered(who, err)
	}
	if int64(len(answer.Body)) > most {
		answer.Body = answer.Body[:most]
		return answer, unanswered(who, ErrTooLarge)
	}
	return answer, nil
}

func unanswered(who string, cause error) *caller.Error {
	return &caller.Error{
		Kind: caller.Ambiguous, Meaning: who + " did not answer; whether it took the request is not known", Err: WithoutURL(cause),
	}
}

// WithoutURL drops the URL that net/http and net/url put around an error.
func WithoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// RetryAfter reads the seconds of the Retry-After header, a second at least; told is false where it
// holds none, and otherwise is given.
func RetryAfter(header http.Header, otherwise time.Duration) (after time.Duration, told bool) {
	seconds, err := strconv.ParseFloat(strings.TrimSpace(header.Get("Retry-After")), 64)
	if err != nil || !(seconds >= 0 && seconds < 1e6) {
		return otherwise, false
	}
	return max(time.Duration(seconds*float64(time.Second)), time.Second), true
}

// CheckBaseURL refuses a base URL without a host, and one that would send credentials in clear text to
// another machine.
func CheckBaseURL(base string) error {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return fmt.Errorf("base URL %q: want e.g. https://shop.example.com", base)
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback) {
		return fmt.Errorf("base URL %q: only https keeps credentials secret", base)
	}
	return nil
}
