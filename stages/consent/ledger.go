package consent

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// Names of state entries.
const (
	headEntry   = "head"
	linePrefix  = "line/"
	scopePrefix = "now/"
	saidPrefix  = "said/"
)

// Scopes of a change, as settings name them.
const (
	scopeAccount = "account"
	scopeChannel = "channel"
	scopeShop    = "shop"
)

// scopeAt returns the scope of that width around a place: "shop", "channel:sms" or
// "account:sms:+15557770000".
func scopeAt(width string, p turn.Place) string {
	if width == scopeShop {
		return scopeShop
	}
	return width + ":" + scopeOf(width, p)
}

// scopeOf is what a scope narrower than the shop holds.
func scopeOf(width string, p turn.Place) string {
	switch {
	case width != scopeAccount:
		return schemas.ChannelName(p.Channel)
	case p.Conversation != "": // "<channel>:<account>" itself
		return p.Conversation
	}
	return schemas.Conversation(p.Channel, p.Account)
}

// scopeEntry is the name of the entry of scopeAt's scope.
func scopeEntry(t *turn.Turn, width string, p turn.Place) string {
	switch width {
	case scopeShop:
		return scopePrefix + scopeShop
	case scopeAccount:
		return t.Join(scopePrefix+scopeAccount+":", scopeOf(width, p))
	}
	return t.Join(scopePrefix+scopeChannel+":", scopeOf(width, p))
}

// widthOf returns the width of a scope.
func widthOf(scope string) string {
	width, _, _ := strings.Cut(scope, ":")
	return width
}

// wider tells whether width a holds more than b.
func wider(a, b string) bool {
	return rank(a) > rank(b)
}

// rank orders widths; what is none is the narrowest.
func rank(width string) int {
	switch width {
	case scopeAccount:
		return 1
	case scopeChannel:
		return 2
	case scopeShop:
		return 3
	}
	return 0
}

// standing is the newest change that covers a place, and its scope; the zero value is unknown. It is read
// by its getters, which know of nil.
type standing struct {
	*statev1.ScopeConsent
	scope string
}

// current returns what counts at a place.
func current(t *turn.Turn, p turn.Place) standing { return covering(t, p, scopeAccount) }

// covering returns what counts at a place of the changes at least as wide as a width.
func covering(t *turn.Turn, p turn.Place, width string) standing {
	var best standing
	c := turn.Zero[statev1.ScopeConsent](t)
	for _, each := range [...]string{scopeShop, scopeChannel, scopeAccount} {
		name := scopeEntry(t, each, p)
		if t.Get(name, c) {
			if c.GetVersion() > best.GetVersion() {
				best = standing{ScopeConsent: c, scope: name[len(scopePrefix):]}
			}
			c = turn.Zero[statev1.ScopeConsent](t)
		}
		if each == width {
			break
		}
	}
	return best
}

// priorTo returns what counted before a change of a scope at a place. Where the change names no account, as imports and
// links do not, and nothing was known as widely, that is the newest of what the scope covers: somebody who wrote to an
// account was known.
func priorTo(t *turn.Turn, scope string, p turn.Place) standing {
	now := current(t, p)
	if now.GetVersion() > 0 || p.Account != "" {
		return now
	}
	turn.Scan(t, scopePrefix, &statev1.ScopeConsent{}, func(name string, c *statev1.ScopeConsent) bool {
		if s := strings.TrimPrefix(name, scopePrefix); within(s, scope) && c.GetVersion() > now.GetVersion() {
			now = standing{ScopeConsent: c, scope: s}
		}
		return true
	})
	return now
}

// stampOf is what records carry of what counts at a place.
func stampOf(t *turn.Turn, p turn.Place) *handoffv1.ConsentStamp { return current(t, p).stamp(t, p) }

