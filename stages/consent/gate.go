package consent

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/quiet"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

const (
	conversationPrefix = "conversation/"
	endedPrefix        = "ended/"
	// answerTimer begins the names of timers that end C13's time for answers.
	answerTimer = "answers/"
	// answerAfterStop is how long an agent may answer what an opted-out person wrote (C13).
	answerAfterStop = 24 * time.Hour
	// subscriptionRequired is the value of consent.reply_requires that lets only subscribers be texted.
	subscriptionRequired = "subscription"
)

// wrote remembers when the person wrote last, in public too: that is what is answered.
func wrote(t *turn.Turn, m *handoffv1.CustomerMessage) {
	name := t.Join(conversationPrefix, t.Record.GetConversation())
	c := turn.Zero[statev1.ConsentConversation](t)
	t.Get(name, c)
	if c.GetLastMessageAt() == nil || t.At().After(c.GetLastMessageAt().AsTime()) {
		c.LastMessageAt = t.Record.GetReceivedAt()
	}
	if m.GetPublicPost() {
		c.LastPostAt = t.Record.GetReceivedAt()
	}
	switch m.GetClassification().GetDirective() {
	case handoffv1.Directive_DIRECTIVE_STOP, handoffv1.Directive_DIRECTIVE_START, handoffv1.Directive_DIRECTIVE_HELP:
	default:
		c.LastAnswerableAt = t.Record.GetReceivedAt()
	}
	t.Put(name, c)
}

// agentReply decides an agent's reply: #optout in it unsubscribes and nothing is sent (C8), else the
// gate decides (C7). One that comes in quiet hours, long after the person wrote, is passed to be parked
// (C11).
func (s *Stage) agentReply(t *turn.Turn, a *handoffv1.AgentReply) {
	if tag := optOutTag(a.GetText()); tag != "" {
		optOutByAgent(t, a, tag)
		return
	}
	reason := gate(t, handoffv1.TextClass_TEXT_CLASS_AGENT, a.GetTicketId())
	if reason == handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED {
		a.Parking = s.parking(t)
		forward(t)
		return
	}
	block(t, reason, a.GetText(), a.GetEpisode(), &handoffv1.AuthorRef{
		TextClass: handoffv1.TextClass_TEXT_CLASS_AGENT, TicketId: a.GetTicketId(), NativeId: a.GetNativeId(), Name: a.GetAuthor(),
	})
}

// exemptFor is how long a person's message makes what answers it exempt from quiet hours (C11).
const exemptFor = 24 * time.Hour

// parking is why an agent's reply may not leave yet; nil when it may.
func (s *Stage) parking(t *turn.Turn) *handoffv1.Parking {
	if wroteWithin(t, exemptFor) {
		return nil
	}
	here := t.Here()
	q, ok := s.quiet.Judge(t.Shop, quiet.Ask{
		At: t.At(), Class: handoffv1.TextClass_TEXT_CLASS_AGENT, Channel: here.Channel, Address: t.Key.Address,
		Zone: stampOf(t, here).GetTimeZone(),
	})
	if ok {
		return nil
	}
	return &handoffv1.Parking{Reason: handoffv1.ParkReason_PARK_REASON_QUIET_HOURS, Until: t.Stamp(q.Until), Why: q.Why}
}

// botReply decides the bot's answer. One that says it cannot answer holds no text, so it passes.
func botReply(t *turn.Turn, b *handoffv1.BotReply) {
	reason := handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED
	if !b.GetCannotAnswer() && b.GetText() != "" {
		reason = gate(t, handoffv1.TextClass_TEXT_CLASS_BOT, "")
	}
	if reason == handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED {
		forward(t)
		return
	}
	block(t, reason, b.GetText(), 0, &handoffv1.AuthorRef{
		TextClass: handoffv1.TextClass_TEXT_CLASS_BOT, NativeId: strconv.FormatUint(b.GetTurn(), 10),
	})
}

// ruleReply decides a rule's reply: as the bot's, but that it may come of time that passes on an open ticket.
func ruleReply(t *turn.Turn, r *handoffv1.RuleReply) {
	reason := gate(t, handoffv1.TextClass_TEXT_CLASS_RULE, r.GetTicketId())
	if reason == handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED {
		forward(t)
		return
	}
	block(t, reason, r.GetText(), 0, &handoffv1.AuthorRef{TextClass: handoffv1.TextClass_TEXT_CLASS_RULE, Name: r.GetRule()})
}

// ticketEvent remembers whether the ticket is open, then passes the event on.
func ticketEvent(t *turn.Turn, e *handoffv1.TicketEvent) {
	name := endedEntry(t, e.GetTicketId())
	switch e.GetStatus() {
	case handoffv1.TicketStatus_TICKET_STATUS_SOLVED, handoffv1.TicketStatus_TICKET_STATUS_CLOSED,
		handoffv1.TicketStatus_TICKET_STATUS_SPAM, handoffv1.TicketStatus_TICKET_STATUS_DELETED:
		t.Put(name, &statev1.EndedTicket{At: t.Record.GetReceivedAt()})
	case handoffv1.TicketStatus_TICKET_STATUS_NEW, handoffv1.TicketStatus_TICKET_STATUS_OPEN,
		handoffv1.TicketStatus_TICKET_STATUS_PENDING, handoffv1.TicketStatus_TICKET_STATUS_ON_HOLD:
		t.Delete(name)
	case handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED: // unchanged
	}
	forward(t)
}

func endedEntry(t *turn.Turn, ticketID string) string {
	return endedPrefix + t.Record.GetConversation() + "/" + ticketID
}

