package deliver

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

const (
	agent   = handoffv1.TextClass_TEXT_CLASS_AGENT
	bot     = handoffv1.TextClass_TEXT_CLASS_BOT
	rule    = handoffv1.TextClass_TEXT_CLASS_RULE
	system  = handoffv1.TextClass_TEXT_CLASS_SYSTEM
	keyword = handoffv1.TextClass_TEXT_CLASS_KEYWORD_ANSWER

	conversational = handoffv1.ConsentStatus_CONSENT_STATUS_CONVERSATIONAL
	pendingConsent = handoffv1.ConsentStatus_CONSENT_STATUS_PENDING
	subscribed     = handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED
	unsubscribed   = handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED

	optedOut = handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT
	noRecord = handoffv1.BlockReason_BLOCK_REASON_NO_RECORD
	paused   = handoffv1.BlockReason_BLOCK_REASON_PAUSED
	never    = handoffv1.BlockReason_BLOCK_REASON_NEVER_CONFIRMED
	gateShut = handoffv1.BlockReason_BLOCK_REASON_GATE_SHUT
	expired  = handoffv1.BlockReason_BLOCK_REASON_EXPIRED
)

func TestGateJudgesTextsByCommittedState(t *testing.T) {
	tests := []struct {
		name    string
		given   func(w *world)
		class   handoffv1.TextClass
		verdict caller.Verdict
		reason  handoffv1.BlockReason
		version uint64
	}{
		{"no record: an answer to a keyword leaves", func(*world) {}, keyword, caller.Start, 0, 0},
		{"no record: nothing else does", func(*world) {}, system, caller.Refuse, noRecord, 0},
		{"wrote first", func(w *world) { w.consent("channel:sms", 1, conversational) }, bot, caller.Start, 0, 1},
		{"opted out", func(w *world) {
			w.consent("channel:sms", 1, conversational)
			w.consent("channel:sms", 2, unsubscribed)
		}, agent, caller.Refuse, optedOut, 2},
		{"opted out: the confirmation leaves", func(w *world) { w.consent("channel:sms", 2, unsubscribed) }, keyword, caller.Start, 0, 2},
		{"never confirmed", func(w *world) { w.consent("account:sms:"+number, 1, pendingConsent) }, agent, caller.Refuse, never, 1},
		{"an older change that comes late is ignored", func(w *world) {
			w.consent("channel:sms", 5, unsubscribed)
			w.consent("channel:sms", 4, subscribed)
		}, agent, caller.Refuse, optedOut, 5},
		{"the newest that covers the account counts", func(w *world) {
			w.consent("shop", 3, unsubscribed)
			w.consent("account:sms:"+number, 4, subscribed)
		}, agent, caller.Start, 0, 4},
		{"a newer opt-out of the shop covers every account", func(w *world) {
			w.consent("account:sms:"+number, 3, subscribed)
			w.consent("shop", 4, unsubscribed)
		}, agent, caller.Refuse, optedOut, 4},
		{"another account's opt-out does not count", func(w *world) {
			w.consent("channel:sms", 1, conversational)
			w.consent("account:sms:"+blindSMS, 2, unsubscribed)
		}, agent, caller.Start, 0, 1},
		{"another channel's neither", func(w *world) {
			w.consent("channel:sms", 1, conversational)
			w.consent("channel:whatsapp", 2, unsubscribed)
		}, agent, caller.Start, 0, 1},
		{"paused: a held class is refused", func(w *world) {
			w.consent("channel:sms", 1, conversational)
			w.hold(number, true, bot, rule)
		}, bot, caller.Refuse, paused, 1},
		{"paused: an agent's reply leaves", func(w *world) {
			w.consent("channel:sms", 1, conversational)
			w.hold(number, true, bot, rule)
		}, agent, caller.Start, 0, 1},
		{"another conversation's pause does not count", func(w *world) {
			w.consent("channel:sms", 1, conversational)
			w.hold(blindSMS, true, bot, rule)
		}, bot, caller.Start, 0, 1},
		{"resumed", func(w *world) {
			w.consent("channel:sms", 1, conversational)
			w.hold(number, true, bot, rule)
			w.hold(number, false)
		}, bot, caller.Start, 0, 1},
		{"shut: even an answer to a keyword waits", func(w *world) { w.shut("handoff.consent/3/14", true) }, keyword, caller.Wait, gateShut, 0},
		{"shut by two, opened by one", func(w *world) {
			w.shut("handoff.consent/3/14", true)
			w.shut("handoff.classify/3/15", true)
			w.shut("handoff.consent/3/14", false)
		}, keyword, caller.Wait, gateShut, 0},
		{"opened", func(w *world) {
			w.shut("handoff.consent/3/14", true)
			w.shut("handoff.consent/3/14", false)
		}, keyword, caller.Start, 0, 0},
		{"opted out and shut: refused, not waiting", func(w *world) {
			w.consent("channel:sms", 1, unsubscribed)
			w.shut("handoff.consent/3/14", true)
		}, agent, caller.Refuse, optedOut, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			id := w.command(number, text(tt.class, "hello"))
			tt.given(w)
			rel := w.release(id)
			if rel.Verdict != tt.verdict || rel.Reason != tt.reason || rel.ConsentVersion != tt.version {
				t.Errorf("verdict %d reason %v version %d, want %d %v %d", rel.Verdict, rel.Reason, rel.ConsentVersion, tt.verdict, tt.reason, tt.version)
			}
			if !rel.Text || rel.Attempt.Command.GetSendText().GetText() != "hello" || rel.Attempt.Shop == nil {
				t.Errorf("attempt is not filled in: %+v", rel)
			}
		})
	}
}

