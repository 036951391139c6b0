package deliver

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// botUnavailable is why a bot cannot answer whose answer says nothing; see BotReply.reason.
const botUnavailable = "unavailable"

// onTicketChanged asks for everything on the ticket since the last fetch, on the ticket's lane. While
// a fetch is open a hint only makes another one follow it, so there are never more than two.
func (s *Stage) onTicketChanged(t *turn.Turn, h *handoffv1.TicketChanged) error {
	place := placeOf(t.Record)
	name, ticket := ticketName(place.Conversation, h.GetEpisode()), &statev1.DeskTicket{}
	t.Get(name, ticket)
	if why := s.unusable(t, h, place, ticket); why != "" {
		t.Fact(place, &handoffv1.Fact{Reason: why, Kind: &handoffv1.Fact_Delivery{Delivery: &handoffv1.DeliveryFact{
			CallId: t.HexID(), Action: handoffv1.Action_ACTION_FETCH_TICKET,
			Status:      handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED,
			Destination: h.GetDesk(), TicketId: h.GetTicketId(), Episode: h.GetEpisode(),
		}}})
		return nil
	}
	ticket.Desk, ticket.TicketId = h.GetDesk(), h.GetTicketId()
	if ticket.GetFetching() != "" {
		ticket.FetchAgain = true
	} else {
		s.fetch(t, place, h.GetEpisode(), ticket)
	}
	t.Put(name, ticket)
	return nil
}

// unusable says why a hint cannot be followed; empty when it can. Hints come from outside, so a wrong
// one is reported and is no dead letter.
func (s *Stage) unusable(t *turn.Turn, h *handoffv1.TicketChanged, p turn.Place, known *statev1.DeskTicket) string {
	switch {
	case p.Conversation == "" || h.GetEpisode() == 0 || h.GetTicketId() == "":
		return "the hint does not name the ticket of an episode"
	case h.GetDesk() != t.Shop.Desk.Kind:
		return "the hint is not from the shop's help desk"
	case known.GetTicketId() != "" && known.GetTicketId() != h.GetTicketId():
		return "the episode has another ticket: " + known.GetTicketId()
	}
	return ""
}

// fetch stores a FetchTicket call and notes it on the ticket.
func (s *Stage) fetch(t *turn.Turn, place turn.Place, episode uint64, ticket *statev1.DeskTicket) {
	r := t.Make(place)
	r.Body = &handoffv1.Record_Command{Command: &handoffv1.Command{
		Episode: episode, TicketEpisode: episode,
		Action: &handoffv1.Command_FetchTicket{FetchTicket: &handoffv1.FetchTicket{
			TicketId: ticket.GetTicketId(), After: ticket.GetCursor(),
		}},
	}}
	open := s.open(t, r)
	open.Destination, open.Lane = ticket.GetDesk(), place.Conversation+"/"+ticket.GetDesk()
	ticket.Fetching, ticket.FetchAgain = open.GetCommandId(), false
	store(t, open.GetCommandId(), open)
}

// endCreate notes the ticket that a command made, or that it never will.
func endCreate(t *turn.Turn, open *statev1.OpenCall, o *handoffv1.Outcome) {
	c := open.GetRecord().GetCommand()
	name, ticket := ticketName(placeOf(open.GetRecord()).Conversation, ticketEpisode(c)), &statev1.DeskTicket{}
	t.Get(name, ticket)
	if ticket.GetCreating() != open.GetCommandId() {
		return // another command's ticket
	}
	ticket.Creating = ""
	if o.GetStatus() == handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE {
		ticket.Desk, ticket.TicketId, ticket.Url = open.GetDestination(), o.GetTicketId(), o.GetTicketUrl()
		setPoll(t, placeOf(open.GetRecord()), ticketEpisode(c), ticket)
	} else if ticket.GetTicketId() == "" {
		ticket.Failed = failedOf(o)
	}
	t.Put(name, ticket)
}

