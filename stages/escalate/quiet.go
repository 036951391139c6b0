package escalate

import (
	"strings"
	"time"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/quiet"
)

// exemptFor is how long a subscriber's message makes what answers it exempt from quiet hours (C11).
const exemptFor = 24 * time.Hour

// inQuietHours tells whether an automated text may not leave for the hour where the subscriber is (C11).
// An agent's reply was judged by consent.
func (c *conversation) inQuietHours(o outbound) bool {
	switch o.class {
	case handoffv1.TextClass_TEXT_CLASS_BOT, handoffv1.TextClass_TEXT_CLASS_RULE, handoffv1.TextClass_TEXT_CLASS_SYSTEM:
	default:
		return false
	}
	wrote := c.state.GetWroteAt()
	if !c.unprompted() && wrote != nil && !c.t.At().After(wrote.AsTime().Add(exemptFor)) {
		return false
	}
	_, ok := c.stage.quiet.Judge(c.shop, quiet.Ask{
		At: c.t.At(), Class: o.class, Channel: c.at.Channel, Address: c.t.Key.Address, Zone: c.state.GetConsent().GetTimeZone(),
	})
	return !ok
}

// unprompted tells that what is texted in this turn answers nothing that the subscriber wrote: it is
// caused by a timer or a ticket's close. The bot's deadline stands for its answer.
func (c *conversation) unprompted() bool {
	if c.t.Timer != nil {
		return !strings.HasPrefix(c.t.Timer.Name, timerBot+"/")
	}
	return c.t.Record.GetTicketEvent() != nil || c.t.Record.GetRuleReply().GetUnprompted()
}
