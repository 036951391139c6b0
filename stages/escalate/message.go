package escalate

import (
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// inbound is a customer's message on its way through the stage.
type inbound struct {
	*handoffv1.CustomerMessage
	read *handoffv1.Classification
	// toAgent: the text before it was an agent's.
	toAgent bool
}

// cause is the message as signals and turns remember it.
func (c *conversation) cause(m inbound) *statev1.Cause {
	return turn.New(c.t, statev1.Cause{Text: m.GetText(), Intent: m.read.GetIntent(), ReceivedAt: c.received()})
}

// onCustomerMessage is the way of a customer's message. Each message ends with the bot, on a ticket, as
// the answer to an offer, or with a recorded reason.
func (c *conversation) onCustomerMessage(msg *handoffv1.CustomerMessage) {
	m := inbound{CustomerMessage: msg, read: msg.GetClassification()}
	if m.read == nil {
		m.read = &handoffv1.Classification{}
	}
	c.meet(m)
	c.watchLoop(msg.GetText())
	c.remarked(m)
	c.disconnected()
	m.toAgent = c.ticket.GetLastAuthor() == handoffv1.AuthorKind_AUTHOR_KIND_AGENT && c.thread.lastTextBy(handoffv1.AuthorKind_AUTHOR_KIND_AGENT)
	if c.live() && !m.read.GetReaction() {
		c.ticket.LastAuthor = handoffv1.AuthorKind_AUTHOR_KIND_CUSTOMER
	}
	c.thread.add(c.customerMessage(msg), 0)
	c.message = c.state.GetMessages()
	c.wrote()
	if c.optedOut() {
		c.onOptedOutMessage(m) // C13
		return
	}
	if c.state.GetConsent().GetUnanswered() {
		c.onUnconfirmedMessage(m) // C6
		return
	}
	if c.answer(m) { // H2: a bare yes or no; with more text it goes on below
		return
	}
	switch {
	case c.abroad():
		c.onAbroad(m) // W9
	case m.read.GetThanksOnly():
		c.onThanks(m) // M5
	case c.ticket.GetTaken() && c.ticket.GetByEcho() && !c.live():
		c.forTheApp() // H14
	case c.paused():
		c.forAgents() // H4
	case c.mirrored():
		c.onMirrored(m) // M1, M6
	case c.withinGrace() && c.mayEscalate():
		c.continueOnTicket(m) // M4
	default:
		c.fromBotToPeople(m)
	}
}

// disconnected ends an episode whose desk the shop has removed since, or replaced by another one: nobody would read
// the message there, and at the other desk the ticket's number is somebody else's (D1, D2).
func (c *conversation) disconnected() {
	if c.ticket.GetEpisode() == 0 || c.ticket.GetGone() || c.shop.Desk.Kind != "" && c.shop.Desk.Kind == c.ticket.GetDesk() {
		return
	}
	c.ticket.Gone, c.ticket.Taken = true, false
	state := c.episode.GetState()
	if (state == requested || state == open) && c.move(EventRefused, "the desk is disconnected") {
		c.sayFailed()
		return
	}
	c.settle()
}

// fromBotToPeople escalates on a signal; a message that does not signal, or whose signal is not acted
// on, goes to the bot.
func (c *conversation) fromBotToPeople(m inbound) {
	signal := c.signalIn(m)
	if c.askRules(escalates); c.paused() {
		return // a rule gave it to people
	}
	notOffered := ""
	if signal != nil {
		notDone := c.handoff(signal)
		if notDone == "" {
			return
		}
		notOffered = c.t.Join(signal.GetReason(), "; not offered: ", notDone)
	}
	switch c.runRules(); {
	case c.paused():
	case c.rules.answered != "":
		c.notAsked("a rule answered: " + c.rules.answered)
	case c.stopped():
		c.notAsked("automation is stopped: " + c.state.GetAutomation().GetStoppedBecause() + " (R4)")
	default:
		asked := c.cause(m)
		asked.NotOffered = notOffered
		c.askBot(asked)
	}
}

// meet remembers what a message tells of its writer.
func (c *conversation) meet(m inbound) {
	if lang := m.read.GetLanguage(); lang != "" {
		c.state.Language = lang
	}
	if name := m.GetSenderName(); name != "" && name != c.state.GetName() {
		c.state.Name = name
		c.shareName()
	}
	if !m.read.GetUnsure() && !m.read.GetReaction() {
		c.state.Unsure = 0 // thanks and answers end a row of unplaced messages too (H1), a tap on one is none of it (W11)
	}
}

// forAgents puts the message before the agents (H4). The status makes a pending or snoozed ticket
// theirs again, and a ticket that is solved at this moment is not left with an unread message.
func (c *conversation) forAgents() {
	c.append(handoffv1.TicketStatus_TICKET_STATUS_OPEN)
	if c.forPeople() {
		c.awaitAgent(c.received())
	}
}

// onThanks keeps a message that only thanks: it reopens nothing and is not answered (M5). A tap on a message is
// kept alike, and besides opens and closes no ticket (W11). notes are for the ticket that it opens, if any.
func (c *conversation) onThanks(m inbound, notes ...string) {
	if c.mirrored() && c.ticket.GetEpisode() == 0 && !m.read.GetReaction() {
		c.mirror(notes...) // the first message of a mirrored conversation is a ticket whatever it says (M1)
		if !c.live() {
			c.notAsked("only thanks, and no ticket may be opened")
		}
		return
	}
	if m.read.GetReaction() {
		c.notAsked("a reaction to a message: kept as history, not answered")
	} else {
		c.notAsked("only thanks: kept as history, not answered")
	}
	if c.live() {
		c.append(handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED)
		if m.toAgent && !m.read.GetReaction() && c.shop.Handoff.CloseOnThanks && c.episode.GetState() != requested && !c.ticket.GetShared() {
			c.setStatus(handoffv1.TicketStatus_TICKET_STATUS_SOLVED)
			c.closePause("thanked after an agent's reply (close_on_thanks)") // without a word: thanks trigger no text
		}
		return
	}
	if c.reopenable() { // appending would reopen it
		for _, m := range c.thread.toTicket(c.ticket.GetEpisode(), false) {
			c.note("Customer: " + m.GetText())
		}
	}
}

// withinGrace tells that an agent replied so recently that the message is meant for them (M4).
func (c *conversation) withinGrace() bool {
	grace := c.shop.Handoff.AnswerGrace
	replied := c.state.GetAgentRepliedAt()
	return grace > 0 && replied != nil && !c.t.At().After(replied.AsTime().Add(grace))
}

// continueOnTicket gives a message within the grace to the agents: a new episode on the same ticket, or
// on a linked new one where that cannot be opened again.
func (c *conversation) continueOnTicket(m inbound) {
	signal := &statev1.Signal{
		Kind: c.episode.GetSignal().GetKind(), Intent: c.episode.GetSignal().GetIntent(),
		Text: m.GetText(), At: c.received(),
	}
	c.move(EventLapse, "an agent answered first") // a standing offer has no use any more
	c.begin(signal)
	c.request(EventRequest, "written within "+settings.Span(c.shop.Handoff.AnswerGrace)+" of an agent's reply (answer_grace)")
}

// mayEscalate tells whether an episode may begin.
func (c *conversation) mayEscalate() bool {
	why, _ := c.barred()
	return why == ""
}

// barred says why no episode may begin, and by which behaviour; "" where one may: the handoff's switch is on, and
// the desk bars none.
func (c *conversation) barred() (why, by string) {
	if !c.shop.SupportDetails {
		return "handoffs are switched off", "H10"
	}
	return c.deskBars()
}

// deskBars says why no ticket may be opened, and by which behaviour; "" where one may: the desk's switch is on, there is
// a desk, and none of the address's tickets is marked as spam. A mirrored conversation, which is no handoff, asks no
// more (M1).
func (c *conversation) deskBars() (why, by string) {
	switch {
	case !c.shop.Active:
		return "handoffs are switched off", "H10"
	case c.shop.Desk.Kind == "":
		return "there is no help desk", "H10"
	case c.spam():
		return "a ticket of theirs is marked as spam", "M7"
	}
	return "", ""
}

// begin makes the next episode the current one, in no state yet. One that expired or was closed is kept beside it:
// an agent can still reopen it (H7, H6).
func (c *conversation) begin(signal *statev1.Signal) {
	if state := c.episode.GetState(); state == expired || state == closed {
		c.t.Put(expiredEntry(c.at.Conversation), c.episode)
	}
	c.state.Episodes++
	c.state.Unsure = 0
	c.episode = turn.New(c.t, statev1.Episode{Number: c.state.GetEpisodes(), Signal: signal})
}

// tag gives the subscriber the escalation's tag, which all their conversations show (H8).
func (c *conversation) tag() {
	tag := c.shop.Handoff.Tag
	if slices.Contains(c.state.GetTags(), tag) {
		return
	}
	c.state.Tags = append(c.state.Tags, tag)
	c.others(func(other *statev1.Conversation) bool {
		if slices.Contains(other.GetTags(), tag) {
			return false
		}
		other.Tags = append(other.Tags, tag)
		return true
	})
}

// shareName gives the subscriber's name to their conversations that know none: not every channel tells it, and one
// number is one person on all of them (M1, M2).
func (c *conversation) shareName() {
	c.others(func(other *statev1.Conversation) bool {
		if other.GetName() != "" {
			return false
		}
		other.Name = c.state.GetName()
		return true
	})
}

// inherit gives a conversation that is new the tags (H8) and the name that the subscriber has in others.
func (c *conversation) inherit() {
	for _, e := range c.t.Stored(convPrefix) {
		other := &statev1.Conversation{}
		if !c.t.Decode(e.Name, e.Value, other) {
			return
		}
		if len(c.state.GetTags()) == 0 {
			c.state.Tags = other.GetTags()
		}
		if c.state.GetName() == "" {
			c.state.Name = other.GetName()
		}
	}
}

// others changes the subscriber's other conversations; change tells whether it changed one.
func (c *conversation) others(change func(*statev1.Conversation) bool) {
	changed := map[string]*statev1.Conversation{}
	turn.Scan(c.t, convPrefix, &statev1.Conversation{}, func(name string, other *statev1.Conversation) bool {
		if name != convEntry(c.at.Conversation) && change(other) {
			changed[name] = other
		}
		return true
	})
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		c.t.Put(name, changed[name])
	}
}

// later returns the later of two times, either of which may be missing.
func later(a, b *timestamppb.Timestamp) time.Time {
	switch {
	case a == nil:
		return b.AsTime()
	case b == nil || a.AsTime().After(b.AsTime()):
		return a.AsTime()
	}
	return b.AsTime()
}