// endFetch passes on what a fetch brought, in the desk's order, and lets the next one follow.
func (s *Stage) endFetch(t *turn.Turn, open *statev1.OpenCall, o *handoffv1.Outcome) {
	c, place := open.GetRecord().GetCommand(), placeOf(open.GetRecord())
	name, ticket := ticketName(place.Conversation, ticketEpisode(c)), &statev1.DeskTicket{}
	if !t.Get(name, ticket) {
		return
	}
	merged := false
	items := sinceMerge(ticket, o.GetItems())
	opened := openedFor(ticketEpisode(c), ticket, items, o.GetMoreItems())
	for i, item := range items {
		deskItem(t, place, ticketEpisode(c), ticket, item, opened(i))
		ticket.Cursor = cmp.Or(item.GetCursor(), ticket.GetCursor())
		ticket.Ended = endedBy(item.GetStatus(), ticket.GetEnded())
		if merged = item.GetMergedInto() != ""; merged {
			follow(t, place, ticketEpisode(c), ticket, item)
			break // nothing happens on this ticket any more
		}
	}
	if items := o.GetItems(); !merged && len(items) > 0 { // also past those that are not this conversation's
		ticket.Cursor = cmp.Or(items[len(items)-1].GetCursor(), ticket.GetCursor())
	}
	if o.GetTicketGone() {
		ticket.Ended = true
		deskItem(t, place, ticketEpisode(c), ticket, &handoffv1.DeskItem{
			NativeId: "gone", Status: handoffv1.TicketStatus_TICKET_STATUS_DELETED, NativeStatus: "deleted",
		}, ticket.GetOpenedFor())
	}
	again := merged && !ticket.GetEnded() || !merged && (ticket.GetFetchAgain() || (o.GetMoreItems() && len(o.GetItems()) > 0))
	ticket.Fetching, ticket.FetchAgain = "", false
	if len(o.GetItems()) > 0 {
		ticket.QuietPolls = 0
	} else if ticket.GetMergedAt() != nil {
		ticket.QuietPolls++
	}
	if again {
		s.fetch(t, place, ticketEpisode(c), ticket)
	}
	setPoll(t, place, ticketEpisode(c), ticket)
	t.Put(name, ticket)
}

// endedBy tells whether a ticket is over after an item with that status (H4: all others are open).
func endedBy(status handoffv1.TicketStatus, before bool) bool {
	if status == handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED {
		return before
	}
	return slices.Contains([]handoffv1.TicketStatus{
		handoffv1.TicketStatus_TICKET_STATUS_SOLVED, handoffv1.TicketStatus_TICKET_STATUS_CLOSED,
		handoffv1.TicketStatus_TICKET_STATUS_SPAM, handoffv1.TicketStatus_TICKET_STATUS_DELETED,
	}, status)
}

// Polling timers are named "poll/<conversation>/<episode>".
const pollTimer = "poll/"

// setPoll lets a ticket be looked at again; of one that is not over once nothing was heard of it for desk.poll: a
// webhook that was lost only delays what it told of.
func setPoll(t *turn.Turn, place turn.Place, episode uint64, ticket *statev1.DeskTicket) {
	name := pollTimer + place.Conversation + "/" + strconv.FormatUint(episode, 10)
	every := pollAfter(t.Shop.Desk.Poll, ticket)
	if every == 0 {
		t.StopTimer(name)
		return
	}
	t.SetTimer(name, t.Now.Add(every))
}

// onPoll looks at a ticket of which nothing was heard.
func (s *Stage) onPoll(t *turn.Turn, timer string) error {
	conversation, number, _ := strings.Cut(timer, "/")
	place, err := turn.PlaceOf(conversation)
	if err != nil {
		return fmt.Errorf("timer %q: %w", t.Timer.Name, err)
	}
	episode, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return fmt.Errorf("timer %q: %w", t.Timer.Name, err)
	}
	name, ticket := ticketName(conversation, episode), &statev1.DeskTicket{}
	if !t.Get(name, ticket) || ticket.GetTicketId() == "" || ticket.GetDesk() != t.Shop.Desk.Kind {
		return nil
	}
	if ticket.GetFetching() == "" {
		s.fetch(t, place, episode, ticket)
		t.Put(name, ticket)
	}
	setPoll(t, place, episode, ticket)
	return nil
}

