package consent

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

const whatsApp = "+15557770002"

// imports steps an import of the platform's.
func (w *world) imports(account, scope string, status handoffv1.ConsentStatus, at time.Time) error {
	w.t.Helper()
	return w.step(w.record(account, func(r *handoffv1.Record) {
		r.Account, r.Conversation = "", ""
		r.Body = &handoffv1.Record_ConsentImport{ConsentImport: &handoffv1.ConsentImport{
			Status: status, Scope: scope, ChangedAt: timestamppb.New(at), Source: "checkout", By: "Ann",
		}}
	}))
}

func TestImportRefusesWhatItCannotFile(t *testing.T) {
	w := newWorld(t, "")
	for name, err := range map[string]error{
		"no status":       w.imports(accountA, "", handoffv1.ConsentStatus_CONSENT_STATUS_UNSPECIFIED, w.now),
		"no such scope":   w.imports(accountA, "world", handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED, w.now),
		"no such channel": w.imports(accountA, "channel:fax", handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED, w.now),
		"not the shop's":  w.imports(accountA, "account:sms:+15557779999", handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED, w.now),
		"nor its channel": w.imports(accountA, "channel:line", handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED, w.now),
	} {
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestImportedLineTellsSince: the ledger has both when the change was and when it was imported.
func TestImportedLineTellsSince(t *testing.T) {
	w := newWorld(t, "")
	at := w.now.Add(-time.Hour)
	if err := w.imports(accountA, "", handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED, at); err != nil {
		t.Fatal(err)
	}
	lines := w.lines()
	if len(lines) != 1 || !lines[0].GetSince().AsTime().Equal(at) || !lines[0].GetAt().AsTime().Equal(w.now) || lines[0].GetBy() != "Ann" || lines[0].GetKeyword() != "checkout" {
		t.Errorf("the ledger is %v", lines)
	}
}

// stood is what the model knows of an account.
type stood struct {
	status handoffv1.ConsentStatus
	since  time.Time
	// word is when an opt-out was said last.
	word time.Time
	// wroteFirst: nothing but a first message made it so.
	wroteFirst bool
}

// TestImportsInAnyOrder holds the ledger against the rule told account by account: the newer change wins,
// an opt-out wins a tie, and nothing dated in the future counts. So no import lifts a later opt-out.
func TestImportsInAnyOrder(t *testing.T) {
	const out = handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED
	scopes := map[string][]string{
		"":                        {accountA, accountB},
		"channel:sms":             {accountA, accountB},
		"shop":                    {accountA, accountB, whatsApp},
		"account:sms:" + accountA: {accountA},
		"account:sms:" + accountB: {accountB},
	}
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, "consent: {opt_out_scope: account}\n")
		model := map[string]stood{}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			account := rapid.SampledFrom([]string{accountA, accountB, whatsApp}).Draw(rt, "account")
			switch rapid.SampledFrom([]string{"STOP", "hi", "import", "import", "import", "wait"}).Draw(rt, "what") {
			case "STOP":
				w.says(account, "STOP")
				m := model[account]
				if m.status != out {
					m = stood{status: out, since: w.now}
				}
				m.word = w.now
				model[account] = m
			case "hi":
				w.says(account, "hi")
				if model[account].status == 0 {
					model[account] = stood{status: handoffv1.ConsentStatus_CONSENT_STATUS_CONVERSATIONAL, since: w.now, word: w.now, wroteFirst: true}
				}
			case "import":
				scope := rapid.SampledFrom([]string{"", "channel:sms", "shop", "account:sms:" + accountA, "account:sms:" + accountB}).Draw(rt, "scope")
				status := rapid.SampledFrom([]handoffv1.ConsentStatus{out, handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED}).Draw(rt, "status")
				at := w.now.Add(time.Duration(rapid.IntRange(-6, 1).Draw(rt, "hours")) * time.Hour)
				if err := w.imports(accountA, scope, status, at); err != nil {
					rt.Fatal(err)
				}
				for _, a := range scopes[scope] {
					if m := model[a]; !at.After(w.now) && (m.status == 0 || m.wroteFirst || at.After(m.word) || at.Equal(m.word) && status == out && m.status != out) {
						model[a] = stood{status: status, since: at, word: at}
					}
				}
			case "wait":
				w.wait(time.Hour)
			}
			for _, a := range []string{accountA, accountB, whatsApp} {
				if got := w.standing(a); got.GetStatus() != model[a].status || model[a].status != 0 && !got.GetSince().AsTime().Equal(model[a].since) {
					rt.Fatalf("%s is %v since %v, want %v since %v", a, got.GetStatus(), got.GetSince().AsTime(), model[a].status, model[a].since)
				}
			}
		}
	})
}
