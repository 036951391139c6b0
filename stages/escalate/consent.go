package escalate

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// onConsentNotice takes what consent tells of keywords and changes. A change concerns every conversation
// of the address that its scope covers.
func (s *Stage) onConsentNotice(t *turn.Turn, n *handoffv1.ConsentNotice) error {
	var covered []string
	turn.Scan(t, convPrefix, &statev1.Conversation{}, func(name string, _ *statev1.Conversation) bool {
		if id := strings.TrimPrefix(name, convPrefix); id == t.Record.GetConversation() || covers(n.GetScope(), id) {
			covered = append(covered, id)
		}
		return true
	})
	for _, id := range covered {
		at, err := turn.PlaceOf(id)
		if err != nil {
			return err
		}
		c := s.load(t, at)
		c.onNotice(n)
		c.runRules()
		c.save()
	}
	return nil
}

// covers tells whether a scope of the ledger holds a conversation.
func covers(scope, conversation string) bool {
	channel, _, _ := strings.Cut(conversation, ":")
	return scope == "shop" || scope == "channel:"+channel || scope == "account:"+conversation
}

func (c *conversation) onNotice(n *handoffv1.ConsentNotice) {
	here := c.at.Conversation == c.t.Record.GetConversation()
	if here && wroteIt(n) {
		c.state.Unsure = 0 // a placed message (H1)
		c.keywordCame(n)
	}
	switch n.GetKind() {
	case handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPTED_OUT:
		c.state.Consent = stampOf(n, c.state.GetConsent())
		c.onOptOut(n, here)
		if n.GetForget() {
			c.forget()
		}
	case handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPTED_IN:
		c.state.Consent = stampOf(n, c.state.GetConsent())
		c.backToPeople()
		if n.GetProviderMayBlock() && c.live() { // C3
			again := "is subscribed again"
			if n.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_CONVERSATIONAL { // an import's
				again = "may be answered again"
			}
			c.note("Customer " + again + ". The provider had blocked them: only a START that reaches the provider lifts its block, so texts may still fail.")
		}
	case handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_HELP:
		if here && c.live() { // C4
			c.note(c.askedForHelp(n.GetKeyword()))
		}
	case handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPT_IN_ASKED:
		c.askedToConfirm(n, here)
	case handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_POSSIBLE_OPT_OUT:
		if here && c.live() { // C5
			c.note(c.text(settings.TextPossibleOptOut))
		}
	case handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPT_OUT_REFUSED:
		if number, _ := c.ticketNamed(n.GetTicketId(), 0); here && number != 0 {
			c.noteOn(number, c.optOutRefused(n.GetPrior()))
		}
	case handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_TIME_ZONE:
		c.moved(c.t.Record.GetConsent().GetTimeZone())
	case handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_UNSPECIFIED:
	}
}

// wroteIt tells that a change of consent is what comes of a message that escalate is not given: a keyword, or the yes
// to the question whether to subscribe (C6).
func wroteIt(n *handoffv1.ConsentNotice) bool {
	return n.GetSource() == handoffv1.ConsentSource_CONSENT_SOURCE_KEYWORD ||
		n.GetSource() == handoffv1.ConsentSource_CONSENT_SOURCE_OPT_IN_ANSWER
}

// askedToConfirm tells the agents on an open ticket that only a yes lets texts leave (C6): ours was asked in one
// conversation, the platform's counts for all that its word covers (C14).
func (c *conversation) askedToConfirm(n *handoffv1.ConsentNotice, here bool) {
	switch {
	case !c.live():
	case n.GetSource() != handoffv1.ConsentSource_CONSENT_SOURCE_IMPORT:
		if here {
			c.note("Customer was asked to confirm their subscription: their messages and your replies wait for a yes.")
		}
	case c.state.GetConsent().GetUnanswered():
		c.note(c.text(settings.TextUnconfirmedNote))
	default:
		c.note("Customer was asked by the platform to confirm their subscription, on " + c.shop.Date(n.GetSince().AsTime()) + ": their messages and your replies wait for a yes.")
	}
}

