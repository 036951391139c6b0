package zendesk_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/connectors/desktest"
	"github.com/handoff-dev/handoff/connectors/desktest/standin"
	"github.com/handoff-dev/handoff/connectors/zendesk"
	"github.com/handoff-dev/handoff/connectors/zendesk/sim"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

func create(external, text string) *handoffv1.Command {
	return &handoffv1.Command{Action: &handoffv1.Command_CreateTicket{CreateTicket: &handoffv1.CreateTicket{
		ExternalId: external, Subject: "s", Messages: []*handoffv1.ThreadMessage{desktest.Customer(text)}, Tags: []string{"Two Words"},
	}}}
}

func appended(text string) *handoffv1.Command {
	return &handoffv1.Command{Action: &handoffv1.Command_AppendMessages{AppendMessages: &handoffv1.AppendMessages{
		Messages: []*handoffv1.ThreadMessage{desktest.Customer(text)},
	}}}
}

// The requester carries the number, and tags are written as Zendesk keeps them.
func TestRequesterAndTags(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now()))
	shown := s.Tickets()[0]
	if shown.Phone != desktest.Address || shown.Requester != desktest.Address {
		t.Errorf("requester %q, phone %q; want the number for both: no name is known", shown.Requester, shown.Phone)
	}
	if len(shown.Tags) != 1 || shown.Tags[0] != "two_words" {
		t.Errorf("tags %v, want two_words", shown.Tags)
	}
	a := desktest.Attempt(shop, "b", create("y", "hello"), "", c.Now())
	a.Command.GetCreateTicket().RequesterName = "Ann"
	other, err := zendesk.New(zendesk.Config{HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, Secret: desktest.Secret})
	if err != nil {
		t.Fatal(err)
	}
	desktest.Do(t, other, a) // another process: nothing remembered
	if got := s.Tickets()[1].Requester; got != "Ann" {
		t.Errorf("requester %q, want the name that is known by now", got)
	}
}

// A requester who was merged away or deleted is made again.
func TestRequesterGone(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	id := desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now())).GetTicketId()
	s.DeactivateUsers()
	desktest.Do(t, desk, desktest.Attempt(shop, "b", appended("more"), id, c.Now()))
	s.DeactivateUsers()
	desktest.Do(t, desk, desktest.Attempt(shop, "c", create("y", "again"), "", c.Now()))
	if got := len(s.Tickets()); got != 2 {
		t.Errorf("%d tickets, want 2", got)
	}
}

// The key made a ticket from another body: the call's ticket is found by its
// external id, not refused and not doubled.
func TestKeyWithAnotherBody(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	first := desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now()))
	again := desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello, changed"), "", c.Now()))
	if again.GetTicketId() != first.GetTicketId() || !again.GetFound() || s.Creates() != 1 {
		t.Errorf("again %v after %d creations, want ticket %s found", again, s.Creates(), first.GetTicketId())
	}
	c.Advance(2 * time.Hour)
	desktest.Do(t, desk, desktest.Attempt(shop, "a", create("z", "much later"), "", c.Now()))
	if s.Creates() != 2 {
		t.Errorf("%d creations, want 2: the key is forgotten after two hours", s.Creates())
	}
}

// 422 after repair: what cannot be linked is made without the link.
func TestRepair(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	id := desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now())).GetTicketId()
	cmd := create("y", "again")
	cmd.GetCreateTicket().FollowUpOf = id // not closed: Zendesk refuses the link
	next := desktest.Do(t, desk, desktest.Attempt(shop, "b", cmd, "", c.Now())).GetTicketId()
	if next == id || s.Tickets()[1].FollowUpOf != 0 {
		t.Errorf("ticket %s, follow-up of %d; want a new one without a link", next, s.Tickets()[1].FollowUpOf)
	}
}

