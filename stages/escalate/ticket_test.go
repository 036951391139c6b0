package escalate

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

const escalationTags = "tags 1: has_shopper_support_escalation"

func mirror(s *settings.Shop) { s.Mode = settings.ModeMirror }

// closedWorld has a ticket that was closed now.
func closedWorld(t *testing.T, status handoffv1.TicketStatus, change ...func(*settings.Shop)) *world {
	w := newWorld(t, change...).opened()
	w.desk(1, status)
	w.skip()
	return w
}

func TestM4ReopenWithinTheWindow(t *testing.T) {
	w := closedWorld(t, solved)
	w.wait(23 * time.Hour)
	w.customer("where is it")
	w.bot("There.")
	w.customer("refund me", intent("return_refund"))
	w.skip()
	w.customer("yes", yes)
	w.expect("episode 2: offered -> requested", "paused",
		"ticket 1 <- customer: where is it | bot: There. | customer: refund me | system: <offer> | customer: yes (open)", escalationTags)
	w.desk(1, solved) // the close before, told late
	w.expect()
	w.receipt(w.last(handoffv1.Action_ACTION_APPEND_MESSAGES), &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE, TicketId: "t1"})
	w.expect("episode 2: requested -> open")
	w.customer("hello")
	w.desk(1, reopen)
	w.wait(time.Second)
	w.desk(1, solved)
	w.expect("ticket 1 <- customer: hello (open)", "episode 2: open -> closed", "resumed")
}

func TestM4StaleCloseAfterReopening(t *testing.T) {
	w := closedWorld(t, solved)
	w.wait(time.Hour)
	w.customer("refund me", intent("return_refund"))
	w.customer("yes", yes)
	w.receipt(w.last(handoffv1.Action_ACTION_APPEND_MESSAGES), &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE})
	w.skip()
	closes := func(at time.Time, openedFor uint64) {
		w.post(func(r *handoffv1.Record) {
			r.EventTime = timestamppb.New(at)
			r.Body = &handoffv1.Record_TicketEvent{TicketEvent: &handoffv1.TicketEvent{TicketId: "t1", Episode: 1, Status: closing, OpenedFor: openedFor}}
		})
	}
	closes(w.now.Add(24*time.Hour), 1) // whatever the desk's clock says
	w.expect()
	if w.episode().GetState() != open {
		t.Errorf("state %v", w.episode().GetState())
	}
	closes(w.now.Add(-24*time.Hour), 2)
	w.expect("episode 2: open -> closed", "resumed")
}

func TestM4LinkedNewTicket(t *testing.T) {
	for name, tc := range map[string]struct {
		status handoffv1.TicketStatus
		wait   time.Duration
		change func(*settings.Shop)
		reopen bool
	}{
		"solved, late":                {solved, 25 * time.Hour, nil, false},
		"closed is terminal":          {closing, time.Hour, nil, false},
		"closed at another desk":      {closing, time.Hour, func(s *settings.Shop) { s.Desk.Kind = "gorgias" }, true},
		"a longer window":             {solved, 40 * time.Hour, func(s *settings.Shop) { s.Handoff.ReopenWithin = map[string]time.Duration{"sms": 48 * time.Hour} }, true},
		"no window":                   {solved, time.Second, func(s *settings.Shop) { s.Handoff.ReopenWithin = map[string]time.Duration{"sms": 0} }, false},
		"another channel's window":    {solved, 25 * time.Hour, func(s *settings.Shop) { s.Handoff.ReopenWithin = map[string]time.Duration{"x": 48 * time.Hour} }, false},
		"solved, within the window":   {solved, 24 * time.Hour, nil, true},
		"solved, a second after that": {solved, 24*time.Hour + time.Second, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.change == nil {
				tc.change = func(*settings.Shop) {}
			}
			w := closedWorld(t, tc.status, tc.change)
			w.wait(tc.wait)
			w.customer("refund me", intent("return_refund"))
			w.skip()
			w.customer("yes", yes)
			if tc.reopen {
				w.expect("episode 2: offered -> requested", "paused", "ticket 1 <- customer: refund me | system: <offer> | customer: yes (open)", escalationTags)
				return
			}
			w.expect("episode 2: offered -> requested", "paused",
				"create 2: customer: cancel my order | system: <offer> | customer: yes | customer: refund me | system: <offer> | customer: yes")
			if got := w.last(handoffv1.Action_ACTION_CREATE_TICKET).GetCreateTicket().GetFollowUpOf(); got != "t1" {
				t.Errorf("follows up %q", got)
			}
		})
	}
}

