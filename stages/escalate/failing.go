package escalate

import (
	"slices"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// onDeskFailing notes that the desk fails on the call that opens the episode, or makes the ticket of a mirrored
// conversation. The subscriber is told when that has lasted (H11). It is the desk's failure that counts, as whoever
// calls it saw it, and not how old a request is: a stage that catches up reads old requests that the desk was never
// asked about.
func (c *conversation) onDeskFailing(f *handoffv1.DeskFailing) {
	e, k := c.episode, c.ticket
	switch {
	case e.GetState() == requested && e.GetDeskFailingSince() == nil && slices.Contains(f.GetCallIds(), e.GetOpening()):
		e.DeskFailingSince = c.received()
		c.setTimer(timerDesk, later(e.GetRequestedAt(), e.GetDeskFailingSince()).Add(c.stage.deskSilence))
	case c.mirrorWaits() && k.GetDeskFailingSince() == nil && slices.Contains(f.GetCallIds(), k.GetCreating()):
		k.DeskFailingSince = c.received()
		c.setTimer(timerDesk, k.GetDeskFailingSince().AsTime().Add(c.stage.deskSilence))
	}
}

// mirrorWaits tells that people alone answer a mirrored conversation, and that its ticket does not exist yet.
func (c *conversation) mirrorWaits() bool {
	return c.mirrored() && !c.botInMirror() && c.episode.GetState() != requested && c.live() && c.ticket.GetTicketId() == ""
}

// onDeskSilent tells the subscriber, once, that the desk cannot be reached (H11). deliver goes on
// trying; the message is in the ticket when it comes into being. It has the last word: where the desk has answered
// meanwhile, which may not have been read here, the text does not leave.
func (c *conversation) onDeskSilent() {
	var call string
	switch e, k := c.episode, c.ticket; {
	case e.GetState() == requested && !e.GetToldDeskDown():
		e.ToldDeskDown, call = true, e.GetOpening()
	case c.mirrorWaits() && k.GetDeskFailingSince() != nil && !k.GetToldDeskDown():
		k.ToldDeskDown, call = true, k.GetCreating()
	default:
		return
	}
	c.sendText(outbound{
		class: handoffv1.TextClass_TEXT_CLASS_SYSTEM, text: c.text(settings.TextDeskDown), whileOpen: call,
		because: "the help desk has not taken the ticket for " + settings.Span(c.stage.deskSilence),
	})
}
