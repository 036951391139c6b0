package deliver

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// hint posts a TicketChanged.
func (w *world) hint(desk, ticket string, episode uint64) {
	w.t.Helper()
	r := w.record(number)
	r.Body = &handoffv1.Record_TicketChanged{TicketChanged: &handoffv1.TicketChanged{Desk: desk, TicketId: ticket, Episode: episode}}
	w.send(r)
}

func TestTicketsAreCreatedOnceAndAwaited(t *testing.T) {
	w := newWorld(t)
	make1 := w.command(number, create(1))
	app := w.command(number, appendTo(1, "where is it?"))
	if w.calls[0].Call.Lane != w.calls[1].Call.Lane || w.calls[0].Call.Destination != "zendesk" {
		t.Fatalf("calls %+v, want both on the desk's lane", w.calls)
	}
	if rel := w.release(make1); rel.Verdict != caller.Start || rel.Text {
		t.Errorf("create: %+v", rel)
	}
	if rel := w.release(app); rel.Verdict != caller.Wait || !rel.Until.IsZero() {
		t.Errorf("append before the ticket: %+v, want to wait", rel)
	}
	again := w.command(number, create(1))
	if got := w.one(schemas.TopicEscalate).GetReceipt(); got.GetCallId() != again || got.GetOutcome().GetStatus() != handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED {
		t.Errorf("a second creation: %v", got)
	}
	w.result(make1, done(&handoffv1.Outcome{TicketId: "41", TicketUrl: "https://x/41"}))
	if got := w.one(schemas.TopicEscalate).GetReceipt().GetOutcome(); got.GetTicketId() != "41" || got.GetTicketUrl() != "https://x/41" {
		t.Errorf("receipt %v", got)
	}
	if rel := w.release(app); rel.Verdict != caller.Start || rel.Attempt.TicketID != "41" {
		t.Errorf("append after the ticket: %+v", rel)
	}
	w.command(number, create(1))
	if got := w.one(schemas.TopicEscalate).GetReceipt().GetOutcome(); got.GetStatus() != handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE || got.GetTicketId() != "41" || !got.GetFound() {
		t.Errorf("creation of a ticket that exists: %v", got)
	}
}

func TestTicketsThatWillNeverExistRefuse(t *testing.T) {
	w := newWorld(t)
	id := w.command(number, create(1))
	app := w.command(number, appendTo(1, "where is it?"))
	w.result(id, &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, Code: "422", Meaning: "the requester is suspended"})
	if rel := w.release(app); rel.Verdict != caller.Refuse || rel.Meaning != "the ticket could not be created: the requester is suspended" {
		t.Errorf("append: %+v", rel)
	}
	if rel := w.release(w.command(number, appendTo(9, "lost"))); rel.Verdict != caller.Refuse {
		t.Errorf("append to an episode without a ticket: %+v, want no wait that blocks its lane", rel)
	}
	retry := w.command(number, create(1))
	w.result(retry, done(&handoffv1.Outcome{TicketId: "42"}))
	if rel := w.release(app); rel.Verdict != caller.Start || rel.Attempt.TicketID != "42" {
		t.Errorf("append after a later success: %+v", rel)
	}
}

func TestHintsCoalesce(t *testing.T) {
	w := newWorld(t)
	w.result(w.command(number, create(1)), done(&handoffv1.Outcome{TicketId: "41"}))
	for range 5 {
		w.hint("zendesk", "41", 1)
	}
	if len(w.calls) != 1 {
		t.Fatalf("%d fetches from five hints, want one", len(w.calls))
	}
	first := w.calls[0].Call.ID
	if a := w.release(first).Attempt; a.Command.GetFetchTicket().GetAfter() != "" || a.TicketID != "41" {
		t.Errorf("first fetch %v", a.Command)
	}
	w.result(first, done(&handoffv1.Outcome{Items: []*handoffv1.DeskItem{{Cursor: "c1", NativeId: "1", IsReply: true, Reply: "Hello"}}}))
	if len(w.calls) != 1 {
		t.Fatalf("%d fetches after the first, want one more for the hints that came meanwhile", len(w.calls))
	}
	second := w.calls[0].Call.ID
	if got := w.release(second).Attempt.Command.GetFetchTicket().GetAfter(); got != "c1" {
		t.Errorf("second fetch after %q, want c1", got)
	}
	w.result(second, done(&handoffv1.Outcome{}))
	if len(w.calls) != 0 {
		t.Errorf("calls %+v, want none", w.calls)
	}
	w.hint("zendesk", "41", 1)
	if got := w.release(w.calls[0].Call.ID).Attempt.Command.GetFetchTicket().GetAfter(); got != "c1" {
		t.Errorf("a later fetch after %q, want c1", got)
	}
}