func TestLimits(t *testing.T) {
	_, desk, shop, c := stand(t, sim.Config{Limits: sim.Limits{Requests: 60, TicketUpdates: 3}})
	id := desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now())).GetTicketId()
	for _, call := range []string{"b", "c", "d"} {
		desktest.Do(t, desk, desktest.Attempt(shop, call, appended(call), id, c.Now()))
	}
	_, err := desk.Do(t.Context(), desktest.Attempt(shop, "e", appended("e"), id, c.Now()))
	e := caller.AsError(err)
	if e.Kind != caller.Limited || e.RetryAfter <= 0 || e.RetryAfter > 10*time.Minute {
		t.Fatalf("error %v kind %d after %v, want limited", e, e.Kind, e.RetryAfter)
	}
	c.Advance(e.RetryAfter)
	desktest.Do(t, desk, desktest.Attempt(shop, "e", appended("e"), id, c.Now()))
}

// H14: replies of the API key's own user count when that user typed them on the
// desk's pages, for shops that lend the token an agent's account.
func TestOwnUserOnTheWeb(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	id := desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now())).GetTicketId()
	if _, err := s.Act(standin.Action{Kind: "reply", Author: "Handoff", Text: "typed", Ticket: 1}); err != nil {
		t.Fatal(err)
	}
	cmd := &handoffv1.Command{Action: &handoffv1.Command_FetchTicket{FetchTicket: &handoffv1.FetchTicket{TicketId: id}}}
	items := desktest.Do(t, desk, desktest.Attempt(shop, "f", cmd, "", c.Now())).GetItems()
	if len(items) != 1 || items[0].GetReply() != "typed" {
		t.Errorf("items %v, want the typed reply", items)
	}
}

func TestUndeleted(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	id := desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now())).GetTicketId()
	cmd := &handoffv1.Command{Action: &handoffv1.Command_FetchTicket{FetchTicket: &handoffv1.FetchTicket{TicketId: id, After: "5!"}}}
	items := desktest.Do(t, desk, desktest.Attempt(shop, "f", cmd, "", c.Now())).GetItems()
	if len(items) != 1 || items[0].GetStatus() != handoffv1.TicketStatus_TICKET_STATUS_OPEN || strings.HasSuffix(items[0].GetCursor(), "!") {
		t.Errorf("items %v after %d tickets, want its status now", items, len(s.Tickets()))
	}
}

// A page cursor that Zendesk does not take any more costs a reading from the
// beginning, not an item.
func TestPageCursorForgotten(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	id := desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now())).GetTicketId()
	if _, err := s.Act(standin.Action{Kind: "reply", Text: "hi", Ticket: 1}); err != nil {
		t.Fatal(err)
	}
	cmd := &handoffv1.Command{Action: &handoffv1.Command_FetchTicket{FetchTicket: &handoffv1.FetchTicket{TicketId: id, After: "5@!!old page"}}}
	items := desktest.Do(t, desk, desktest.Attempt(shop, "f", cmd, "", c.Now())).GetItems()
	if len(items) != 1 || items[0].GetReply() != "hi" {
		t.Errorf("items %v, want the reply", items)
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := zendesk.New(zendesk.Config{}); err == nil {
		t.Error("New without Secret: no error")
	}
}

// taken gives the ids of the events that came.
func taken(t *testing.T, r *desktest.Receiver) []string {
	t.Helper()
	var ids []string
	for _, e := range r.Take() {
		ids = append(ids, e.NativeID)
		if e.ExternalID != "handoff:abc:1" || e.Record.GetEventTime() == nil {
			t.Errorf("event %+v, want one of ticket handoff:abc:1 with its time", e)
		}
	}
	return ids
}

func TestWebhooks(t *testing.T) {
	r := desktest.NewReceiver(t, zendesk.Webhook{}, "hook-secret")
	s, desk, shop, c := stand(t, sim.Config{WebhookURL: r.URL, WebhookSecret: "hook-secret", WebhookWorkers: 1})
	desktest.Do(t, desk, desktest.Attempt(shop, "a", create("handoff:abc:1", "hello"), "", c.Now()))
	desktest.Settle(t, s.Webhooks)
	if got := taken(t, r); len(got) != 1 {
		t.Fatalf("creation: webhooks %v, want the comment's", got)
	}
	act := func(a standin.Action) {
		t.Helper()
		a.Ticket = 1
		if _, err := s.Act(a); err != nil {
			t.Fatal(err)
		}
	}
	s.Webhooks.Duplicate(1)
	act(standin.Action{Kind: "note", Text: "n"})
	desktest.Settle(t, s.Webhooks)
	if got := taken(t, r); len(got) != 2 || got[0] != got[1] {
		t.Errorf("duplicate: %v, want the same event twice", got)
	}
	s.Webhooks.Reverse(2)
	act(standin.Action{Kind: "reply", Text: "bye", Status: "solved"})
	desktest.Settle(t, s.Webhooks)
	if got := taken(t, r); len(got) != 2 || got[0] <= got[1] {
		t.Errorf("reverse: %v, want the later event first", got)
	}
	s.Webhooks.Lose(1)
	act(standin.Action{Kind: "note", Text: "n"})
	desktest.Settle(t, s.Webhooks)
	if got := taken(t, r); len(got) != 0 {
		t.Errorf("lost: %v, want none", got)
	}
}

