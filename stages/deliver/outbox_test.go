package deliver

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

func TestConfigRefusesWhatCannotBe(t *testing.T) {
	for _, cfg := range []Config{{TextFor: -1}, {KeywordAnswerFor: 6 * time.Minute}, {RememberFor: -time.Hour}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("New(%+v) succeeded", cfg)
		}
	}
}

func TestCommandBecomesOneCall(t *testing.T) {
	w := newWorld(t)
	r := w.record(number)
	r.Body = &handoffv1.Record_Command{Command: text(agent, "hello")}
	w.send(r)
	w.send(r)
	if len(w.calls) != 1 || w.calls[0].Call.ID != schemas.HexID(r.GetId()) || w.calls[0].Call.Destination != "twilio" {
		t.Fatalf("calls %+v, want one to twilio with the command's id", w.calls)
	}
	id := w.calls[0].Call.ID
	w.result(id, done(&handoffv1.Outcome{ProviderId: "SM1"}))
	if len(w.calls) != 0 {
		t.Fatalf("calls %+v after the result", w.calls)
	}
	got := w.one(schemas.TopicEscalate).GetReceipt()
	if got.GetCallId() != id || got.GetOutcome().GetSegments() != 1 || got.GetTextClass() != agent || got.GetAttempts() != 1 {
		t.Errorf("receipt %v", got)
	}
	fact := w.one(schemas.TopicAnalytics).GetFact().GetDelivery()
	if fact.GetSegments() != 1 || fact.GetCredits() != 1 || fact.GetDestination() != "twilio" {
		t.Errorf("fact %v", fact)
	}

	w.result(id, &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED})
	w.send(r) // re-emitted by a replay of escalate
	if len(w.calls) != 0 || len(w.take(schemas.TopicEscalate)) != 0 {
		t.Error("a known result or a finished command had an effect")
	}
}

func TestCommandsThatNobodyCanDoEndAtOnce(t *testing.T) {
	w := newWorld(t)
	w.command("+15550009999", text(agent, "hello"))
	got := w.one(schemas.TopicEscalate).GetReceipt()
	if got.GetOutcome().GetStatus() != handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED || !strings.Contains(got.GetOutcome().GetMeaning(), "+15550009999") {
		t.Errorf("receipt %v", got)
	}
	w.shop.AutoReply.URL = ""
	w.command(number, &handoffv1.Command{Action: &handoffv1.Command_AskBot{AskBot: &handoffv1.AskBot{Turn: 7}}})
	if got := w.one(schemas.TopicEscalate).GetReceipt(); got.GetOutcome().GetStatus() != handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED || len(w.take(schemas.TopicConsent)) > 0 {
		t.Errorf("without a bot: %v", got)
	}
	w.shop.Desk.Kind = ""
	w.command(number, create(1))
	if got := w.one(schemas.TopicEscalate).GetReceipt(); got.GetOutcome().GetStatus() != handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED {
		t.Errorf("without a desk: %v", got)
	}
	if len(w.calls) != 0 {
		t.Errorf("calls %+v", w.calls)
	}
}

func TestCreditsByKind(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("x", 161)
	id := w.command(number, text(agent, long))
	w.result(id, done(&handoffv1.Outcome{ProviderId: "SM1"}))
	if f := w.one(schemas.TopicAnalytics).GetFact().GetDelivery(); f.GetSegments() != 2 || f.GetCredits() != 2 {
		t.Errorf("a text of 161: %d segments %d credits", f.GetSegments(), f.GetCredits())
	}
	c := text(agent, "see")
	c.GetSendText().Media = []*handoffv1.Media{{Url: "https://x/y.png"}}
	w.result(w.command(number, c), done(&handoffv1.Outcome{ProviderId: "MM1", Segments: 1}))
	if f := w.one(schemas.TopicAnalytics).GetFact().GetDelivery(); f.GetCredits() != 3 {
		t.Errorf("an MMS: %d credits", f.GetCredits())
	}
}