// deskItem posts one thing that happened on a ticket to consent. Its id is derived from the desk's
// own, so that consent drops what an earlier fetch brought.
func deskItem(t *turn.Turn, place turn.Place, episode uint64, ticket *statev1.DeskTicket, item *handoffv1.DeskItem, opened uint64) {
	r := t.Make(place)
	if item.GetAt() != nil {
		r.EventTime = item.GetAt()
	}
	native := cmp.Or(item.GetNativeId(), item.GetCursor())
	if ticket.GetMergedAt() != nil { // the conversation that the ticket was made for is told of the same
		native = t.Key.Address + "/" + place.Conversation + "/" + native
	}
	if item.GetIsReply() {
		r.Id = schemas.SourceID(ticket.GetDesk(), t.Key.Shop, ticket.GetTicketId(), "reply/"+native)
		reply := &handoffv1.AgentReply{
			TicketId: ticket.GetTicketId(), NativeId: item.GetNativeId(), Text: item.GetReply(),
			Author: item.GetAuthor(), Episode: episode,
		}
		for _, url := range item.GetMediaUrls() {
			reply.Media = append(reply.Media, &handoffv1.Media{Url: url})
		}
		r.Body = &handoffv1.Record_AgentReply{AgentReply: reply}
		t.Emit(schemas.TopicConsent, r)
		if item.GetStatus() == handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED {
			return
		}
		r = t.Make(place)
		r.EventTime = cmp.Or(item.GetAt(), r.EventTime)
	}
	r.Id = schemas.SourceID(ticket.GetDesk(), t.Key.Shop, ticket.GetTicketId(), "event/"+native)
	r.Body = &handoffv1.Record_TicketEvent{TicketEvent: &handoffv1.TicketEvent{
		TicketId: ticket.GetTicketId(), Episode: episode, Status: item.GetStatus(),
		NativeStatus: item.GetNativeStatus(), NativeId: item.GetNativeId(), Assignee: item.GetAssignee(),
		MergedInto: item.GetMergedInto(),
		ByHandoff:  item.GetByHandoff(), Tags: item.GetTags(), TagsKnown: item.GetTagsKnown(), OpenedFor: opened,
	}}
	t.Emit(schemas.TopicConsent, r)
}

// lateAnswer records what the bot said after its time: it is not sent (H11).
func lateAnswer(t *turn.Turn, r *handoffv1.CallResult) {
	reply, place := r.GetOutcome().GetBotReply(), placeOf(t.Record)
	if reply == nil || place.Conversation == "" || t.Seen() {
		return
	}
	said := reply.GetText()
	if reply.GetCannotAnswer() {
		said = "cannot answer: " + reply.GetReason()
	}
	t.Fact(place, &handoffv1.Fact{
		Reason: fmt.Sprintf("bot's answer to turn %d not sent, its turn is over: %q", reply.GetTurn(), said),
		Kind: &handoffv1.Fact_Delivery{Delivery: &handoffv1.DeliveryFact{
			CallId: r.GetCallId(), Action: handoffv1.Action_ACTION_SEND_TEXT,
			Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED, BlockReason: handoffv1.BlockReason_BLOCK_REASON_EXPIRED,
			TextClass: handoffv1.TextClass_TEXT_CLASS_BOT,
		}},
	})
}

// botReply posts the bot's answer to consent. That none came is told by the receipt (H11).
func botReply(t *turn.Turn, id string, open *statev1.OpenCall, o *handoffv1.Outcome) {
	if o.GetStatus() != handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE {
		return
	}
	place, reply := placeOf(open.GetRecord()), o.GetBotReply()
	if reply == nil {
		reply = &handoffv1.BotReply{CannotAnswer: true, Reason: botUnavailable}
	}
	r := t.Make(place)
	r.Id = schemas.SourceID(Bot, t.Key.Shop, place.Conversation, id)
	r.EventTime = t.AtStamp()
	r.Body = &handoffv1.Record_BotReply{BotReply: &handoffv1.BotReply{
		Turn: open.GetRecord().GetCommand().GetAskBot().GetTurn(),
		Text: reply.GetText(), CannotAnswer: reply.GetCannotAnswer(), Reason: reply.GetReason(),
	}}
	t.Emit(schemas.TopicConsent, r)
}