// stamp is stampOf a place where this counts.
func (s standing) stamp(t *turn.Turn, p turn.Place) *handoffv1.ConsentStamp {
	head := turn.Zero[statev1.LedgerHead](t)
	t.Get(headEntry, head)
	return turn.New(t, handoffv1.ConsentStamp{
		Status: s.GetStatus(), Version: head.GetVersion(), Since: s.GetSince(), Unanswered: unanswered(t, s), TimeZone: head.GetTimeZone(),
		Public: s.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_UNSPECIFIED && posted(t, p),
	})
}

// lineEntry is the name of the ledger's line of a version: names are in the order of versions.
func lineEntry(t *turn.Turn, version uint64) string {
	var room [20]byte
	number := strconv.AppendUint(room[:0], version, 10)
	return t.Join(linePrefix, "00000000000000000000"[len(number):], string(number))
}

// change is one change of consent before it is written.
type change struct {
	scope  string
	status handoffv1.ConsentStatus
	source handoffv1.ConsentSource
	// keyword as written, tag, or the provider's code; text it stood in.
	keyword, text string
	// since when the status holds; zero for the turn's moment.
	since *timestamppb.Timestamp
	// answerUntil: agents may answer an opted-out person until then (C13).
	answerUntil time.Time
	// more tells that the message asks for something too (C5).
	more bool
	// by is who decided, where a person did.
	by string
	// wrongNumber: the address belongs to somebody else (C15).
	wrongNumber bool
}

// saidAgain remembers that an opt-out was said again for a scope: it stays the change that it was, and is as new as
// this.
func saidAgain(t *turn.Turn, scope string) {
	said := &statev1.OptOutSaid{}
	if t.Get(saidPrefix+scope, said) && !t.At().After(said.GetAt().AsTime()) {
		return
	}
	t.Put(saidPrefix+scope, &statev1.OptOutSaid{At: t.AtStamp()})
}

// lastWord is when what counts at a place was said last: what is older does not count against it.
func (s standing) lastWord(t *turn.Turn, p turn.Place) time.Time {
	last := s.GetSince().AsTime()
	if s.GetStatus() != handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED {
		return last
	}
	for _, width := range [...]string{scopeShop, scopeChannel, scopeAccount} {
		said := &statev1.OptOutSaid{}
		if t.Get(saidPrefix+scopeAt(width, p), said) && said.GetAt().AsTime().After(last) {
			last = said.GetAt().AsTime()
		}
	}
	return last
}

// write appends a change to the ledger, makes it current in its scope, and tells deliver's gate and
// analytics in the same transaction. A change that leaves the status as it was, at the place and in the
// whole scope (C13's time for answers), is no fact.
func (c change) write(t *turn.Turn, at turn.Place) {
	prior, inScope, entry := priorTo(t, c.scope, at), turn.Zero[statev1.ScopeConsent](t), t.Join(scopePrefix, c.scope)
	t.Get(entry, inScope)
	moment := t.AtStamp()
	if c.since == nil {
		c.since = moment
	}
	head := turn.Zero[statev1.LedgerHead](t)
	t.Get(headEntry, head)
	head.Version++
	t.Put(headEntry, head)
	line := turn.New(t, statev1.LedgerLine{
		Version: head.GetVersion(), At: moment, Scope: c.scope, Prior: prior.GetStatus(), Status: c.status,
		Source: c.source, Keyword: c.keyword, Text: c.text, RecordId: t.HexID(), Conversation: at.Conversation,
		Subscriber: subscriber(t).GetNumber(), By: c.by,
	})
	if c.since != moment {
		line.Since = c.since
	}
	now := turn.New(t, statev1.ScopeConsent{Version: head.GetVersion(), Status: c.status, Since: c.since, Source: c.source})
	if !c.answerUntil.IsZero() {
		line.AnswerUntil = t.Stamp(c.answerUntil)
		now.AnswerUntil = line.AnswerUntil
	}
	t.Put(lineEntry(t, head.GetVersion()), line)
	t.Put(entry, now)
	retain(t, t.At())

	c.tell(t, at, head.GetVersion(), moment)
	if c.scope == scopeShop && inScope.GetStatus() != c.status {
		c.spread(t)
	}
	if prior.GetStatus() == c.status && (inScope.GetStatus() == c.status || !wider(widthOf(c.scope), widthOf(prior.scope))) {
		return
	}
	fact := c.fact(t, head.GetVersion(), prior.GetStatus())
	t.Fact(at, fact)
	if c.source != handoffv1.ConsentSource_CONSENT_SOURCE_IMPORT { // which the platform knows of (C14)
		r := t.Make(at)
		r.Consent, r.Body = nil, turn.New(t, handoffv1.Record_Fact{Fact: turn.New(t, handoffv1.Fact{Kind: fact.GetKind(), Stage: schemas.StageConsent, At: moment})})
		t.Emit(schemas.TopicPlatform, r)
	}
}

