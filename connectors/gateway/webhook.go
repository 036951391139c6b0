package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// channelRequest serves a channel's webhook or delivery callback.
func (g *Gateway) channelRequest(w http.ResponseWriter, r *http.Request) (string, outcome, error) {
	provider, err := param(r, "provider")
	if err != nil {
		return providerUnknown, "", err
	}
	hook, ok := g.cfg.Channels[provider]
	if !ok {
		return providerUnknown, "", refuse(unknownProvider, "no channel is served under this name; there are %s", names(g.cfg.Channels))
	}
	x := &exchange{provider: provider, hook: hook}
	if err := g.addressed(x, r); err != nil {
		return provider, "", err
	}
	o, err := g.take(w, r, x)
	return provider, o, err
}

// addressed fills in shop, account and call that the path names.
func (g *Gateway) addressed(x *exchange, r *http.Request) error {
	if err := g.shopOf(x, r); err != nil {
		return err
	}
	identity, err := param(r, "account")
	if err != nil {
		return err
	}
	x.req.Account = accountOf(x.req.Shop, x.provider, identity)
	if x.req.Account == nil {
		return refuse(unknownAccount, "the shop has no such account at this provider: the path names one as the shop's settings do")
	}
	x.secret, x.secretAt = x.req.Account.Secret, "secret of account "+x.req.Account.Account
	call, err := param(r, "call")
	if err != nil {
		return err
	}
	if call != "" && !callID(call) {
		return &ingress.Malformed{Place: "path", Reason: "its call id is not one of ours"}
	}
	x.req.CallID = call
	return nil
}

// accountOf returns the shop's account of that identity at the provider, or nil.
func accountOf(shop *settings.Shop, provider, identity string) *settings.Account {
	for i := range shop.Accounts {
		if a := &shop.Accounts[i]; a.Provider == provider && a.Account == identity {
			return a
		}
	}
	return nil
}

// names lists what is served, for who asks for something else.
func names[T any](served map[string]T) string {
	return strings.Join(slices.Sorted(maps.Keys(served)), ", ")
}

// callID tells whether s is a record id in hex, as calls are named.
func callID(s string) bool {
	return len(s) == 2*schemas.IDSize && strings.Trim(s, "0123456789abcdef") == ""
}

// deskRequest serves a help desk's webhook.
func (g *Gateway) deskRequest(w http.ResponseWriter, r *http.Request) (string, outcome, error) {
	desk, err := param(r, "provider")
	if err != nil {
		return providerUnknown, "", err
	}
	hook, ok := g.cfg.Desks[desk]
	if !ok {
		return providerUnknown, "", refuse(unknownProvider, "no help desk is served under this name; there are %s", names(g.cfg.Desks))
	}
	x := &exchange{provider: desk, hook: hook}
	if err := g.shopOf(x, r); err != nil {
		return desk, "", err
	}
	if x.req.Shop.Desk.Kind != desk {
		return desk, "", refuse(unknownAccount, "the shop is not connected to this help desk: desk.kind of its settings names the one that it has")
	}
	x.secret, x.secretAt = x.req.Shop.Desk.WebhookSecret, "desk.webhook_secret"
	o, err := g.take(w, r, x)
	return desk, o, err
}

// platformRequest serves what the messaging platform reports (H13).
func (g *Gateway) platformRequest(w http.ResponseWriter, r *http.Request) (string, outcome, error) {
	x := &exchange{provider: providerPlatform, hook: g.cfg.Platform, platform: true}
	if x.hook == nil {
		return providerPlatform, "", refuse(unknownProvider, "the platform's reports are not taken here")
	}
	if err := g.shopOf(x, r); err != nil {
		return providerPlatform, "", err
	}
	x.secret, x.secretAt = x.req.Shop.Platform.Secret, "platform.secret"
	o, err := g.take(w, r, x)
	return providerPlatform, o, err
}

