package desktest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

func checkCreate(t *testing.T, d *Desk) {
	outcome := d.call(t, d.attempt("c1", create(d.ticketCommand()), ""))
	if outcome.GetTicketId() == "" || outcome.GetTicketUrl() == "" {
		t.Fatalf("outcome lacks the ticket's id or link: %v", outcome)
	}
	shown := d.shown(t, outcome.GetTicketId())
	if shown.ExternalID != d.externalID(1) || shown.Subject != "Shopper SMS Handoff — Acme" || shown.Status != "open" {
		t.Errorf("external id, subject or status is wrong: %+v", shown)
	}
	if shown.Requester != "Ann" || !strings.Contains(shown.Phone, Address) {
		t.Errorf("requester %q phone %q, want Ann with %s", shown.Requester, shown.Phone, Address)
	}
	for _, tag := range []string{"sms", "messaging_support"} {
		if !slices.Contains(shown.Tags, tag) {
			t.Errorf("tags %v lack %s", shown.Tags, tag)
		}
	}
	thread := threadText(shown)
	last := -1
	for _, want := range []string{"Where is my order?", "Let me look.", "It is late!\nI want it <now> & cheap 😀"} {
		i := strings.Index(thread, want)
		if i <= last {
			t.Errorf("%q is missing or out of order in the thread:\n%s", want, thread)
		}
		last = i
	}
	for _, want := range []string{"Ann", "Shopper", "20:55:01", "20:55:02", "20:55:03"} {
		if !strings.Contains(thread, want) {
			t.Errorf("author or time %q is missing in the thread:\n%s", want, thread)
		}
	}
}

// threadText gives a whole thread with authors and times, wherever the desk
// keeps them.
func threadText(ticket standin.Ticket) string {
	var b strings.Builder
	for _, e := range ticket.Thread {
		b.WriteString(e.At.UTC().Format("15:04:05") + " " + e.Author + ": " + e.Text + "\n")
	}
	return b.String()
}

func checkCreateOnce(t *testing.T, d *Desk) {
	for i, fault := range []standin.Fault{
		{Kind: standin.NoAnswer, Times: 3}, {Kind: standin.Dropped, Times: 2}, {Kind: standin.Refused, Status: 500, Times: 2},
		{Kind: standin.Refused, Status: 503, RetryAfter: time.Second}, {Kind: standin.Slow, Delay: 2 * time.Second, Times: 2},
	} {
		fault.Method, fault.Path = d.CreateMethod, d.CreatePath
		d.Faults.Add(fault)
		cmd := d.ticketCommand()
		cmd.ExternalId = d.externalID(uint64(i + 1))
		outcome := d.call(t, d.attempt("once"+string(rune('a'+i)), create(cmd), ""))
		if got := d.shown(t, outcome.GetTicketId()).ExternalID; got != cmd.GetExternalId() {
			t.Errorf("%s: outcome names a ticket of %q, want %q", fault.Kind, got, cmd.GetExternalId())
		}
		if got := d.Stand.Creates(); got != i+1 {
			t.Fatalf("%s: %d tickets after %d commands", fault.Kind, got, i+1)
		}
		d.Faults.Clear()
	}
}

func checkCreateLate(t *testing.T, d *Desk) {
	a := d.attempt("late", create(d.ticketCommand()), "")
	// More than once: net/http itself repeats a request that has an idempotency
	// key when a kept connection breaks.
	d.Faults.Add(standin.Fault{Method: d.CreateMethod, Path: d.CreatePath, Kind: standin.NoAnswer, Times: 5})
	_, err := d.Destination.Do(t.Context(), a)
	wantKind(t, err, caller.Ambiguous)
	d.Faults.Clear()
	d.Advance(3 * time.Hour)
	found, err := d.lookup(a)
	if err != nil || found == nil {
		t.Fatalf("Lookup = %v, %v; want the ticket", found, err)
	}
	if !found.GetFound() || found.GetTicketId() == "" || d.Stand.Creates() != 1 {
		t.Errorf("found %v after %d creations, want one and found", found, d.Stand.Creates())
	}
	none := d.attempt("none", create(&handoffv1.CreateTicket{ExternalId: d.externalID(9), Subject: "x"}), "")
	if found, err := d.lookup(none); err != nil || found != nil {
		t.Errorf("Lookup of a ticket never made = %v, %v; want nil, nil", found, err)
	}
}

