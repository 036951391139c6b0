package escalate

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// lastMessages is how many messages of the thread tickets and the bot get (H3).
const lastMessages = 10

// conversation is one thread as one turn sees it: state read at the beginning, written by save.
// Nothing in it is nil; a conversation without an episode or ticket has empty ones.
type conversation struct {
	stage *Stage
	t     *turn.Turn
	shop  *settings.Shop
	at    turn.Place
	// names of its entries, asked for twice in every turn.
	names struct{ state, episode, ticket string }

	state   *statev1.Conversation
	episode *statev1.Episode
	ticket  *statev1.Ticket
	// first is the memory of these three as they are read.
	first struct {
		state   statev1.Conversation
		episode statev1.Episode
		ticket  statev1.Ticket
	}
	// read tells which entries were there, and whether a question to confirm had gone unanswered (C6).
	read   struct{ state, episode, ticket, unanswered bool }
	thread thread
	rules  asking
	// message is the place in the thread of the customer's message that this turn is about.
	message uint64
	// reach is what abroad found out.
	reach struct{ known, abroad bool }
	// whateverHour: an agent asked in this turn to have replies sent whatever the hour (C11).
	whateverHour bool
}

// load reads a conversation and takes over what the record's stamp tells of consent.
func (s *Stage) load(t *turn.Turn, at turn.Place) *conversation {
	c := turn.Zero[conversation](t)
	c.stage, c.t, c.shop, c.at = s, t, t.Shop, at
	c.state, c.episode, c.ticket, c.thread.c = &c.first.state, &c.first.episode, &c.first.ticket, c
	c.names.state, c.names.episode, c.names.ticket = t.Join(convPrefix, at.Conversation), t.Join(episodePrefix, at.Conversation), t.Join(ticketPrefix, at.Conversation)
	if c.read.state = t.Get(c.names.state, c.state); !c.read.state {
		c.inherit()
	}
	c.read.unanswered = c.state.GetConsent().GetUnanswered()
	c.read.episode = t.Get(c.names.episode, c.episode)
	c.read.ticket = t.Get(c.names.ticket, c.ticket)
	c.rules.before = stood{ticket: c.ticket.GetEpisode(), status: statusWord(c.ticket), episode: c.episode.GetNumber(), state: c.episode.GetState()}
	if stamp := t.Record.GetConsent(); stamp != nil {
		c.stamp(stamp)
	}
	return c
}

// save appends to the ticket what this turn added to the thread, and writes what changed.
func (c *conversation) save() {
	c.append(handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED)
	c.thread.save()
	shown := c.show()
	c.put(c.names.state, c.state, c.read.state)
	c.put(c.names.episode, c.episode, c.read.episode)
	c.put(c.names.ticket, c.ticket, c.read.ticket)
	if shown {
		c.showPeople()
	}
}

// put writes an entry, unless it was not there and holds nothing now.
func (c *conversation) put(name string, m schemas.Message, there bool) {
	if there || m.SizeVT() > 0 {
		c.t.Put(name, m)
	}
}

const (
	convPrefix    = "conv/"
	episodePrefix = "episode/"
	ticketPrefix  = "ticket/"
	threads       = "thread/" // of all conversations
	pastPrefix    = "past/"   // tickets before the current one, of all conversations
)

func convEntry(conversation string) string    { return convPrefix + conversation }
func expiredEntry(conversation string) string { return "expired/" + conversation }
func ticketEntry(conversation string) string  { return ticketPrefix + conversation }

func pastEntry(conversation, ticketID string) string {
	return pastPrefix + conversation + "/" + ticketID
}

// inOrder is a number as part of a name: names are in the order of numbers.
func inOrder(n uint64) string { return string(appendInOrder(nil, n)) }

func appendInOrder(name []byte, n uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		name = append(name, digits[n>>shift&15])
	}
	return name
}

// stamp remembers the newest consent. It is the record's own, and what has it only reads it.
func (c *conversation) stamp(stamp *handoffv1.ConsentStamp) {
	if stamp.GetVersion() >= c.state.GetConsent().GetVersion() {
		c.state.Consent = stamp
	}
}

// optedOut tells that nothing may be texted to the subscriber.
func (c *conversation) optedOut() bool {
	return c.state.GetConsent().GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED
}

