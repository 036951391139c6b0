package consent

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/evidence"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// TestReducedToTheHashOfTheChanges: whoever exported the changes before and has the key comes to the hash that
// is left; nothing of the changes is.
func TestReducedToTheHashOfTheChanges(t *testing.T) {
	w := newWorld(t, "")
	key := bytes.Repeat([]byte("k"), evidence.MinKey)
	stage, err := New(Config{LedgerKey: key})
	if err != nil {
		t.Fatal(err)
	}
	w.stage = stage
	w.says(accountA, "Hello")
	w.says(accountA, "STOP")
	var exported []evidence.Change
	for _, l := range w.lines() {
		exported = append(exported, evidence.Of(schemas.Key{Shop: "acme", Address: customer}, l))
	}
	w.wait(5 * 366 * 24 * time.Hour)
	r := &statev1.ReducedLedger{}
	if len(w.lines()) != 0 || !w.read(reducedEntry, r) || len(exported) != 2 {
		t.Fatalf("%d lines are left of %d; reduced: %v", len(w.lines()), len(exported), r)
	}
	if !bytes.Equal(r.GetHash(), evidence.Hash(key, nil, exported)) || r.GetKey() != evidence.Fingerprint(key) || r.GetThrough() != 2 {
		t.Errorf("reduced to %v", r)
	}
	if got := w.standing(accountA).GetStatus(); got != handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED {
		t.Errorf("the state is %v", got)
	}
	first := r.GetHash()
	w.says(accountA, "START")
	since := evidence.Of(schemas.Key{Shop: "acme", Address: customer}, w.lines()[0])
	w.wait(5 * 366 * 24 * time.Hour)
	if w.read(reducedEntry, r); !bytes.Equal(r.GetHash(), evidence.Hash(key, first, []evidence.Change{since})) {
		t.Errorf("the second hash does not follow from the first: %v", r)
	}
}

// TestKeptWithoutAKey: evidence that nobody could prove any more is not thrown away; once there is a key, it is
// reduced.
func TestKeptWithoutAKey(t *testing.T) {
	w := newWorld(t, "consent: {ledger_years: 1}\n")
	w.says(accountA, "STOP")
	w.wait(3 * 366 * 24 * time.Hour)
	if len(w.lines()) != 1 {
		t.Fatalf("%d lines are left", len(w.lines()))
	}
	stage, err := New(Config{LedgerKey: bytes.Repeat([]byte("k"), evidence.MinKey)})
	if err != nil {
		t.Fatal(err)
	}
	w.stage = stage
	w.wait(lookAgain)
	if len(w.lines()) != 0 {
		t.Errorf("%d lines are left with a key", len(w.lines()))
	}
	if _, err := New(Config{LedgerKey: []byte("short")}); err == nil || !strings.Contains(err.Error(), "at least 32") {
		t.Errorf("a key of 5 bytes: %v", err)
	}
}

// TestSweptLedgerIsReducedToo: a ledger from before there was a timer gets one by the record that `handoff consent
// sweep` posts, and one that is due already is reduced at once. A timer that is set stays.
func TestSweptLedgerIsReducedToo(t *testing.T) {
	w := newWorld(t, "consent: {ledger_years: 1}\n")
	stage, err := New(Config{LedgerKey: bytes.Repeat([]byte("k"), evidence.MinKey)})
	if err != nil {
		t.Fatal(err)
	}
	w.stage = stage
	sweep := func() {
		t.Helper()
		err := w.step(w.record("", func(r *handoffv1.Record) {
			r.Channel, r.Conversation = 0, ""
			r.Body = &handoffv1.Record_FireTimer{FireTimer: &handoffv1.FireTimer{Name: RetainTimer, At: timestamppb.New(w.now)}}
		}))
		if err != nil {
			t.Fatal(err)
		}
	}
	w.says(accountA, "STOP")
	delete(w.timers, RetainTimer)
	w.wait(300 * 24 * time.Hour)
	sweep()
	w.wait(time.Hour)
	if len(w.lines()) != 1 || w.timers[RetainTimer].IsZero() {
		t.Fatalf("before its time: %d lines, the timer at %s", len(w.lines()), w.timers[RetainTimer])
	}
	w.wait(90 * 24 * time.Hour)
	if len(w.lines()) != 0 {
		t.Fatalf("%d lines are left", len(w.lines()))
	}
	w.says(accountA, "START")
	delete(w.timers, RetainTimer)
	w.wait(400 * 24 * time.Hour)
	sweep()
	w.wait(time.Hour)
	if len(w.lines()) != 0 {
		t.Errorf("one that was due is left: %d lines", len(w.lines()))
	}
}
