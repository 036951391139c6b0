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
	// settled waits, after the restart, until what was cut is in order, and tells what is not. It is
	// asked again when the conversation went on: what was in order must have stayed so.
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
	asks := func(ctx context.Context, k *talk) error { return k.say(ctx, "I want to cancel my order "+k.marker) }
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
		{name: "create a ticket at Zendesk", shop: "acme", gate: "zendesk", prepare: complains, trigger: yes, match: path(http.MethodPost, "/tickets"), settled: ticket},
		{name: "create a ticket at Gorgias", shop: "bloom", gate: "gorgias", prepare: complains, trigger: yes, match: path(http.MethodPost, "/tickets"), settled: ticket},
		{name: "append at Zendesk", shop: "acme", gate: "zendesk", prepare: handsOver, trigger: adds, match: path(http.MethodPut, ""), settled: added},
		{name: "append at Gorgias", shop: "bloom", gate: "gorgias", prepare: handsOver, trigger: adds, match: path(http.MethodPost, "/messages"), settled: added},
		{name: "note at Zendesk", shop: "acme", gate: "zendesk", prepare: handsOver, trigger: stops, match: noteOf, settled: stopNoted, closed: true},
		{name: "note at Gorgias", shop: "bloom", gate: "gorgias", prepare: handsOver, trigger: stops, match: noteOf, settled: stopNoted, closed: true},
		{name: "offer through Twilio", shop: "acme", gate: "twilio", prepare: nothing, trigger: asks, match: textHolds(func(k *talk) string { return k.customer }), settled: offeredOnce},
		{name: "agent's text through Twilio", shop: "bloom", gate: "twilio", prepare: handsOver, trigger: replies, match: textHolds(agentLine), settled: heardLine},
		{name: "read the ticket at Zendesk", shop: "acme", gate: "zendesk", prepare: handsOver, trigger: replies, match: reads, settled: heardLine},
		{name: "read the ticket at Gorgias", shop: "bloom", gate: "gorgias", prepare: handsOver, trigger: replies, match: reads, settled: heardLine},
		{name: "ask the bot", shop: "acme", gate: "bot", trigger: func(ctx context.Context, k *talk) error { return k.say(ctx, "Where is my order "+k.marker+"?") },
			prepare: nothing, match: path(http.MethodPost, "/ask"), settled: answeredOnce},
		{name: "offer through a provider that cannot be asked", shop: "cobalt", gate: "sms", prepare: nothing, trigger: asks, match: textHolds(func(k *talk) string { return k.customer }), settled: blindOffer},
		{name: "agent's text through a provider that cannot be asked", shop: "cobalt", gate: "sms", prepare: handsOver, trigger: replies, match: textHolds(agentLine),
			settled: func(ctx context.Context, k *talk, at moment) error { return k.blindText(ctx, at, agentLine(k)) }},
	}
}

func complains(ctx context.Context, k *talk) error { return k.complain(ctx) }
func handsOver(ctx context.Context, k *talk) error { return k.handOver(ctx) }
func stops(ctx context.Context, k *talk) error     { return k.say(ctx, "STOP") }

// noteOf finds the note about an opt-out on the conversation's ticket.
func noteOf(k *talk, r *http.Request, body string) bool {
	t := k.tickets()
	return r.Method != http.MethodGet && len(t) > 0 && strings.Contains(r.URL.Path, fmt.Sprint("/tickets/", t[0].ID)) && strings.Contains(body, "unsubscribed")
}

// once waits for something of which there must be exactly one.
func (k *talk) once(ctx context.Context, what string, count func() int) error {
	if err := k.until(ctx, what, func() bool { return count() > 0 }); err != nil {
		return err
	}
	if n := count(); n != 1 {
		return fmt.Errorf("%s: %s is there %d times", k.customer, what, n)
	}
	return nil
}

func stopNoted(ctx context.Context, k *talk, _ moment) error {
	return errors.Join(
		k.once(ctx, "note of the opt-out", func() int { return k.entries("note", "is unsubscribed") }),
		k.once(ctx, "confirmation", func() int { return k.heard("unsubscribed") }),
		k.until(ctx, "the ticket's end", func() bool { t := k.tickets(); return len(t) == 1 && t[0].Status == k.shop.Solved }),
	)
}

func offeredOnce(ctx context.Context, k *talk, _ moment) error {
	return k.once(ctx, "offer", func() int { return k.heard("connect you directly") })
}

// answeredOnce: an answer that comes too late is the offer of a person instead.
func answeredOnce(ctx context.Context, k *talk, _ moment) error {
	return k.once(ctx, "answer or offer", func() int { return k.heard("on its way") + k.heard("connect you directly") })
}

// blindOffer was taken at most once and is not repeated: whether it arrived shows at the phone alone.
func blindOffer(ctx context.Context, k *talk, at moment) error {
	return k.blindText(ctx, at, "connect you directly")
}