// shopOf fills in the shop that the path names, at its current settings.
func (g *Gateway) shopOf(x *exchange, r *http.Request) error {
	if !g.cfg.SettingsLoaded() {
		return refuse(settingsPending, "the shops' settings are still being loaded")
	}
	name, err := param(r, "shop")
	if err != nil {
		return err
	}
	x.req.Shop, x.version, err = g.cfg.Settings.Current(name)
	switch {
	case errors.Is(err, pipeline.ErrSettingsPending):
		return refuse(unknownShop, "there is no such shop: handoff settings apply publishes one")
	case err != nil:
		return fmt.Errorf("read the settings of shop %q: %w", name, err)
	}
	return nil
}

// take reads and verifies the request, carries it through the router, and answers.
func (g *Gateway) take(w http.ResponseWriter, r *http.Request, x *exchange) (outcome, error) {
	body, err := g.readBody(w, r)
	if err != nil {
		return "", err
	}
	x.req.Body = body
	x.req.Method = r.Method
	x.req.Header = r.Header
	x.req.URL = g.publicURL(r)
	x.req.Now = g.cfg.Now().UTC().Truncate(time.Millisecond)
	x.traceparent = traceparent(r.Header)
	if x.secret != "" {
		if x.req.Secret, err = g.cfg.Secret(x.secret); err != nil {
			return "", &refusal{outcome: noSecret, reason: "the gateway cannot read the secret that this webhook is signed with", cause: fmt.Errorf("shop %s: %s: %w", x.req.Shop.Shop, x.secretAt, err)}
		}
	}
	if err := x.hook.Verify(&x.req); err != nil {
		if errors.Is(err, ingress.ErrUnsigned) {
			return "", refuse(unsigned, "%v", ingress.ErrUnsigned)
		}
		return "", &refusal{outcome: forged, reason: ingress.ErrForged.Error() + ": it must be made with the secret of the shop's settings over the request as it was sent, not long ago", cause: err}
	}
	if err := g.carry(context.WithoutCancel(r.Context()), x); err != nil {
		return "", err
	}
	x.hook.Answer(w)
	return x.outcome, nil
}

// readBody reads a bounded body.
func (g *Gateway) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	tooBig := refuse(tooLarge, "the body is larger than %d bytes", g.cfg.MaxBody)
	if r.ContentLength > int64(g.cfg.MaxBody) {
		return nil, tooBig
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(g.cfg.MaxBody)))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooBig
	}
	if err != nil {
		return nil, &refusal{outcome: unreadable, place: "body", reason: "it ended early or came too slowly", cause: err}
	}
	return body, nil
}

// publicURL is the URL as the provider called it.
func (g *Gateway) publicURL(r *http.Request) string {
	if g.cfg.PublicURL != "" {
		return g.cfg.PublicURL + r.URL.RequestURI()
	}
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if g.cfg.TrustForwarded {
		if p := strings.ToLower(first(r.Header.Get("X-Forwarded-Proto"))); p == "http" || p == "https" {
			scheme = p
		}
		if h := first(r.Header.Get("X-Forwarded-Host")); h != "" {
			host = h
		}
	}
	return scheme + "://" + host + r.URL.RequestURI()
}

// first returns the first of a header's comma-separated values: what the proxy nearest to the provider
// saw.
func first(list string) string {
	v, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(v)
}

var traceparentForm = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// traceparent returns the request's W3C trace context, or "" where there is none that is valid
// (Trace Context, section 3.2: version ff and all-zero ids are not).
func traceparent(h http.Header) string {
	v := h.Get("Traceparent")
	if !traceparentForm.MatchString(v) || v[:2] == "ff" ||
		v[3:35] == strings.Repeat("0", 32) || v[36:52] == strings.Repeat("0", 16) {
		return ""
	}
	return v
}

// exchange is one request on its way to Kafka.
type exchange struct {
	provider string
	hook     ingress.Webhook
	req      ingress.Request
	// platform tells that the messaging platform itself reports.
	platform bool
	// secret of the account, desk or platform, as a reference.
	secret settings.SecretRef
	// secretAt is the setting that it is.
	secretAt    string
	version     uint64
	traceparent string

	// Written by the router's handler before it settles the message, read after.
	outcome outcome
	err     error
}

// posting is one record and the mailbox it goes to.
type posting struct {
	topic  string
	record *handoffv1.Record
}