func TestLongTextsLeaveInParts(t *testing.T) {
	long := strings.Repeat("word ", 700) // 3500 characters: three parts
	send := func(w *world) []string {
		c := text(agent, long)
		c.GetSendText().NativeId = "c9"
		c.GetSendText().Media = []*handoffv1.Media{{Url: "https://x/y.png"}}
		id := w.command(number, c)
		var ids []string
		for _, pc := range w.calls {
			ids = append(ids, pc.Call.ID)
		}
		if len(ids) != 3 || ids[0] != id || w.calls[2].Call.Lane != w.calls[0].Call.Lane {
			t.Fatalf("calls %+v, want three on one lane, the first with the command's id", w.calls)
		}
		return ids
	}
	w := newWorld(t)
	w.consent("channel:sms", 1, conversational)
	ids := send(w)
	var all []string
	for i, id := range ids {
		st := w.release(id).Attempt.Command.GetSendText()
		if schemas.TextUnits(st.GetText()) > 1600 || (len(st.GetMedia()) > 0) != (i == 0) {
			t.Errorf("part %d has %d units and %d attachments", i+1, schemas.TextUnits(st.GetText()), len(st.GetMedia()))
		}
		all = append(all, st.GetText())
	}
	if strings.Join(all, " ") != strings.TrimSpace(long) {
		t.Error("the parts are not the text")
	}
	for i, id := range ids {
		if len(w.take(schemas.TopicEscalate)) != 0 {
			t.Fatalf("a receipt before part %d", i+1)
		}
		w.result(id, done(&handoffv1.Outcome{ProviderId: fmt.Sprint("SM", i), Segments: 10}))
	}
	got := w.one(schemas.TopicEscalate).GetReceipt()
	if got.GetCallId() != ids[0] || got.GetNativeId() != "c9" || got.GetOutcome().GetSegments() != 30 || got.GetOutcome().GetProviderId() != "SM0" || got.GetAttempts() != 3 {
		t.Errorf("receipt %v", got)
	}
	if f := w.take(schemas.TopicAnalytics); len(f) != 1 || f[0].GetFact().GetDelivery().GetCredits() != 3+10+10 {
		t.Errorf("facts %v", f)
	}

	t.Run("a failed part drops the rest", func(t *testing.T) {
		w := newWorld(t)
		ids := send(w)
		w.result(ids[0], done(&handoffv1.Outcome{ProviderId: "SM0", Segments: 10}))
		w.result(ids[1], &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, Code: "30007", Meaning: "filtered"})
		got := w.one(schemas.TopicEscalate).GetReceipt().GetOutcome()
		if got.GetStatus() != handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED || !strings.HasPrefix(got.GetMeaning(), "part 2 of 3 was not sent") || got.GetCode() != "30007" || got.GetSegments() != 10 {
			t.Errorf("outcome %v", got)
		}
		if len(w.calls) != 0 {
			t.Errorf("calls %+v, want the third part dropped", w.calls)
		}
		w.result(ids[2], done(&handoffv1.Outcome{}))
		if len(w.take(schemas.TopicEscalate)) != 0 {
			t.Error("a dropped part's result had an effect")
		}
		for name := range w.entries {
			if strings.HasPrefix(name, callPrefix) || strings.HasPrefix(name, splitPrefix) {
				t.Errorf("entry %s is left over", name)
			}
		}
	})
	t.Run("an unknown part makes the text unknown and the rest follow", func(t *testing.T) {
		w := newWorld(t)
		ids := send(w)
		w.result(ids[0], &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_UNKNOWN})
		w.result(ids[1], done(&handoffv1.Outcome{ProviderId: "SM1"}))
		w.result(ids[2], done(&handoffv1.Outcome{ProviderId: "SM2"}))
		if got := w.one(schemas.TopicEscalate).GetReceipt().GetOutcome().GetStatus(); got != handoffv1.OutcomeStatus_OUTCOME_STATUS_UNKNOWN {
			t.Errorf("status %v", got)
		}
	})
}

func TestProviderOptOutReachesConsent(t *testing.T) {
	w := newWorld(t)
	id := w.command(number, text(agent, "hello"))
	w.result(id, &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, Code: "21610", ProviderOptedOut: true})
	a, b := w.one(schemas.TopicConsent), w.one(schemas.TopicEscalate)
	if !a.GetReceipt().GetOutcome().GetProviderOptedOut() || a.GetConversation() != thread || bytes.Equal(a.GetId(), b.GetId()) {
		t.Errorf("to consent %v, to escalate %v", a, b)
	}
}

// TestProviderOptOutFoundLaterReachesConsent: the provider took the text, and its callback says why it
// failed (C10).
func TestProviderOptOutFoundLaterReachesConsent(t *testing.T) {
	w := newWorld(t)
	w.result(w.command(number, text(agent, "hello")), done(&handoffv1.Outcome{ProviderId: "SM1"}))
	r := w.record(number)
	r.Body = &handoffv1.Record_DeliveryState{DeliveryState: &handoffv1.DeliveryState{
		ProviderId: "SM1", Status: handoffv1.DeliveryStatus_DELIVERY_STATUS_FAILED, Code: "21610", ProviderOptedOut: true,
	}}
	w.send(r)
	a := w.one(schemas.TopicConsent)
	if out := a.GetReceipt().GetOutcome(); !out.GetProviderOptedOut() || out.GetCode() != "21610" || a.GetConversation() != thread {
		t.Errorf("to consent %v", a)
	}
}

