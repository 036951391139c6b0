// Package desktest is the conformance suite of help desks: what every desk's
// connector must do with Handoff's commands, checked against that desk's
// stand-in over real HTTP, faults included. A connector's test calls Run with a
// function that makes a desk.
package desktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// Stand is a desk's stand-in as the suite drives it.
type Stand interface {
	standin.Desk
	// Revoke refuses the token from now on, or takes it again.
	Revoke(revoked bool)
	// Creates counts the tickets that were ever made.
	Creates() int
}

// Desk is one fresh desk under test with its stand-in behind it.
type Desk struct {
	Destination caller.Destination
	Stand       Stand
	Faults      *standin.Faults
	// Shop whose settings reach the stand-in.
	Shop *settings.Shop
	// Advance moves the stand-in's clock.
	Advance func(time.Duration)
	// Now reads it.
	Now func() time.Time
	// CreatePath and UpdatePath are parts of the paths that make a ticket and
	// that add to one, with the method that does it.
	CreateMethod, CreatePath string
	UpdateMethod, UpdatePath string
	// TerminalClose tells that a closed ticket cannot be written to any more.
	TerminalClose bool
	// Closed is the status that the desk shows after Handoff closed a ticket.
	Closed string
}

// Run checks a desk. fresh makes a new one for each behaviour and registers its
// clean-up with t.
func Run(t *testing.T, fresh func(t *testing.T) *Desk) {
	for _, behaviour := range []struct {
		name  string
		check func(*testing.T, *Desk)
	}{
		{"create", checkCreate},
		{"create once whatever goes wrong", checkCreateOnce},
		{"create once beyond the key's life", checkCreateLate},
		{"requester is one person", checkRequester},
		{"notes come with the ticket once", checkCreateNotes},
		{"append in order and once", checkAppend},
		{"append imports what others wrote", checkAppendImported},
		{"note is private and once", checkNote},
		{"status closes and reopens", checkStatus},
		{"tags are added", checkTags},
		{"tags are taken off", checkRemoveTags},
		{"assigned to a team and an agent", checkAssign},
		{"priority is set", checkPriority},
		{"closed for good asks for a follow-up", checkFollowUp},
		{"fetch in the desk's order", checkFetchOrder},
		{"fetch from every cursor", checkFetchCursors},
		{"fetch long tickets", checkFetchLong},
		{"fetch a merged ticket", checkFetchMerged},
		{"only a person's public words are a reply", checkReplyFilter},
		{"deleted tickets are reported once", checkDeleted},
		{"errors steer", checkErrors},
		{"a revoked token is an outage", checkRevoked},
		{"limit", checkLimit},
	} {
		t.Run(behaviour.name, func(t *testing.T) {
			behaviour.check(t, fresh(t))
		})
	}
}

// Address is the subscriber of all of the suite's conversations.
const Address = "+15551230001"

// at is when the n-th message of a thread was written.
func at(n int) time.Time {
	return time.Date(2026, 11, 21, 20, 55, n, 0, time.UTC)
}

func (d *Desk) record() *handoffv1.Record {
	return &handoffv1.Record{
		Shop: d.Shop.Shop, Channel: handoffv1.Channel_CHANNEL_SMS, Account: "+15557770000", Address: Address,
		Conversation: schemas.Conversation(handoffv1.Channel_CHANNEL_SMS, "+15557770000"),
	}
}

// ExternalID of the suite's n-th episode.
func (d *Desk) externalID(episode uint64) string {
	return schemas.Ticket{
		Key: schemas.Key{Shop: d.Shop.Shop, Address: Address}, Conversation: d.record().GetConversation(), Episode: episode,
	}.ExternalID()
}

func message(n int, author handoffv1.AuthorKind, name, text string) *handoffv1.ThreadMessage {
	return &handoffv1.ThreadMessage{Id: fmt.Sprintf("%032x", n), Author: author, Name: name, At: timestamppb.New(at(n)), Text: text}
}

func customer(n int, text string) *handoffv1.ThreadMessage {
	return message(n, handoffv1.AuthorKind_AUTHOR_KIND_CUSTOMER, "Ann", text)
}

func (d *Desk) attempt(call string, cmd *handoffv1.Command, ticket string) caller.Attempt {
	return Attempt(d.Shop, call, cmd, ticket, d.Now())
}

// call makes a call as the pipeline's caller does: a second attempt at an
// idempotent destination is the same again, at a queryable one a look-up comes
// first. It fails the test when ten attempts were not enough.
func (d *Desk) call(t *testing.T, a caller.Attempt) *handoffv1.Outcome {
	t.Helper()
	outcome, err := d.tryCall(t, a)
	if err != nil {
		t.Fatalf("%T: %v", a.Command.GetAction(), err)
	}
	if outcome.GetStatus() != handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE {
		t.Fatalf("%T: status %v, want DONE", a.Command.GetAction(), outcome.GetStatus())
	}
	return outcome
}