// askedForHelp tells the agents of a HELP. Where the shop texts nobody, a note of its own says so (W9).
func (c *conversation) askedForHelp(keyword string) string {
	if c.abroad() {
		return "Customer texted " + keyword + "."
	}
	return "Customer texted " + keyword + " and was sent the help text."
}

// optOutRefused says why an agent's #optout changed nothing (C8).
func (c *conversation) optOutRefused(prior handoffv1.ConsentStatus) string {
	switch prior {
	case handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED:
		return c.text(settings.TextOptOutAlready)
	case handoffv1.ConsentStatus_CONSENT_STATUS_PENDING:
		return c.text(settings.TextOptOutUnconfirmed)
	case handoffv1.ConsentStatus_CONSENT_STATUS_UNSPECIFIED, handoffv1.ConsentStatus_CONSENT_STATUS_CONVERSATIONAL,
		handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED:
	}
	return c.text(settings.TextOptOutNoRecord)
}

// onOptOut ends everything of the conversation: the offer, the episode, its timers, the bot's turn (C2,
// C8). The open ticket gets a note and follows the STOP setting, or stays for what the same message asks
// for (C5); so does one that is still on its way, because its commands wait for it in their lane. One that others
// go on on stays open (M7).
func (c *conversation) onOptOut(n *handoffv1.ConsentNotice, here bool) {
	c.dropTurn("the customer opted out before the bot was asked about it")
	c.dropParked(handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT)
	c.endExpired(n)
	wasLive := c.live()
	leaveOpen := c.shop.Handoff.OnStop == "leave_open" || n.GetKeepTicket()
	if leaveOpen && c.paused() {
		c.episode.LeftOpen, c.ticket.LeftOpen = !c.ticket.GetTaken(), c.ticket.GetTaken()
	}
	c.stopWaiting()
	c.ticket.Taken = false
	moved := c.move(EventOptOut, "opted out: "+optOutCause(n))
	if leaveOpen && !moved && n.GetPrior() == handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED {
		c.settle()
		return // repeated: the ticket that was left open knows it already
	}
	number, current := uint64(0), false
	if n.GetSource() == handoffv1.ConsentSource_CONSENT_SOURCE_AGENT && here {
		number, current = c.ticketNamed(n.GetTicketId(), 0)
	}
	switch {
	case number != 0 && !current: // the agent wrote on an earlier ticket
		c.noteOn(number, c.text(settings.TextOptOutNote))
		if wasLive {
			c.note(c.optOutNote(n, false))
		}
	case number != 0 || wasLive:
		c.note(c.optOutNote(n, number != 0 || here))
	}
	if wasLive && !leaveOpen && !c.ticket.GetShared() {
		c.setStatus(handoffv1.TicketStatus_TICKET_STATUS_SOLVED)
	}
	c.settle()
}

// backToPeople gives people back, after an opt-in, what an opt-out took from them while its ticket was
// left open: an open ticket that they had is theirs until it is closed or its time is over (H4, H6).
func (c *conversation) backToPeople() {
	inEpisode, taken := c.episode.GetLeftOpen(), c.ticket.GetLeftOpen()
	c.episode.LeftOpen, c.ticket.LeftOpen = false, false
	switch {
	case !c.live():
	case inEpisode && c.episode.GetTicketEpisode() == c.ticket.GetEpisode():
		c.move(EventOptIn, "opted in again; its ticket was left open")
		if c.ticket.GetTicketId() != "" {
			c.opened("its ticket is open already")
		}
	case taken && c.mirrored() && c.botInMirror():
		c.take()
	}
}

// endExpired ends an expired episode that stands behind a newer one.
func (c *conversation) endExpired(n *handoffv1.ConsentNotice) {
	before := &statev1.Episode{}
	if !c.t.Get(expiredEntry(c.at.Conversation), before) {
		return
	}
	current := c.episode
	c.episode = before
	c.move(EventOptOut, "opted out: "+optOutCause(n))
	c.episode = current
	c.t.Delete(expiredEntry(c.at.Conversation))
}

