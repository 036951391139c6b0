package escalate

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// moment is what an automated reply follows: a shop may have the reply wait, as a person would (H12).
type moment uint8

const (
	anyMoment  moment = iota // never waits
	lookup                   // something is looked up
	action                   // something is done to an order
	transition               // the conversation moves between the bot and people
	complaint                // the person complains
)

// momentOf is the moment of the bot's reply to a message of that intent.
func momentOf(intent string) moment {
	switch intent {
	case "order_status", "product_question":
		return lookup
	case "cancel_order", "return_refund", "order_issue":
		return action
	case intentComplaint:
		return complaint
	}
	return anyMoment
}

// intentComplaint is the shipped intent of complaints.
const intentComplaint = "complaint"

// momentOfOffer is the moment of an offer: a complaint's, or the move to people.
func momentOfOffer(signal *statev1.Signal) moment {
	if signal.GetIntent() == intentComplaint || signal.GetKind() == handoffv1.SignalKind_SIGNAL_KIND_SENTIMENT {
		return complaint
	}
	return transition
}

// notBefore is when a text may leave at the earliest; nil for at once.
func (c *conversation) notBefore(o outbound) *timestamppb.Timestamp {
	var wait time.Duration
	switch pace := c.shop.Handoff.Pace; o.moment {
	case lookup:
		wait = pace.Lookup
	case action:
		wait = pace.Action
	case transition:
		wait = pace.Transition
	case complaint:
		wait = pace.Complaint
	case anyMoment:
	}
	if wait == 0 {
		return nil
	}
	return c.t.Stamp(c.t.Now.Add(wait))
}

// paced is when a text leaves at the earliest that waits for its time, or behind one that does: only replies by people
// pass those (H12). nil: at once.
func (c *conversation) paced(o outbound, leaves *timestamppb.Timestamp) *timestamppb.Timestamp {
	if o.class == handoffv1.TextClass_TEXT_CLASS_AGENT {
		return nil
	}
	before := c.state.GetPacedUntil()
	switch {
	case leaves != nil && (before == nil || leaves.AsTime().After(before.AsTime())):
		c.state.PacedUntil = leaves
	case before != nil && !before.AsTime().After(c.t.Now):
		c.state.PacedUntil = nil
	}
	return c.state.GetPacedUntil()
}

// sayTakenOver tells the subscriber that people have the conversation now, where the shop wants that
// (H12).
func (c *conversation) sayTakenOver() {
	if c.shop.Handoff.SayTakenOver {
		c.sendText(outbound{class: handoffv1.TextClass_TEXT_CLASS_SYSTEM, text: c.text(settings.TextTakenOver), moment: transition, whileHeldSo: true, because: "say_taken_over"})
	}
}

// sayReturned tells the subscriber that the bot is back: on a close by its own text where the shop set
// that one (H6), else by the general one (H12).
func (c *conversation) sayReturned(onClose bool) {
	id, because := settings.TextReturned, "say_returned"
	switch h := c.shop.Handoff; {
	case onClose && h.SayResumed:
		id, because = settings.TextResumed, "say_resumed"
	case !h.SayReturned:
		return
	}
	c.sendText(outbound{class: handoffv1.TextClass_TEXT_CLASS_SYSTEM, text: c.text(id), moment: transition, whileHeldSo: true, because: because})
}
