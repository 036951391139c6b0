package consent

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/consentfile"
	"github.com/handoff-dev/handoff/schemas/evidence"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// importConsent takes what the platform knows of an address (C14): the newer change wins, an opt-out wins
// a tie. Where a narrower scope has a newer change of its own, the import applies beside it, to each
// account that has none.
func importConsent(t *turn.Turn, m *handoffv1.ConsentImport) error {
	here := t.Here()
	if here.Channel == handoffv1.Channel_CHANNEL_UNSPECIFIED || m.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_UNSPECIFIED || m.GetChangedAt() == nil {
		return fmt.Errorf("%w: an import needs channel, status and time", schemas.ErrRecord)
	}
	scope := m.GetScope()
	if scope == "" {
		scope = scopeAt(scopeChannel, here)
		if here.Account != "" {
			scope = scopeAt(scopeAccount, here)
		}
	}
	at, err := placeIn(scope, here.Channel)
	if err != nil {
		return err
	}
	// Who posts imports has told the people whose they are (C14); what comes all the same is for whoever reads dead letters.
	if _, reason := consentfile.NotOf(t.Shop.Accounts, at.Channel, cmp.Or(at.Account, here.Account), scope); reason != "" {
		return fmt.Errorf("%w: %s", schemas.ErrRecord, reason)
	}
	if m.GetChangedAt().AsTime().After(t.At()) {
		outdone(t, m, "dated in the future")
		return nil
	}
	knowZone(t, m)
	i := imported{ConsentImport: m, t: t}
	i.apply(scope, at)
	settleHeld(t)
	settleCovered(t, handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED, handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_POSSIBLE_CONFIRMED, m.GetBy(), "an import says that the customer is unsubscribed")
	subscribedSince(t, m)
	return nil
}

// subscribedSince declines possible opt-outs of before the platform had the customer subscribe: of the two the newer
// word counts.
func subscribedSince(t *turn.Turn, m *handoffv1.ConsentImport) {
	if m.GetStatus() != handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED {
		return
	}
	for _, at := range possibleAt(t, func(at turn.Place) bool { return current(t, at).GetSince().AsTime().Equal(m.GetChangedAt().AsTime()) }) {
		p := &statev1.PossibleOptOut{}
		if t.Get(possiblePrefix+at.Conversation, p) && p.GetAt().AsTime().Before(m.GetChangedAt().AsTime()) {
			settle(t, at, p, handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_POSSIBLE_DECLINED, m.GetBy(), "an import says that the customer subscribed later")
		}
	}
}

// knowZone keeps the person's time zone; the newest word on it counts. Escalate is told of another one: what it
// parked until the night is over waits for the night there (C11).
func knowZone(t *turn.Turn, m *handoffv1.ConsentImport) {
	head := &statev1.LedgerHead{}
	t.Get(headEntry, head)
	if m.GetTimeZone() == "" || head.GetTimeZoneAt() != nil && head.GetTimeZoneAt().AsTime().After(m.GetChangedAt().AsTime()) {
		return
	}
	moved := head.GetTimeZone() != m.GetTimeZone()
	head.TimeZone, head.TimeZoneAt = m.GetTimeZone(), m.GetChangedAt()
	t.Put(headEntry, head)
	if !moved {
		return
	}
	r := t.Make(turn.Place{Channel: t.Here().Channel})
	r.Consent = &handoffv1.ConsentStamp{TimeZone: m.GetTimeZone()}
	r.Body = &handoffv1.Record_ConsentNotice{ConsentNotice: &handoffv1.ConsentNotice{
		Kind: handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_TIME_ZONE, Source: handoffv1.ConsentSource_CONSENT_SOURCE_IMPORT, Scope: scopeShop,
	}}
	t.Emit(schemas.TopicEscalate, r)
}

// placeIn returns the place that stands for a scope: an account's own, or its channel without one.
func placeIn(scope string, channel handoffv1.Channel) (turn.Place, error) {
	width, rest, _ := strings.Cut(scope, ":")
	switch {
	case scope == scopeShop:
		return turn.Place{Channel: channel}, nil
	case width == scopeChannel && schemas.ChannelOf(rest) != handoffv1.Channel_CHANNEL_UNSPECIFIED:
		return turn.Place{Channel: schemas.ChannelOf(rest)}, nil
	case width == scopeAccount:
		return turn.PlaceOf(rest)
	}
	return turn.Place{}, fmt.Errorf("%w: %q is no scope of consent", schemas.ErrRecord, scope)
}

// outdone reports that an import changed nothing.
func outdone(t *turn.Turn, m *handoffv1.ConsentImport, why string) {
	t.Fact(t.Here(), &handoffv1.Fact{Reason: why, Kind: &handoffv1.Fact_ConsentEvent{ConsentEvent: &handoffv1.ConsentEvent{
		Kind: handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_IMPORT_OUTDONE, Text: m.GetText(), By: m.GetBy(),
	}}})
}

// imported is an import on its way to the scopes that it applies to.
type imported struct {
	*handoffv1.ConsentImport
	t *turn.Turn
}