// gate tells why a text may not be sent, BLOCK_REASON_UNSPECIFIED when it may (C7). ticketID is the
// ticket an agent replied on, or on which a rule answers; "" for the bot and where there is none.
func gate(t *turn.Turn, class handoffv1.TextClass, ticketID string) handoffv1.BlockReason {
	now := current(t, t.Here())
	switch now.GetStatus() {
	case handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED:
		return handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED
	case handoffv1.ConsentStatus_CONSENT_STATUS_CONVERSATIONAL:
		if t.Shop.Consent.ReplyRequires != subscriptionRequired && (ticketOpen(t, ticketID) || wroteWithin(t, t.Shop.Consent.ConversationalFor)) {
			return handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED
		}
		return handoffv1.BlockReason_BLOCK_REASON_NEVER_CONFIRMED
	case handoffv1.ConsentStatus_CONSENT_STATUS_PENDING:
		return handoffv1.BlockReason_BLOCK_REASON_NEVER_CONFIRMED
	case handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED:
		until := now.GetAnswerUntil()
		if class == handoffv1.TextClass_TEXT_CLASS_AGENT && until != nil && !t.At().After(until.AsTime()) {
			return handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED
		}
		return handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT
	default:
		if posted(t, t.Here()) && t.Shop.Consent.ReplyRequires != subscriptionRequired && (ticketOpen(t, ticketID) || wroteWithin(t, t.Shop.Consent.ConversationalFor)) {
			return handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED // the answer to a post is as public as the post
		}
		return handoffv1.BlockReason_BLOCK_REASON_NO_RECORD
	}
}

// posted tells whether the person wrote something in a conversation that everybody can read.
func posted(t *turn.Turn, p turn.Place) bool {
	c := turn.Zero[statev1.ConsentConversation](t)
	return t.Get(t.Join(conversationPrefix, p.Conversation), c) && c.GetLastPostAt() != nil
}

// ticketOpen tells whether the ticket that was replied on is open: it is until its end was heard of.
func ticketOpen(t *turn.Turn, ticketID string) bool {
	return ticketID != "" && !t.Get(endedEntry(t, ticketID), &statev1.EndedTicket{})
}

// wroteWithin tells whether the person wrote in this conversation that short a time ago.
func wroteWithin(t *turn.Turn, d time.Duration) bool {
	c := &statev1.ConsentConversation{}
	return t.Get(conversationPrefix+t.Record.GetConversation(), c) && c.GetLastMessageAt() != nil &&
		!t.At().After(c.GetLastMessageAt().AsTime().Add(d))
}

// whyBlocked says what of consent, and which setting, kept a text from being sent.
func whyBlocked(t *turn.Turn, reason handoffv1.BlockReason) string {
	now := current(t, t.Here())
	switch {
	case reason == handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT:
		return "the customer opted out on " + t.Shop.Date(now.GetSince().AsTime()) + " (" + now.scope + ")"
	case reason == handoffv1.BlockReason_BLOCK_REASON_NO_RECORD:
		return "there is no subscriber record for this address"
	case now.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_PENDING:
		return "the customer was asked to confirm their subscription and has not"
	case t.Shop.Consent.ReplyRequires == subscriptionRequired:
		return "the customer never subscribed, and consent.reply_requires is subscription"
	}
	return "the customer never subscribed, no ticket is open, and they wrote longer ago than consent.conversational_for (" + settings.Span(t.Shop.Consent.ConversationalFor) + ")"
}

// block tells escalate, which writes the note, and analytics of a text that was not sent.
func block(t *turn.Turn, reason handoffv1.BlockReason, text string, episode uint64, by *handoffv1.AuthorRef) {
	here := t.Here()
	r := t.Make(here)
	r.Consent = stampOf(t, here)
	r.Body = &handoffv1.Record_BlockedText{BlockedText: &handoffv1.BlockedText{
		Reason: reason, Since: current(t, here).GetSince(), Author: by, Text: text,
	}}
	t.Emit(schemas.TopicEscalate, r)
	t.Fact(here, &handoffv1.Fact{
		Reason: whyBlocked(t, reason),
		Kind: &handoffv1.Fact_Delivery{Delivery: &handoffv1.DeliveryFact{
			CallId: t.HexID(), Action: handoffv1.Action_ACTION_SEND_TEXT,
			Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED, BlockReason: reason,
			TextClass: by.GetTextClass(), TicketId: by.GetTicketId(), Episode: episode,
		}},
	})
}

// allowAnswers opens the time in which an agent may answer what an opted-out person wrote, where the
// shop set that (C13). deliver's gate learns it as a change of the account's scope.
func allowAnswers(t *turn.Turn, now standing) {
	if !t.Shop.Handoff.AnswerAfterStop {
		return
	}
	until := t.At().Add(answerAfterStop)
	change{
		scope: scopeAt(scopeAccount, t.Here()), status: now.GetStatus(), source: now.GetSource(),
		text: t.Record.GetCustomerMessage().GetText(), since: now.GetSince(), answerUntil: until,
	}.write(t, t.Here())
	t.SetTimer(answerTimer+t.Record.GetConversation(), until.Add(time.Millisecond))
}

// endAnswers ends that time.
func endAnswers(t *turn.Turn) error {
	at, err := turn.PlaceOf(strings.TrimPrefix(t.Timer.Name, answerTimer))
	if err != nil {
		return fmt.Errorf("timer %s: %w", t.Timer.Name, err)
	}
	now := current(t, at)
	until := now.GetAnswerUntil()
	if now.GetStatus() != handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED || until == nil || t.Now.Before(until.AsTime()) {
		return nil
	}
	change{scope: now.scope, status: now.GetStatus(), source: now.GetSource(), since: now.GetSince()}.write(t, at)
	return nil
}
