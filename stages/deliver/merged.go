package deliver

import (
	"cmp"
	"time"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// A ticket that another one was merged into is looked at, whatever the shop's desk.poll: its webhooks name the
// conversation it was made for, which may be another person's, or none where no ticket of Handoff's survived (M7).
// Every mergedPoll for quietLooks looks after something was said, on either side; then twice as long after each look
// that found nothing, up to desk.poll or mergedPollMost: people who talk get their answers within a minute, and a
// ticket that is left open for weeks costs the desk's API as little as any other. One that is closed is looked at for
// endedLooks more, ever less often, which takes three weeks: an agent may still answer on it or open it again (H6), and
// spam may be undone.
const (
	mergedPoll     = time.Minute
	mergedPollMost = 10 * time.Minute
	quietLooks     = 10
	endedLooks     = 40
)

// pollAfter is how long after the last look a ticket is looked at again; 0 for never.
func pollAfter(every time.Duration, ticket *statev1.DeskTicket) time.Duration {
	const doublings = 10 // a minute and 10 doublings are beyond any desk.poll that makes sense
	quiet := max(ticket.GetQuietPolls(), quietLooks) - quietLooks
	after := mergedPoll << min(quiet, doublings)
	switch merged := ticket.GetMergedAt() != nil; {
	case merged && !ticket.GetEnded():
		return min(after, cmp.Or(every, mergedPollMost))
	case merged && quiet < endedLooks:
		return after
	case ticket.GetEnded():
		return 0
	}
	return every
}

// spoken has a surviving ticket looked at soon again: the subscriber wrote, so somebody may answer there.
func spoken(t *turn.Turn, place turn.Place, episode uint64) {
	name, ticket := ticketName(place.Conversation, episode), &statev1.DeskTicket{}
	if !t.Get(name, ticket) || ticket.GetMergedAt() == nil || ticket.GetQuietPolls() == 0 {
		return
	}
	ticket.QuietPolls = 0
	setPoll(t, place, episode, ticket)
	t.Put(name, ticket)
}

// follow puts the surviving ticket in the place of one that was merged into it: what is written to the
// episode's ticket goes there, and what happens there from then on is told here as well. Where the
// survivor is another ticket of this conversation, that one is told of already.
func follow(t *turn.Turn, place turn.Place, episode uint64, ticket *statev1.DeskTicket, item *handoffv1.DeskItem) {
	own := false
	turn.Scan(t, ticketPrefix+place.Conversation+"/", &statev1.DeskTicket{}, func(name string, other *statev1.DeskTicket) bool {
		own = own || name != ticketName(place.Conversation, episode) && other.GetTicketId() == item.GetMergedInto()
		return !own
	})
	tellSurvivor(t, place, item)
	ticket.TicketId, ticket.Url, ticket.Cursor = item.GetMergedInto(), "", ""
	ticket.Ended, ticket.QuietPolls = own, 0
	if !own {
		ticket.MergedAt = cmp.Or(item.GetAt(), t.NowStamp())
	}
}

// tellSurvivor tells the conversation that the surviving ticket was made for, where that is another one, that it has it
// together with this one from now on.
func tellSurvivor(t *turn.Turn, place turn.Place, item *handoffv1.DeskItem) {
	of, err := schemas.ParseExternalID(item.GetMergedIntoExternalId())
	if err != nil || of.Key.Shop != t.Key.Shop || of.Key == t.Key && of.Conversation == place.Conversation {
		return // nobody's of ours, or our own
	}
	at, err := turn.PlaceOf(of.Conversation)
	if err != nil {
		return
	}
	r := t.Make(at)
	r.Body = &handoffv1.Record_TicketShared{TicketShared: &handoffv1.TicketShared{
		TicketId: item.GetMergedInto(), Episode: of.Episode, OtherAddress: t.Key.Address,
	}}
	r.Consent = nil
	t.EmitTo(schemas.TopicEscalate, of.Key.Address, r)
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