func TestM4ReopeningRefusedBecauseGone(t *testing.T) {
	w := closedWorld(t, solved)
	w.customer("refund me", intent("return_refund"))
	w.customer("yes", yes)
	w.skip()
	w.receipt(w.last(handoffv1.Action_ACTION_APPEND_MESSAGES), &handoffv1.Outcome{
		Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, Code: "422", TicketGone: true, TicketId: "t1",
	})
	w.expect("create 2: customer: cancel my order | system: <offer> | customer: yes | customer: refund me | system: <offer> | customer: yes")
	w.created()
	w.expect("episode 2: requested -> open")
}

func TestMessageOnTicketThatIsGone(t *testing.T) {
	w := newWorld(t).opened()
	w.customer("hello")
	w.skip()
	w.receipt(w.last(handoffv1.Action_ACTION_APPEND_MESSAGES), &handoffv1.Outcome{
		Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, TicketGone: true, TicketId: "t1",
	})
	w.expect("episode 1: open -> closed", "resumed", "episode 2: none -> requested", "paused",
		"create 2: customer: cancel my order | system: <offer> | customer: yes | customer: hello")
}

func TestTwoTickets(t *testing.T) {
	w := closedWorld(t, closing)
	w.customer("refund me", intent("return_refund"))
	w.customer("yes", yes)
	w.created()
	w.skip()
	w.agent(1, "From the old ticket.") // reaches the subscriber, and is history on the new one
	w.expect("text [agent]: From the old ticket.", "ticket 2 <- agent: From the old ticket.")
	w.desk(1, closing)
	w.expect()
	w.agent(2, "From the new one.")
	w.expect("text [agent]: From the new one.")
	w.post(func(r *handoffv1.Record) {
		r.Body = &handoffv1.Record_BlockedText{BlockedText: &handoffv1.BlockedText{
			Reason: handoffv1.BlockReason_BLOCK_REASON_NO_RECORD,
			Author: &handoffv1.AuthorRef{TextClass: handoffv1.TextClass_TEXT_CLASS_AGENT, TicketId: "t1"},
		}}
	})
	w.expect("note 1: Not sent: there is no subscriber record for this address.")
}

func TestM4AnswerGrace(t *testing.T) {
	w := newWorld(t, func(s *settings.Shop) { s.Handoff.AnswerGrace = 10 * time.Minute }).opened()
	w.agent(1, "Done.")
	w.desk(1, solved)
	w.skip()
	w.wait(9 * time.Minute)
	w.customer("one more question")
	w.expect("episode 2: none -> requested", "paused", "ticket 1 <- customer: one more question (open)", escalationTags)

	w = newWorld(t, func(s *settings.Shop) { s.Handoff.AnswerGrace = 10 * time.Minute }).opened()
	w.agent(1, "Done.")
	w.desk(1, solved)
	w.wait(11 * time.Minute)
	w.skip()
	w.customer("where is it")
	w.expect("bot 1: where is it")
}