func (d *Desk) tryCall(t *testing.T, a caller.Attempt) (*handoffv1.Outcome, error) {
	t.Helper()
	var last error
	ambiguous := false
	for a.Number = 1; a.Number <= 10; a.Number++ {
		late := d.Destination.KeyLife() > 0 && d.Now().Sub(a.Created) >= d.Destination.KeyLife()
		if ambiguous && (d.Destination.Retry(a.Command) == caller.Queryable || late) {
			found, err := d.lookup(a)
			if err != nil {
				last = err
				continue
			}
			if found != nil {
				return found, nil
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		outcome, err := d.Destination.Do(ctx, a)
		cancel()
		if err == nil {
			return outcome, nil
		}
		last = err
		e := caller.AsError(err)
		if e.Kind == caller.Permanent || e.Kind == caller.Unauthorized {
			return nil, err
		}
		ambiguous = ambiguous || e.Kind == caller.Ambiguous
	}
	return nil, last
}

func (d *Desk) lookup(a caller.Attempt) (*handoffv1.Outcome, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return d.Destination.Lookup(ctx, a)
}

func create(c *handoffv1.CreateTicket) *handoffv1.Command {
	return &handoffv1.Command{Episode: 1, Action: &handoffv1.Command_CreateTicket{CreateTicket: c}}
}

func appendCommand(status handoffv1.TicketStatus, messages ...*handoffv1.ThreadMessage) *handoffv1.Command {
	return &handoffv1.Command{Episode: 1, Action: &handoffv1.Command_AppendMessages{
		AppendMessages: &handoffv1.AppendMessages{Messages: messages, Status: status},
	}}
}

func note(text string) *handoffv1.Command {
	return &handoffv1.Command{Episode: 1, Action: &handoffv1.Command_AddNote{AddNote: &handoffv1.AddNote{Text: text}}}
}

func setStatus(s handoffv1.TicketStatus) *handoffv1.Command {
	return &handoffv1.Command{Episode: 1, Action: &handoffv1.Command_SetTicketStatus{SetTicketStatus: &handoffv1.SetTicketStatus{Status: s}}}
}

func fetch(ticket, after string) *handoffv1.Command {
	return &handoffv1.Command{Episode: 1, Action: &handoffv1.Command_FetchTicket{FetchTicket: &handoffv1.FetchTicket{TicketId: ticket, After: after}}}
}

// open makes the suite's ordinary ticket and gives its id.
func (d *Desk) open(t *testing.T) string {
	t.Helper()
	return d.call(t, d.attempt("open0001", create(d.ticketCommand()), "")).GetTicketId()
}

func (d *Desk) ticketCommand() *handoffv1.CreateTicket {
	return &handoffv1.CreateTicket{
		ExternalId: d.externalID(1), Subject: "Shopper SMS Handoff — Acme", RequesterName: "Ann",
		Messages: []*handoffv1.ThreadMessage{
			customer(1, "Where is my order?"),
			message(2, handoffv1.AuthorKind_AUTHOR_KIND_BOT, "Shopper", "Let me look."),
			customer(3, "It is late!\nI want it <now> & cheap 😀"),
		},
		Tags: []string{"sms", "messaging_support"},
	}
}

// shown gives a ticket as the stand-in shows it.
func (d *Desk) shown(t *testing.T, id string) standin.Ticket {
	t.Helper()
	for _, ticket := range d.Stand.Tickets() {
		if fmt.Sprint(ticket.ID) == id {
			return ticket
		}
	}
	t.Fatalf("the desk has no ticket %s", id)
	return standin.Ticket{}
}

// texts gives a thread's entries of the kinds, in order.
func texts(ticket standin.Ticket, kinds ...string) []string {
	var out []string
	for _, e := range ticket.Thread {
		if slices.Contains(kinds, e.Kind) {
			out = append(out, e.Text)
		}
	}
	return out
}

func (d *Desk) act(t *testing.T, ticket string, a standin.Action) {
	t.Helper()
	if _, err := fmt.Sscan(ticket, &a.Ticket); err != nil {
		t.Fatalf("ticket id %q: %v", ticket, err)
	}
	d.Advance(time.Second)
	if _, err := d.Stand.Act(a); err != nil {
		t.Fatalf("agent's %s: %v", a.Kind, err)
	}
}

func (d *Desk) fetchItems(t *testing.T, ticket, after string) []*handoffv1.DeskItem {
	t.Helper()
	return d.call(t, d.attempt("fetch", fetch(ticket, after), ticket)).GetItems()
}

// said writes items as short lines: "reply Alex: text" or "status closed".
func said(items []*handoffv1.DeskItem) string {
	var lines []string
	for _, i := range items {
		switch {
		case i.GetIsReply():
			lines = append(lines, "reply "+i.GetAuthor()+": "+i.GetReply())
		case i.GetStatus() != handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED:
			status := i.GetStatus()
			if status == handoffv1.TicketStatus_TICKET_STATUS_SOLVED {
				status = handoffv1.TicketStatus_TICKET_STATUS_CLOSED // desks differ in what an agent's closing is called
			}
			lines = append(lines, "status "+strings.ToLower(strings.TrimPrefix(status.String(), "TICKET_STATUS_")))
		case i.GetAssignee() == "" && i.GetTagsKnown(): // not every desk tells of tags by themselves
		default:
			lines = append(lines, "assigned "+i.GetAssignee())
		}
	}
	return strings.Join(lines, "\n")
}

// wantKind fails unless err is a caller's error of that kind.
func wantKind(t *testing.T, err error, kind caller.ErrorKind) {
	t.Helper()
	var e *caller.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want a *caller.Error", err, err)
	}
	if e.Kind != kind {
		t.Fatalf("error kind %d (%v), want %d", e.Kind, e, kind)
	}
	if e.Meaning == "" {
		t.Fatalf("error without a meaning: %#v", e)
	}
}
