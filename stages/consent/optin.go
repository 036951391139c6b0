package consent

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

const (
	// optInPrefix begins the names of OptIn entries and of the timers that end the wait for an answer.
	optInPrefix = "optin/"
	heldPrefix  = "held/"
	// optInWait is how long the answer to the opt-in question is waited for, and how long nobody is asked
	// again (C6).
	optInWait = 24 * time.Hour
	// optInTimes is how often a person is asked in all (C6).
	optInTimes = 2
	// questionWithin is how long the question may take to leave: much later than the message it answers
	// nobody would know what it is about.
	questionWithin = time.Hour
)

// awaitOptIn keeps a message back until its writer has confirmed, where the shop wants that, and asks for
// it (C6). It tells whether the message is held. What only thanks causes no text (M5), and who cannot be texted at all
// cannot be asked (W9).
func awaitOptIn(t *turn.Turn, m *handoffv1.CustomerMessage, now standing) bool {
	asks := t.Shop.Consent.DoubleOptIn && !m.GetClassification().GetThanksOnly() && !m.GetPublicPost() &&
		t.Shop.Reaches(t.Record.GetChannel(), t.Key.Address)
	if now.GetStatus() != handoffv1.ConsentStatus_CONSENT_STATUS_PENDING {
		if !asks {
			return false
		}
		scope := optInScope(t, now)
		if !mayAskOptIn(t, scope) {
			unconfirmed(t, scope)
			return false
		}
		askOptIn(t, m, scope)
		hold(t)
		return true
	}
	o := &statev1.OptIn{}
	switch t.Get(optInPrefix+now.scope, o); {
	case acceptsOffer(m): // from before the platform asked: people are what they want
		return false
	case o.GetUntil() != nil && !o.GetUnanswered(): // the question stands
	case asks && mayAskOptIn(t, now.scope):
		askOptIn(t, m, now.scope)
	default:
		return false
	}
	hold(t)
	return true
}

// acceptsOffer tells whether a message is a yes to the offer of a person.
func acceptsOffer(m *handoffv1.CustomerMessage) bool {
	c := m.GetClassification()
	return c.GetAnswers() == handoffv1.Question_QUESTION_OFFER && c.GetDirective() != handoffv1.Directive_DIRECTIVE_NO
}

// mayAskOptIn tells whether a person may be asked: once a day at most, and twice in all.
func mayAskOptIn(t *turn.Turn, scope string) bool {
	o := &statev1.OptIn{}
	t.Get(optInPrefix+scope, o)
	return o.GetTimes() < optInTimes && (o.GetAskedAt() == nil || !t.At().Before(o.GetAskedAt().AsTime().Add(optInWait)))
}

// askOptIn makes the writer pending and sends the question. classify knows of it before an answer can
// come.
func askOptIn(t *turn.Turn, m *handoffv1.CustomerMessage, scope string) {
	here := t.Here()
	if current(t, here).GetStatus() != handoffv1.ConsentStatus_CONSENT_STATUS_PENDING {
		pending(scope, m).write(t, here)
	}
	o := &statev1.OptIn{}
	t.Get(optInPrefix+scope, o)
	o.Times++
	o.Unanswered = false
	o.AskedAt = t.AtStamp()
	o.Until = t.Stamp(t.At().Add(optInWait))
	t.Put(optInPrefix+scope, o)
	t.SetTimer(optInPrefix+scope, o.GetUntil().AsTime().Add(time.Millisecond))
	say(t, outgoing{
		text: t.Shop.Text(settings.TextOptIn, m.GetClassification().GetLanguage()), class: handoffv1.TextClass_TEXT_CLASS_OPT_IN_QUESTION,
		giveUp: questionWithin, stamp: stampOf(t, here), reason: "asked to confirm (double_opt_in)",
		question: handoffv1.Question_QUESTION_OPT_IN, until: o.GetUntil(),
	})
	now := current(t, here)
	notice(t, here, &handoffv1.ConsentNotice{
		Kind: handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPT_IN_ASKED, Scope: now.scope,
		Source: handoffv1.ConsentSource_CONSENT_SOURCE_OPT_IN_QUESTION, // whoever asked before
		Prior:  now.GetStatus(), Status: now.GetStatus(), Since: now.GetSince(), Text: m.GetText(),
	})
}

// askedElsewhere takes the platform's word that it asked a person to confirm (C14): that counts as one of the times
// that they were asked, and messages wait for the answer as long as if it was asked here.
func askedElsewhere(t *turn.Turn, scope string, at *timestamppb.Timestamp) {
	o := &statev1.OptIn{}
	t.Get(optInPrefix+scope, o)
	o.Times++
	o.AskedAt, o.Unanswered = at, false
	o.Until = t.Stamp(at.AsTime().Add(optInWait))
	t.Put(optInPrefix+scope, o)
	if t.At().After(o.GetUntil().AsTime()) {
		endOptIn(t, scope)
		return
	}
	t.SetTimer(optInPrefix+scope, o.GetUntil().AsTime().Add(time.Millisecond))
}

// standingOptIn is until when the opt-in question of a pending person can be answered; nil where none stands.
func standingOptIn(t *turn.Turn, now standing) *timestamppb.Timestamp {
	o := &statev1.OptIn{}
	if now.GetStatus() != handoffv1.ConsentStatus_CONSENT_STATUS_PENDING || !t.Get(optInPrefix+now.scope, o) || o.GetUnanswered() {
		return nil
	}
	return o.GetUntil()
}

// pending is the change to a person who was asked, or may not be asked again.
func pending(scope string, m *handoffv1.CustomerMessage) change {
	return change{
		scope: scope, status: handoffv1.ConsentStatus_CONSENT_STATUS_PENDING,
		source: handoffv1.ConsentSource_CONSENT_SOURCE_OPT_IN_QUESTION, text: m.GetText(),
	}
}