// apply writes the import in a scope, unless a change there is newer, or a narrower one is: then in the
// scopes within it, one by one.
func (i imported) apply(scope string, at turn.Place) {
	now := covering(i.t, at, widthOf(scope))
	if i.loses(now, at) {
		outdone(i.t, i.ConsentImport, "a change of "+now.lastWord(i.t, at).UTC().Format(time.DateTime)+" UTC is as new or newer: "+evidence.Status(now.GetStatus()))
		return
	}
	if widthOf(scope) != scopeAccount && i.losesWithin(scope) {
		i.split(scope)
		return
	}
	c := change{
		scope: scope, status: i.GetStatus(), source: handoffv1.ConsentSource_CONSENT_SOURCE_IMPORT, keyword: i.GetSource(),
		text: i.GetText(), since: i.GetChangedAt(), by: i.GetBy(),
	}
	if c.status == handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED || c.status == handoffv1.ConsentStatus_CONSENT_STATUS_CONVERSATIONAL {
		begin(i.t, at, c.text)
	}
	c.write(i.t, at)
	if i.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_PENDING {
		askedElsewhere(i.t, scope, i.GetChangedAt())
	}
	if kind := noticeOf(now.GetStatus(), i.GetStatus()); kind != handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_UNSPECIFIED && now.GetStatus() != i.GetStatus() {
		notice(i.t, at, &handoffv1.ConsentNotice{
			Kind: kind, Keyword: i.GetSource(), Source: c.source, Scope: scope,
			Prior: now.GetStatus(), Status: i.GetStatus(), Since: i.GetChangedAt(), Text: i.GetText(), By: i.GetBy(),
			ProviderMayBlock: i.GetStatus() != handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED && providerMayBlock(now, handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_UNSPECIFIED),
		})
	}
}

// noticeOf is what escalate is told of a change of status, if anything: that somebody may be texted as people who
// write first may be is news only where they could not be.
func noticeOf(prior, s handoffv1.ConsentStatus) handoffv1.ConsentNoticeKind {
	switch s {
	case handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED:
		return handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPTED_OUT
	case handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED:
		return handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPTED_IN
	case handoffv1.ConsentStatus_CONSENT_STATUS_PENDING:
		return handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPT_IN_ASKED
	case handoffv1.ConsentStatus_CONSENT_STATUS_CONVERSATIONAL:
		if prior == handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED || prior == handoffv1.ConsentStatus_CONSENT_STATUS_PENDING {
			return handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPTED_IN
		}
	case handoffv1.ConsentStatus_CONSENT_STATUS_UNSPECIFIED: // no import's
	}
	return handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_UNSPECIFIED
}

// loses tells whether a change stands against the import. A first message does not: that its writer was
// unknown until then is what the import says otherwise.
func (i imported) loses(c standing, p turn.Place) bool {
	if c.GetSince() == nil || c.GetSource() == handoffv1.ConsentSource_CONSENT_SOURCE_FIRST_MESSAGE {
		return false
	}
	since, at := c.lastWord(i.t, p), i.GetChangedAt().AsTime()
	if !since.Equal(at) {
		return since.After(at)
	}
	const out = handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED
	return i.GetStatus() != out || c.GetStatus() == out
}

// losesWithin tells whether a narrower scope has a change that counts, or an opt-out that was said again, and stands
// against the import.
func (i imported) losesWithin(scope string) bool {
	var narrower []string
	turn.Scan(i.t, scopePrefix, &statev1.ScopeConsent{}, func(name string, _ *statev1.ScopeConsent) bool {
		if s := strings.TrimPrefix(name, scopePrefix); s != scope && within(s, scope) {
			narrower = append(narrower, s)
		}
		return true
	})
	said := map[string]bool{}
	turn.Scan(i.t, saidPrefix, &statev1.OptOutSaid{}, func(name string, _ *statev1.OptOutSaid) bool {
		if s := strings.TrimPrefix(name, saidPrefix); s != scope && within(s, scope) {
			narrower = append(narrower, s)
			said[s] = true
		}
		return true
	})
	for _, s := range narrower {
		at, err := placeIn(s, i.t.Here().Channel)
		if err != nil {
			continue // not a scope that anything is asked of
		}
		if now := current(i.t, at); (now.scope == s || said[s]) && i.loses(now, at) {
			return true
		}
	}
	return false
}

// within tells whether scope a lies in scope b.
func within(a, b string) bool {
	if b == scopeShop {
		return a != scopeShop
	}
	channel, ok := strings.CutPrefix(b, scopeChannel+":")
	return ok && strings.HasPrefix(a, scopeAccount+":"+channel+":")
}

// split applies the import to what lies within a scope: the shop's channels, or a channel's accounts.
func (i imported) split(scope string) {
	done := map[string]bool{}
	for _, a := range i.t.Shop.Accounts {
		channel := schemas.ChannelOf(a.Channel)
		at := turn.Place{Channel: channel}
		part := scopeAt(scopeChannel, at)
		if scope != scopeShop {
			if part != scope {
				continue
			}
			at = turn.Place{Channel: channel, Account: a.Account, Conversation: schemas.Conversation(channel, a.Account)}
			part = scopeAt(scopeAccount, at)
		}
		if !done[part] {
			done[part] = true
			i.apply(part, at)
		}
	}
}
