package desktest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// story plays a ticket's life and gives what Handoff must read of it.
func (d *Desk) story(t *testing.T, id string) string {
	t.Helper()
	d.act(t, id, standin.Action{Kind: "note", Text: "internal only"})
	d.act(t, id, standin.Action{Kind: "reply", Author: "Beth", HTML: "<p>Hello <b>Ann</b></p>"})
	d.act(t, id, standin.Action{Kind: "email", Author: "Beth", Text: "by mail"})
	d.act(t, id, standin.Action{Kind: "reply", Author: "Carl", Text: "Two lines:\nit ships today"})
	d.act(t, id, standin.Action{Kind: "tags", Tags: []string{"vip"}})
	d.act(t, id, standin.Action{Kind: "reply", Author: "Carl", Text: "Bye!", Status: "solved"})
	d.act(t, id, standin.Action{Kind: "status", Status: "open"})
	d.act(t, id, standin.Action{Kind: "reply", Author: "Beth", Text: "One more thing"})
	return strings.Join([]string{
		"reply Beth: Hello Ann", "reply Carl: Two lines:\nit ships today", "reply Carl: Bye!", "status closed", "status open",
		"reply Beth: One more thing",
	}, "\n")
}

func checkFetchOrder(t *testing.T, d *Desk) {
	id := d.open(t)
	want := d.story(t, id)
	items := d.fetchItems(t, id, "")
	if got := said(items); got != want {
		t.Errorf("fetched\n%s\nwant\n%s", got, want)
	}
	seen := map[string]bool{}
	for _, i := range items {
		if i.GetCursor() == "" || i.GetNativeId() == "" || i.GetAt().AsTime().Year() < 2026 {
			t.Errorf("item lacks cursor, id or time: %v", i)
		}
		if seen[i.GetNativeId()] {
			t.Errorf("native id %s comes twice", i.GetNativeId())
		}
		seen[i.GetNativeId()] = true
	}
}

func checkFetchCursors(t *testing.T, d *Desk) {
	id := d.open(t)
	want := d.story(t, id)
	items := d.fetchItems(t, id, "")
	for n, item := range items {
		rest := said(d.fetchItems(t, id, item.GetCursor()))
		if !strings.HasSuffix(want, rest) || strings.Count(rest, "\n") > strings.Count(said(items[n:]), "\n") {
			t.Errorf("after item %d (%s) came\n%s", n, item.GetCursor(), rest)
		}
		if n == len(items)-1 && rest != "" {
			t.Errorf("after the last item came\n%s", rest)
		}
	}
	last := items[len(items)-1].GetCursor()
	d.act(t, id, standin.Action{Kind: "reply", Author: "Beth", Text: "later"})
	if got := said(d.fetchItems(t, id, last)); got != "reply Beth: later" {
		t.Errorf("after the last cursor came\n%s\nwant the later reply alone", got)
	}
	if got := said(d.fetchItems(t, id, "no cursor of ours")); !strings.HasPrefix(got, want) {
		t.Errorf("a broken cursor lost items:\n%s", got)
	}
}

func checkFetchLong(t *testing.T, d *Desk) {
	id := d.open(t)
	var want []string
	for n := range 230 {
		text := fmt.Sprintf("reply %d", n)
		want = append(want, "reply Beth: "+text)
		d.act(t, id, standin.Action{Kind: "reply", Author: "Beth", Text: text})
		if n%50 == 0 {
			d.act(t, id, standin.Action{Kind: "note", Text: "n"})
		}
	}
	items := d.fetchItems(t, id, "")
	if got := said(items); got != strings.Join(want, "\n") {
		t.Fatalf("%d items, want 230 replies in order", len(items))
	}
	rest := d.fetchItems(t, id, items[149].GetCursor())
	if got := said(rest); got != strings.Join(want[150:], "\n") {
		t.Errorf("after the 150th came %d items, want 80", len(rest))
	}
}

