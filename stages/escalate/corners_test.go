package escalate

import (
	"testing"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

func TestConfigIsChecked(t *testing.T) {
	if _, err := New(Config{DeskSilence: -time.Second}); err == nil {
		t.Error("a negative DeskSilence was taken")
	}
}

func TestDeskSilenceIsConfigurable(t *testing.T) {
	w := newWorld(t)
	stage, err := New(Config{DeskSilence: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	w.stage = stage
	w.customer("cancel it", intent("cancel_order"))
	w.customer("yes", yes)
	w.skip()
	w.deskFails(w.last(handoffv1.Action_ACTION_CREATE_TICKET))
	w.wait(5 * time.Second)
	w.expect("text [system]: <desk_down>", "ticket 1 <- system: <desk_down>")
}

func TestWhatEscalateCannotRead(t *testing.T) {
	for name, body := range map[string]func(*handoffv1.Record){
		"another stage's record": func(r *handoffv1.Record) { r.Body = &handoffv1.Record_Hold{Hold: &handoffv1.Hold{}} },
		"no conversation": func(r *handoffv1.Record) {
			r.Conversation = ""
			r.Body = &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{Text: "hi"}}
		},
	} {
		w := newWorld(t)
		w.serial++
		r := &handoffv1.Record{
			Id: schemas.SourceID("test", "acme", w.at, name), Shop: "acme", Address: w.key.Address,
			Channel: handoffv1.Channel_CHANNEL_SMS, Account: "+15557770000", Conversation: w.at, SettingsVersion: 1,
		}
		body(r)
		value, err := schemas.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		in := &pipeline.Input{
			Key: w.key.Bytes(), Now: w.now, Settings: w,
			Record: &pipeline.Record{Topic: schemas.TopicEscalate, Key: w.key.Bytes(), Value: value, Time: w.now},
		}
		if err := w.stage.Process(in, w.mem, &pipeline.Effects{}); err == nil {
			t.Errorf("%s: no error, so it would be dropped silently", name)
		}
	}
	w := newWorld(t)
	for _, timer := range []string{"lapse/nowhere", "other/sms:+15557770000", "lapse"} {
		in := &pipeline.Input{Key: w.key.Bytes(), Now: w.now, Settings: w, Timer: &pipeline.Timer{Name: timer, At: w.now}}
		if err := w.stage.Process(in, w.mem, &pipeline.Effects{}); err == nil {
			t.Errorf("timer %q: no error", timer)
		}
	}
}

func TestMessageWithoutClassification(t *testing.T) {
	w := newWorld(t)
	w.post(func(r *handoffv1.Record) {
		r.Body = &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{Text: "hi"}}
	})
	w.expect("bot 1: hi")
}

func TestEmptyBotAnswerCannotAnswer(t *testing.T) {
	w := newWorld(t)
	w.customer("where is it")
	w.skip()
	w.bot("")
	w.expect("episode 1: none -> offered", "text [system]: <offer>")
	if w.reason() != "the bot cannot answer: empty answer" {
		t.Errorf("reason %q", w.reason())
	}
}

func TestBotsCallEnds(t *testing.T) {
	for _, tc := range []struct {
		status handoffv1.OutcomeStatus
		reason string
	}{
		{handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE, ""}, // its answer comes as a record of its own
		{handoffv1.OutcomeStatus_OUTCOME_STATUS_EXPIRED, "the bot cannot answer: timeout"},
		{handoffv1.OutcomeStatus_OUTCOME_STATUS_UNKNOWN, "the bot cannot answer: unavailable"},
	} {
		w := newWorld(t)
		w.customer("where is it")
		call := w.last(handoffv1.Action_ACTION_ASK_BOT)
		w.receipt(call, &handoffv1.Outcome{Status: tc.status})
		if w.reason() != tc.reason {
			t.Errorf("%v: reason %q, want %q", tc.status, w.reason(), tc.reason)
		}
		w.skip()
		if tc.reason != "" {
			w.receipt(call, &handoffv1.Outcome{Status: tc.status})
			w.expect()
		}
	}
}

func TestMessagesThatWaitForTheBotAreAskedAfterItFailed(t *testing.T) {
	w := newWorld(t)
	w.customer("one")
	w.customer("two")
	w.skip()
	w.receipt(w.last(handoffv1.Action_ACTION_ASK_BOT), &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_EXPIRED})
	w.expect("episode 1: none -> offered", "text [system]: <offer>", "bot 2: two")
}

func TestPendingPersonIsNotAsked(t *testing.T) {
	w := newWorld(t)
	w.stamp.Status = handoffv1.ConsentStatus_CONSENT_STATUS_PENDING
	w.customer("cancel it", intent("cancel_order"))
	w.expect("episode 1: none -> requested", "paused", "create 1: customer: cancel it")
}

