package gorgias_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/connectors/desktest"
	"github.com/handoff-dev/handoff/connectors/gorgias/sim"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// M2: of several customers the most recently active one is taken, and a note says so.
func TestSeveralCustomers(t *testing.T) {
	s, desk, shop, c := stand(t, sim.Config{})
	active := s.AddCustomer("Ann", desktest.Address)
	desktest.Do(t, desk, desktest.Attempt(shop, "a", create("x", "hello"), "", c.Now()))
	c.Advance(time.Hour)
	silent := s.AddCustomer("Silent Ann", desktest.Address)
	shop.Desk.InboundDomain = "in.acme.example" // nothing is remembered of another account
	s.ForgetExternalIDs()
	desktest.Do(t, desk, desktest.Attempt(shop, "b", create("y", "hello again"), "", c.Now()))
	body := get(t, s, shop, "/api/messages?ticket_id=2")
	note := "2 customers have the number " + desktest.Address + ": Ann (customer " + strconv.FormatInt(active, 10) + "), Silent Ann (customer " +
		strconv.FormatInt(silent, 10) + "). The most recently active one, Ann (customer " + strconv.FormatInt(active, 10) + "), was taken."
	if strings.Count(body, `"body_text":"`+note) != 1 || strings.Count(get(t, s, shop, "/api/messages?ticket_id=1"), "customers have the number") != 0 {
		t.Errorf("want one note on the second ticket alone:\n%s\n%s", note, body)
	}
	if body := get(t, s, shop, "/api/customers"); strings.Contains(body, `"external_id":"sms:`) || strings.Count(body, `"channels"`) != 2 {
		t.Errorf("they are for agents to merge: %s", body)
	}
	desktest.Do(t, desk, desktest.Attempt(shop, "c", &handoffv1.Command{Action: &handoffv1.Command_AddNote{AddNote: &handoffv1.AddNote{Text: "hi"}}}, "2", c.Now()))
}