func checkReplyFilter(t *testing.T, d *Desk) {
	id := d.open(t)
	d.act(t, id, standin.Action{Kind: "note", Text: "note"})
	d.act(t, id, standin.Action{Kind: "email", Text: "mail"})
	d.call(t, d.attempt("own note", note("ours"), id))
	d.call(t, d.attempt("own append", appendCommand(0, customer(50, "theirs")), id))
	d.call(t, d.attempt("own bot", appendCommand(0, message(51, handoffv1.AuthorKind_AUTHOR_KIND_BOT, "Shopper", "bot's")), id))
	if got := said(d.fetchItems(t, id, "")); got != "" {
		t.Errorf("nothing of this is an agent's reply:\n%s", got)
	}
	d.act(t, id, standin.Action{
		Kind: "reply", Author: "Beth",
		HTML: `<p>Sure, <a href="https://acme.example/track">track it</a>.</p><blockquote>old words #optout</blockquote><p>--<br>Beth, Acme</p>`,
	})
	items := d.fetchItems(t, id, "")
	if got, want := said(items), "reply Beth: Sure, track it (https://acme.example/track)."; got != want {
		t.Errorf("fetched %q, want %q", got, want)
	}
	d.act(t, id, standin.Action{Kind: "reply", Author: "Beth", HTML: `<p><img src="https://acme.example/label.png"></p>`})
	if got := d.fetchItems(t, id, items[len(items)-1].GetCursor()); len(got) != 1 || !slices.Equal(got[0].GetMediaUrls(), []string{"https://acme.example/label.png"}) {
		t.Errorf("a picture that was pasted in is fetched as %v", got)
	}
}

func checkDeleted(t *testing.T, d *Desk) {
	id := d.open(t)
	d.act(t, id, standin.Action{Kind: "reply", Author: "Beth", Text: "hi"})
	first := d.fetchItems(t, id, "")
	d.act(t, id, standin.Action{Kind: "delete"})
	items := d.fetchItems(t, id, first[len(first)-1].GetCursor())
	if got := said(items); got != "status deleted" {
		t.Fatalf("fetched %q, want the deletion", got)
	}
	if again := d.fetchItems(t, id, items[0].GetCursor()); len(again) != 0 {
		t.Errorf("the deletion is reported again:\n%s", said(again))
	}
}

func checkErrors(t *testing.T, d *Desk) {
	id := d.open(t)
	for _, tt := range []struct {
		name  string
		fault standin.Fault
		kind  caller.ErrorKind
	}{
		{"no answer", standin.Fault{Kind: standin.NoAnswer}, caller.Ambiguous},
		{"500", standin.Fault{Kind: standin.Refused, Status: 500}, caller.Ambiguous},
		{"503", standin.Fault{Kind: standin.Refused, Status: 503}, caller.Ambiguous},
		{"409", standin.Fault{Kind: standin.Refused, Status: 409}, caller.Retryable},
		{"400", standin.Fault{Kind: standin.Refused, Status: 400}, caller.Permanent},
		{"401", standin.Fault{Kind: standin.Refused, Status: 401}, caller.Unauthorized},
		{"403", standin.Fault{Kind: standin.Refused, Status: 403}, caller.Unauthorized},
		{"418", standin.Fault{Kind: standin.Refused, Status: 418}, caller.Permanent},
	} {
		tt.fault.Method, tt.fault.Path = d.UpdateMethod, d.UpdatePath
		d.Faults.Add(tt.fault)
		_, err := d.Destination.Do(t.Context(), d.attempt("error "+tt.name, note("n "+tt.name), id))
		if err == nil {
			t.Errorf("%s: no error", tt.name)
			continue
		}
		if e := caller.AsError(err); e.Kind != tt.kind {
			t.Errorf("%s: kind %d (%v), want %d", tt.name, e.Kind, e, tt.kind)
		}
		d.Faults.Clear()
	}
	d.Faults.Add(standin.Fault{Kind: standin.Refused, Status: 429, RetryAfter: 7 * time.Second})
	_, err := d.Destination.Do(t.Context(), d.attempt("limited", note("limited"), id))
	wantKind(t, err, caller.Limited)
	if e := caller.AsError(err); e.RetryAfter != 7*time.Second {
		t.Errorf("RetryAfter %v, want the header's 7s", e.RetryAfter)
	}
	_, err = d.Destination.Do(t.Context(), d.attempt("missing", note("x"), "999999"))
	wantKind(t, err, caller.Permanent)
	if e := caller.AsError(err); !e.TicketGone {
		t.Errorf("a missing ticket is not reported as gone: %v", e)
	}
	_, err = d.Destination.Do(t.Context(), d.attempt("text", &handoffv1.Command{
		Action: &handoffv1.Command_SendText{SendText: &handoffv1.SendText{Text: "x"}},
	}, id))
	wantKind(t, err, caller.Permanent)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Destination.Do(ctx, d.attempt("cancelled", note("x"), id)); err == nil {
		t.Error("a cancelled context is ignored")
	}
	shop := *d.Shop
	shop.Desk.BaseURL = "http://127.0.0.1:1" // nothing listens there
	a := d.attempt("unreachable", note("x"), id)
	a.Shop = &shop
	_, err = d.Destination.Do(t.Context(), a)
	wantKind(t, err, caller.Retryable)
	shop.Desk.BaseURL = "http://desk.example" // would send the token in clear text
	_, err = d.Destination.Do(t.Context(), a)
	wantKind(t, err, caller.Unauthorized)
}