func TestTheRestOfALongTicketIsFetchedNext(t *testing.T) {
	w := newWorld(t)
	w.result(w.command(number, create(1)), done(&handoffv1.Outcome{TicketId: "41"}))
	w.hint("zendesk", "41", 1)
	w.result(w.calls[0].Call.ID, done(&handoffv1.Outcome{MoreItems: true, Items: []*handoffv1.DeskItem{{Cursor: "c7", NativeId: "7"}}}))
	if len(w.calls) != 1 || w.release(w.calls[0].Call.ID).Attempt.Command.GetFetchTicket().GetAfter() != "c7" {
		t.Errorf("calls %+v, want a fetch of what follows c7", w.calls)
	}
	w.result(w.calls[0].Call.ID, done(&handoffv1.Outcome{MoreItems: true}))
	if len(w.calls) != 0 {
		t.Error("a fetch that brought nothing is repeated for ever")
	}
}

func TestWhatTheDeskSaysKeepsItsOrderAndIds(t *testing.T) {
	w := newWorld(t)
	w.result(w.command(number, create(1)), done(&handoffv1.Outcome{TicketId: "41"}))
	items := []*handoffv1.DeskItem{
		{Cursor: "c1", NativeId: "1", IsReply: true, Reply: "Hello", Author: "Kim", At: timestamppb.New(monday), MediaUrls: []string{"https://x/a.png"}},
		{Cursor: "c2", NativeId: "2", Status: handoffv1.TicketStatus_TICKET_STATUS_SOLVED, NativeStatus: "solved"},
		{Cursor: "c3", NativeId: "1", Assignee: "Lee"}, // another kind of thing with the same number
	}
	w.hint("zendesk", "41", 1)
	w.result(w.calls[0].Call.ID, done(&handoffv1.Outcome{Items: items}))
	got := w.take(schemas.TopicConsent)
	if len(got) != 3 {
		t.Fatalf("%d records, want 3", len(got))
	}
	reply := got[0].GetAgentReply()
	if reply.GetText() != "Hello" || reply.GetAuthor() != "Kim" || reply.GetEpisode() != 1 || reply.GetTicketId() != "41" || len(reply.GetMedia()) != 1 {
		t.Errorf("reply %v", reply)
	}
	if !got[0].GetEventTime().AsTime().Equal(monday) || got[0].GetConversation() != thread {
		t.Errorf("reply's record %v", got[0])
	}
	if e := got[1].GetTicketEvent(); e.GetStatus() != handoffv1.TicketStatus_TICKET_STATUS_SOLVED || e.GetNativeStatus() != "solved" {
		t.Errorf("event %v", e)
	}
	if e := got[2].GetTicketEvent(); e.GetAssignee() != "Lee" || bytes.Equal(got[2].GetId(), got[0].GetId()) {
		t.Errorf("event %v with id %x", e, got[2].GetId())
	}
	if len(w.take(schemas.TopicEscalate)) != 1 { // the ticket's own
		t.Error("a fetch gave a receipt")
	}
	// The same again, as after a restart of the desk's history, has the same ids.
	w.hint("zendesk", "41", 1)
	w.result(w.calls[0].Call.ID, done(&handoffv1.Outcome{Items: items[1:]}))
	for i, r := range w.take(schemas.TopicConsent) {
		if !bytes.Equal(r.GetId(), got[i+1].GetId()) {
			t.Errorf("item %d has another id", i+1)
		}
	}
}

