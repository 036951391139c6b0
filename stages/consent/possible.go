package consent

import (
	"fmt"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// possiblePrefix begins the names of PossibleOptOut entries and of the timers that end their time.
const possiblePrefix = "possible/"

// possibleLook is how long the time for a decision waits at most before it is worked out again: so a number of days
// or a holiday that the shop changes meanwhile counts soon, and not only when the old time is over.
const possibleLook = time.Hour

// possibleOptOut puts a message that may be an opt-out before a person: on the open ticket, and on the
// list that entries make (C5). The first undecided one of a conversation sets the time. It follows the
// message itself, so that a ticket which that opens gets the note.
func possibleOptOut(t *turn.Turn, m *handoffv1.CustomerMessage) {
	now := current(t, t.Here())
	if now.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED {
		return // there is nothing to decide
	}
	c, name, p := m.GetClassification(), possiblePrefix+t.Record.GetConversation(), &statev1.PossibleOptOut{}
	if !t.Get(name, p) {
		p.At = t.AtStamp()
		waitForDecision(t, name, p)
	}
	p.Text, p.By, p.MessageId = m.GetText(), c.GetOptOutBy(), t.HexID()
	p.Times++
	p.WrongNumber = p.GetWrongNumber() || c.GetWrongNumber()
	t.Put(name, p)
	notice(t, t.Here(), &handoffv1.ConsentNotice{
		Kind: handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_POSSIBLE_OPT_OUT, Keyword: p.GetBy(),
		Source: handoffv1.ConsentSource_CONSENT_SOURCE_PLAIN_LANGUAGE, Scope: now.scope,
		Prior: now.GetStatus(), Status: now.GetStatus(), Since: now.GetSince(), Text: m.GetText(),
	})
	possibleEvent(t, t.Here(), p, handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_POSSIBLE_OPT_OUT, p.GetBy(), "")
}

// waitForDecision works out until when a person may decide, by the settings of the turn, and sets the timer that ends
// that, or looks again before. It tells whether the time is over.
func waitForDecision(t *turn.Turn, name string, p *statev1.PossibleOptOut) (over bool) {
	due := t.Shop.AddBusinessDays(p.GetAt().AsTime(), t.Shop.Consent.PossibleOptOutDays)
	p.DueAt = t.Stamp(due)
	next := due
	if soon := t.Now.Add(possibleLook); soon.Before(due) {
		next = soon
	}
	t.SetTimer(name, next)
	return !t.Now.Before(due)
}

// possibleEvent reports a possible opt-out, or what was decided of it.
func possibleEvent(t *turn.Turn, at turn.Place, p *statev1.PossibleOptOut, kind handoffv1.ConsentEventKind, by, reason string) {
	t.Fact(at, &handoffv1.Fact{Reason: reason, Kind: &handoffv1.Fact_ConsentEvent{ConsentEvent: &handoffv1.ConsentEvent{
		Kind: kind, Text: p.GetText(), MessageId: p.GetMessageId(), By: by, DueAt: p.GetDueAt(),
	}}})
}

// decision takes a person's word on the possible opt-outs of an address, or of one conversation (C5).
func decision(t *turn.Turn, d *handoffv1.ConsentDecision) {
	for _, at := range possibleAt(t, func(at turn.Place) bool {
		return t.Record.GetConversation() == "" || at.Conversation == t.Record.GetConversation()
	}) {
		p := &statev1.PossibleOptOut{}
		if !t.Get(possiblePrefix+at.Conversation, p) {
			continue // the opt-out that the one before it confirmed covers it
		}
		if !d.GetOptOut() {
			settle(t, at, p, handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_POSSIBLE_DECLINED, d.GetBy(), d.GetReason())
			continue
		}
		settle(t, at, p, handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_POSSIBLE_CONFIRMED, d.GetBy(), d.GetReason())
		optOut(t, at, change{
			source: handoffv1.ConsentSource_CONSENT_SOURCE_DECISION, text: p.GetText(), by: d.GetBy(), wrongNumber: p.GetWrongNumber(),
		}, "")
	}
}

// undecided makes a possible opt-out count that nobody decided in time (C5), by the settings of now.
func undecided(t *turn.Turn, conversation string) error {
	at, err := turn.PlaceOf(conversation)
	if err != nil {
		return fmt.Errorf("timer %s: %w", t.Timer.Name, err)
	}
	p := &statev1.PossibleOptOut{}
	if !t.Get(possiblePrefix+conversation, p) {
		return nil
	}
	if !waitForDecision(t, possiblePrefix+conversation, p) {
		t.Put(possiblePrefix+conversation, p)
		return nil
	}
	settle(t, at, p, handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_POSSIBLE_UNDECIDED, "", "nobody decided in time")
	optOut(t, at, change{
		source: handoffv1.ConsentSource_CONSENT_SOURCE_UNDECIDED, text: p.GetText(), wrongNumber: p.GetWrongNumber(),
	}, "")
	return nil
}

// settle ends the wait for a decision.
func settle(t *turn.Turn, at turn.Place, p *statev1.PossibleOptOut, kind handoffv1.ConsentEventKind, by, reason string) {
	t.Delete(possiblePrefix + at.Conversation)
	t.StopTimer(possiblePrefix + at.Conversation)
	possibleEvent(t, at, p, kind, by, reason)
}

// settleCovered ends the wait wherever a change decided it: an opt-out confirms, an opt-in declines.
func settleCovered(t *turn.Turn, status handoffv1.ConsentStatus, kind handoffv1.ConsentEventKind, by, reason string) {
	for _, at := range possibleAt(t, func(at turn.Place) bool { return current(t, at).GetStatus() == status }) {
		p := &statev1.PossibleOptOut{}
		t.Get(possiblePrefix+at.Conversation, p)
		settle(t, at, p, kind, by, reason)
	}
}

// possibleAt lists the conversations with undecided opt-outs that match.
func possibleAt(t *turn.Turn, match func(turn.Place) bool) (places []turn.Place) {
	var all []turn.Place
	turn.Scan(t, possiblePrefix, &statev1.PossibleOptOut{}, func(name string, _ *statev1.PossibleOptOut) bool {
		if at, err := turn.PlaceOf(strings.TrimPrefix(name, possiblePrefix)); err == nil {
			all = append(all, at)
		}
		return true
	})
	for _, at := range all {
		if match(at) {
			places = append(places, at)
		}
	}
	return places
}