func checkRequester(t *testing.T, d *Desk) {
	first := d.open(t)
	cmd := d.ticketCommand()
	cmd.ExternalId, cmd.RequesterName = d.externalID(2), ""
	second := d.call(t, d.attempt("second", create(cmd), "")).GetTicketId()
	a, b := d.shown(t, first), d.shown(t, second)
	if a.Requester != "Ann" || b.Requester != "Ann" {
		t.Errorf("requesters %q and %q, want Ann for both: a known name is not overwritten with less", a.Requester, b.Requester)
	}
}

func checkCreateNotes(t *testing.T, d *Desk) {
	cmd := d.ticketCommand()
	cmd.Notes = []string{"First note.", "Second note."}
	d.Faults.Add(standin.Fault{Method: d.UpdateMethod, Path: d.UpdatePath, Kind: standin.NoAnswer, Times: 1})
	id := d.call(t, d.attempt("notes", create(cmd), "")).GetTicketId()
	if got := texts(d.shown(t, id), "note"); !slices.Equal(got, cmd.GetNotes()) {
		t.Errorf("notes %q, want %q", got, cmd.GetNotes())
	}
	if d.Stand.Creates() != 1 {
		t.Errorf("%d tickets, want 1", d.Stand.Creates())
	}
}

func checkAppend(t *testing.T, d *Desk) {
	id := d.open(t)
	before := len(texts(d.shown(t, id), "customer"))
	faults := []standin.Fault{
		{}, {Kind: standin.NoAnswer, Times: 2}, {Kind: standin.Dropped}, {Kind: standin.Slow, Delay: 2 * time.Second},
		{Kind: standin.Refused, Status: 502},
	}
	var want []string
	for i, fault := range faults {
		if fault.Kind != "" {
			fault.Method, fault.Path = d.UpdateMethod, d.UpdatePath
			d.Faults.Add(fault)
		}
		text := "more " + string(rune('a'+i))
		want = append(want, text)
		status := handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED
		if i%2 == 0 {
			status = handoffv1.TicketStatus_TICKET_STATUS_OPEN
		}
		d.call(t, d.attempt("append"+text, appendCommand(status, customer(10+i, text)), id))
		d.Faults.Clear()
	}
	if got := texts(d.shown(t, id), "customer")[before:]; !slices.Equal(got, want) {
		t.Errorf("appended %q, want %q", got, want)
	}
	if items := d.fetchItems(t, id, ""); strings.Contains(said(items), "reply") {
		t.Errorf("own appends come back as replies:\n%s", said(items))
	}
}

func checkAppendImported(t *testing.T, d *Desk) {
	id := d.open(t)
	d.Faults.Add(standin.Fault{Method: d.UpdateMethod, Path: d.UpdatePath, Kind: standin.NoAnswer})
	d.call(t, d.attempt("mixed", appendCommand(0,
		customer(20, "first"), message(21, handoffv1.AuthorKind_AUTHOR_KIND_BOT, "Shopper", "second"), customer(22, "third"),
	), id))
	d.call(t, d.attempt("bot", appendCommand(0, message(23, handoffv1.AuthorKind_AUTHOR_KIND_RULE, "", "fourth")), id))
	thread := threadText(d.shown(t, id))
	last := -1
	for _, want := range []string{"first", "second", "third", "fourth"} {
		if i := strings.Index(thread, want); i <= last || strings.Count(thread, want) != 1 {
			t.Errorf("%q is not there once and in order:\n%s", want, thread)
		} else {
			last = i
		}
	}
	if got := texts(d.shown(t, id), "agent", "sent"); len(got) > 0 {
		t.Errorf("imported messages look like an agent's, or were sent by the desk: %q", got)
	}
	if items := d.fetchItems(t, id, ""); strings.Contains(said(items), "reply") {
		t.Errorf("own imports come back as replies:\n%s", said(items))
	}
}

