package escalate

import (
	"strings"

	"github.com/handoff-dev/handoff/schemas/country"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// abroad tells that the shop does not text the subscriber's country (W9). It is asked before every text.
func (c *conversation) abroad() bool {
	if !c.reach.known {
		c.reach.known, c.reach.abroad = true, !c.shop.Reaches(c.at.Channel, c.t.Key.Address)
	}
	return c.reach.abroad
}

// onAbroad handles a message from a country that the shop does not text: it is kept and handled, but
// nothing can be said to it.
func (c *conversation) onAbroad(m inbound) {
	c.onUnanswerable(m, unanswerable{
		note: "Can't be texted: " + c.country() + ". Answer another way.",
		opens: func(signal *statev1.Signal) string {
			return signal.GetReason() + "; nobody there is texted, so nothing was asked"
		},
		lapses:    "the shop does not text the country any more",
		otherwise: "not answered: " + c.country(),
	})
}

// country says where the subscriber is and which countries the shop texts.
func (c *conversation) country() string {
	from := "belongs to no country that is known"
	if name := country.Of(c.t.Key.Address); name != "" {
		from = "is from " + name
	}
	return "the customer's number " + from + ", and this shop texts only " + strings.Join(c.shop.SMSCountries, ", ")
}

// blockedAbroad is the reason of a text that is not sent for the country's sake.
const blockedAbroad = handoffv1.BlockReason_BLOCK_REASON_COUNTRY
