package deliver

import (
	"cmp"
	"time"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// mergedPoll is how often a ticket is looked at that another one was merged into: its webhooks tell of
// whom it was made for, not of this conversation (M7).
const mergedPoll = time.Minute

// follow puts the surviving ticket in the place of one that was merged into it: what is written to the
// episode's ticket goes there, and what happens there from then on is told here as well. Where the
// survivor is another ticket of this conversation, that one is told of already.
func follow(t *turn.Turn, place turn.Place, episode uint64, ticket *statev1.DeskTicket, item *handoffv1.DeskItem) {
	own := false
	turn.Scan(t, ticketPrefix+place.Conversation+"/", &statev1.DeskTicket{}, func(name string, other *statev1.DeskTicket) bool {
		own = own || name != ticketName(place.Conversation, episode) && other.GetTicketId() == item.GetMergedInto()
		return !own
	})
	ticket.TicketId, ticket.Url, ticket.Cursor = item.GetMergedInto(), "", ""
	ticket.MergedAt = cmp.Or(item.GetAt(), t.NowStamp())
	ticket.Ended = own
}

// sinceMerge leaves out what happened on a surviving ticket before it became this conversation's, but for
// the last word on its status, which holds on.
func sinceMerge(ticket *statev1.DeskTicket, items []*handoffv1.DeskItem) []*handoffv1.DeskItem {
	if ticket.GetMergedAt() == nil {
		return items
	}
	var kept []*handoffv1.DeskItem
	var status *handoffv1.DeskItem
	for _, item := range items {
		switch {
		case item.GetAt() == nil || item.GetAt().AsTime().After(ticket.GetMergedAt().AsTime()):
			kept = append(kept, item)
		case item.GetStatus() != handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED && !item.GetIsReply():
			status = item
		}
	}
	if status == nil {
		return kept
	}
	return append([]*handoffv1.DeskItem{status}, kept...)
}
