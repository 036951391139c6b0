package escalate

import (
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// ticketFact reports what the desk says of one of the conversation's tickets, so that its status is known
// beside the conversation too (M3). Handoff's own changes are reported when the desk tells of them.
func (c *conversation) ticketFact(k *statev1.Ticket, ev *handoffv1.TicketEvent) {
	const unchanged = handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED
	if ev.GetStatus() == unchanged && ev.GetAssignee() == "" && ev.GetMergedInto() == "" {
		return
	}
	prior := k.GetTold()
	if ev.GetStatus() != unchanged {
		k.Told, k.ToldAt = ev.GetStatus(), c.t.Record.GetEventTime()
	}
	c.t.Fact(c.at, &handoffv1.Fact{Kind: &handoffv1.Fact_Ticket{Ticket: &handoffv1.TicketFact{
		TicketId: ev.GetTicketId(), TicketUrl: k.GetUrl(), Desk: k.GetDesk(), Status: ev.GetStatus(), Prior: prior, NativeStatus: ev.GetNativeStatus(),
		Reopened: ev.GetStatus() != unchanged && isClosed(prior) && !isClosed(ev.GetStatus()),
		Assignee: ev.GetAssignee(), MergedInto: ev.GetMergedInto(), Episode: c.liveEpisode(),
	}}})
}

// linkFact reports the link to a ticket that the desk told of before its link was known (H9).
func (c *conversation) linkFact() {
	k := c.ticket
	c.t.Fact(c.at, &handoffv1.Fact{Kind: &handoffv1.Fact_Ticket{Ticket: &handoffv1.TicketFact{
		TicketId: k.GetTicketId(), TicketUrl: k.GetUrl(), Desk: k.GetDesk(), Prior: k.GetTold(), Episode: c.liveEpisode(),
	}}})
}
