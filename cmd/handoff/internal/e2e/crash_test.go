package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// crossing is one kind of request that a kill can cut in two.
type crossing struct {
	name, shop, gate string
	// prepare brings the conversation to the moment before the request, trigger causes it, match finds
	// it.
	prepare, trigger func(context.Context, *talk) error
	match            func(k *talk, r *http.Request, body string) bool
	// settled waits after the restart until what was cut is in order again and finds what is not;
	// ended does so after the conversation went on, for what must have stayed as it was.
	settled func(context.Context, *talk, moment) error
	// closed: no text follows, so the conversation does not go on.
	closed bool
}

func path(method, part string) func(*talk, *http.Request, string) bool {
	return func(k *talk, r *http.Request, body string) bool {
		return r.Method == method && strings.HasSuffix(r.URL.Path, part) && strings.Contains(body, k.marker)
	}
}

func nothing(context.Context, *talk) error { return nil }

// crossings are all kinds of requests that Handoff makes.
func crossings() []crossing {
	agentLine := func(k *talk) string { return "Your refund " + k.marker + " is on its way." }
	addition := func(k *talk) string { return "My house number is 12, flat " + k.marker + "1" }
	replies := func(_ context.Context, k *talk) error { return k.reply(agentLine(k)) }
	heardLine := func(ctx context.Context, k *talk, _ moment) error {
		return k.once(ctx, "agent's text", func() int { return k.heard(agentLine(k)) })
	}
	adds := func(ctx context.Context, k *talk) error { return k.say(ctx, addition(k)) }
	added := func(ctx context.Context, k *talk, _ moment) error {
		return k.once(ctx, "added message", func() int { return k.entries("", addition(k)) })
	}
	yes := func(ctx context.Context, k *talk) error { return k.say(ctx, "yes") }
	ticket := func(ctx context.Context, k *talk, _ moment) error {
		return k.once(ctx, "ticket", func() int { return len(k.tickets()) })
	}
	complains := func(ctx context.Context, k *talk) error { return k.say(ctx, "I want to cancel my order "+k.marker) }
	textHolds := func(of func(*talk) string) func(*talk, *http.Request, string) bool {
		return func(k *talk, r *http.Request, body string) bool {
			form, err := url.ParseQuery(body)
			return r.Method == http.MethodPost && (strings.Contains(body, of(k)) || err == nil && strings.Contains(form.Get("Body")+form.Get("To"), of(k)))
		}
	}
	reads := func(k *talk, r *http.Request, _ string) bool {
		t := k.tickets()
		return r.Method == http.MethodGet && len(t) > 0 && strings.Contains(r.URL.String(), fmt.Sprint(t[0].ID))
	}
	return []crossing{
		{name: "create a ticket at Zendesk", shop: "acme", gate: "zendesk", prepare: (*talk).complainFirst, trigger: yes, match: path(http.MethodPost, "/tickets"), settled: ticket},
		{name: "create a ticket at Gorgias", shop: "bloom", gate: "gorgias", prepare: (*talk).complainFirst, trigger: yes, match: path(http.MethodPost, "/tickets"), settled: ticket},
		{name: "append at Zendesk", shop: "acme", gate: "zendesk", prepare: (*talk).handOverFirst, trigger: adds, match: path(http.MethodPut, ""), settled: added},
		{name: "append at Gorgias", shop: "bloom", gate: "gorgias", prepare: (*talk).handOverFirst, trigger: adds, match: path(http.MethodPost, "/messages"), settled: added},
		{name: "note at Zendesk", shop: "acme", gate: "zendesk", prepare: (*talk).handOverFirst, trigger: stops, match: noteOf, settled: stopNoted, closed: true},
		{name: "note at Gorgias", shop: "bloom", gate: "gorgias", prepare: (*talk).handOverFirst, trigger: stops, match: noteOf, settled: stopNoted, closed: true},
		{name: "offer through Twilio", shop: "acme", gate: "twilio", prepare: nothing, trigger: complains, match: textHolds(func(k *talk) string { return k.customer }), settled: offeredOnce},
		{name: "agent's text through Twilio", shop: "bloom", gate: "twilio", prepare: (*talk).handOverFirst, trigger: replies, match: textHolds(agentLine), settled: heardLine},
		{name: "read the ticket at Zendesk", shop: "acme", gate: "zendesk", prepare: (*talk).handOverFirst, trigger: replies, match: reads, settled: heardLine},
		{name: "read the ticket at Gorgias", shop: "bloom", gate: "gorgias", prepare: (*talk).handOverFirst, trigger: replies, match: reads, settled: heardLine},
		{name: "ask the bot", shop: "acme", gate: "bot", trigger: func(ctx context.Context, k *talk) error { return k.say(ctx, "Where is my order "+k.marker+"?") },
			prepare: nothing, match: path(http.MethodPost, "/ask"), settled: answeredOnce},
		{name: "offer through a provider that cannot be asked", shop: "cobalt", gate: "sms", prepare: nothing, trigger: complains, match: textHolds(func(k *talk) string { return k.customer }), settled: blindOffer},
		{name: "agent's text through a provider that cannot be asked", shop: "cobalt", gate: "sms", prepare: (*talk).handOverFirst, trigger: replies, match: textHolds(agentLine),
			settled: func(ctx context.Context, k *talk, at moment) error { return k.blindText(ctx, at, agentLine(k)) }},
	}
}

func (k *talk) complainFirst(ctx context.Context) error { return k.complain(ctx) }
