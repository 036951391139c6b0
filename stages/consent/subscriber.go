package consent

import (
	"cmp"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// subscriberEntry is the name of the Subscriber entry.
const subscriberEntry = "subscriber"

// subscriber is who has the address now.
func subscriber(t *turn.Turn) *statev1.Subscriber {
	s := turn.Zero[statev1.Subscriber](t)
	t.Get(subscriberEntry, s)
	s.Number = cmp.Or(s.GetNumber(), 1)
	return s
}

// detach parts the address from the person who was meant (C15): what was asked of that person counts no
// more. The ledger stays, with the number of the subscriber on each line.
func detach(t *turn.Turn, at turn.Place, text string) {
	s := subscriber(t)
	if s.GetEnded() {
		return
	}
	s.Ended = true
	t.Put(subscriberEntry, s)
	var asked []string
	turn.Scan(t, optInPrefix, &statev1.OptIn{}, func(name string, _ *statev1.OptIn) bool {
		asked = append(asked, name)
		return true
	})
	for _, name := range asked {
		t.Delete(name)
		t.StopTimer(name)
	}
	subscriberEvent(t, at, s, handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_DETACHED, text)
	part(t, at, "", "")
}

// begin makes whoever subscribes a new subscriber, where the one before was a wrong number (C15): the writer of a START,
// or who the platform says may be texted since. text is what they wrote, or agreed to.
func begin(t *turn.Turn, at turn.Place, text string) {
	s := subscriber(t)
	if !s.GetEnded() {
		return
	}
	s.Number, s.Ended = s.GetNumber()+1, false
	t.Put(subscriberEntry, s)
	subscriberEvent(t, at, s, handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_NEW_SUBSCRIBER, text)
}

func subscriberEvent(t *turn.Turn, at turn.Place, s *statev1.Subscriber, kind handoffv1.ConsentEventKind, text string) {
	t.Fact(at, &handoffv1.Fact{Kind: &handoffv1.Fact_ConsentEvent{ConsentEvent: &handoffv1.ConsentEvent{
		Kind: kind, Text: text, Subscriber: s.GetNumber(),
	}}})
}