func TestM5Thanks(t *testing.T) {
	w := newWorld(t)
	w.customer("thanks", thanks)
	w.expect("not sent: only thanks: kept as history, not answered")

	w = newWorld(t).opened()
	w.agent(1, "Done.")
	w.skip()
	w.customer("thanks", thanks)
	w.expect("not sent: only thanks: kept as history, not answered", "ticket 1 <- customer: thanks")

	w = closedWorld(t, solved)
	w.customer("thanks", thanks) // appending would reopen: a note
	w.expect("not sent: only thanks: kept as history, not answered", "note 1: Customer: thanks")
	w.wait(48 * time.Hour)
	w.customer("thanks", thanks)
	w.expect("not sent: only thanks: kept as history, not answered")

	w = closedWorld(t, closing) // takes nothing any more
	w.customer("thanks", thanks)
	w.expect("not sent: only thanks: kept as history, not answered")
}

func TestM5CloseOnThanks(t *testing.T) {
	on := func(s *settings.Shop) { s.Handoff.CloseOnThanks = true }
	w := newWorld(t, on).opened()
	w.agent(1, "Done.")
	w.skip()
	w.customer("thanks", thanks)
	w.expect("not sent: only thanks: kept as history, not answered", "ticket 1 <- customer: thanks", "status 1: solved",
		"episode 1: open -> closed", "resumed")
	w.desk(1, solved) // the desk's report of it
	w.expect()

	w = newWorld(t, on).opened()
	w.agent(1, "Looking.")
	w.customer("hurry")
	w.skip()
	w.customer("thanks", thanks) // the last message was not an agent's
	w.expect("not sent: only thanks: kept as history, not answered", "ticket 1 <- customer: thanks")
}

func TestM1Mirror(t *testing.T) {
	w := newWorld(t, mirror)
	w.customer("where is it")
	w.expect("create 1: customer: where is it")
	create := w.last(handoffv1.Action_ACTION_CREATE_TICKET).GetCreateTicket()
	if create.GetSubject() != "SMS conversation with +14155550001" {
		t.Errorf("subject %q", create.GetSubject())
	}
	w.customer("cancel it", intent("cancel_order"))
	w.created()
	w.agent(1, "Hi.")
	w.expect("ticket 1 <- customer: cancel it (open)", "text [agent]: Hi.")
	w.wait(24 * time.Hour)
	w.desk(1, solved)
	w.expect() // there is no bot to pause
	w.customer("thanks", thanks)
	w.expect("not sent: only thanks: kept as history, not answered", "note 1: Customer: thanks")
	w.customer("and now")
	w.expect("ticket 1 <- customer: and now (open)") // M4: reopens
	w.desk(1, closing)
	w.customer("again")
	w.expect("create 2: customer: where is it | customer: cancel it | agent: Hi. | customer: thanks | customer: and now | customer: again")
	if got := w.last(handoffv1.Action_ACTION_CREATE_TICKET).GetCreateTicket().GetFollowUpOf(); got != "t1" {
		t.Errorf("follows up %q", got)
	}
	if len(w.episodeFacts()) != 0 {
		t.Errorf("a mirrored ticket is no escalation: %v", w.episodeFacts())
	}
}

func TestM1FirstThanksIsATicket(t *testing.T) {
	w := newWorld(t, mirror)
	w.customer("thanks", thanks)
	w.expect("create 1: customer: thanks")
}

func TestM6BotInMirrorMode(t *testing.T) {
	on := func(s *settings.Shop) { s.Mode = settings.ModeMirror; s.AutoReply.InMirrorMode = true }
	w := newWorld(t, on)
	w.customer("where is it")
	w.expect("create 1: customer: where is it", "bot 1: where is it")
	w.created()
	w.bot("There.") // an open ticket alone does not pause it; imported as sent
	w.expect("text [bot]: There.", "ticket 1 <- bot: There.")
	w.customer("cancel it", intent("cancel_order")) // an episode on the existing ticket, without an offer
	w.expect("ticket 1 <- customer: cancel it (open)", "episode 2: none -> requested", "paused", "status 1: open", escalationTags, "episode 2: requested -> open")
	w.desk(1, solved)
	w.expect("episode 2: open -> closed", "resumed")

	w = newWorld(t, on)
	w.customer("where is it")
	w.created()
	w.skip()
	w.post(func(r *handoffv1.Record) {
		r.Body = &handoffv1.Record_TicketEvent{TicketEvent: &handoffv1.TicketEvent{TicketId: "t1", Episode: 1, Assignee: "Kim"}}
	})
	w.expect("paused") // assignment takes it
	w.bot("Late.")
	w.expect(`not sent: bot's answer to turn 1 not sent, people have the conversation: "Late."`)
	w.customer("hello")
	w.expect("ticket 1 <- customer: hello (open)")
	w.wait(24 * time.Hour)
	w.expect("resumed", "note 1: No close within 24 hours: Shopper answers again. Your replies are still delivered.")
}