func optOutCause(n *handoffv1.ConsentNotice) string {
	switch {
	case n.GetSource() == handoffv1.ConsentSource_CONSENT_SOURCE_AGENT:
		return "an agent's " + n.GetKeyword()
	case n.GetSource() == handoffv1.ConsentSource_CONSENT_SOURCE_LINK:
		return "linked with somebody who opted out"
	case n.GetSource() == handoffv1.ConsentSource_CONSENT_SOURCE_IMPORT:
		return "imported from the platform"
	case n.GetSource() == handoffv1.ConsentSource_CONSENT_SOURCE_UNDECIDED:
		return "a possible opt-out that nobody decided"
	case n.GetSource() == handoffv1.ConsentSource_CONSENT_SOURCE_DECISION:
		return "decided by " + n.GetBy()
	case n.GetSource() == handoffv1.ConsentSource_CONSENT_SOURCE_WRONG_NUMBER:
		return "wrong number"
	case n.GetKeyword() == "":
		return "reported by the provider"
	case n.GetSource() == handoffv1.ConsentSource_CONSENT_SOURCE_PLAIN_LANGUAGE:
		return "plain language " + n.GetKeyword()
	}
	return "keyword " + n.GetKeyword()
}

// optOutNote is the note on the ticket (C2, C8). replied tells that it is for the agent whose reply
// held the tag.
func (c *conversation) optOutNote(n *handoffv1.ConsentNotice, replied bool) string {
	channel := schemas.ChannelTitle(c.at.Channel)
	if n.GetScope() == "shop" {
		channel = "all channels"
	}
	if n.GetSource() == handoffv1.ConsentSource_CONSENT_SOURCE_AGENT {
		if replied {
			return c.text(settings.TextOptOutNote)
		}
		return "Customer was unsubscribed from " + channel + " by an agent's " + n.GetKeyword() + "."
	}
	switch n.GetSource() {
	case handoffv1.ConsentSource_CONSENT_SOURCE_UNDECIDED:
		return "Customer is unsubscribed from " + channel + ": nobody decided within " + days(c.shop.Consent.PossibleOptOutDays) +
			" whether this was an opt-out: " + n.GetText()
	case handoffv1.ConsentSource_CONSENT_SOURCE_IMPORT:
		return "Customer is unsubscribed from " + channel + ": the platform reports that they opted out on " + c.shop.Date(n.GetSince().AsTime()) + "."
	case handoffv1.ConsentSource_CONSENT_SOURCE_LINK:
		return "Customer is unsubscribed from " + channel + ": they opted out under " + n.GetKeyword() + ", which is linked as the same person."
	case handoffv1.ConsentSource_CONSENT_SOURCE_DECISION:
		return "Customer was unsubscribed from " + channel + " by " + n.GetBy() + ", for writing: " + n.GetText()
	case handoffv1.ConsentSource_CONSENT_SOURCE_WRONG_NUMBER:
		return "Wrong number: customer wrote \"" + n.GetText() + "\" and is unsubscribed from " + channel + ". Name and history are detached."
	default:
	}
	keyword := n.GetKeyword()
	if keyword == "" {
		return "Customer is unsubscribed from " + channel + ": the provider reports that they opted out there. Only a START that reaches the provider lifts its block."
	}
	return c.text(settings.TextStopNote, "keyword", keyword, "channel", channel)
}

// days says a number of business days.
func days(n int) string {
	if n == 1 {
		return "1 business day"
	}
	return strconv.Itoa(n) + " business days"
}

// forget parts the conversation from a person who was not meant (C15): name, tags, what was refused, and
// the messages. What is on tickets stays there.
func (c *conversation) forget() {
	c.state.Name, c.state.Language, c.state.Tags, c.state.Refusals = "", "", nil, nil
	c.state.Disclosed = false
	c.thread.forget()
	if c.ticket.GetEpisode() != 0 {
		c.ticket.Detached = true
	}
	if id := c.ticket.GetTicketId(); id != "" { // a new subscriber's messages go onto a new one
		c.t.Put(pastEntry(c.at.Conversation, id), c.ticket)
		c.ticket = &statev1.Ticket{}
	}
	c.detachPast()
	c.ticket.ClosedAt = nil
}