// tell has deliver's gate know of the change.
func (c change) tell(t *turn.Turn, at turn.Place, version uint64, moment *timestamppb.Timestamp) {
	r := t.Make(at)
	r.Consent = nil
	r.Body = turn.New(t, handoffv1.Record_ConsentChanged{ConsentChanged: turn.New(t, handoffv1.ConsentChanged{
		Scope: c.scope, Version: version, Status: c.status, Allowed: c.allowed(), At: moment,
	})})
	t.Emit(schemas.TopicDeliver, r)
}

// fact is the change as analytics and the platform learn of it.
func (c change) fact(t *turn.Turn, version uint64, prior handoffv1.ConsentStatus) *handoffv1.Fact {
	return turn.New(t, handoffv1.Fact{Kind: turn.New(t, handoffv1.Fact_Consent{Consent: turn.New(t, handoffv1.ConsentFact{
		Version: version, Scope: c.scope, Prior: prior, Status: c.status,
		Source: c.source, Keyword: c.keyword, Text: c.text, MessageId: t.HexID(),
	})})})
}

// allowed lists the classes that may still leave.
func (c change) allowed() []handoffv1.TextClass {
	switch c.status {
	case handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED, handoffv1.ConsentStatus_CONSENT_STATUS_CONVERSATIONAL:
		return []handoffv1.TextClass{
			handoffv1.TextClass_TEXT_CLASS_AGENT, handoffv1.TextClass_TEXT_CLASS_BOT, handoffv1.TextClass_TEXT_CLASS_RULE,
			handoffv1.TextClass_TEXT_CLASS_SYSTEM, handoffv1.TextClass_TEXT_CLASS_KEYWORD_ANSWER,
		}
	default:
		allowed := []handoffv1.TextClass{handoffv1.TextClass_TEXT_CLASS_KEYWORD_ANSWER}
		if c.status == handoffv1.ConsentStatus_CONSENT_STATUS_PENDING {
			allowed = append(allowed, handoffv1.TextClass_TEXT_CLASS_OPT_IN_QUESTION)
		}
		if !c.answerUntil.IsZero() {
			allowed = append(allowed, handoffv1.TextClass_TEXT_CLASS_AGENT)
		}
		return allowed
	}
}

// firstMessage makes the writer of a first message conversational, for the account written to: a
// narrow scope, so that it never lifts an opt-out of another account.
func firstMessage(t *turn.Turn) {
	change{
		scope:  scopeAt(scopeAccount, t.Here()),
		status: handoffv1.ConsentStatus_CONSENT_STATUS_CONVERSATIONAL,
		source: handoffv1.ConsentSource_CONSENT_SOURCE_FIRST_MESSAGE,
		text:   t.Record.GetCustomerMessage().GetText(),
	}.write(t, t.Here())
}

