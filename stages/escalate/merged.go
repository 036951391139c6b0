package escalate

import (
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// merged follows the ticket that survives a merge (M7): what goes to the episode's ticket goes there, and
// its replies and statuses are this conversation's from now on. Replies go to the conversation's address,
// whoever the survivor's requester is; a note tells the agents.
func (c *conversation) merged(ev *handoffv1.TicketEvent) {
	into := ev.GetMergedInto()
	number, current := c.ticketNamed(ev.GetTicketId(), ev.GetEpisode())
	if number == 0 {
		return
	}
	c.ticketFact(&statev1.Ticket{Told: c.ticket.GetTold(), Desk: c.ticket.GetDesk()}, ev)
	if !current {
		c.pastMerged(ev.GetTicketId(), into)
		return
	}
	k := c.ticket
	survivor := &statev1.Ticket{}
	if c.t.Get(pastEntry(c.at.Conversation, into), survivor) { // an earlier ticket of this conversation
		c.t.Delete(pastEntry(c.at.Conversation, into))
		k.Status, k.ClosedAt, k.Url = survivor.GetStatus(), survivor.GetClosedAt(), survivor.GetUrl()
	} else {
		k.Url, k.Shared = "", true
	}
	k.TicketId = into
	if c.episode.GetOpening() == k.GetCreating() {
		c.opened("its ticket was merged into another one")
	}
	if isClosed(k.GetStatus()) {
		c.ticketClosed("the ticket was merged into one that is closed")
		return
	}
	c.note("The " + schemas.ChannelTitle(c.at.Channel) + " conversation with " + c.t.Key.Address +
		" is part of this ticket since ticket " + ev.GetTicketId() + " was merged into it: your replies go there too.")
}

// shared notes that another conversation goes on on this one's ticket (M7): what ends this one, a STOP or thanks, does
// not close it for both.
func (c *conversation) shared(s *handoffv1.TicketShared) {
	if number, current := c.ticketNamed(s.GetTicketId(), s.GetEpisode()); current && number == s.GetEpisode() {
		c.ticket.Shared = true
	}
}

// pastMerged keeps an earlier ticket under the name of the one that it was merged into, unless that is one
// of this conversation's already.
func (c *conversation) pastMerged(old, into string) {
	past := &statev1.Ticket{}
	if !c.t.Get(pastEntry(c.at.Conversation, old), past) {
		return
	}
	c.t.Delete(pastEntry(c.at.Conversation, old))
	known := into == c.ticket.GetTicketId() || c.t.Get(pastEntry(c.at.Conversation, into), &statev1.Ticket{})
	if !known {
		past.TicketId, past.Url = into, ""
		c.t.Put(pastEntry(c.at.Conversation, into), past)
	}
}
