package consent

import (
	"slices"
	"strconv"
	"strings"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// Addresses tell each other whom they are linked with, so a word that was on its way when an address left its
// person would link it again. Each address therefore counts how often it left, and every word says of which
// count it knows: one that is behind is out of date, and whoever sent it is told.

// unlinkRequest takes the address from its person: a link was wrong (W7). What was opted out meanwhile stays
// so: only the person lifts that. Conversations, tickets and ledger never moved.
func unlinkRequest(t *turn.Turn, m *handoffv1.UnlinkRequest) {
	part(t, turn.Place{}, m.GetBy(), m.GetReason())
}

// part takes the address from its person, and tells the others.
func part(t *turn.Turn, at turn.Place, by, why string) {
	p := person(t)
	if p.GetId() == "" {
		return
	}
	left := withLeft(p.CloneVT().GetLeft(), t.Key.Address, timesLeft(p.GetLeft(), t.Key.Address)+1)
	t.Put(personEntry, &statev1.Person{Left: left})
	personEvent(t, at, p.GetId(), handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_UNLINKED, by, why)
	for _, address := range p.GetAddresses() {
		if address != t.Key.Address {
			sendParts(t, address, p.GetId(), left)
		}
	}
}

// sendParts tells an address that this one is none of the person's any more.
func sendParts(t *turn.Turn, address, id string, left []*handoffv1.TimesLeft) {
	sendLink(t, address, &handoffv1.Link{From: t.Key.Address, Person: id, Parts: true, Left: left})
}

// parted forgets an address that is none of the person's any more, unless it came back since. A person of one
// address is none.
func parted(t *turn.Turn, p *statev1.Person, m *handoffv1.Link) {
	from := m.GetFrom()
	times := timesLeft(m.GetLeft(), from)
	if times <= timesLeft(p.GetLeft(), from) {
		return // known
	}
	now := p.CloneVT()
	now.Left = withLeft(now.Left, from, times)
	now.Addresses = slices.DeleteFunc(now.Addresses, func(a string) bool { return a == from })
	if len(now.Addresses) < 2 {
		now.Id, now.Addresses = "", nil
	}
	t.Put(personEntry, now)
	if now.GetId() != p.GetId() {
		personEvent(t, turn.Place{}, p.GetId(), handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_UNLINKED, "", from+" is another person's")
	}
}

// outOfDate tells that a word about this address was sent by somebody who does not know yet that it left.
func outOfDate(t *turn.Turn, p *statev1.Person, m *handoffv1.Link) bool {
	return timesLeft(m.GetLeft(), t.Key.Address) < timesLeft(p.GetLeft(), t.Key.Address)
}

// newPerson is the id of a person that begins at this address: another one than those that it was taken from.
func newPerson(t *turn.Turn, before *statev1.Person) string {
	native := ""
	if n := timesLeft(before.GetLeft(), t.Key.Address); n > 0 {
		native = strconv.FormatUint(n, 10)
	}
	return schemas.HexID(schemas.SourceID("person", t.Key.Shop, native, t.Key.Address))
}

// timesLeft is how often an address left, by a list.
func timesLeft(left []*handoffv1.TimesLeft, address string) uint64 {
	for _, l := range left {
		if l.GetAddress() == address {
			return l.GetTimes()
		}
	}
	return 0
}

// withLeft returns the list with what is known of an address, sorted; it changes the list it is given.
func withLeft(left []*handoffv1.TimesLeft, address string, times uint64) []*handoffv1.TimesLeft {
	if times == 0 {
		return left
	}
	i, found := slices.BinarySearchFunc(left, address, func(l *handoffv1.TimesLeft, address string) int {
		return strings.Compare(l.GetAddress(), address)
	})
	if !found {
		left = slices.Insert(left, i, &handoffv1.TimesLeft{Address: address})
	}
	left[i].Times = max(left[i].GetTimes(), times)
	return left
}

func sameLeft(a, b []*handoffv1.TimesLeft) bool {
	return slices.EqualFunc(a, b, func(x, y *handoffv1.TimesLeft) bool {
		return x.GetAddress() == y.GetAddress() && x.GetTimes() == y.GetTimes()
	})
}