// optOut writes an opt-out of the width that the shop set and tells escalate. It returns what counted
// before. Where the address is opted out as widely already nothing is written, and escalate learns that
// it was said again. A wrong number is one for everything that is sent to the address (C15).
func optOut(t *turn.Turn, at turn.Place, c change, ticketID string) standing {
	before := current(t, at)
	width := t.Shop.Consent.OptOutScope
	if c.wrongNumber {
		width = scopeShop
		c.source = handoffv1.ConsentSource_CONSENT_SOURCE_WRONG_NUMBER // whoever took it for one: it is nobody else's (W7)
		detach(t, at, c.text)
	}
	c.scope = scopeAt(width, at)
	c.status = handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED
	already := before.GetStatus() == c.status
	since := before.GetSince()
	switch {
	case !already:
		c.write(t, at)
		since = t.AtStamp()
	case wider(widthOf(c.scope), widthOf(before.scope)) || before.GetAnswerUntil() != nil,
		c.wrongNumber && before.GetSource() != c.source: // the ledger says why nobody at the address may be texted (C15)
		since = sinceWhen(t, at, before, width)
		c.since = since
		c.write(t, at)
	}
	if already {
		saidAgain(t, c.scope)
	}
	if c.wrongNumber {
		settleHeld(t) // first: it is of the history that is detached
	}
	notice(t, at, &handoffv1.ConsentNotice{
		Kind: handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPTED_OUT, Keyword: c.keyword, Source: c.source,
		Scope: c.scope, Prior: before.GetStatus(), Status: c.status, Since: since, Text: c.text, TicketId: ticketID, KeepTicket: c.more,
		Forget: c.wrongNumber, By: c.by,
	})
	settleHeld(t)
	settleCovered(t, c.status, handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_POSSIBLE_CONFIRMED, c.keyword, "the customer is unsubscribed")
	return before
}

// sinceWhen is since when somebody who had opted out is opted out of a width: from before where that was as wide, else
// from now on. What else the scope covers could be texted until then.
func sinceWhen(t *turn.Turn, at turn.Place, before standing, width string) *timestamppb.Timestamp {
	asWide := covering(t, at, width)
	switch {
	case asWide.GetStatus() != handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED:
		return t.AtStamp()
	case asWide.GetSince().AsTime().After(before.GetSince().AsTime()):
		return asWide.GetSince()
	}
	return before.GetSince()
}

// providerMayBlock tells whether the provider's own block may outlast an opt-in: the provider reported the
// opt-out, and not that it lifted it (C3).
func providerMayBlock(before standing, lifted handoffv1.ProviderOptOut) bool {
	return before.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED &&
		before.GetSource() == handoffv1.ConsentSource_CONSENT_SOURCE_PROVIDER && lifted != handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_START
}

// optInScope is what a START subscribes: what the opt-out took away, where there was one; what they were asked to
// confirm, where they were; else the channel or the account, as the shop set. It never lifts an opt-out that another account got for
// itself, and a new subscriber at a wrong number begins like anybody else.
func optInScope(t *turn.Turn, before standing) string {
	width := t.Shop.Consent.OptOutScope
	switch w := widthOf(before.scope); {
	case before.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_PENDING:
		width = w
	case before.GetStatus() != handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED ||
		before.GetSource() == handoffv1.ConsentSource_CONSENT_SOURCE_WRONG_NUMBER:
		if width == scopeShop {
			width = scopeChannel
		}
	case wider(w, width):
		width = w
	}
	if otherAccountOptedOut(t) {
		width = scopeAccount
	}
	return scopeAt(width, t.Here())
}

// otherAccountOptedOut tells whether an account other than the turn's has an opt-out of its own that
// counts.
func otherAccountOptedOut(t *turn.Turn) bool {
	var accounts []turn.Place
	turn.Scan(t, scopePrefix+"account:", &statev1.ScopeConsent{}, func(name string, c *statev1.ScopeConsent) bool {
		at, err := turn.PlaceOf(strings.TrimPrefix(name, scopePrefix+"account:"))
		if err == nil && at.Conversation != t.Here().Conversation && c.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED {
			accounts = append(accounts, at)
		}
		return true
	})
	for _, at := range accounts {
		if current(t, at).scope == scopeAt(scopeAccount, at) {
			return true
		}
	}
	return false
}
