package escalate

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

const stopNote = "Customer texted STOP and is unsubscribed from SMS."

func TestC2StopEndsEverything(t *testing.T) {
	for name, tc := range map[string]struct {
		play func(w *world)
		want []string
	}{
		"nothing there": {func(*world) {}, nil},
		"bot in flight": {func(w *world) { w.customer("where is it") }, nil},
		"offer":         {func(w *world) { w.customer("cancel it", intent("cancel_order")) }, []string{"episode 1: offered -> opted_out"}},
		"ticket on its way: its note and close wait for it": {
			func(w *world) {
				w.customer("cancel it", intent("cancel_order"))
				w.customer("yes", yes)
			},
			[]string{"episode 1: requested -> opted_out", "resumed", "note 1: " + stopNote, "status 1: solved"},
		},
		"open ticket": {func(w *world) { w.opened() }, []string{"episode 1: open -> opted_out", "resumed", "note 1: " + stopNote, "status 1: solved"}},
		"expired": {
			func(w *world) { w.opened().wait(24 * time.Hour) },
			[]string{"episode 1: expired -> opted_out", "note 1: " + stopNote, "status 1: solved"},
		},
		"offer over an expired one": {
			func(w *world) {
				w.opened().wait(24 * time.Hour)
				w.customer("refund", intent("return_refund"))
			},
			[]string{"episode 1: expired -> opted_out", "episode 2: offered -> opted_out", "note 1: " + stopNote, "status 1: solved"},
		},
		"closed": {
			func(w *world) { w.opened().desk(1, solved) }, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(s *settings.Shop) { s.Handoff.SayResumed = true })
			tc.play(w)
			w.skip()
			w.stop()
			w.expect(tc.want...)
			if len(w.timers) != 0 {
				t.Errorf("timers left: %v", w.timers)
			}
			w.wait(100 * time.Hour)
			w.expect()
		})
	}
}

func TestC2LeaveOpen(t *testing.T) {
	w := newWorld(t, func(s *settings.Shop) { s.Handoff.OnStop = "leave_open" }).opened()
	w.stop()
	w.expect("episode 1: open -> opted_out", "resumed", "note 1: "+stopNote)
	w.customer("one more thing") // C13: appended to the open ticket
	w.expect("ticket 1 <- customer: one more thing (open)")
}

func TestC2ReceiptAfterStop(t *testing.T) {
	w := newWorld(t)
	w.customer("cancel it", intent("cancel_order"))
	w.customer("yes", yes)
	w.stop()
	w.skip()
	w.created()
	w.desk(1, solved)
	w.expect()
	if w.ticket().GetTicketId() != "t1" || w.episode().GetState() != optedOut {
		t.Errorf("ticket %v, episode %v", w.ticket(), w.episode())
	}
}

func TestC2BotReplyCrossesWithStop(t *testing.T) {
	w := newWorld(t)
	w.customer("where is it")
	w.stop()
	w.skip()
	w.bot("There.")
	w.expect(`not sent: bot's answer to turn 1 not sent, its turn is over: "There."`)
}

func TestC2ScopeCoversOtherAccounts(t *testing.T) {
	for scope, both := range map[string]bool{"channel:sms": true, "shop": true, "account:sms:+15557770001": false} {
		w := newWorld(t).opened()
		w.at = "sms:+15557770001"
		w.customer("cancel it", intent("cancel_order"))
		w.skip()
		w.notice(&handoffv1.ConsentNotice{
			Kind: handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPTED_OUT, Keyword: "stop", Scope: scope,
			Source: handoffv1.ConsentSource_CONSENT_SOURCE_KEYWORD,
		})
		channel := "SMS"
		if scope == "shop" {
			channel = "all channels"
		}
		if both {
			w.expect("episode 1: open -> opted_out", "resumed", "note 1: Customer texted stop and is unsubscribed from "+channel+".",
				"status 1: solved", "episode 1: offered -> opted_out")
		} else {
			w.expect("episode 1: offered -> opted_out")
		}
	}
}

func TestC2ProviderReported(t *testing.T) {
	w := newWorld(t).opened()
	w.notice(&handoffv1.ConsentNotice{
		Kind: handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPTED_OUT, Scope: "channel:sms",
		Source: handoffv1.ConsentSource_CONSENT_SOURCE_PROVIDER,
	})
	w.expect("episode 1: open -> opted_out", "resumed",
		"note 1: Customer is unsubscribed from SMS: the provider reports that they opted out there. Only a START that reaches the provider lifts its block.", "status 1: solved")
}