func TestNotesOnTextsThatTheGateRefused(t *testing.T) {
	for why, want := range map[handoffv1.BlockReason]string{
		handoffv1.BlockReason_BLOCK_REASON_NEVER_CONFIRMED: "note 1: Not sent: the customer never confirmed their subscription.",
		handoffv1.BlockReason_BLOCK_REASON_GATE_SHUT:       "note 1: Not sent: a message of this customer could not be processed, so texts to them wait for a decision.",
		handoffv1.BlockReason_BLOCK_REASON_EXPIRED:         "note 1: Not sent: it could not be sent in time.",
		handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED:     "note 1: Not sent.",
	} {
		w := newWorld(t).opened()
		w.agent(1, "Hi.")
		w.skip()
		w.receipt(w.last(handoffv1.Action_ACTION_SEND_TEXT), &handoffv1.Outcome{
			Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED, BlockReason: why,
		})
		w.expect(want)
	}
}

func TestBotTextStoppedByThePauseIsNamedOnTheTicket(t *testing.T) {
	w := newWorld(t)
	w.customer("where is it")
	w.bot("There.")
	text := w.last(handoffv1.Action_ACTION_SEND_TEXT)
	w.opened()
	w.receipt(text, &handoffv1.Outcome{
		Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED, BlockReason: handoffv1.BlockReason_BLOCK_REASON_PAUSED,
	})
	w.expect("note 1: Not sent: an automated reply was on its way when people took over the conversation. It said: There.")
}

func TestDeliveryStates(t *testing.T) {
	w := newWorld(t).opened()
	for _, status := range []handoffv1.DeliveryStatus{
		handoffv1.DeliveryStatus_DELIVERY_STATUS_SENT, handoffv1.DeliveryStatus_DELIVERY_STATUS_DELIVERED,
	} {
		w.post(func(r *handoffv1.Record) {
			r.Body = &handoffv1.Record_DeliveryState{DeliveryState: &handoffv1.DeliveryState{CallId: "c", Status: status}}
		})
		w.expect()
	}
	for want, d := range map[string]*handoffv1.DeliveryState{
		"note 1: Not delivered.":           {},
		"note 1: Not delivered (30003).":   {Code: "30003"},
		"note 1: Not delivered: phone off": {Meaning: "phone off"},
	} {
		d.Status = handoffv1.DeliveryStatus_DELIVERY_STATUS_FAILED
		w.post(func(r *handoffv1.Record) { r.Body = &handoffv1.Record_DeliveryState{DeliveryState: d} })
		w.expect(want)
	}
}

func TestReopeningThatTheDeskRefuses(t *testing.T) {
	begin := func() (*world, sent) {
		w := closedWorld(t, solved)
		w.customer("refund me", intent("return_refund"))
		w.customer("yes", yes)
		w.skip()
		return w, w.last(handoffv1.Action_ACTION_APPEND_MESSAGES)
	}
	w, call := begin()
	w.receipt(call, &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, Code: "403"})
	w.expect("episode 2: requested -> failed", "resumed",
		"text [system]: We couldn't connect you with our support team. Please contact help@acme.example.")

	w, call = begin()
	w.receipt(call, &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_EXPIRED})
	w.expect("ticket 1 <- customer: cancel my order | system: <offer> | customer: yes | customer: refund me | system: <offer> | customer: yes (open)")
	w.receipt(w.last(handoffv1.Action_ACTION_APPEND_MESSAGES), &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE})
	w.expect("episode 2: requested -> open")
}

func TestTicketGoneWhereNobodyWaits(t *testing.T) {
	w := closedWorld(t, solved)
	w.customer("thanks", thanks)
	w.skip()
	w.receipt(w.last(handoffv1.Action_ACTION_ADD_NOTE), &handoffv1.Outcome{
		Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, TicketGone: true, TicketId: "t1",
	})
	w.expect()
	w.customer("refund me", intent("return_refund"))
	w.skip()
	w.customer("yes", yes)
	w.expect("episode 2: offered -> requested", "paused",
		"create 2: customer: cancel my order | system: <offer> | customer: yes | customer: thanks | customer: refund me | system: <offer> | customer: yes")
}

func TestC8OnAnEarlierTicket(t *testing.T) {
	w := closedWorld(t, closing)
	w.customer("refund me", intent("return_refund"))
	w.customer("yes", yes)
	w.created()
	w.skip()
	w.notice(&handoffv1.ConsentNotice{
		Kind: handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPTED_OUT, Keyword: "#optout", Scope: "channel:sms",
		Source: handoffv1.ConsentSource_CONSENT_SOURCE_AGENT, TicketId: "t1",
	})
	w.expect("episode 2: open -> opted_out", "resumed", "note 1: Unsubscribed by #optout. Your reply was not sent.",
		"note 2: Customer was unsubscribed from SMS by an agent's #optout.", "status 2: solved")
}

func TestSpamOnOneAccountHoldsTheAddress(t *testing.T) {
	w := newWorld(t).opened()
	w.desk(1, handoffv1.TicketStatus_TICKET_STATUS_SPAM)
	w.at = "sms:+15557770001"
	w.skip()
	w.customer("cancel it", intent("cancel_order"))
	w.expect("bot 1: cancel it")
}

func TestMirrorWithSwitchesOff(t *testing.T) {
	w := newWorld(t, mirror, func(s *settings.Shop) { s.Active = false })
	w.customer("where is it")
	w.expect("not sent: no ticket may be opened and the bot is off in mirror mode")
	w = newWorld(t, mirror, func(s *settings.Shop) { s.Active = false; s.AutoReply.InMirrorMode = true })
	w.customer("where is it")
	w.expect("bot 1: where is it")
}
