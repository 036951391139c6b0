package escalate

import (
	"strings"

	"github.com/handoff-dev/handoff/schemas/country"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// abroad tells that the shop does not text the subscriber's country (W9).
func (c *conversation) abroad() bool { return !c.shop.Reaches(c.at.Channel, c.t.Key.Address) }

// onAbroad handles a message from a country that the shop does not text: it is kept and handled, but
// nothing can be said to it. It goes onto an open ticket; else, always in mirror mode and on a signal in
// escalate mode, a ticket opens without an offer and with a note. The bot is not asked.
func (c *conversation) onAbroad(m inbound) {
	note := "Can't be texted: " + c.country() + ". Answer another way."
	switch {
	case m.read.GetThanksOnly():
		c.onThanks()
		return
	case c.live():
		c.forAgents()
		return
	case c.mirrored():
		c.mirror(note)
	default:
		if signal := c.signalIn(m); signal != nil && c.mayEscalate() {
			c.move(EventLapse, "the shop does not text the country any more") // an offer from before
			c.begin(signal)
			c.request(EventRequest, signal.GetReason()+"; nobody there is texted, so nothing was asked", note)
		}
	}
	if !c.live() {
		c.notAsked("not answered: " + c.country())
	}
}

// country says where the subscriber is and which countries the shop texts.
func (c *conversation) country() string {
	from := "belongs to no country that is known"
	if name := country.Of(c.t.Key.Address); name != "" {
		from = "is from " + name
	}
	return "the customer's number " + from + ", and this shop texts only " + strings.Join(c.shop.SMSCountries, ", ")
}

// abroadNote says that a text was not sent for the country's sake.
func (c *conversation) abroadNote() string { return "Not sent: " + c.country() + "." }

// blockedAbroad is the reason that goes with it.
const blockedAbroad = handoffv1.BlockReason_BLOCK_REASON_COUNTRY