func TestC4HelpNote(t *testing.T) {
	help := &handoffv1.ConsentNotice{Kind: handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_HELP, Keyword: "HELP", Scope: "channel:sms"}
	w := newWorld(t).opened()
	w.notice(help)
	w.expect("note 1: Customer texted HELP and was sent the help text.")
	w.desk(1, solved)
	w.skip()
	w.notice(help)
	w.expect()
}

func TestC7Notes(t *testing.T) {
	since := timestamppb.New(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC))
	for why, want := range map[handoffv1.BlockReason]string{
		handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT:       "Not sent: the customer opted out on Feb 1, 2026.",
		handoffv1.BlockReason_BLOCK_REASON_NEVER_CONFIRMED: "Not sent: the customer never confirmed their subscription.",
		handoffv1.BlockReason_BLOCK_REASON_NO_RECORD:       "Not sent: there is no subscriber record for this address.",
	} {
		blocked := func(w *world, class handoffv1.TextClass, turn string) {
			w.post(func(r *handoffv1.Record) {
				r.Body = &handoffv1.Record_BlockedText{BlockedText: &handoffv1.BlockedText{
					Reason: why, Since: since, Text: "Hi.",
					Author: &handoffv1.AuthorRef{TextClass: class, TicketId: "t1", NativeId: turn},
				}}
			})
		}
		w := newWorld(t).opened()
		blocked(w, handoffv1.TextClass_TEXT_CLASS_AGENT, "r1")
		w.expect("note 1: " + want)
		w.desk(1, solved)
		w.skip()
		blocked(w, handoffv1.TextClass_TEXT_CLASS_AGENT, "r2") // written on the closed ticket: the agent is told
		w.expect("note 1: " + want)
		w.customer("where is it")
		w.customer("and when")
		w.skip()
		blocked(w, handoffv1.TextClass_TEXT_CLASS_BOT, "1") // no open ticket, no note; the turn is over
		w.expect("bot 2: and when")
	}
}

func TestC7RefusedJustBeforeTheRequest(t *testing.T) {
	w := newWorld(t).opened()
	w.agent(1, "Hi.")
	reply := w.last(handoffv1.Action_ACTION_SEND_TEXT)
	w.stop()
	w.skip()
	w.receipt(reply, &handoffv1.Outcome{
		Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED, BlockReason: handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT,
	})
	w.expect("note 1: Not sent: the customer opted out on Mar 2, 2026.")
}

func TestFateOfAgentsTexts(t *testing.T) {
	for want, out := range map[string]*handoffv1.Outcome{
		"note 1: Not delivered: landline (30006)": {Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, Code: "30006", Meaning: "landline"},
		"note 1: Not known whether this was delivered: the provider did not answer, and it was not sent again.": {
			Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_UNKNOWN,
		},
		"note 1: Not sent: it could not be sent in time.": {Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_EXPIRED},
	} {
		w := newWorld(t).opened()
		w.agent(1, "Hi.")
		w.skip()
		w.receipt(w.last(handoffv1.Action_ACTION_SEND_TEXT), out)
		w.expect(want)
	}
	w := newWorld(t)
	w.customer("where is it")
	w.bot("There.")
	w.skip()
	w.receipt(w.last(handoffv1.Action_ACTION_SEND_TEXT), &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED})
	w.expect() // no ticket, nobody to tell; deliver reports the fact

	w = newWorld(t).opened()
	w.agent(1, "Hi.")
	w.skip()
	w.post(func(r *handoffv1.Record) {
		r.Body = &handoffv1.Record_DeliveryState{DeliveryState: &handoffv1.DeliveryState{
			CallId: w.last(handoffv1.Action_ACTION_SEND_TEXT).call, Status: handoffv1.DeliveryStatus_DELIVERY_STATUS_FAILED,
			Code: "30005", Meaning: "unknown number",
		}}
	})
	w.expect("note 1: Not delivered: unknown number (30005)")
}