func TestBotAnswers(t *testing.T) {
	ask := &handoffv1.Command{TryForMs: 7000, Action: &handoffv1.Command_AskBot{AskBot: &handoffv1.AskBot{Turn: 3}}}
	tests := []struct {
		name    string
		outcome *handoffv1.Outcome
		want    *handoffv1.BotReply
	}{
		{"answer", done(&handoffv1.Outcome{BotReply: &handoffv1.BotReply{Text: "Hi"}}), &handoffv1.BotReply{Turn: 3, Text: "Hi"}},
		{"cannot", done(&handoffv1.Outcome{BotReply: &handoffv1.BotReply{CannotAnswer: true, Reason: "policy"}}), &handoffv1.BotReply{Turn: 3, CannotAnswer: true, Reason: "policy"}},
		{"refused", &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED}, nil},
		{"too late", &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_EXPIRED}, nil},
		{"down to the end", &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_EXPIRED, Code: "503"}, nil},
		{"empty", done(&handoffv1.Outcome{}), &handoffv1.BotReply{Turn: 3, CannotAnswer: true, Reason: "unavailable"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			id := w.command(number, ask)
			if !w.calls[0].Call.GiveUpAt.Equal(monday.Add(10*time.Second)) || w.calls[0].Call.TryFor != 7*time.Second || w.calls[0].Call.Destination != "bot" {
				t.Errorf("call %+v", w.calls[0].Call)
			}
			w.result(id, tt.outcome)
			if all := w.take(schemas.TopicConsent); tt.want == nil && len(all) > 0 {
				t.Errorf("no answer came, and consent is given %v", all)
			} else if tt.want != nil {
				r := all[0]
				if got := r.GetBotReply(); got.String() != tt.want.String() {
					t.Errorf("got %v, want %v", got, tt.want)
				}
				if want := schemas.SourceID("bot", "acme", thread, id); !bytes.Equal(r.GetId(), want) || r.GetConversation() != thread {
					t.Errorf("id %x in %q", r.GetId(), r.GetConversation())
				}
			}
			if got := w.one(schemas.TopicEscalate).GetReceipt(); got.GetOutcome().GetBotReply() != nil {
				t.Errorf("the receipt repeats the answer: %v", got)
			}
		})
	}
}

func TestBlindAttemptsOnlyGrow(t *testing.T) {
	w := newWorld(t)
	id := w.command(blindSMS, text(agent, "hello"))
	start := func(attempt uint32, incarnation string) {
		r := w.record("")
		r.Body = &handoffv1.Record_AttemptStarted{AttemptStarted: &handoffv1.AttemptStarted{CallId: id, Attempt: attempt, Incarnation: incarnation}}
		w.send(r)
	}
	before := w.calls[0].Call
	start(2, "b")
	start(1, "a")
	start(2, "c")
	got := w.calls[0].Call
	if got.Attempt != 2 || got.Incarnation != "b" {
		t.Errorf("attempt %d by %q, want 2 by b", got.Attempt, got.Incarnation)
	}
	got.Attempt, got.Incarnation = 0, ""
	if fmt.Sprint(got) != fmt.Sprint(before) {
		t.Errorf("the call changed: %+v, was %+v", got, before)
	}
	w.result(id, done(&handoffv1.Outcome{}))
	start(3, "b")
	if len(w.calls) != 0 {
		t.Error("an attempt at an ended call stored it again")
	}
}

func TestDeliveryStates(t *testing.T) {
	state := func(w *world, d *handoffv1.DeliveryState) *handoffv1.Record {
		r := w.record(number)
		r.Body = &handoffv1.Record_DeliveryState{DeliveryState: d}
		return r
	}
	delivered, sent := handoffv1.DeliveryStatus_DELIVERY_STATUS_DELIVERED, handoffv1.DeliveryStatus_DELIVERY_STATUS_SENT
	w := newWorld(t)
	id := w.command(number, text(agent, "hello"))

	w.send(state(w, &handoffv1.DeliveryState{ProviderId: "SM1", CallId: id, Status: handoffv1.DeliveryStatus_DELIVERY_STATUS_QUEUED}))
	if got := w.one(schemas.TopicEscalate).GetDeliveryState(); got.GetCallId() != id {
		t.Errorf("a callback faster than the answer: %v", got)
	}
	w.result(id, done(&handoffv1.Outcome{ProviderId: "SM1"}))
	w.take(schemas.TopicEscalate)
	w.take(schemas.TopicAnalytics)

	r := state(w, &handoffv1.DeliveryState{ProviderId: "SM1", Status: delivered})
	w.send(r)
	w.send(r)
	if got := w.one(schemas.TopicEscalate).GetDeliveryState(); got.GetCallId() != id || got.GetStatus() != delivered {
		t.Errorf("by provider id: %v", got)
	}
	w.one(schemas.TopicAnalytics)
	w.send(state(w, &handoffv1.DeliveryState{ProviderId: "SM1", Status: sent}))
	if got := w.take(schemas.TopicEscalate); len(got) != 0 {
		t.Errorf("out of order: %v", got)
	}
	if got := w.one(schemas.TopicAnalytics).GetFact().GetDelivery(); got.GetDelivery() != sent || got.GetCallId() != id {
		t.Errorf("fact of a state out of order: %v", got)
	}
	w.send(state(w, &handoffv1.DeliveryState{ProviderId: "SMx", Status: sent}))
	if got := w.take(schemas.TopicEscalate); len(got) != 0 {
		t.Errorf("of a foreign text: %v", got)
	}
	if got := w.one(schemas.TopicAnalytics).GetFact(); got.GetDelivery().GetProviderId() != "SMx" || got.GetReason() == "" {
		t.Errorf("fact of a foreign text: %v", got)
	}
}

