package gorgias_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/connectors/desktest"
	"github.com/handoff-dev/handoff/connectors/desktest/standin"
	"github.com/handoff-dev/handoff/connectors/gorgias"
	"github.com/handoff-dev/handoff/connectors/gorgias/sim"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

func create(external string, texts ...string) *handoffv1.Command {
	cmd := &handoffv1.CreateTicket{ExternalId: external, Subject: "s", RequesterName: "Ann"}
	for _, text := range texts {
		cmd.Messages = append(cmd.Messages, desktest.Customer(text))
	}
	return &handoffv1.Command{Action: &handoffv1.Command_CreateTicket{CreateTicket: cmd}}
}

func appended(texts ...string) *handoffv1.Command {
	cmd := &handoffv1.AppendMessages{}
	for _, text := range texts {
		cmd.Messages = append(cmd.Messages, desktest.Customer(text))
	}
	return &handoffv1.Command{Action: &handoffv1.Command_AppendMessages{AppendMessages: cmd}}
}

func fetch(t *testing.T, desk *gorgias.Desk, shop *settings.Shop, id, after string) []*handoffv1.DeskItem {
	t.Helper()
	cmd := &handoffv1.Command{Action: &handoffv1.Command_FetchTicket{FetchTicket: &handoffv1.FetchTicket{TicketId: id, After: after}}}
	return desktest.Do(t, desk, desktest.Attempt(shop, "f", cmd, id, time.Time{})).GetItems()
}

// H3: the from address is number@inbound domain.
func TestFromAddress(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	shop.Desk.InboundDomain = "in.acme.example"
	id := desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now())).GetTicketId()
	body := get(t, s, shop, "/api/messages?ticket_id="+id)
	if want := `"address":"` + desktest.Address + `@in.acme.example"`; !strings.Contains(body, want) {
		t.Errorf("messages lack %s:\n%s", want, body)
	}
}

// get reads the stand-in's API as Handoff's user.
func get(t *testing.T, s *sim.Sim, shop *settings.Shop, path string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.SetBasicAuth(shop.Desk.User, string(shop.Desk.Token))
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Body.String()
}

// A customer whom the shop knows by number is used, and completed, not doubled.
func TestCustomerFoundByPhone(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	known := s.AddCustomer(desktest.Address, desktest.Address)
	desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now()))
	body := get(t, s, shop, "/api/customers")
	if strings.Count(body, `"channels"`) != 1 {
		t.Errorf("want one customer, %d: %s", known, body)
	}
	if !strings.Contains(body, `"external_id":"sms:`+desktest.Address+`"`) || !strings.Contains(body, `"name":"Ann"`) {
		t.Errorf("the customer was not completed: %s", body)
	}
}

// Customers merged at the desk have other ids: what is remembered is asked again.
func TestMergedCustomer(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	id := desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now())).GetTicketId()
	s.MergeCustomers()
	desktest.Do(t, desk, desktest.Attempt(shop, "b", appended("more"), id, c.Now()))
	s.MergeCustomers()
	desktest.Do(t, desk, desktest.Attempt(shop, "c", create("y", "again"), "", c.Now()))
	if got := len(s.Tickets()[0].Thread); got != 2 {
		t.Errorf("%d messages, want 2", got)
	}
}

// Partly written appends are finished by the look-up, in order, without
// doubling what arrived.
func TestAppendPartly(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	id := desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now())).GetTicketId()
	a := desktest.Attempt(shop, "b", appended("one", "two", "three"), id, c.Now())
	a.Command.GetAppendMessages().Status = handoffv1.TicketStatus_TICKET_STATUS_OPEN
	if _, err := s.Act(standin.Action{Kind: "status", Status: "closed", Ticket: 1}); err != nil {
		t.Fatal(err)
	}
	s.Faults.Add(standin.Fault{Method: http.MethodPost, Path: "/messages", Kind: standin.Slow, Delay: time.Millisecond}) // the first passes
	s.Faults.Add(standin.Fault{Method: http.MethodPost, Path: "/messages", Kind: standin.Refused, Status: 429, RetryAfter: time.Second})
	if _, err := desk.Do(t.Context(), a); caller.AsError(err).Kind != caller.Limited {
		t.Fatalf("Do = %v, want limited", err)
	}
	found, err := desk.Lookup(t.Context(), a)
	if err != nil || !found.GetFound() {
		t.Fatalf("Lookup = %v, %v", found, err)
	}
	var got []string
	for _, e := range s.Tickets()[0].Thread {
		got = append(got, e.Text)
	}
	if want := "hello one two three"; strings.Join(got, " ") != want {
		t.Errorf("thread %q, want %q", got, want)
	}
	if s.Tickets()[0].Status != "open" {
		t.Errorf("status %q, want open", s.Tickets()[0].Status)
	}
}

// H4: snoozed is open, though Gorgias keeps it as closed; spam and trash end it.
func TestStates(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	id := desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now())).GetTicketId()
	n, _ := strconv.ParseInt(id, 10, 64)
	after := ""
	for _, step := range []struct {
		action standin.Action
		want   handoffv1.TicketStatus
	}{
		{standin.Action{Kind: "snooze"}, handoffv1.TicketStatus_TICKET_STATUS_PENDING},
		{standin.Action{Kind: "status", Status: "open"}, handoffv1.TicketStatus_TICKET_STATUS_OPEN},
		{standin.Action{Kind: "spam"}, handoffv1.TicketStatus_TICKET_STATUS_SPAM},
		{standin.Action{Kind: "delete"}, handoffv1.TicketStatus_TICKET_STATUS_DELETED},
	} {
		c.Advance(time.Second)
		step.action.Ticket = n
		if _, err := s.Act(step.action); err != nil {
			t.Fatal(err)
		}
		items := fetch(t, desk, shop, id, after)
		if len(items) != 1 || items[0].GetStatus() != step.want {
			t.Fatalf("%s: items %v, want one of %v", step.action.Kind, items, step.want)
		}
		after = items[0].GetCursor()
	}
	if _, err := s.Act(standin.Action{Kind: "assign", Author: "Beth", Ticket: n}); err != nil {
		t.Fatal(err)
	}
	if items := fetch(t, desk, shop, id, after); len(items) != 1 || items[0].GetAssignee() != "Beth" {
		t.Errorf("items %v, want the assignment to Beth", items)
	}
}

