package gorgias_test

import (
	"net/http"
	"testing"

	"github.com/handoff-dev/handoff/connectors/desktest"
	"github.com/handoff-dev/handoff/connectors/desktest/standin"
	"github.com/handoff-dev/handoff/connectors/gorgias/sim"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// M7: what is written to a ticket that was merged meanwhile goes to the one that is left, each message once
// however often it is tried.
func TestWriteToMergedTicket(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	first := desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now())).GetTicketId()
	desktest.Do(t, desk, desktest.Attempt(shop, "b", create("y", "again"), "", c.Now()))
	if _, err := s.Act(standin.Action{Kind: "merge", Ticket: 1, Into: 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Act(standin.Action{Kind: "status", Status: "closed", Ticket: 2}); err != nil {
		t.Fatal(err)
	}
	before := len(s.Tickets()[1].Thread)
	a := desktest.Attempt(shop, "c", appended("one", "two"), first, c.Now())
	a.Command.GetAppendMessages().Status = handoffv1.TicketStatus_TICKET_STATUS_OPEN
	s.Faults.Add(standin.Fault{Method: http.MethodPut, Path: "/tickets/2", Kind: standin.Refused, Status: 503})
	if _, err := desk.Do(t.Context(), a); caller.AsError(err).Kind == caller.Permanent {
		t.Fatalf("Do = %v, want one that is tried again", err)
	}
	if found, err := desk.Lookup(t.Context(), a); err != nil || !found.GetFound() {
		t.Fatalf("Lookup = %v, %v", found, err)
	}
	if got := s.Tickets()[1]; len(got.Thread)-before != 2 || got.Status != "open" {
		t.Errorf("%d messages more, status %s; want 2, open", len(got.Thread)-before, got.Status)
	}
	for _, cmd := range []*handoffv1.Command{
		{Action: &handoffv1.Command_AddTags{AddTags: &handoffv1.AddTags{Tags: []string{"late"}}}},
		{Action: &handoffv1.Command_SetPriority{SetPriority: &handoffv1.SetPriority{Priority: handoffv1.Priority_PRIORITY_HIGH}}},
	} {
		desktest.Do(t, desk, desktest.Attempt(shop, "d", cmd, first, c.Now()))
	}
	if got := s.Tickets()[1]; len(got.Tags) != 1 || got.Priority != "high" {
		t.Errorf("tags %v, priority %q", got.Tags, got.Priority)
	}
}