// detachPast notes of the tickets before the current one whose they are no longer.
func (c *conversation) detachPast() {
	of := map[string]*statev1.Ticket{}
	turn.Scan(c.t, pastEntry(c.at.Conversation, ""), &statev1.Ticket{}, func(name string, k *statev1.Ticket) bool {
		if !k.GetDetached() {
			of[name] = k.CloneVT()
		}
		return true
	})
	for _, name := range slices.Sorted(maps.Keys(of)) {
		of[name].Detached = true
		c.t.Put(name, of[name])
	}
}

// optedOutWrote is the note on a ticket of someone who may not be texted (C13).
func (c *conversation) optedOutWrote() string {
	since := c.state.GetConsent().GetSince()
	if since == nil {
		since = c.received()
	}
	return c.text(settings.TextOptedOutWroteNote, "date", c.shop.Date(since.AsTime()))
}

// onOptedOutMessage handles a message of someone who may not be texted (C13).
func (c *conversation) onOptedOutMessage(m inbound) {
	c.onUnanswerable(m, unanswerable{
		note: c.optedOutWrote(),
		opens: func(signal *statev1.Signal) string {
			signal.Kind = handoffv1.SignalKind_SIGNAL_KIND_OPTED_OUT_WROTE
			return "opted out and wrote: " + signal.GetReason()
		},
		lapses:    "the customer opted out",
		otherwise: "the customer opted out and nothing in the message asks for people",
	})
}

// unanswerable is why a message may not be answered with a text.
type unanswerable struct {
	// note on the ticket that it opens.
	note string
	// opens makes the signal of that ticket's episode and says why it began.
	opens func(*statev1.Signal) string
	// lapses says why an offer from before ends, otherwise why nothing was done where no ticket opens.
	lapses, otherwise string
}

// onUnanswerable handles a message that may not be answered with a text: it goes onto an open ticket; else,
// always in mirror mode and on a signal in escalate mode, a ticket opens without an offer and with a note.
// The bot is not asked.
func (c *conversation) onUnanswerable(m inbound, why unanswerable) {
	switch {
	case m.read.GetThanksOnly():
		c.onThanks(m, why.note)
		return
	case c.live():
		c.forAgents()
		return
	case c.mirrored():
		c.mirror(why.note)
	default:
		signal := c.signalIn(m)
		if signal == nil {
			signal = c.requestBeside(m)
		}
		if signal != nil && c.mayEscalate() {
			reason := why.opens(signal)
			c.move(EventLapse, why.lapses)
			c.begin(signal)
			c.request(EventRequest, reason, why.note)
		}
	}
	if !c.live() {
		c.notAsked(why.otherwise)
	}
}

// requestBeside is what somebody asks for in the message that opts them out, nil where they do not: it opens a ticket
// whatever it is (C5), since nobody else will answer it.
func (c *conversation) requestBeside(m inbound) *statev1.Signal {
	if m.read.GetDirective() != handoffv1.Directive_DIRECTIVE_STOP || !m.read.GetMoreText() {
		return nil
	}
	return turn.New(c.t, statev1.Signal{
		Kind: handoffv1.SignalKind_SIGNAL_KIND_INTENT, Intent: m.read.GetIntent(), Text: m.GetText(), At: c.received(),
		Reason: "asked for " + m.read.GetIntent() + " in the message that opts out",
	})
}

// onUnconfirmedMessage handles a message of someone who was asked to confirm and has not (C6): it goes
// onto a ticket, with a note the first time, since neither the bot nor an offer may answer it.
func (c *conversation) onUnconfirmedMessage(m inbound) {
	note := c.text(settings.TextUnconfirmedNote)
	switch {
	case m.read.GetThanksOnly():
		c.onThanks(m, note)
		return
	case c.live():
		c.forAgents()
		if !c.read.unanswered {
			c.note(note)
		}
		return
	case c.mirrored():
		c.mirror(note)
	case c.mayEscalate():
		c.move(EventLapse, "the customer must confirm first")
		c.begin(&statev1.Signal{
			Kind: handoffv1.SignalKind_SIGNAL_KIND_UNCONFIRMED_WROTE, Intent: m.read.GetIntent(), Text: m.GetText(), At: c.received(),
		})
		c.request(EventRequest, "asked to confirm and did not", note)
	}
	if !c.live() {
		c.notAsked("the customer was asked to confirm and has not, and no ticket may be opened")
	}
}