func TestOpeningTheGateWakesWaitingTexts(t *testing.T) {
	w := newWorld(t)
	id := w.command(number, text(keyword, "hello"))
	w.command(number, create(1))
	w.shut("handoff.consent/3/14", true)
	var stored []string
	w.committed = func(calls, _ []pipeline.PendingCall) {
		for _, c := range calls {
			stored = append(stored, c.Call.ID)
		}
	}
	w.shut("handoff.consent/3/14", false)
	if len(stored) != 1 || stored[0] != id || len(w.calls) != 2 {
		t.Errorf("stored again: %v, want %s alone; %d calls", stored, id, len(w.calls))
	}
}

func TestReleaseKeepsTimes(t *testing.T) {
	w := newWorld(t)
	w.consent("channel:sms", 1, conversational)
	w.hold(number, true, bot)
	c := text(bot, "later")
	c.NotBefore, c.GiveUpAt = timestamppb.New(monday.Add(time.Minute)), timestamppb.New(monday.Add(time.Hour))
	id := w.command(number, c)
	if rel := w.release(id); rel.Verdict != caller.Wait || !rel.Until.Equal(monday.Add(time.Minute)) {
		t.Errorf("before its time: %+v, want to wait until then whatever the gate says now", rel)
	}
	w.now = monday.Add(time.Minute)
	if rel := w.release(id); rel.Verdict != caller.Refuse || rel.Reason != paused {
		t.Errorf("at its time: %+v, want a refusal", rel)
	}
	w.hold(number, false)
	if rel := w.release(id); rel.Verdict != caller.Start {
		t.Errorf("after the pause: %+v, want a start", rel)
	}
	w.now = monday.Add(time.Hour)
	if rel := w.release(id); rel.Verdict != caller.Refuse || !rel.Expired || rel.Reason != expired {
		t.Errorf("after its time: %+v, want it expired", rel)
	}
	w.shut("handoff.consent/0/1", true)
	if rel := w.release(id); !rel.Expired || rel.Reason != gateShut {
		t.Errorf("shut until its time was over: %+v, want it expired for that reason", rel)
	}
}

func TestKeywordAnswersHaveFiveMinutesAndTheirOwnLane(t *testing.T) {
	w := newWorld(t)
	c := text(keyword, "You're unsubscribed.")
	c.GiveUpAt = timestamppb.New(monday.Add(time.Hour))
	w.command(number, text(bot, "one"))
	w.command(number, c)
	if got := w.calls[1].Call; got.Lane != thread+"/twilio/keyword" || !got.GiveUpAt.Equal(monday.Add(5*time.Minute)) {
		t.Errorf("lane %q until %v", got.Lane, got.GiveUpAt)
	}
	if got := w.calls[0].Call; got.Lane != thread+"/twilio" || !got.GiveUpAt.Equal(monday.Add(24*time.Hour)) {
		t.Errorf("lane %q until %v", got.Lane, got.GiveUpAt)
	}
}