// blindText finds the end of a text that was cut off at a provider that cannot be asked: it was sent as
// often as the provider took it, and unless its answer came through it is recorded as unknown.
func (k *talk) blindText(ctx context.Context, at moment, words string) error {
	want := 1
	if at == arrived {
		want = 0
	}
	var status string
	err := k.until(ctx, "the end of "+words, func() bool {
		row := k.h.db.Conn().QueryRow(ctx, `SELECT d.status FROM handoff.deliveries AS d JOIN handoff.messages AS m ON m.message_id = d.call_id
			WHERE d.shop = ? AND d.address = ? AND position(m.text, ?) > 0 AND d.status != '' LIMIT 1`, k.shop.ID, k.customer, words)
		return row.Scan(&status) == nil
	})
	if err != nil {
		return err
	}
	if status != "unknown" && (at != answered || status != "done") {
		return fmt.Errorf("%s: %q ended as %s", k.customer, words, status)
	}
	if n := k.heard(words); n != want {
		return fmt.Errorf("%s: %q reached the customer %d times, want %d", k.customer, words, n, want)
	}
	if status == "unknown" && len(k.tickets()) > 0 && strings.Contains(words, k.marker) {
		return k.once(ctx, "note about the text", func() int { return k.entries("note", "Not known whether") })
	}
	return nil
}

// cut is one crossing in one conversation.
type cut struct {
	crossing
	talk   *talk
	window *window
}

// Killed with -9 between the moment at which the outside has a request and the moment at which Handoff
// has recorded its answer, wherever in between: what was asked for is done exactly once, a text that
// cannot be asked about at most once and then marked, and every conversation goes on in order.
func TestKilledWhileTheOutsideIsAnswering(t *testing.T) {
	t.Parallel() // it waits more than it computes
	h := openHouse(t)
	h.env = append(h.env, "HANDOFF_OUTSIDE__REQUEST_TIMEOUT=4s")
	gates := h.behindGates(false)
	stages := h.start("stages", h.admin, "run", "all")
	h.start("gateway", freeAddress(t), "gateway")
	ready := []string{"http://" + h.front + "/readyz", "http://" + h.admin + "/readyz"}
	h.await(ready...)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	for _, at := range []moment{arrived, taken, answered} {
		cuts := h.cuts(at)
		each(t, cuts, func(c *cut) error { return c.prepare(ctx, c.talk) })
		for _, c := range cuts {
			c.window = gates[c.gate].hold(at, func(r *http.Request, body []byte) bool { return c.match(c.talk, r, string(body)) })
		}
		each(t, cuts, func(c *cut) error { return c.reach(ctx) })
		if t.Failed() {
			t.Fatalf("%s: nothing to kill", at)
		}
		for _, c := range cuts {
			close(c.window.release)
		}
		if at == answered {
			for _, c := range cuts {
				<-c.window.sent
			}
		}
		stages.kill()
		killed := time.Now()
		h.await(ready...)
		each(t, cuts, func(c *cut) error { return c.finish(ctx, at) })
		t.Logf("%s: %d requests cut off by one kill, all in order %.1f s later", at, len(cuts), time.Since(killed).Seconds())
	}
	h.checkTexts(t)
	h.checkAudit(ctx, t)
}

// cuts are all crossings, each in a conversation of its own.
func (h *house) cuts(at moment) []*cut {
	var out []*cut
	for i, x := range crossings() {
		for _, shop := range h.shops() {
			if shop.ID != x.shop {
				continue
			}
			n := int(at)*100 + i
			out = append(out, &cut{crossing: x, talk: &talk{h: h, shop: shop, customer: customerNumber(n), marker: fmt.Sprintf("77%04d", n)}})
		}
	}
	return out
}

// reach causes the request and waits until it is where it shall be.
func (c *cut) reach(ctx context.Context) error {
	if err := c.trigger(ctx, c.talk); err != nil {
		return err
	}
	return c.talk.until(ctx, "the request", func() bool {
		select {
		case <-c.window.held:
			return true
		default:
			return false
		}
	})
}

// finish checks what came of the request, and that the conversation goes on.
func (c *cut) finish(ctx context.Context, at moment) error {
	if err := c.settled(ctx, c.talk, at); err != nil || c.closed {
		return err
	}
	if len(c.talk.tickets()) == 0 {
		if err := c.toTicket(ctx); err != nil {
			return err
		}
	}
	if err := c.talk.goesOn(ctx); err != nil {
		return err
	}
	if n := len(c.talk.tickets()); n != 1 {
		return fmt.Errorf("%s has %d tickets", c.talk.customer, n)
	}
	return c.settled(ctx, c.talk, at)
}

// toTicket brings a conversation without ticket to one.
func (c *cut) toTicket(ctx context.Context) error {
	if c.gate == "bot" && c.talk.heard("connect you directly") == 0 {
		if err := c.talk.complain(ctx); err != nil {
			return err
		}
		c.settled = func(ctx context.Context, k *talk, _ moment) error {
			return k.once(ctx, "answer", func() int { return k.heard("on its way") })
		}
	}
	return c.talk.accept(ctx)
}

// each does something with all at once and reports what went wrong.
func each(t *testing.T, cuts []*cut, do func(*cut) error) {
	t.Helper()
	var wg sync.WaitGroup
	for _, c := range cuts {
		wg.Go(func() {
			if err := do(c); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		})
	}
	wg.Wait()
}