func TestM6SignalWhileTheTicketIsOnItsWay(t *testing.T) {
	w := newWorld(t, func(s *settings.Shop) { s.Mode = settings.ModeMirror; s.AutoReply.InMirrorMode = true })
	w.customer("cancel it", intent("cancel_order"))
	w.expect("create 1: customer: cancel it", "episode 2: none -> requested", "paused", "status 1: open", escalationTags)
	w.created()
	w.expect("episode 2: requested -> open")
}

func TestM7Spam(t *testing.T) {
	w := newWorld(t).opened()
	w.desk(1, handoffv1.TicketStatus_TICKET_STATUS_SPAM)
	w.expect("episode 1: open -> closed", "resumed")
	w.customer("refund", intent("return_refund"))
	w.expect("bot 1: refund")
	w.desk(1, reopen)
	w.desk(1, solved)
	w.skip()
	w.customer("refund", intent("complaint"))
	w.expect("episode 2: none -> offered", "text [system]: <offer>")
}

func TestCloseOnThanksWaitsForAReopening(t *testing.T) {
	w := newWorld(t, func(s *settings.Shop) { s.Handoff.CloseOnThanks = true }).opened()
	w.desk(1, solved)
	w.customer("refund me", intent("return_refund"))
	w.customer("yes", yes)
	w.agent(1, "Hi.")
	w.skip()
	w.customer("thanks", thanks) // the reopening is on its way: closing now would close what is not open yet
	w.customer("and hurry")
	w.expect("not sent: only thanks: kept as history, not answered", "ticket 1 <- customer: thanks", "ticket 1 <- customer: and hurry (open)")
}

func TestCreateRefusedWhileAReopeningWaitsForIt(t *testing.T) {
	w := newWorld(t)
	w.customer("cancel it", intent("cancel_order"))
	w.customer("yes", yes)
	w.stop() // note and close wait behind the creation
	w.start()
	w.customer("cancel it", intent("cancel_order"))
	w.customer("yes", yes) // reopens what does not exist yet
	w.skip()
	w.receipt(w.last(handoffv1.Action_ACTION_CREATE_TICKET), &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, Code: "401"})
	w.expect("episode 2: requested -> failed", "resumed",
		"text [system]: We couldn't connect you with our support team. Please contact help@acme.example.")
}

func TestM4AnswerGraceOverAStandingOffer(t *testing.T) {
	w := newWorld(t, func(s *settings.Shop) { s.Handoff.AnswerGrace = time.Hour }).opened()
	w.desk(1, solved)
	w.customer("refund me", intent("return_refund"))
	w.agent(1, "I see you are back.")
	w.skip()
	w.customer("hello")
	w.expect("episode 2: offered -> lapsed", "episode 3: none -> requested", "paused",
		"ticket 1 <- customer: refund me | system: <offer> | customer: hello (open)", escalationTags)
}

func TestC2StopInMirrorMode(t *testing.T) {
	w := newWorld(t, mirror)
	w.customer("where is it")
	w.created()
	w.skip()
	w.stop()
	w.expect("note 1: Customer texted STOP and is unsubscribed from SMS.", "status 1: solved")
	w.customer("hello") // C13: always, in mirror mode; the window is not over
	w.expect("ticket 1 <- customer: hello (open)", "note 1: Opted out on Mar 2, 2026: can't be texted until they send START. Answer another way.")
}
