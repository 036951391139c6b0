package demo

import (
	"strings"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
)

// deskTicket is a customer's ticket in an agent's hands.
type deskTicket struct {
	c *customer
	t standin.Ticket
}

func (d deskTicket) reply(text string) error { return d.c.agent(d.t, "reply", text) }

func (d deskTicket) solve() error { return d.c.agent(d.t, "status", d.c.shop.Solved) }

// noted tells whether a note on the ticket holds the words.
func (d deskTicket) noted(words string) bool {
	for _, t := range d.c.shop.Desk.Tickets() {
		if t.ID != d.t.ID {
			continue
		}
		for _, e := range t.Thread {
			if e.Kind == "note" && strings.Contains(e.Text, words) {
				return true
			}
		}
	}
	return false
}