func checkRevoked(t *testing.T, d *Desk) {
	id := d.open(t)
	d.Stand.Revoke(true)
	_, err := d.Destination.Do(t.Context(), d.attempt("revoked", note("kept"), id))
	wantKind(t, err, caller.Unauthorized)
	_, err = d.Destination.Do(t.Context(), d.attempt("revoked fetch", fetch(id, ""), id))
	wantKind(t, err, caller.Unauthorized)
	d.Stand.Revoke(false)
	d.call(t, d.attempt("revoked", note("kept"), id))
	if got := texts(d.shown(t, id), "note"); len(got) != 1 {
		t.Errorf("notes %q after the outage, want one", got)
	}
}

func checkLimit(t *testing.T, d *Desk) {
	limit := d.Destination.Limit(d.Shop)
	if limit.Requests <= 0 || limit.Window <= 0 || limit.Burst <= 0 {
		t.Errorf("default limit %+v, want the vendor's", limit)
	}
	shop := *d.Shop
	shop.Desk.Limit.Requests, shop.Desk.Limit.Per = 7, 3*time.Second
	if got := d.Destination.Limit(&shop); got.Requests != 7 || got.Window != 3*time.Second {
		t.Errorf("limit %+v, want the shop's setting of 7 in 3s", got)
	}
}

// checkFetchMerged: a ticket that was merged into another one says into which, once and after all that
// happened on it before; what an agent replies there is told of the surviving one, and what is written to the
// one that is gone goes there, once.
func checkFetchMerged(t *testing.T, d *Desk) {
	other := d.ticketCommand()
	other.ExternalId = d.externalID(2)
	id, into := d.open(t), d.call(t, d.attempt("open0002", create(other), "")).GetTicketId()
	d.act(t, id, standin.Action{Kind: "reply", Author: "Beth", Text: "before"})
	before := d.fetchItems(t, id, "")
	survivor, err := strconv.ParseInt(into, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	d.act(t, id, standin.Action{Kind: "merge", Author: "Beth", Into: survivor})
	items := d.fetchItems(t, id, before[len(before)-1].GetCursor())
	if len(items) != 1 || items[0].GetMergedInto() != into ||
		items[0].GetNativeId() == "" ||
		items[0].GetStatus() != handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED {
		t.Fatalf("after the merge came %v, want the ticket %s that survives", items, into)
	}
	read := d.fetchItems(t, into, "")
	last := ""
	if len(read) > 0 {
		last = read[len(read)-1].GetCursor()
	}
	d.act(t, into, standin.Action{Kind: "reply", Author: "Carl", Text: "after"})
	if got := said(d.fetchItems(t, into, last)); got != "reply Carl: after" {
		t.Errorf("on the surviving ticket came\n%s", got)
	}
	attempt := d.attempt("merged", appendCommand(0, message(1, handoffv1.AuthorKind_AUTHOR_KIND_CUSTOMER, "", "late")), id)
	written := len(d.Stand.Tickets()[1].Thread)
	for range 2 { // the second time as a repetition that found the first
		attempt.Number++
		if _, err := d.Destination.Do(t.Context(), attempt); err != nil {
			t.Errorf("writing to the ticket that is gone: %v, want it on the one that is left", err)
		}
	}
	if got := len(d.Stand.Tickets()[1].Thread) - written; got != 1 {
		t.Errorf("on the surviving ticket are %d messages more, want 1", got)
	}
}
