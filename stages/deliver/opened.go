package deliver

import (
	"cmp"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// Whether a close came before or after Handoff opened the ticket for a newer episode (M4) is told by order alone: the
// desk's clock may be off, and what it tells may arrive late. A conversation's commands and fetches at the desk share a
// lane, so a fetch that follows such a command reads what was there when it ended; and within what was read, the ticket
// was opened behind any close that an opening follows.

// endOpening notes that a command which leaves the ticket open for an episode has ended. Also one that failed: nothing
// of it is to come any more, and a close counts again.
func endOpening(t *turn.Turn, open *statev1.OpenCall) {
	c := open.GetRecord().GetCommand()
	if status := max(c.GetAppendMessages().GetStatus(), c.GetSetTicketStatus().GetStatus()); c.GetCreateTicket() == nil && !isOpen(status) {
		return
	}
	name, ticket := ticketName(placeOf(open.GetRecord()).Conversation, ticketEpisode(c)), &statev1.DeskTicket{}
	if t.Get(name, ticket) && c.GetEpisode() > ticket.GetOpenedFor() {
		ticket.OpenedFor = c.GetEpisode()
		t.Put(name, ticket)
	}
}

// openedFor tells for each item of an answer which episode the ticket had been opened for when it happened; 0 where
// that is not known. It notes how far that was read.
func openedFor(episode uint64, ticket *statev1.DeskTicket, items []*handoffv1.DeskItem, more bool) func(int) uint64 {
	before, since := ticket.GetOpenedFor(), 0
	if ticket.GetOpenedFor() > ticket.GetReadFor() {
		before = cmp.Or(ticket.GetReadFor(), episode)
		opened := false
		for i, item := range items {
			if isOpen(item.GetStatus()) {
				since, opened = i, true
			}
		}
		if more && !opened {
			since = len(items) // the opening may be behind them
		} else {
			ticket.ReadFor = ticket.GetOpenedFor()
		}
	}
	now := ticket.GetOpenedFor()
	return func(i int) uint64 {
		if i < since {
			return before
		}
		return now
	}
}

// isOpen tells that a status is told, and is an open one (H4).
func isOpen(s handoffv1.TicketStatus) bool {
	return s != handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED && !endedBy(s, false)
}
