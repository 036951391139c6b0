package escalate

import (
	"strings"
	"time"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/quiet"
	"github.com/handoff-dev/handoff/schemas/statev1"
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
	if until := c.exemptUntil(o.class); !until.IsZero() && !c.t.At().After(until) {
		return false
	}
	_, ok := c.stage.quiet.Judge(c.shop, quiet.Ask{
		At: c.t.At(), Class: o.class, Channel: c.at.Channel, Address: c.t.Key.Address, Zone: c.state.GetConsent().GetTimeZone(),
	})
	return !ok
}

// exemptUntil is until when a text of a class is exempt as an answer to what the subscriber wrote last; zero
// when it answers nothing. What an agent writes is an answer whenever it leaves.
func (c *conversation) exemptUntil(class handoffv1.TextClass) time.Time {
	wrote := c.state.GetWroteAt()
	if wrote == nil || c.unprompted() && class != handoffv1.TextClass_TEXT_CLASS_AGENT {
		return time.Time{}
	}
	return wrote.AsTime().Add(exemptFor)
}

// quietCheck is what deliver judges quiet hours by, just before the request; nil where they do not matter.
func (c *conversation) quietCheck(o outbound) *handoffv1.QuietCheck {
	if !c.shop.Consent.QuietHours || c.whateverHour && o.class == handoffv1.TextClass_TEXT_CLASS_AGENT {
		return nil
	}
	check := turn.Zero[handoffv1.QuietCheck](c.t)
	if until := c.exemptUntil(o.class); !until.IsZero() {
		check.ExemptUntil = c.t.Stamp(until)
	}
	return check
}

// metQuietHours takes back an agent's reply that waited on its way until quiet hours began (C11): it is
// parked like one that came in them, or leaves at once where they do not hold it any more.
func (c *conversation) metQuietHours(r *handoffv1.Receipt) {
	text := r.GetNotYet()
	p := &statev1.Parked{
		Reply: &handoffv1.AgentReply{NativeId: text.GetNativeId(), Author: text.GetAuthor(), Text: text.GetText(), Media: text.GetMedia()},
		At:    c.received(), Episode: r.GetEpisode(), InThread: r.GetCallId(), OnTicket: c.thread.ticketOf(r.GetCallId()),
	}
	if p.GetOnTicket() == 0 {
		p.OnTicket = c.ticket.GetEpisode()
	}
	q, ok := c.stage.quiet.Judge(c.shop, quiet.Ask{
		At: c.t.Now, Class: r.GetTextClass(), Channel: c.at.Channel, Address: c.t.Key.Address, Zone: c.state.GetConsent().GetTimeZone(),
	})
	switch {
	case c.optedOut():
		c.blockOn(p.GetOnTicket(), agentText(p), handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT)
	case ok, !c.t.Now.After(c.exemptUntil(r.GetTextClass())):
		c.sendReply(p)
	default:
		p.Reply.Parking = &handoffv1.Parking{Reason: handoffv1.ParkReason_PARK_REASON_QUIET_HOURS, Until: c.t.Stamp(q.Until), Why: q.Why}
		c.parkReply(p)
	}
}

// moved takes the subscriber's time zone. What is parked until the night is over waits for the night that is theirs,
// or leaves where it is day.
func (c *conversation) moved(zone string) {
	stamp := &handoffv1.ConsentStamp{}
	if c.state.GetConsent() != nil {
		stamp = c.state.GetConsent().CloneVT()
	}
	stamp.TimeZone = zone
	c.state.Consent = stamp
	for _, p := range c.parked() {
		if !isQuiet(p) {
			continue
		}
		parking := p.GetReply().GetParking()
		q, ok := c.stage.quiet.Judge(c.shop, quiet.Ask{
			At: c.t.Now, Class: handoffv1.TextClass_TEXT_CLASS_AGENT, Channel: c.at.Channel, Address: c.t.Key.Address, Zone: zone,
		})
		switch {
		case ok:
			parking.Until = c.now()
		case q.Until.Equal(parking.GetUntil().AsTime()):
			continue
		default:
			parking.Until, parking.Why = c.t.Stamp(q.Until), q.Why
			c.noteParked(p.Parked, parkedUntil(c.shop, parking))
		}
		c.t.Put(p.name, p.Parked)
	}
	c.releaseParked(false, "it is day where the customer is ("+zone+")")
}

// unprompted tells that what is texted in this turn answers nothing that the subscriber wrote: it is
// caused by a timer or a ticket's close. The bot's deadline stands for its answer.
func (c *conversation) unprompted() bool {
	if c.t.Timer != nil {
		return !strings.HasPrefix(c.t.Timer.Name, timerBot+"/")
	}
	return c.t.Record.GetTicketEvent() != nil || c.t.Record.GetRuleReply().GetUnprompted()
}