// A closing and a snooze are told apart however many fetches they come in.
func TestSnoozeAndClose(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	id := desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now())).GetTicketId()
	for _, action := range []standin.Action{{Kind: "snooze"}, {Kind: "status", Status: "open"}, {Kind: "status", Status: "closed"}, {Kind: "status", Status: "open"}, {Kind: "snooze"}} {
		c.Advance(time.Minute)
		action.Ticket = 1
		if _, err := s.Act(action); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, item := range fetch(t, desk, shop, id, "") {
		got = append(got, item.GetNativeStatus())
	}
	if want := "snoozed open closed open snoozed"; strings.Join(got, " ") != want {
		t.Errorf("states %q, want %q", got, want)
	}
}

// Keys that may not read events still show the ticket's state, placed by its
// own time: a reply written before the close comes before it.
func TestStateWithoutEvents(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	id := desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now())).GetTicketId()
	for _, action := range []standin.Action{
		{Kind: "reply", Text: "before"}, {Kind: "status", Status: "closed"}, {Kind: "reply", Text: "after"},
	} {
		c.Advance(time.Second)
		action.Ticket = 1
		if _, err := s.Act(action); err != nil {
			t.Fatal(err)
		}
	}
	s.Faults.Add(standin.Fault{Path: "/api/events", Kind: standin.Refused, Status: 403, Times: 2})
	items := fetch(t, desk, shop, id, "")
	if len(items) != 3 || items[0].GetReply() != "before" || items[1].GetStatus() != handoffv1.TicketStatus_TICKET_STATUS_CLOSED || items[2].GetReply() != "after" {
		t.Fatalf("items %v, want before, closed, after", items)
	}
	if again := fetch(t, desk, shop, id, items[2].GetCursor()); len(again) != 0 {
		t.Errorf("the state is told again: %v", again)
	}
}

// H14: an auto-reply by one of the desk's own rules is not a person's.
func TestRuleIsNoReply(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	id := desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now())).GetTicketId()
	if _, err := s.Act(standin.Action{Kind: "rule", Text: "We got it", Ticket: 1}); err != nil {
		t.Fatal(err)
	}
	if items := fetch(t, desk, shop, id, ""); len(items) != 0 {
		t.Errorf("items %v, want none", items)
	}
}

func TestBucket(t *testing.T) {
	_, desk, shop, c := stand(t, sim.Config{Requests: 5})
	id := desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now())).GetTicketId() // four requests
	desktest.Do(t, desk, desktest.Attempt(shop, "b", appended("one"), id, c.Now()))
	_, err := desk.Do(t.Context(), desktest.Attempt(shop, "c", appended("two"), id, c.Now()))
	e := caller.AsError(err)
	if e.Kind != caller.Limited || e.RetryAfter < time.Second || e.RetryAfter > 20*time.Second {
		t.Fatalf("error %v kind %d after %v, want limited", e, e.Kind, e.RetryAfter)
	}
	c.Advance(e.RetryAfter)
	desktest.Do(t, desk, desktest.Attempt(shop, "c", appended("two"), id, c.Now()))
}

func TestWebhooks(t *testing.T) {
	for _, signs := range []bool{false, true} {
		r := desktest.NewReceiver(t, gorgias.Webhook{}, "hook-secret")
		s, desk, shop, c := stand(t, sim.Config{WebhookURL: r.URL, WebhookSecret: "hook-secret", Signs: signs})
		s.Webhooks.Duplicate(1)
		desktest.Do(t, desk, desktest.Attempt(shop, "a", create("handoff:abc:1", "hello"), "", c.Now()))
		desktest.Settle(t, s.Webhooks)
		events := r.Take()
		if len(events) != 3 { // the message twice, the ticket
			t.Errorf("signs %v: %d events", signs, len(events))
		}
		for _, e := range events {
			if e.ExternalID != "handoff:abc:1" || e.Record.GetTicketChanged().GetTicketId() != "1" {
				t.Errorf("event %+v", e)
			}
		}
	}
}

func TestWebhookIsDisabled(t *testing.T) {
	r := desktest.NewReceiver(t, gorgias.Webhook{}, "s")
	r.Answer(http.StatusInternalServerError)
	s, desk, shop, c := stand(t, sim.Config{WebhookURL: r.URL, WebhookSecret: "s", WebhookRetries: 3})
	desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now()))
	desktest.Settle(t, s.Webhooks)
	if got := r.Posts(); got != 8 { // two webhooks, each with three retries
		t.Errorf("%d posts, want 8", got)
	}
	for range 120 {
		if _, err := s.Act(standin.Action{Kind: "note", Text: "n", Ticket: 1}); err != nil {
			t.Fatal(err)
		}
	}
	desktest.Settle(t, s.Webhooks)
	if got := r.Posts(); got > 100+120 {
		t.Errorf("%d posts: the integration was not disabled after 100 failures", got)
	}
}