func TestHintsThatCannotBeFollowedAreReported(t *testing.T) {
	w := newWorld(t)
	w.result(w.command(number, create(1)), done(&handoffv1.Outcome{TicketId: "41"}))
	w.take(schemas.TopicAnalytics)
	for i, h := range []struct {
		desk, ticket string
		episode      uint64
	}{{"gorgias", "41", 1}, {"zendesk", "99", 1}, {"zendesk", "41", 0}, {"zendesk", "", 1}} {
		w.hint(h.desk, h.ticket, h.episode)
		if got := w.one(schemas.TopicAnalytics).GetFact(); got.GetReason() == "" || got.GetDelivery().GetAction() != handoffv1.Action_ACTION_FETCH_TICKET {
			t.Errorf("hint %d: fact %v", i, got)
		}
	}
	if len(w.calls) != 0 {
		t.Errorf("calls %+v", w.calls)
	}
}

func TestHintBeforeTheTicketIsKnown(t *testing.T) {
	w := newWorld(t)
	id := w.command(number, create(1))
	w.hint("zendesk", "41", 1)
	if len(w.calls) != 2 || w.calls[1].Call.Lane != w.calls[0].Call.Lane {
		t.Fatalf("calls %+v, want a fetch behind the creation", w.calls)
	}
	w.result(id, done(&handoffv1.Outcome{TicketId: "41", TicketUrl: "https://x/41"}))
	if rel := w.release(w.calls[0].Call.ID); rel.Verdict != caller.Start || rel.Attempt.TicketID != "41" {
		t.Errorf("fetch %+v", rel)
	}
}

func TestGoneTicketsAreDeleted(t *testing.T) {
	w := newWorld(t)
	w.result(w.command(number, create(1)), done(&handoffv1.Outcome{TicketId: "41"}))
	w.hint("zendesk", "41", 1)
	w.result(w.calls[0].Call.ID, &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, Code: "404", TicketGone: true})
	if e := w.one(schemas.TopicConsent).GetTicketEvent(); e.GetStatus() != handoffv1.TicketStatus_TICKET_STATUS_DELETED {
		t.Errorf("event %v", e)
	}
}

func TestEpisodesHaveTheirOwnTickets(t *testing.T) {
	w := newWorld(t)
	for episode := uint64(1); episode <= 12; episode++ {
		w.result(w.command(number, create(episode)), done(&handoffv1.Outcome{TicketId: fmt.Sprint(100 + episode)}))
	}
	for _, episode := range []uint64{1, 2, 10, 12} {
		if rel := w.release(w.command(number, appendTo(episode, "x"))); rel.Attempt.TicketID != fmt.Sprint(100+episode) {
			t.Errorf("episode %d: ticket %s", episode, rel.Attempt.TicketID)
		}
	}
}

// A webhook that the desk loses only delays: an open ticket of which nothing was heard is looked at,
// one that is closed is left alone.
func TestOpenTicketsArePolled(t *testing.T) {
	w := newWorld(t)
	w.result(w.command(number, create(1)), done(&handoffv1.Outcome{TicketId: "41"}))
	w.wait(9 * time.Minute)
	if len(w.calls) != 0 {
		t.Fatalf("looked after 9 minutes: %v", w.calls)
	}
	w.wait(time.Minute)
	if len(w.calls) != 1 || w.release(w.calls[0].Call.ID).Attempt.Command.GetFetchTicket() == nil {
		t.Fatalf("after 10 minutes the calls are %v, want a fetch", w.calls)
	}
	w.wait(10 * time.Minute)
	if len(w.calls) != 1 {
		t.Fatalf("a second fetch beside an open one: %v", w.calls)
	}
	w.result(w.calls[0].Call.ID, done(&handoffv1.Outcome{Items: []*handoffv1.DeskItem{
		{Cursor: "c1", NativeId: "i1", IsReply: true, Reply: "hello"},
	}}))
	if got := w.one(schemas.TopicConsent).GetAgentReply().GetText(); got != "hello" {
		t.Fatalf("the poll brought %q, want the agent's reply", got)
	}
	w.wait(10 * time.Minute)
	w.result(w.calls[0].Call.ID, done(&handoffv1.Outcome{Items: []*handoffv1.DeskItem{
		{Cursor: "c2", NativeId: "i2", Status: handoffv1.TicketStatus_TICKET_STATUS_SOLVED},
	}}))
	w.wait(24 * time.Hour)
	if len(w.calls) != 0 {
		t.Errorf("a solved ticket is still polled: %v", w.calls)
	}
}