// unconfirmed makes a person pending who must confirm and may not be asked: what they write is for people.
func unconfirmed(t *turn.Turn, scope string) {
	pending(scope, t.Record.GetCustomerMessage()).write(t, t.Here())
	endOptIn(t, scope)
}

// endOptIn ends the wait for an answer.
func endOptIn(t *turn.Turn, scope string) {
	o := &statev1.OptIn{}
	t.Get(optInPrefix+scope, o)
	o.Unanswered, o.Until = true, nil
	t.Put(optInPrefix+scope, o)
	t.StopTimer(optInPrefix + scope)
}

// no declines the opt-in question that it answers: the last that was sent, ours or the platform's (H2, C14).
func no(t *turn.Turn, m *handoffv1.CustomerMessage) {
	answers := m.GetClassification().GetAnswers()
	toPlatform := answers == handoffv1.Question_QUESTION_UNSPECIFIED && standingOptIn(t, current(t, t.Here())) != nil
	if answers == handoffv1.Question_QUESTION_OPT_IN || toPlatform {
		declineOptIn(t, m)
		return
	}
	pass(t, m)
}

// declineOptIn takes a no to the opt-in question: nothing more is asked, and what was held is for people.
// The no follows what it belongs to.
func declineOptIn(t *turn.Turn, m *handoffv1.CustomerMessage) {
	now := current(t, t.Here())
	if now.GetStatus() != handoffv1.ConsentStatus_CONSENT_STATUS_PENDING {
		pass(t, m)
		return
	}
	endOptIn(t, now.scope)
	o := &statev1.OptIn{}
	t.Get(optInPrefix+now.scope, o)
	o.Times = optInTimes // and not again
	t.Put(optInPrefix+now.scope, o)
	if released := settleHeld(t); released || m.GetClassification().GetMoreText() {
		forward(t)
		return
	}
	t.Fact(t.Here(), &handoffv1.Fact{
		Reason: "a no to the question whether they want texts: nothing is asked of anybody (C6)",
		Kind: &handoffv1.Fact_Delivery{Delivery: &handoffv1.DeliveryFact{
			CallId: t.HexID(), Action: handoffv1.Action_ACTION_ASK_BOT, Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED,
		}},
	})
}

// optInOver ends the wait for an answer at its time: what was held becomes a ticket (C6).
func optInOver(t *turn.Turn, scope string) {
	o := &statev1.OptIn{}
	if !t.Get(optInPrefix+scope, o) || o.GetUntil() == nil || t.Now.Before(o.GetUntil().AsTime()) {
		return
	}
	endOptIn(t, scope)
	settleHeld(t)
}

// hold keeps the turn's message until its writer has confirmed, and records why nobody answers it before.
func hold(t *turn.Turn) {
	name, c := conversationPrefix+t.Record.GetConversation(), &statev1.ConsentConversation{}
	t.Get(name, c)
	c.Held++
	t.Put(name, c)
	t.Put(fmt.Sprintf("%s%s/%020d", heldPrefix, t.Record.GetConversation(), c.GetHeld()), &statev1.HeldMessage{Record: t.Record})
	t.Fact(t.Here(), &handoffv1.Fact{
		Reason: "held until its writer confirms the subscription (C6)",
		Kind: &handoffv1.Fact_Delivery{Delivery: &handoffv1.DeliveryFact{
			CallId: t.HexID(), Action: handoffv1.Action_ACTION_ASK_BOT, Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED,
		}},
	})
}

// settleHeld passes on, in order, the held messages of every conversation whose writer is not waited for
// any more, each with its own times and settings and the stamp of now. It tells whether there were any.
func settleHeld(t *turn.Turn) (released bool) {
	var names []string
	held := map[string]*handoffv1.Record{}
	turn.Scan(t, heldPrefix, &statev1.HeldMessage{}, func(name string, h *statev1.HeldMessage) bool {
		names = append(names, name)
		held[name] = h.GetRecord()
		return true
	})
	for _, name := range names {
		was := held[name]
		at := turn.Place{Channel: was.GetChannel(), Account: was.GetAccount(), Conversation: was.GetConversation()}
		stamp := stampOf(t, at)
		if stamp.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_PENDING && !stamp.GetUnanswered() {
			continue
		}
		t.Delete(name)
		r := t.Make(at)
		r.EventTime, r.ReceivedAt, r.Traceparent = was.GetEventTime(), was.GetReceivedAt(), was.GetTraceparent()
		r.SettingsVersion, r.Consent, r.Body = was.GetSettingsVersion(), stamp, was.GetBody()
		t.Emit(schemas.TopicEscalate, r)
		released = true
	}
	return released
}

// unanswered tells whether a pending person was waited for in vain.
func unanswered(t *turn.Turn, now standing) bool {
	if now.GetStatus() != handoffv1.ConsentStatus_CONSENT_STATUS_PENDING {
		return false
	}
	o := &statev1.OptIn{}
	return t.Get(optInPrefix+now.scope, o) && o.GetUnanswered()
}

// onTimer decides a timer by its name.
func (s *Stage) onTimer(t *turn.Turn) error {
	name := t.Timer.Name
	switch {
	case name == RetainTimer:
		return s.reduce(t)
	case strings.HasPrefix(name, answerTimer):
		return endAnswers(t)
	case strings.HasPrefix(name, optInPrefix):
		optInOver(t, strings.TrimPrefix(name, optInPrefix))
		return nil
	case strings.HasPrefix(name, possiblePrefix):
		return undecided(t, strings.TrimPrefix(name, possiblePrefix))
	}
	return fmt.Errorf("timer %q is none of consent's", name)
}