func TestCrossedTexts(t *testing.T) {
	tests := []struct {
		name    string
		read    uint64
		status  handoffv1.OutcomeStatus
		class   handoffv1.TextClass
		crossed bool
	}{
		{"read before the opt-out", 1, handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE, agent, true},
		{"found by the next owner, who read nothing", 0, handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE, agent, true},
		{"unanswered", 1, handoffv1.OutcomeStatus_OUTCOME_STATUS_UNKNOWN, agent, true},
		{"refused by the provider", 1, handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, agent, false},
		{"stopped by the gate", 2, handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED, agent, false},
		{"the confirmation", 2, handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE, keyword, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.consent("channel:sms", 1, conversational)
			id := w.command(number, text(tt.class, "hello"))
			w.consent("channel:sms", 2, unsubscribed)
			w.result(id, &handoffv1.Outcome{Status: tt.status, ConsentVersion: tt.read, ProviderId: "SM1"})
			if got := w.one(schemas.TopicEscalate).GetReceipt().GetCrossed(); got != tt.crossed {
				t.Errorf("receipt says crossed %v, want %v", got, tt.crossed)
			}
			if got := w.one(schemas.TopicAnalytics).GetFact().GetDelivery().GetCrossed(); got != tt.crossed {
				t.Errorf("fact says crossed %v, want %v", got, tt.crossed)
			}
		})
	}
}

// TestGateFollowsItsWords compares the gate with a plain reading of what it was told, whatever the
// order of changes, pauses, dead letters and commands.
func TestGateFollowsItsWords(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t)
		type change struct {
			version uint64
			status  handoffv1.ConsentStatus
		}
		ledger := map[string]change{}
		held := map[string]bool{}
		letters := map[string]bool{}
		accounts := []string{number, blindSMS}
		for range rapid.IntRange(1, 25).Draw(r, "steps") {
			account := rapid.SampledFrom(accounts).Draw(r, "account")
			switch rapid.IntRange(0, 3).Draw(r, "step") {
			case 0:
				scope := rapid.SampledFrom([]string{"shop", "channel:sms", "account:sms:" + account}).Draw(r, "scope")
				c := change{
					version: rapid.Uint64Range(1, 20).Draw(r, "version"),
					status:  rapid.SampledFrom([]handoffv1.ConsentStatus{conversational, pendingConsent, subscribed, unsubscribed}).Draw(r, "status"),
				}
				for _, other := range ledger {
					if other.version == c.version {
						c.version = 0 // versions are unique under a key
					}
				}
				if c.version == 0 {
					continue
				}
				w.consent(scope, c.version, c.status)
				if old, ok := ledger[scope]; !ok || c.version > old.version {
					ledger[scope] = c
				}
			case 1:
				held[account] = !held[account]
				w.hold(account, held[account], bot, rule)
			case 2:
				letter := rapid.SampledFrom([]string{"handoff.consent/0/1", "handoff.classify/0/2"}).Draw(r, "letter")
				letters[letter] = !letters[letter]
				w.shut(letter, letters[letter])
			case 3:
				class := rapid.SampledFrom(everyClass).Draw(r, "class")
				rel := w.release(w.command(account, text(class, "hello")))
				newest := change{}
				for _, scope := range []string{"shop", "channel:sms", "account:sms:" + account} {
					if c := ledger[scope]; c.version > newest.version {
						newest = c
					}
				}
				open := newest.status == conversational || newest.status == subscribed
				want := caller.Start
				switch {
				case class != keyword && !open:
					want = caller.Refuse
				case held[account] && (class == bot || class == rule):
					want = caller.Refuse
				case letters["handoff.consent/0/1"] || letters["handoff.classify/0/2"]:
					want = caller.Wait
				}
				if rel.Verdict != want {
					r.Fatalf("%v from %s: verdict %d, want %d", class, account, rel.Verdict, want)
				}
			}
		}
	})
}

// TestOldHoldPutBack: the end of a hold that was lost and is put back when people have the conversation
// again ends nothing that is newer.
func TestOldHoldPutBack(t *testing.T) {
	w := newWorld(t)
	for _, version := range []uint64{1, 3, 2} { // the second, which ended the first, comes last
		r := w.record(number)
		r.Body = &handoffv1.Record_Hold{Hold: &handoffv1.Hold{Held: version != 2, Episode: 1, Version: version, Classes: []handoffv1.TextClass{bot, rule}}}
		w.send(r)
	}
	w.consent("channel:sms", 1, conversational)
	if rel := w.release(w.command(number, text(bot, "It ships tomorrow."))); rel.Verdict != caller.Refuse || rel.Reason != paused {
		t.Errorf("a bot's text: %+v, want a refusal", rel)
	}
}

