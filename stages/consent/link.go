package consent

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// personEntry is the name of the Person entry.
const personEntry = "person"

// linkRequest begins a link at the lower key (W7). Nothing moves: each address keeps its conversations,
// tickets and ledger, and both know the person's id. Requests that cross meet at the lower key, and what
// is linked already is left as it is.
func linkRequest(t *turn.Turn, m *handoffv1.LinkRequest) {
	own, other := t.Key.Address, m.GetOther()
	switch {
	case other == "" || other == own:
		return // nobody to be linked with
	case other < own:
		r := t.Make(turn.Place{})
		r.Body = &handoffv1.Record_LinkRequest{LinkRequest: &handoffv1.LinkRequest{Other: own, By: m.GetBy()}}
		t.EmitTo(schemas.TopicConsent, other, r)
		return
	}
	before := person(t)
	if slices.Contains(before.GetAddresses(), other) {
		return
	}
	now := know(t, before, &handoffv1.Link{
		Person: cmp.Or(before.GetId(), newPerson(t, before)), Addresses: []string{other}, Left: before.GetLeft(),
	}, m.GetBy())
	tell(t, before.GetAddresses(), now)
}

// link takes another address's word that both are one person's, and answers one that was not linked with
// this one before.
func link(t *turn.Turn, m *handoffv1.Link) {
	p := person(t)
	if m.GetParts() {
		parted(t, p, m)
		return
	}
	if !m.GetAsked() && outOfDate(t, p, m) {
		sendParts(t, m.GetFrom(), m.GetPerson(), p.GetLeft())
		return
	}
	isNew := !slices.Contains(p.GetAddresses(), m.GetFrom())
	mine := optedOutAt(t)
	before := p
	p = know(t, before, m, "")
	if isNew || m.GetSpreads() {
		foldOptOut(t, m)
	}
	if isNew {
		r := t.Make(turn.Place{})
		r.Body = &handoffv1.Record_Linked{Linked: &handoffv1.Linked{Link: word(t, p, mine)}}
		t.EmitTo(schemas.TopicConsent, m.GetFrom(), r)
	}
	passOn(t, before, p, m.GetFrom())
}

// linked takes the answer to a Link.
func linked(t *turn.Turn, m *handoffv1.Link) {
	before := person(t)
	if outOfDate(t, before, m) {
		sendParts(t, m.GetFrom(), m.GetPerson(), before.GetLeft())
		return
	}
	p := know(t, before, m, "")
	foldOptOut(t, m)
	passOn(t, before, p, m.GetFrom())
}

// passOn tells the person's other addresses what was new in an address's word, if anything was.
func passOn(t *turn.Turn, before, now *statev1.Person, from string) {
	if before.GetId() != now.GetId() || !slices.Equal(before.GetAddresses(), now.GetAddresses()) || !sameLeft(before.GetLeft(), now.GetLeft()) {
		tell(t, append(slices.Clone(before.GetAddresses()), from), now)
	}
}

// person is who the address is known as; empty for nobody.
func person(t *turn.Turn) *statev1.Person {
	p := &statev1.Person{}
	t.Get(personEntry, p)
	return p
}

// know adds what is heard of a person to what is known, keeps it, and reports it when the address got an
// id, or another one. Of two ids the lower is kept, so all of a person's addresses come to the same. What
// is out of date about an address is left out.
func know(t *turn.Turn, p *statev1.Person, m *handoffv1.Link, by string) *statev1.Person {
	now := &statev1.Person{Id: m.GetPerson(), Addresses: append(slices.Clone(p.GetAddresses()), t.Key.Address), Left: p.CloneVT().GetLeft()}
	if p.GetId() != "" {
		now.Id = min(m.GetPerson(), p.GetId())
	}
	for _, address := range append(slices.Clone(m.GetAddresses()), m.GetFrom()) {
		if times := timesLeft(m.GetLeft(), address); address != "" && times >= timesLeft(now.GetLeft(), address) {
			now.Addresses = append(now.Addresses, address)
			now.Left = withLeft(now.Left, address, times)
		}
	}
	slices.Sort(now.Addresses)
	now.Addresses = slices.Compact(now.GetAddresses())
	t.Put(personEntry, now)
	if now.GetId() != p.GetId() {
		personEvent(t, turn.Place{}, now.GetId(), handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_LINKED, by, "")
	}
	return now
}

