// Package zendesk connects Handoff to Zendesk Support with an API token: it
// makes and updates tickets, reads what agents did on them, and reads the
// webhooks that hint at it. Facts about the API: Zendesk's Ticketing API
// reference; what a second try means there is written at Desk.Retry.
package zendesk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/caller/httpcall"
)

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
	if err := httpcall.CheckBaseURL(a.BaseURL); err != nil {
		return fmt.Errorf("zendesk: %w", err)
	}
	if a.Email == "" || a.Token == "" {
		return errors.New("zendesk account: e-mail address and API token are needed")
	}
	return nil
}

// client makes requests for one account. Safe for concurrent use.
type client struct {
	account account
	http    *http.Client
	base    string
	// requesters remembers user ids by external id, so that an append costs one
	// request. own is the API user's id.
	requesters *httpcall.IDs
	own        *httpcall.IDs
}

func newClient(to account, h *http.Client) (*client, error) {
	if err := to.check(); err != nil {
		return nil, err
	}
	return &client{
		account: to, http: h, base: strings.TrimRight(to.BaseURL, "/"),
		requesters: httpcall.NewIDs(4096), own: httpcall.NewIDs(1),
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
	call := httpcall.JSON{
		Method: r.method, URL: c.base + r.path, User: c.account.Email + "/token", Password: c.account.Token,
		Body: r.body, Who: r.doing + ": the desk",
		Refused: func(a *httpcall.Answer) *caller.Error { return refused(r.doing, a) },
	}
	if r.key != "" {
		call.Header = map[string]string{"Idempotency-Key": r.key}
	}
	answer, err := call.Do(ctx, c.http, out)
	if answer == nil {
		return nil, err
	}
	return answer.Header, err
}