// TestATextAboutACallLeavesWhileItIsOpen: it says that the desk does not answer (H11).
func TestATextAboutACallLeavesWhileItIsOpen(t *testing.T) {
	w := newWorld(t)
	w.consent("channel:sms", 1, conversational)
	create := w.command(number, &handoffv1.Command{Episode: 1, TicketEpisode: 1, Action: &handoffv1.Command_CreateTicket{CreateTicket: &handoffv1.CreateTicket{ExternalId: "x"}}})
	text := w.command(number, &handoffv1.Command{Action: &handoffv1.Command_SendText{SendText: &handoffv1.SendText{TextClass: system, Text: "trouble", WhileOpen: create}}})
	if rel := w.release(text); rel.Verdict != caller.Start {
		t.Errorf("while the call is open: %+v", rel)
	}
	w.result(create, &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE, TicketId: "7"})
	if rel := w.release(text); rel.Verdict != caller.Refuse || rel.Reason != handoffv1.BlockReason_BLOCK_REASON_OVERTAKEN || rel.Meaning == "" {
		t.Errorf("after it: %+v", rel)
	}
}

// TestATextAboutWhoHasItLeavesWhileThatIsSo: what waits for its time, and says or asks who has the conversation, is
// judged at once when that changes, so that nothing waits behind it (H12).
func TestATextAboutWhoHasItLeavesWhileThatIsSo(t *testing.T) {
	w := newWorld(t)
	w.consent("channel:sms", 1, conversational)
	hold := func(version uint64) {
		r := w.record(number)
		r.Body = &handoffv1.Record_Hold{Hold: &handoffv1.Hold{Held: version%2 == 1, Episode: 1, Version: version, Classes: []handoffv1.TextClass{bot, rule}}}
		w.send(r)
	}
	hold(1)
	text := w.command(number, &handoffv1.Command{
		Action:    &handoffv1.Command_SendText{SendText: &handoffv1.SendText{TextClass: system, Text: "You're now connected.", WhileHold: 2}},
		NotBefore: timestamppb.New(w.now.Add(30 * time.Second)),
	})
	if rel := w.release(text); rel.Verdict != caller.Wait {
		t.Errorf("before its time: %+v", rel)
	}
	hold(1)
	if rel := w.release(text); rel.Verdict != caller.Wait {
		t.Errorf("after the same word again: %+v", rel)
	}
	hold(2)
	if rel := w.release(text); rel.Verdict != caller.Refuse || rel.Reason != handoffv1.BlockReason_BLOCK_REASON_OVERTAKEN {
		t.Errorf("after the bot is back: %+v", rel)
	}
}

// TestAnAutomatedTextDoesNotOutliveThePause: what a bot or rule answers was people's since, so it leaves neither while
// they have the conversation nor when they gave it back (H4).
func TestAnAutomatedTextDoesNotOutliveThePause(t *testing.T) {
	w := newWorld(t)
	w.consent("channel:sms", 1, conversational)
	for i, class := range []handoffv1.TextClass{bot, rule} {
		before := uint64(2 * i)
		text := w.command(number, &handoffv1.Command{
			Action: &handoffv1.Command_SendText{SendText: &handoffv1.SendText{TextClass: class, Text: "Red and blue.", WhileHold: before + 1}},
		})
		if rel := w.release(text); rel.Verdict != caller.Start {
			t.Errorf("%v before people had it: %+v", class, rel)
		}
		for version := before + 1; version <= before+2; version++ {
			r := w.record(number)
			r.Body = &handoffv1.Record_Hold{Hold: &handoffv1.Hold{Held: version%2 == 1, Episode: 1, Version: version, Classes: []handoffv1.TextClass{bot, rule}}}
			w.send(r)
			if rel := w.release(text); rel.Verdict != caller.Refuse || rel.Reason != handoffv1.BlockReason_BLOCK_REASON_PAUSED || rel.Meaning == "" {
				t.Errorf("%v after word %d of who has it: %+v", class, version, rel)
			}
		}
		if rel := w.release(w.command(number, &handoffv1.Command{
			Action: &handoffv1.Command_SendText{SendText: &handoffv1.SendText{TextClass: class, Text: "Yes.", WhileHold: before + 3}},
		})); rel.Verdict != caller.Start {
			t.Errorf("%v of after the pause: %+v", class, rel)
		}
	}
}