// tell sends what is known of a person to its addresses. Those that were not known before hear of the
// opt-out, too: each of two addresses says so to the other once, whoever links them.
func tell(t *turn.Turn, knew []string, p *statev1.Person) {
	mine := optedOutAt(t)
	for _, address := range p.GetAddresses() {
		if address == t.Key.Address {
			continue
		}
		w := word(t, p, mine)
		if slices.Contains(knew, address) {
			w.OptedOutAt = nil // it heard of that with the first word
		}
		w.Spreads = w.GetOptedOutAt() != nil
		w.Asked = address == t.Record.GetLinkRequest().GetOther()
		sendLink(t, address, w)
	}
}

func sendLink(t *turn.Turn, address string, w *handoffv1.Link) {
	r := t.Make(turn.Place{})
	r.Consent, r.Body = nil, &handoffv1.Record_Link{Link: w}
	t.EmitTo(schemas.TopicConsent, address, r)
}

// word is what other addresses are told.
func word(t *turn.Turn, p *statev1.Person, optedOut *timestamppb.Timestamp) *handoffv1.Link {
	return &handoffv1.Link{From: t.Key.Address, Person: p.GetId(), Addresses: p.GetAddresses(), OptedOutAt: optedOut, Left: p.GetLeft()}
}

// optedOutAt is since when the address is opted out of everything of the shop; nil when it is not.
func optedOutAt(t *turn.Turn) *timestamppb.Timestamp {
	c := &statev1.ScopeConsent{}
	if t.Get(scopePrefix+scopeShop, c) && c.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED &&
		c.GetSource() != handoffv1.ConsentSource_CONSENT_SOURCE_WRONG_NUMBER {
		return c.GetSince()
	}
	return nil
}

// foldOptOut takes over a linked address's opt-out of everything: the strictest counts, and only that
// spreads.
func foldOptOut(t *turn.Turn, m *handoffv1.Link) {
	if m.GetOptedOutAt() == nil || optedOutAt(t) != nil {
		return
	}
	before := covering(t, turn.Place{}, scopeShop)
	c := change{
		scope: scopeShop, status: handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED,
		source: handoffv1.ConsentSource_CONSENT_SOURCE_LINK, keyword: m.GetFrom(),
	}
	c.write(t, turn.Place{})
	notice(t, turn.Place{}, &handoffv1.ConsentNotice{
		Kind: handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPTED_OUT, Keyword: c.keyword, Source: c.source,
		Scope: c.scope, Prior: before.GetStatus(), Status: c.status, Since: t.AtStamp(),
	})
	settleHeld(t)
	settleCovered(t, c.status, handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_POSSIBLE_CONFIRMED, c.keyword, "the customer is unsubscribed")
}

// spread tells the person's other addresses of an opt-out from everything of the shop. What came by a
// link went to all already, and a wrong number is nobody else's.
func (c change) spread(t *turn.Turn) {
	if c.status != handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED || c.source == handoffv1.ConsentSource_CONSENT_SOURCE_LINK ||
		c.source == handoffv1.ConsentSource_CONSENT_SOURCE_WRONG_NUMBER {
		return
	}
	p := person(t)
	for _, address := range p.GetAddresses() {
		if address != t.Key.Address {
			w := word(t, p, c.since)
			w.Spreads = true
			sendLink(t, address, w)
		}
	}
}

func personEvent(t *turn.Turn, at turn.Place, id string, kind handoffv1.ConsentEventKind, by, why string) {
	t.Fact(at, &handoffv1.Fact{Reason: why, Kind: &handoffv1.Fact_ConsentEvent{ConsentEvent: &handoffv1.ConsentEvent{Kind: kind, By: by, Person: id}}})
}
