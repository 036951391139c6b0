// Package gorgias connects Handoff to Gorgias with an API key: it makes and
// updates tickets, reads what agents did on them, and reads the webhooks that
// hint at it. Facts about the API: Gorgias' REST reference and what accounts
// were seen to answer. Every message that Handoff puts on a ticket carries the
// time it was sent, because Gorgias itself sends an agent's message without one.
package gorgias

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/caller/httpcall"
)

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
	if err := httpcall.CheckBaseURL(a.BaseURL); err != nil {
		return fmt.Errorf("gorgias: %w", err)
	}
	if a.Email == "" || a.Key == "" {
		return errors.New("gorgias account: e-mail address and API key are needed")
	}
	return nil
}

// client makes requests for one account. Safe for concurrent use.
type client struct {
	account account
	http    *http.Client
	base    string
	// customers remembers customer ids by external id, so that an append costs
	// one request.
	customers *httpcall.IDs
	// users remembers the desk's own users by e-mail address.
	users *httpcall.IDs
}

func newClient(to account, h *http.Client) (*client, error) {
	if err := to.check(); err != nil {
		return nil, err
	}
	return &client{account: to, http: h, base: strings.TrimRight(to.BaseURL, "/"), customers: httpcall.NewIDs(4096), users: httpcall.NewIDs(256)}, nil
}

// do makes one request and decodes a 2xx answer into out (nil to ignore it).
// doing completes "… the desk failed" in errors; every error is a *caller.Error.
// What is written to a ticket that was merged into another one is written there
// (M7): the desk answers 301 and has done nothing.
func (c *client) do(ctx context.Context, method, path string, body, out any, doing string) error {
	err := c.once(ctx, method, path, body, out, doing)
	for range 5 { // merged tickets can be merged again
		refusal, ok := errors.AsType[*httpcall.Refusal](err)
		if !ok || method == http.MethodGet || refusal.Status != http.StatusMovedPermanently {
			break
		}
		into, ok := survivorOf(refusal.Header.Get("Location"))
		if !ok {
			break
		}
		path = mergedPath.ReplaceAllString(path, "/tickets/"+into)
		err = c.once(ctx, method, path, body, out, doing)
	}
	return err
}

// mergedPath is a ticket in the path of a request.
var mergedPath = regexp.MustCompile(`/tickets/[0-9]+`)

// survivorOf reads the ticket that a redirect leads to.
func survivorOf(location string) (id string, ok bool) {
	return strings.CutPrefix(mergedPath.FindString(location), "/tickets/")
}

// current gives the id under which a ticket is found now: that of the one that it was merged into.
func (c *client) current(ctx context.Context, id string) (string, error) {
	var t ticket
	err := c.do(ctx, http.MethodGet, "/tickets/"+url.PathEscape(id), nil, &t, "reading the ticket")
	if notThere(err) {
		return id, nil
	}
	return strconv.FormatInt(t.ID, 10), err
}

func (c *client) once(ctx context.Context, method, path string, body, out any, doing string) error {
	_, err := httpcall.JSON{
		Method: method, URL: c.base + "/api" + path, User: c.account.Email, Password: c.account.Key,
		Body: body, Who: doing + ": the desk",
		Refused: func(a *httpcall.Answer) *caller.Error { return refused(doing, a) },
	}.Do(ctx, c.http, out)
	return err
}
