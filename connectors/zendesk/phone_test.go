package zendesk_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/connectors/desktest"
	"github.com/handoff-dev/handoff/connectors/desktest/standin"
	"github.com/handoff-dev/handoff/connectors/zendesk/sim"
)

// M2: a customer whom the shop knows by number is used and completed, never doubled, and never overwritten.
func TestRequesterByPhone(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	s.AddUser("Nobody", "+4930"+desktest.Address[1:]) // holds the digits, is another number
	s.AddUser("Ann Lee", written(desktest.Address))
	a := desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now())
	a.Command.GetCreateTicket().RequesterName = "Ann"
	desktest.Do(t, desk, a)
	if got := s.Tickets()[0]; got.Requester != "Ann Lee" || got.Phone != written(desktest.Address) || len(got.Thread) != 1 {
		t.Errorf("requester %q, phone %q, %d comments; want the one that was there, as it was, and no note", got.Requester, got.Phone, len(got.Thread))
	}
	// From then on by the external id, also when the number changes.
	desktest.Do(t, desk, desktest.Attempt(shop, "b", create("y", "hello"), "", c.Now()))
	if got := s.Tickets()[1]; got.Requester != "Ann Lee" {
		t.Errorf("requester %q", got.Requester)
	}
}

// written is a number as people in North America write it.
func written(e164 string) string {
	return "(" + e164[2:5] + ") " + e164[5:8] + "-" + e164[8:]
}

// M2: of several customers the most recently active one is taken, and a note says so, once on each ticket
// however often its creation is tried.
func TestSeveralRequesters(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	old := s.AddUser("Old Ann", desktest.Address)
	s.AddTicket(old)
	c.Advance(time.Hour)
	active := s.AddUser("Ann", desktest.Address)
	s.AddTicket(active)
	s.AddUser("Silent Ann", desktest.Address)
	s.Faults.Add(standin.Fault{Method: http.MethodPut, Path: "/tickets/", Kind: standin.Refused, Status: 429, RetryAfter: time.Second})
	a := desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now())
	if _, err := desk.Do(t.Context(), a); err == nil {
		t.Fatal("the note was not refused")
	}
	a.Number = 2
	desktest.Do(t, desk, a)
	note := "3 customers have the number " + desktest.Address + ": Old Ann (user " + strconv.FormatInt(old, 10) + "), Ann (user " +
		strconv.FormatInt(active, 10) + "), Silent Ann (user " + strconv.FormatInt(active+1, 10) + "). The most recently active one, Ann (user " +
		strconv.FormatInt(active, 10) + "), was taken."
	made := s.Tickets()[2]
	var notes []string
	for _, e := range made.Thread {
		if e.Kind == "note" {
			notes = append(notes, e.Text)
		}
	}
	if made.Requester != "Ann" || !slices.Equal(notes, []string{note}) {
		t.Errorf("requester %q, notes:\n%s\nwant\n%s", made.Requester, strings.Join(notes, "\n"), note)
	}
}
