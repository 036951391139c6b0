package escalate

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// mayLeave tells why a text may not leave the conversation now, BLOCK_REASON_UNSPECIFIED when it may.
// What is decided here is
// whether the shop texts the subscriber's country at all (W9) and the channel's window (W3); consent has its gate before and behind it.
func (c *conversation) mayLeave(o outbound) handoffv1.BlockReason {
	if c.abroad() {
		return blockedAbroad
	}
	if c.outsideWindow(o) {
		return handoffv1.BlockReason_BLOCK_REASON_WINDOW
	}
	if c.inQuietHours(o) {
		return handoffv1.BlockReason_BLOCK_REASON_QUIET_HOURS
	}
	return handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED
}

// block records an automated text that may not leave, with a note where a ticket is open.
func (c *conversation) block(o outbound, why handoffv1.BlockReason) {
	ticket := uint64(0)
	if c.live() {
		ticket = c.ticket.GetEpisode()
	}
	c.blockOn(ticket, o, why)
}

// blockOn records a text that may not leave, with a note on a ticket; 0 for none.
func (c *conversation) blockOn(ticket uint64, o outbound, why handoffv1.BlockReason) {
	note, because := c.blockedNote(why, nil), c.blockedBecause(why, nil)
	if why == handoffv1.BlockReason_BLOCK_REASON_WINDOW {
		note, because = c.windowNote(o.class), c.windowBecause(o.class)
		if !c.fitsWindow(o) {
			note += fmt.Sprintf(" It takes %d messages: send less at once.", c.messagesOf(o))
			because += fmt.Sprintf("; it takes %d messages", c.messagesOf(o))
		}
	}
	c.blockWith(ticket, o, why, note, because)
}

// blockWith is blockOn with the note, and the reason of the record, as given.
func (c *conversation) blockWith(ticket uint64, o outbound, why handoffv1.BlockReason, note, because string) {
	switch {
	case ticket == 0:
	case o.class != handoffv1.TextClass_TEXT_CLASS_AGENT && o.text != "" && saysWhich(why): // agents saw it nowhere
		c.noteOn(ticket, note+" It said: "+o.text)
	default:
		c.noteOn(ticket, note)
	}
	c.t.Fact(c.at, &handoffv1.Fact{
		Reason: fmt.Sprintf("%s: %q", because, o.text),
		Kind: &handoffv1.Fact_Delivery{Delivery: &handoffv1.DeliveryFact{
			CallId: c.t.HexID(), Action: handoffv1.Action_ACTION_SEND_TEXT,
			Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED, BlockReason: why,
			TextClass: o.class, Episode: o.episode,
		}},
	})
}

// wrote notes that the subscriber wrote: the channel's window is open again, and what waited for it
// leaves.
func (c *conversation) wrote() {
	if c.state.GetWroteAt() == nil || c.t.At().After(c.state.GetWroteAt().AsTime()) {
		c.state.WroteAt = c.received()
	}
	c.state.SentSince, c.state.Nudged = 0, false
	if !c.optedOut() {
		c.releaseParked(true, "the customer answered")
	}
}

// keywordCame counts a keyword, or the yes to a question of consent's, like any message of the subscriber's: it opens
// the window, and its answer is one of the texts in it.
func (c *conversation) keywordCame(n *handoffv1.ConsentNotice) {
	if n.GetKind() == handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPTED_OUT {
		return // what waits is dropped
	}
	c.wrote()
	c.state.SentSince++
}

// outsideWindow tells that the channel takes no such text now (W3).
func (c *conversation) outsideWindow(o outbound) bool {
	w := schemas.WindowOf(c.at.Channel)
	if w == (schemas.Window{}) || o.template != nil {
		return false
	}
	return !c.t.Now.Before(c.windowUntil(o.class)) || w.Messages > 0 && int(c.state.GetSentSince()+c.messagesOf(o)) > w.Messages
}

// fitsWindow tells that the channel takes a text once the subscriber has written: it is not longer than a whole window.
func (c *conversation) fitsWindow(o outbound) bool {
	most := schemas.WindowOf(c.at.Channel).Messages
	return most == 0 || int(c.messagesOf(o)) <= most
}

// windowUntil is when the channel takes no text of a class any more; deliver starts none from then on.
func (c *conversation) windowUntil(class handoffv1.TextClass) time.Time {
	w := schemas.WindowOf(c.at.Channel)
	if c.state.GetWroteAt() == nil {
		return time.Time{} // never wrote here
	}
	wrote := c.state.GetWroteAt().AsTime()
	if class == handoffv1.TextClass_TEXT_CLASS_AGENT {
		return wrote.Add(w.Person)
	}
	return wrote.Add(w.Open)
}

// windowEnds is the latest time for a text's request; nil where the channel has no window.
func (c *conversation) windowEnds(o outbound) *timestamppb.Timestamp {
	if (schemas.WindowOf(c.at.Channel) == schemas.Window{}) || o.template != nil {
		return nil
	}
	return c.t.Stamp(c.windowUntil(o.class))
}

// asPerson tells that a reply leaves only under the channel's tag for a person's answer.
func (c *conversation) asPerson(o outbound) bool {
	return o.class == handoffv1.TextClass_TEXT_CLASS_AGENT && schemas.WindowOf(c.at.Channel).Person > 0 &&
		!c.t.Now.Before(c.windowUntil(handoffv1.TextClass_TEXT_CLASS_SYSTEM))
}

// messagesOf is how many of the channel's messages a text takes (W10).
func (c *conversation) messagesOf(o outbound) uint32 {
	return uint32(max(1, len(schemas.SplitText(o.text, schemas.TextLimit(c.at.Channel)))))
}

// windowNote says that the channel's window is over, and since when (W3).
func (c *conversation) windowNote(class handoffv1.TextClass) string {
	size, wrote := c.windowOver(class)
	return c.text(settings.TextBlockedWindow, "channel", schemas.ChannelTitle(c.at.Channel), "24-hour", size, "time", wrote)
}

// windowBecause says the same for the records.
func (c *conversation) windowBecause(class handoffv1.TextClass) string {
	size, wrote := c.windowOver(class)
	return fmt.Sprintf("outside %s's %s window, the customer last wrote %s", schemas.ChannelTitle(c.at.Channel), size, wrote)
}

// windowOver says which window is over, and when the customer last wrote.
func (c *conversation) windowOver(class handoffv1.TextClass) (size, wrote string) {
	w, wrote := schemas.WindowOf(c.at.Channel), "never"
	if c.state.GetWroteAt() != nil {
		wrote = c.shop.Moment(c.state.GetWroteAt().AsTime())
	}
	span := w.Open
	if class == handoffv1.TextClass_TEXT_CLASS_AGENT {
		span = w.Person
	}
	switch {
	case c.t.Now.Before(c.windowUntil(class)):
		return fmt.Sprintf("%d-message", w.Messages), wrote
	case span > 48*time.Hour:
		return fmt.Sprintf("%d-day", int(span.Hours()/24)), wrote
	}
	return fmt.Sprintf("%d-hour", int(span.Hours())), wrote
}