// The breaker opens when most of a hundred deliveries fail, loses what happens
// meanwhile, and closes again.
func TestBreaker(t *testing.T) {
	r := desktest.NewReceiver(t, zendesk.Webhook{}, "hook-secret")
	r.Answer(http.StatusInternalServerError)
	s, desk, shop, c := stand(t, sim.Config{WebhookURL: r.URL, WebhookSecret: "hook-secret"})
	desktest.Do(t, desk, desktest.Attempt(shop, "a", create("handoff:abc:1", "hello"), "", c.Now()))
	note := func() {
		t.Helper()
		if _, err := s.Act(standin.Action{Kind: "note", Text: "n", Ticket: 1}); err != nil {
			t.Fatal(err)
		}
		desktest.Settle(t, s.Webhooks)
	}
	for range 110 {
		note()
	}
	if got := r.Posts(); got != 100 {
		t.Errorf("%d deliveries, want 100 before the breaker opens", got)
	}
	r.Answer(0)
	taken(t, r)
	c.Advance(10 * time.Second)
	note()
	if got := taken(t, r); len(got) != 1 {
		t.Errorf("%d webhooks after the pause, want 1", len(got))
	}
}

// The console's endpoints and pages, as curl and a browser use them.
func TestConsole(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	desktest.Do(t, desk, desktest.Attempt(shop, "a", create("handoff:abc:1", "<script>alert(1)</script>"), "", c.Now()))
	call := func(method, path, kind, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w
	}
	const form, object = "application/x-www-form-urlencoded", "application/json"
	for _, tt := range []struct {
		method, path, kind, body string
		want                     int
		holds                    string
	}{
		{"POST", "/_agent/reply", object, `{"ticket":1,"text":"hi","author":"Beth"}`, 200, `"id":`},
		{"POST", "/_agent/note", form, "ticket=1&text=memo", 200, `"id":`},
		{"POST", "/_agent/status", form, "ticket=1&status=pending&page=1", 303, ""},
		{"POST", "/_agent/status", form, "ticket=1&status=odd", 422, "status"},
		{"POST", "/_agent/dance", form, "ticket=1", 422, "dance"},
		{"POST", "/_agent/reply", form, "ticket=9&text=x", 404, "no such ticket"},
		{"POST", "/_agent/reply", object, `{`, 400, "reading"},
		{"GET", "/", "", "", 200, "#1"},
		{"GET", "/_tickets", "", "", 200, `"status":"pending"`},
		{"GET", "/_tickets/1", "", "", 200, "&lt;script&gt;"},
		{"GET", "/_tickets/9", "", "", 404, ""},
		{"GET", "/agent/tickets/1", "", "", 302, ""},
		{"POST", "/_faults", object, `{"kind":"refused","status":503,"times":1}`, 204, ""},
		{"GET", "/api/v2/users/me", "", "", 503, "DatabaseError"},
		{"GET", "/api/v2/users/me", "", "", 401, "Couldn't authenticate you"},
	} {
		w := call(tt.method, tt.path, tt.kind, tt.body)
		if w.Code != tt.want || !strings.Contains(w.Body.String(), tt.holds) {
			t.Errorf("%s %s %s: %d %s, want %d with %q", tt.method, tt.path, tt.body, w.Code, w.Body, tt.want, tt.holds)
		}
		if strings.Contains(w.Body.String(), "<script>") && strings.Contains(w.Header().Get("Content-Type"), "html") {
			t.Errorf("%s %s: a customer's markup is not escaped", tt.method, tt.path)
		}
	}
}