func TestC8OptOutByAgent(t *testing.T) {
	optout := func(w *world, ticket string) {
		w.notice(&handoffv1.ConsentNotice{
			Kind: handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPTED_OUT, Keyword: "#optout", Scope: "channel:sms",
			Source: handoffv1.ConsentSource_CONSENT_SOURCE_AGENT, TicketId: ticket,
		})
	}
	w := newWorld(t).opened()
	optout(w, "t1")
	w.expect("episode 1: open -> opted_out", "resumed", "note 1: Unsubscribed by #optout. Your reply was not sent.", "status 1: solved")

	w = newWorld(t, func(s *settings.Shop) { s.Handoff.OnStop = "leave_open" }).opened()
	optout(w, "t1")
	w.expect("episode 1: open -> opted_out", "resumed", "note 1: Unsubscribed by #optout. Your reply was not sent.")

	w = newWorld(t).opened()
	w.desk(1, solved)
	w.skip()
	optout(w, "t1") // written on a closed ticket: the note still answers the agent
	w.expect("note 1: Unsubscribed by #optout. Your reply was not sent.")

	for prior, want := range map[handoffv1.ConsentStatus]string{
		handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED: "Not changed: the customer is already unsubscribed.",
		handoffv1.ConsentStatus_CONSENT_STATUS_PENDING:      "Not changed: the customer never confirmed their subscription.",
		handoffv1.ConsentStatus_CONSENT_STATUS_UNSPECIFIED:  "Not changed: there is no subscriber record.",
	} {
		w = newWorld(t).opened()
		w.notice(&handoffv1.ConsentNotice{
			Kind:  handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPT_OUT_REFUSED,
			Prior: prior, Status: prior, Scope: "channel:sms", TicketId: "t1",
		})
		w.expect("note 1: " + want)
	}
}

func TestC13OptedOutPersonWrites(t *testing.T) {
	note := "with note: Opted out on Mar 2, 2026: can't be texted until they send START. Answer another way."
	stopped := func(change ...func(*settings.Shop)) *world {
		w := newWorld(t, change...)
		w.customer("hi")
		w.bot("Hello.")
		w.stop()
		w.skip()
		return w
	}
	w := stopped()
	w.customer("where is it")
	w.expect("not sent: the customer opted out and nothing in the message asks for people")
	w.customer("cancel it", intent("cancel_order"))
	w.expect("episode 1: none -> requested", "paused", "create 1: customer: hi | bot: Hello. | customer: where is it | customer: cancel it", note)
	w.wait(time.Hour)
	w.expect() // nothing is texted, desk down or not
	w.created()
	w.customer("hello")
	w.expect("episode 1: requested -> open", "ticket 1 <- customer: hello (open)")
	if f := w.episodeFacts()[0]; f.GetSignal() != handoffv1.SignalKind_SIGNAL_KIND_OPTED_OUT_WROTE || f.GetIntent() != "cancel_order" {
		t.Errorf("fact %v", f)
	}

	w = stopped(func(s *settings.Shop) { s.Mode = settings.ModeMirror; s.AutoReply.InMirrorMode = true })
	w.desk(1, closing)
	w.skip()
	w.customer("where is it")
	w.expect("create 2: customer: hi | bot: Hello. | customer: where is it", note)

	w = stopped(func(s *settings.Shop) { s.Active = false })
	w.customer("cancel it", intent("cancel_order"))
	w.expect("not sent: the customer opted out and nothing in the message asks for people")

	w = stopped()
	w.customer("hm", unsure)
	w.customer("hmm", unsure)
	w.expect("not sent: the customer opted out and nothing in the message asks for people",
		"episode 1: none -> requested", "paused", "create 1: customer: hi | bot: Hello. | customer: hm | customer: hmm", note)
	w.start()
	w.agent(1, "Hi.")
	w.expect("episode 1: requested -> open", "text [agent]: Hi.")
}

func TestC13AfterStopClosedTheTicket(t *testing.T) {
	w := newWorld(t).opened()
	w.stop()
	w.skip()
	w.wait(time.Hour)
	w.customer("cancel it", intent("cancel_order")) // within the window: the ticket reopens (M4)
	w.expect("episode 2: none -> requested", "paused", "ticket 1 <- customer: cancel it (open)",
		"tags 1: has_shopper_support_escalation",
		"note 1: Opted out on Mar 2, 2026: can't be texted until they send START. Answer another way.")
}

func TestStartAgain(t *testing.T) {
	w := newWorld(t)
	w.customer("hi")
	w.stop()
	w.start()
	w.skip()
	w.customer("where is it")
	w.expect("bot 2: where is it")
}
