package consent

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas/evidence"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

const (
	// reducedEntry is the name of the ReducedLedger entry.
	reducedEntry = "reduced"
	// RetainTimer is the name of an address's timer that has the time of its ledger's evidence looked at. Ledgers
	// that were written before there was one get it from `handoff consent sweep`.
	RetainTimer = "retain"
	// lookAgain is how long a look at the evidence is put off at most: so long a shorter consent.ledger_years
	// may take to count for a ledger that nobody changes.
	lookAgain = 90 * 24 * time.Hour
)

// retain sets the time at which the evidence of the change of that moment is looked at next.
func retain(t *turn.Turn, last time.Time) {
	at := last.AddDate(t.Shop.Consent.LedgerYears, 0, 0)
	if soon := t.Now.Add(lookAgain); soon.Before(at) {
		at = soon
	}
	t.SetTimer(RetainTimer, at)
}

// reduce takes the changes out of a ledger that has not changed for as long as the shop keeps evidence (C9).
// What they led to stays, so texts go on or stay forbidden as before; of the changes themselves, with their
// texts and whoever caused them, a keyed hash is left. Without a key nothing is reduced: evidence that nobody
// could prove any more would be lost.
func (s *Stage) reduce(t *turn.Turn) error {
	var names []string
	lines := map[string]*statev1.LedgerLine{}
	turn.Scan(t, linePrefix, &statev1.LedgerLine{}, func(name string, l *statev1.LedgerLine) bool {
		names = append(names, name) // in the order of their versions
		lines[name] = l
		return true
	})
	if len(names) == 0 {
		return nil
	}
	last := lines[names[len(names)-1]]
	for _, l := range lines {
		if l.GetAt().AsTime().After(last.GetAt().AsTime()) {
			last = l // a lost record that was put back has an earlier moment and a later version
		}
	}
	lastAt := last.GetAt().AsTime()
	switch {
	case t.Now.Before(lastAt.AddDate(t.Shop.Consent.LedgerYears, 0, 0)):
		retain(t, lastAt)
		return nil
	case len(s.ledgerKey) == 0:
		t.SetTimer(RetainTimer, t.Now.Add(lookAgain)) // a key may be set until then
		return nil
	}
	before, changes := &statev1.ReducedLedger{}, make([]evidence.Change, 0, len(names))
	t.Get(reducedEntry, before)
	for _, name := range names {
		changes = append(changes, evidence.Of(t.Key, lines[name]))
		t.Delete(name)
	}
	r := &statev1.ReducedLedger{
		Hash: evidence.Hash(s.ledgerKey, before.GetHash(), changes), Key: evidence.Fingerprint(s.ledgerKey),
		At: t.NowStamp(), Through: changes[len(changes)-1].Change, LastAt: timestamppb.New(lastAt),
	}
	t.Put(reducedEntry, r)
	t.Fact(turn.Place{}, &handoffv1.Fact{
		Reason: fmt.Sprintf("the evidence of %d change(s), the last of %s, to hmac-sha256 %x by key %s", len(changes), lastAt.UTC().Format(time.DateOnly), r.GetHash(), r.GetKey()),
		Kind:   &handoffv1.Fact_ConsentEvent{ConsentEvent: &handoffv1.ConsentEvent{Kind: handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_REDUCED}},
	})
	return nil
}