func TestTextsAreForgottenInTime(t *testing.T) {
	w := newWorld(t)
	count := func() (n int) {
		for name := range w.entries {
			if strings.HasPrefix(name, sentPrefix) {
				n++
			}
		}
		return n
	}
	for day := range 40 {
		w.result(w.command(number, text(agent, "hello")), done(&handoffv1.Outcome{ProviderId: fmt.Sprint("SM", day)}))
		if n := count(); n > 32 {
			t.Fatalf("day %d: %d texts remembered", day, n)
		}
		w.wait(24 * time.Hour)
	}
	if n := count(); n < 30 {
		t.Errorf("%d texts remembered, want a month's", n)
	}
	w.wait(32 * 24 * time.Hour)
	if n := count(); n != 0 || len(w.timers) != 0 {
		t.Errorf("%d texts and %d timers are left", n, len(w.timers))
	}
}

func TestLookupsKnowOtherTexts(t *testing.T) {
	w := newWorld(t)
	w.consent("channel:sms", 1, conversational)
	w.result(w.command(number, text(agent, "old")), done(&handoffv1.Outcome{ProviderId: "SMold"}))
	w.wait(2 * time.Hour)
	w.result(w.command(number, text(agent, "same")), done(&handoffv1.Outcome{ProviderId: "SM1"}))
	w.result(w.command(blindSMS, text(agent, "same")), done(&handoffv1.Outcome{ProviderId: "other"}))
	rel := w.release(w.command(number, text(agent, "same")))
	if len(rel.Attempt.OtherIDs) != 1 || rel.Attempt.OtherIDs[0] != "SM1" {
		t.Errorf("other ids %v, want SM1", rel.Attempt.OtherIDs)
	}
}

func TestRecordsThatMakeNoSenseAreRefused(t *testing.T) {
	w := newWorld(t)
	bodies := []*handoffv1.Record{
		{Body: &handoffv1.Record_Command{Command: &handoffv1.Command{}}},
		{Body: &handoffv1.Record_Command{Command: text(agent, "nowhere")}},
		{Body: &handoffv1.Record_ConsentChanged{ConsentChanged: &handoffv1.ConsentChanged{}}},
		{Body: &handoffv1.Record_Hold{Hold: &handoffv1.Hold{}}},
		{Body: &handoffv1.Record_Asked{Asked: &handoffv1.Asked{}}},
	}
	for _, b := range bodies {
		r := w.record("")
		r.Body, r.ReceivedAt = b.Body, timestamppb.New(w.now)
		if err := w.try(r); err == nil {
			t.Errorf("%v was taken", b)
		}
	}
}

// TestALateAnswerIsRecorded: what the bot says after its time is not sent and told once.
func TestALateAnswerIsRecorded(t *testing.T) {
	w := newWorld(t)
	id := w.command(number, &handoffv1.Command{TryForMs: 10_000, Action: &handoffv1.Command_AskBot{AskBot: &handoffv1.AskBot{Turn: 3}}})
	w.result(id, &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_EXPIRED, BlockReason: expired})
	if f := w.one(schemas.TopicAnalytics).GetFact().GetDelivery(); f.GetBlockReason() != 0 {
		t.Errorf("a question is told of as a blocked text: %v", f)
	}
	w.take(schemas.TopicEscalate)
	r := w.record(thread)
	r.Body = &handoffv1.Record_CallResult{CallResult: &handoffv1.CallResult{CallId: id, Attempt: 1, Outcome: done(&handoffv1.Outcome{BotReply: &handoffv1.BotReply{Turn: 3, Text: "Hi"}})}}
	w.send(r)
	f := w.one(schemas.TopicAnalytics).GetFact()
	if d := f.GetDelivery(); d.GetBlockReason() != expired || d.GetTextClass() != bot || !strings.Contains(f.GetReason(), `"Hi"`) {
		t.Errorf("told as %v", f)
	}
	if len(w.take(schemas.TopicEscalate))+len(w.take(schemas.TopicConsent)) > 0 {
		t.Error("somebody is given the late answer")
	}
}
