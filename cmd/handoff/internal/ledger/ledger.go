// Package ledger tells people what the consent stage has committed about an address: in plain words, as
// CSV, or as JSON lines.
package ledger

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/evidence"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// Person is what is kept of one address.
type Person struct {
	Key schemas.Key
	// Lines of the ledger, oldest first.
	Lines []*statev1.LedgerLine
	// Now is the newest change of each scope, by scope.
	Now map[string]*statev1.ScopeConsent
	// Reduced is what is left of changes whose time is over; nil where all are there.
	Reduced *statev1.ReducedLedger
	// Possible opt-outs that nobody has decided, by conversation.
	Possible map[string]*statev1.PossibleOptOut
	// Held is how many messages wait for a yes.
	Held int
	// Subscriber is the number of the subscriber at the address.
	Subscriber uint64
	// Linked are all addresses of the person, this one among them; none where it is not linked.
	Linked []string
	// Watched tells that a timer has the time of the evidence looked at.
	Watched bool
	// Detached tells that the address is a wrong number.
	Detached bool
}

// NewPerson returns a person of whom nothing is known yet.
func NewPerson(key schemas.Key) *Person {
	return &Person{Key: key, Now: map[string]*statev1.ScopeConsent{}, Possible: map[string]*statev1.PossibleOptOut{}, Subscriber: 1}
}

// Take adds an entry of the consent stage, decoded by its contract. Entries that tell nothing of consent
// itself are left out.
func (p *Person) Take(contract *turn.Contract, name string, value []byte) error {
	m, err := contract.Decode(name, value)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", name, p.Key, err)
	}
	_, rest, _ := strings.Cut(name, "/")
	switch m := m.(type) {
	case *statev1.LedgerLine:
		p.Lines = append(p.Lines, m)
	case *statev1.ReducedLedger:
		p.Reduced = m
	case *statev1.ScopeConsent:
		p.Now[rest] = m
	case *statev1.PossibleOptOut:
		p.Possible[rest] = m
	case *statev1.HeldMessage:
		p.Held++
	case *statev1.Person:
		p.Linked = m.GetAddresses()
	case *statev1.Subscriber:
		p.Subscriber, p.Detached = m.GetNumber(), m.GetEnded()
	}
	return nil
}

// sort puts the lines in order.
func (p *Person) sort() {
	slices.SortFunc(p.Lines, func(a, b *statev1.LedgerLine) int { return int(int64(a.GetVersion()) - int64(b.GetVersion())) })
}

// Empty tells that nothing is kept of the person's consent.
func (p *Person) Empty() bool { return len(p.Lines) == 0 && len(p.Now) == 0 }

// because says in words where a change came from.
func because(l *statev1.LedgerLine) string {
	switch l.GetSource() {
	case handoffv1.ConsentSource_CONSENT_SOURCE_FIRST_MESSAGE:
		return "they wrote first"
	case handoffv1.ConsentSource_CONSENT_SOURCE_KEYWORD:
		return "keyword " + l.GetKeyword()
	case handoffv1.ConsentSource_CONSENT_SOURCE_AGENT:
		return "an agent's " + l.GetKeyword()
	case handoffv1.ConsentSource_CONSENT_SOURCE_PROVIDER:
		return "the provider reported it"
	case handoffv1.ConsentSource_CONSENT_SOURCE_OPT_IN_ANSWER:
		return "their yes to the opt-in question"
	case handoffv1.ConsentSource_CONSENT_SOURCE_IMPORT:
		return "imported by " + l.GetBy() + ", source " + l.GetKeyword()
	case handoffv1.ConsentSource_CONSENT_SOURCE_PLAIN_LANGUAGE:
		return "said in plain language"
	case handoffv1.ConsentSource_CONSENT_SOURCE_OPT_IN_QUESTION:
		return "asked to confirm"
	case handoffv1.ConsentSource_CONSENT_SOURCE_UNDECIDED:
		return "a possible opt-out that nobody decided in time"
	case handoffv1.ConsentSource_CONSENT_SOURCE_DECISION:
		return "a possible opt-out, confirmed by " + l.GetBy()
	case handoffv1.ConsentSource_CONSENT_SOURCE_WRONG_NUMBER:
		return "a wrong number"
	case handoffv1.ConsentSource_CONSENT_SOURCE_LINK:
		return "they opted out under " + l.GetKeyword() + ", linked as the same person"
	case handoffv1.ConsentSource_CONSENT_SOURCE_UNSPECIFIED:
	}
	return evidence.Source(l.GetSource())
}

// scopeWords says what a scope covers.
func scopeWords(scope string) string {
	width, rest, _ := strings.Cut(scope, ":")
	switch width {
	case "shop":
		return "everything of the shop"
	case "channel":
		return "all of " + schemas.ChannelTitle(schemas.ChannelOf(rest))
	case "account":
		if at, err := turn.PlaceOf(rest); err == nil {
			return schemas.ChannelTitle(at.Channel) + " " + at.Account
		}
	}
	return scope
}

// moment writes a time.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