// paused tells that people have the conversation (H4, M6).
func (c *conversation) paused() bool {
	state := c.episode.GetState()
	return state == requested || state == open || c.ticket.GetTaken()
}

func (c *conversation) setTimer(kind string, at time.Time) {
	c.t.SetTimer(kind+"/"+c.at.Conversation, at)
}

func (c *conversation) stopTimer(kind string) { c.t.StopTimer(c.t.Join(kind, "/", c.at.Conversation)) }

// now is the turn's clock, for entries.
func (c *conversation) now() *timestamppb.Timestamp { return c.t.NowStamp() }

// received is when the outside event of this turn was received, for entries.
func (c *conversation) received() *timestamppb.Timestamp { return c.t.AtStamp() }

// hold tells deliver's gate that automated texts are held, or no more (H4).
func (c *conversation) hold(held bool) {
	c.state.Holds++
	c.tellHold(held)
}

// restateHolds tells deliver's gate once more of each conversation whether people have it. A hold that deliver lost and
// somebody dropped would stay unknown there. Deliver takes of it what it does not know.
func (s *Stage) restateHolds(t *turn.Turn) {
	var all []string
	turn.Scan(t, convPrefix, &statev1.Conversation{}, func(name string, state *statev1.Conversation) bool {
		if state.GetHolds() > 0 {
			all = append(all, strings.TrimPrefix(name, convPrefix))
		}
		return true
	})
	for _, id := range all {
		if at, err := turn.PlaceOf(id); err == nil { // what the stage named an entry after is one
			c := s.load(t, at)
			c.tellHold(c.state.GetHeld())
		}
	}
}

func (c *conversation) tellHold(held bool) {
	r := c.t.Make(c.at)
	r.Body = &handoffv1.Record_Hold{Hold: &handoffv1.Hold{
		Held: held, Episode: c.episode.GetNumber(), Version: c.state.GetHolds(),
		Classes: []handoffv1.TextClass{handoffv1.TextClass_TEXT_CLASS_BOT, handoffv1.TextClass_TEXT_CLASS_RULE},
	}}
	c.t.Emit(schemas.TopicDeliver, r)
}

// episodeFact reports a transition (A1 to A4).
func (c *conversation) episodeFact(from State, reason string) {
	e := c.episode
	fact := turn.New(c.t, handoffv1.EpisodeFact{
		Episode: e.GetNumber(), From: from, To: e.GetState(),
		Signal: e.GetSignal().GetKind(), Intent: e.GetSignal().GetIntent(), SignalText: e.GetSignal().GetText(),
		Desk:        c.shop.Desk.Kind,
		SignalledAt: e.GetSignal().GetAt(), OfferedAt: e.GetOfferedAt(), RequestedAt: e.GetRequestedAt(),
		OpenedAt: e.GetOpenedAt(), FirstReplyAt: e.GetFirstReplyAt(), EndedAt: e.GetEndedAt(),
		AgentReplies: e.GetAgentReplies(), Reopened: e.GetReopened(),
	})
	if e.GetTicketEpisode() != 0 && e.GetTicketEpisode() == c.ticket.GetEpisode() {
		fact.TicketId, fact.TicketUrl = c.ticket.GetTicketId(), c.ticket.GetUrl()
	}
	c.t.Fact(c.at, turn.New(c.t, handoffv1.Fact{Reason: reason, Kind: turn.New(c.t, handoffv1.Fact_Episode{Episode: fact})}))
	if peopleHave(from) != peopleHave(e.GetState()) {
		c.tellPlatform(&handoffv1.Fact{Reason: reason, Kind: &handoffv1.Fact_Episode{Episode: fact}})
	}
}

// notAsked records why the bot was not asked, or what became of an answer nobody gets.
func (c *conversation) notAsked(reason string) { c.neverAsked(c.t.HexID(), reason) }

// neverAsked records why the bot was not asked about a message of the thread.
func (c *conversation) neverAsked(messageID, reason string) {
	c.t.Fact(c.at, turn.New(c.t, handoffv1.Fact{Reason: reason, Kind: turn.New(c.t, handoffv1.Fact_Delivery{Delivery: turn.New(c.t, handoffv1.DeliveryFact{
		CallId: messageID, Action: handoffv1.Action_ACTION_ASK_BOT,
		Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED, Episode: c.liveEpisode(),
	})})}))
}