func checkNote(t *testing.T, d *Desk) {
	id := d.open(t)
	for i, fault := range []standin.Fault{{Kind: standin.NoAnswer}, {Kind: standin.Dropped}} {
		fault.Method, fault.Path = d.UpdateMethod, d.UpdatePath
		d.Faults.Add(fault)
		d.call(t, d.attempt("note"+string(rune('0'+i)), note("Not sent: "+string(rune('a'+i))), id))
	}
	if got, want := texts(d.shown(t, id), "note"), []string{"Not sent: a", "Not sent: b"}; !slices.Equal(got, want) {
		t.Errorf("notes %q, want %q", got, want)
	}
	if got := texts(d.shown(t, id), "agent", "sent"); len(got) > 0 {
		t.Errorf("a note became public: %q", got)
	}
}

func checkStatus(t *testing.T, d *Desk) {
	id := d.open(t)
	for i, step := range []struct {
		set  handoffv1.TicketStatus
		want string
	}{
		{handoffv1.TicketStatus_TICKET_STATUS_CLOSED, d.Closed},
		{handoffv1.TicketStatus_TICKET_STATUS_CLOSED, d.Closed},
		{handoffv1.TicketStatus_TICKET_STATUS_OPEN, "open"},
		{handoffv1.TicketStatus_TICKET_STATUS_SOLVED, d.Closed},
	} {
		d.call(t, d.attempt("status"+string(rune('0'+i)), setStatus(step.set), id))
		if got := d.shown(t, id).Status; got != step.want {
			t.Errorf("step %d: status %q, want %q", i, got, step.want)
		}
	}
	d.call(t, d.attempt("reopen", appendCommand(handoffv1.TicketStatus_TICKET_STATUS_OPEN, customer(30, "again")), id))
	if got := d.shown(t, id).Status; got != "open" {
		t.Errorf("status after an append that reopens: %q", got)
	}
}

func checkTags(t *testing.T, d *Desk) {
	id := d.open(t)
	add := &handoffv1.Command{Action: &handoffv1.Command_AddTags{AddTags: &handoffv1.AddTags{Tags: []string{"has_shopper_support_escalation", "sms"}}}}
	d.call(t, d.attempt("tags", add, id))
	d.call(t, d.attempt("tags again", add, id))
	got := slices.Sorted(slices.Values(d.shown(t, id).Tags))
	if want := []string{"has_shopper_support_escalation", "messaging_support", "sms"}; !slices.Equal(got, want) {
		t.Errorf("tags %v, want %v", got, want)
	}
}

func checkFollowUp(t *testing.T, d *Desk) {
	if !d.TerminalClose {
		t.Skip("closed tickets can be reopened at this desk")
	}
	id := d.open(t)
	d.act(t, id, standin.Action{Kind: "status", Status: "closed"})
	for name, cmd := range map[string]*handoffv1.Command{
		"append": appendCommand(handoffv1.TicketStatus_TICKET_STATUS_OPEN, customer(40, "again")),
		"note":   note("x"), "status": setStatus(handoffv1.TicketStatus_TICKET_STATUS_OPEN),
	} {
		_, err := d.tryCall(t, d.attempt("closed "+name, cmd, id))
		wantKind(t, err, caller.Permanent)
		if e := caller.AsError(err); !e.TicketGone {
			t.Errorf("%s on a closed ticket: TicketGone is not set: %v", name, e)
		}
	}
	cmd := d.ticketCommand()
	cmd.FollowUpOf = id // same external id: the look-up must not take the old one for the new
	d.Faults.Add(standin.Fault{Method: d.CreateMethod, Path: d.CreatePath, Kind: standin.NoAnswer})
	next := d.call(t, d.attempt("follow-up", create(cmd), "")).GetTicketId()
	if next == id {
		t.Fatalf("the follow-up is the closed ticket itself")
	}
	if found, err := d.lookup(d.attempt("follow-up", create(cmd), "")); err != nil || found.GetTicketId() != next {
		t.Errorf("Lookup = %v, %v; want ticket %s", found, err, next)
	}
	if shown := d.shown(t, next); shown.FollowUpOf == 0 {
		t.Errorf("ticket %s is not linked to the one it follows up", next)
	}
}
