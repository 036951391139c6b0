package zendesk_test

import (
	"testing"
	"time"

	"github.com/handoff-dev/handoff/connectors/desktest"
	"github.com/handoff-dev/handoff/connectors/desktest/standin"
	"github.com/handoff-dev/handoff/connectors/zendesk/sim"
)

// M7: what is written to a ticket that was merged meanwhile goes to the one that is left, once however often it
// is tried; a ticket that was only closed takes nothing.
func TestWriteToMergedTicket(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	first := desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now())).GetTicketId()
	second := desktest.Do(t, desk, desktest.Attempt(shop, "b", create("y", "again"), "", c.Now())).GetTicketId()
	if _, err := s.Act(standin.Action{Kind: "merge", Ticket: 1, Into: 2}); err != nil {
		t.Fatal(err)
	}
	before := len(s.Tickets()[1].Thread)
	for range 2 {
		if got := desktest.Do(t, desk, desktest.Attempt(shop, "c", appended("more"), first, c.Now())); got.GetTicketId() != second {
			t.Errorf("it went to ticket %s, want %s", got.GetTicketId(), second)
		}
	}
	if got := len(s.Tickets()[1].Thread) - before; got != 1 {
		t.Errorf("%d comments more, want 1", got)
	}
	third := desktest.Do(t, desk, desktest.Attempt(shop, "d", create("z", "third"), "", c.Now())).GetTicketId()
	if _, err := s.Act(standin.Action{Kind: "status", Status: "closed", Ticket: 3}); err != nil {
		t.Fatal(err)
	}
	_, err := desk.Do(t.Context(), desktest.Attempt(shop, "e", appended("late"), third, time.Time{}))
	if err == nil || s.Tickets()[2].Status != "closed" {
		t.Errorf("a closed ticket took something: %v", err)
	}
}
