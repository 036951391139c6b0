package escalate

import (
	"strings"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

func TestH1Signals(t *testing.T) {
	offer := []string{"episode 1: none -> offered", "text [system]: <offer>"}
	for name, tc := range map[string]struct {
		play   func(w *world)
		change func(*settings.Shop)
		want   []string
		kind   handoffv1.SignalKind
		intent string
		reason string
	}{
		"listed intent is offered and not sent to the bot": {
			play: func(w *world) { w.customer("cancel it", intent("cancel_order")) }, want: offer,
			kind: handoffv1.SignalKind_SIGNAL_KIND_INTENT, intent: "cancel_order", reason: "intent cancel_order, confidence 0.90",
		},
		"an intent that is not listed goes to the bot": {
			play: func(w *world) { w.customer("where is it") }, want: []string{"bot 1: where is it"},
		},
		"an unsure classification's intent is no signal": {
			play: func(w *world) { w.customer("hm", intent("cancel_order"), unsure) }, want: []string{"bot 1: hm"},
		},
		"bot cannot answer": {
			play: func(w *world) { w.customer("where is it"); w.skip(); w.botCannot("no order") }, want: offer,
			kind: handoffv1.SignalKind_SIGNAL_KIND_BOT_CANNOT_ANSWER, intent: "order_status", reason: "the bot cannot answer: no order",
		},
		"bot cannot answer a message without an intent: its own reason": {
			play: func(w *world) { w.customer("hm", unsure); w.skip(); w.botCannot("no order") }, want: offer,
			kind: handoffv1.SignalKind_SIGNAL_KIND_BOT_CANNOT_ANSWER, intent: "no order", reason: "the bot cannot answer: no order",
		},
		"two unplaced in a row": {
			play: func(w *world) {
				w.customer("hm", unsure)
				w.bot("?")
				w.skip()
				w.customer("hmm", unsure)
			}, want: offer,
			kind: handoffv1.SignalKind_SIGNAL_KIND_UNSURE, reason: "unplaced messages in a row: 2",
		},
		"a placed message between breaks the row": {
			play: func(w *world) {
				w.customer("hm", unsure)
				w.bot("?")
				w.customer("where is it")
				w.bot("there")
				w.skip()
				w.customer("hmm", unsure)
			}, want: []string{"bot 3: hmm"},
		},
		"the number is a setting": {
			change: func(s *settings.Shop) { s.Handoff.UnsureInARow = 1 },
			play:   func(w *world) { w.customer("hm", unsure) }, want: offer,
			kind: handoffv1.SignalKind_SIGNAL_KIND_UNSURE, reason: "unplaced messages in a row: 1",
		},
		"strongly negative": {
			play: func(w *world) { w.customer("this is awful!!", angry) }, want: offer,
			kind: handoffv1.SignalKind_SIGNAL_KIND_SENTIMENT, intent: "order_status", reason: "sentiment -0.95, below -0.80",
		},
		"asks for a person": {
			play: func(w *world) { w.customer("agent please", human) }, want: offer,
			kind: handoffv1.SignalKind_SIGNAL_KIND_ASKED_FOR_PERSON, intent: "human", reason: "asked for a person",
		},
		"a shop that does not list human lets the bot answer": {
			change: func(s *settings.Shop) { s.Handoff.Intents = []string{"complaint"} },
			play:   func(w *world) { w.customer("agent please", human) }, want: []string{"bot 1: agent please"},
		},
		"no bot: every message is one it cannot answer": {
			change: func(s *settings.Shop) { s.AutoReply.URL = "" },
			play:   func(w *world) { w.customer("where is it") }, want: offer,
			kind: handoffv1.SignalKind_SIGNAL_KIND_BOT_CANNOT_ANSWER, intent: "order_status", reason: "the bot cannot answer: there is no bot",
		},
	} {
		t.Run(name, func(t *testing.T) {
			change := tc.change
			if change == nil {
				change = func(*settings.Shop) {}
			}
			w := newWorld(t, change)
			tc.play(w)
			w.expect(tc.want...)
			if tc.kind == 0 {
				return
			}
			f := w.episodeFacts()[0]
			if f.GetSignal() != tc.kind || f.GetIntent() != tc.intent || w.reason() != tc.reason || f.GetSignalledAt() == nil || f.GetSignalText() == "" {
				t.Errorf("fact %v, reason %q; want %v %q %q", f, w.reason(), tc.kind, tc.intent, tc.reason)
			}
		})
	}
}

func TestH2Answers(t *testing.T) {
	confirmed := []string{"episode 1: offered -> requested", "paused", "create 1: customer: cancel it | system: <offer> | customer: yes"}
	for name, tc := range map[string]struct {
		text string
		read []reading
		want []string
	}{
		"yes": {"yes", []reading{yes}, confirmed},
		"no":  {"no", []reading{no}, []string{"episode 1: offered -> declined"}},
		"yes with more text is on the ticket with it": {
			"yes and hurry", []reading{yes, more, intent("cancel_order")},
			[]string{"episode 1: offered -> requested", "paused", "create 1: customer: cancel it | system: <offer> | customer: yes and hurry"},
		},
		"no with more text is also handled": {
			"no, where is it?", []reading{no, more, intent("order_status")},
			[]string{"episode 1: offered -> declined", "bot 1: no, where is it?"},
		},
		"no with another reason is offered anew": {
			"no, I want my money back", []reading{no, more, intent("return_refund")},
			[]string{"episode 1: offered -> declined", "episode 2: none -> offered", "text [system]: <offer>"},
		},
		"asking for a person again confirms, and an offer that is not known to have left is on no ticket": {
			"get me a person", []reading{human},
			[]string{"episode 1: offered -> requested", "paused", "create 1: customer: cancel it | customer: get me a person"},
		},
		"anything else leaves it standing, the bot goes on": {"do you ship abroad", nil, []string{"bot 1: do you ship abroad"}},
		"another listed intent too: one offer at a time":    {"and refund me", []reading{intent("return_refund")}, []string{"bot 1: and refund me"}},
		"a yes that answers something else": {"yes", []reading{func(c *handoffv1.Classification) {
			c.Directive = handoffv1.Directive_DIRECTIVE_YES
		}}, []string{"bot 1: yes"}},
		"a yes to an older question": {"yes", []reading{yes, func(c *handoffv1.Classification) { c.QuestionId = "older" }}, []string{"bot 1: yes"}},
		"bare thanks is neither":     {"thanks", []reading{thanks}, []string{"not sent: only thanks: kept as history, not answered"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.customer("cancel it", intent("cancel_order"))
			w.expect("episode 1: none -> offered", "text [system]: <offer>")
			w.customer(tc.text, tc.read...)
			w.expect(tc.want...)
			if asked := w.asked[0]; asked.GetQuestion() != handoffv1.Question_QUESTION_OFFER ||
				asked.GetQuestionId() != w.commands[0].call || !asked.GetUntil().AsTime().Equal(time.Date(2026, 3, 3, 10, 0, 0, 0, time.UTC)) {
				t.Errorf("asked %v", asked)
			}
		})
	}
}

func TestH2BotGoesOnAndOfferStillConfirmable(t *testing.T) {
	w := newWorld(t)
	w.customer("cancel it", intent("cancel_order"))
	w.customer("do you ship abroad")
	w.skip()
	w.bot("Yes, we do.")
	w.expect("text [bot]: Yes, we do.")
	if last := w.asked[len(w.asked)-1]; last.GetQuestion() != handoffv1.Question_QUESTION_UNSPECIFIED {
		t.Errorf("the bot's text must close the question, asked %v", last)
	}
	w.customer("connect me", yes, human) // classify: names the handoff, so it still answers the offer
	w.expect("episode 1: offered -> requested", "paused",
		"create 1: customer: cancel it | system: <offer> | customer: do you ship abroad | bot: Yes, we do. | customer: connect me")
}

func TestH2BotCannotAnswerWhileAnOfferStands(t *testing.T) {
	w := newWorld(t)
	w.customer("cancel it", intent("cancel_order"))
	w.customer("do you ship abroad")
	w.skip()
	w.botCannot("no idea")
	w.expect("not sent: the bot cannot answer: no idea; not offered: an offer stands (H2)")
}

func TestH2LapseAndSuppression(t *testing.T) {
	for name, tc := range map[string]struct {
		read  reading
		after time.Duration
		want  []string
	}{
		"the same reason within 24 h goes to the bot": {intent("cancel_order"), 23 * time.Hour, []string{"bot 1: again"}},
		"after 24 h it is offered again":              {intent("cancel_order"), 24 * time.Hour, []string{"episode 2: none -> offered", "text [system]: <offer>"}},
		"another reason is offered":                   {intent("complaint"), time.Hour, []string{"episode 2: none -> offered", "text [system]: <offer>"}},
		"whoever asks for a person is offered":        {human, time.Hour, []string{"episode 2: none -> offered", "text [system]: <offer>"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, end := range []string{"lapse", "no"} {
				w := newWorld(t)
				w.customer("cancel it", intent("cancel_order"))
				w.skip()
				if end == "no" {
					w.customer("no", no)
					w.expect("episode 1: offered -> declined")
				} else {
					w.wait(24 * time.Hour)
					w.expect("episode 1: offered -> lapsed")
				}
				w.wait(tc.after)
				w.customer("again", tc.read)
				w.expect(tc.want...)
			}
		})
	}
}

func TestH2YesReceivedBeforeTheLapseCounts(t *testing.T) {
	for name, tc := range map[string]struct {
		received time.Duration // before the lapse
		want     []string
	}{
		"in time":        {time.Second, []string{"episode 1: lapsed -> requested", "paused", "create 1: customer: cancel it | system: <offer> | customer: yes"}},
		"at the moment":  {0, []string{"episode 1: lapsed -> requested", "paused", "create 1: customer: cancel it | system: <offer> | customer: yes"}},
		"after the time": {-time.Second, []string{"bot 1: yes"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.customer("cancel it", intent("cancel_order"))
			lapse := w.now.Add(24 * time.Hour)
			w.wait(24*time.Hour + time.Minute)
			w.skip()
			w.customerAt(lapse.Add(-tc.received), "yes", yes)
			w.expect(tc.want...)
		})
	}
}

func TestH2SkipOffer(t *testing.T) {
	w := newWorld(t, func(s *settings.Shop) { s.Handoff.SkipOfferWhenAsked = true })
	w.customer("agent please", human)
	w.expect("episode 1: none -> requested", "paused", "create 1: customer: agent please")
	w = newWorld(t, func(s *settings.Shop) { s.Handoff.SkipOfferWhenAsked = true })
	w.customer("cancel it", intent("cancel_order"))
	w.expect("episode 1: none -> offered", "text [system]: <offer>")
}

func TestH3Ticket(t *testing.T) {
	w := newWorld(t, func(s *settings.Shop) { s.Desk.Tags = []string{"vip", "sms"} })
	for i := range 12 {
		w.customer("q" + string(rune('a'+i)))
		w.bot("a" + string(rune('a'+i)))
		w.now = w.now.Add(2 * time.Minute) // not so fast that they take each other for machines (R4)
	}
	w.customer("cancel it", intent("cancel_order"))
	w.skip()
	w.customer("yes", yes)
	w.expect("episode 1: offered -> requested", "paused",
		"create 1: bot: ai | customer: qj | bot: aj | customer: qk | bot: ak | customer: ql | bot: al | customer: cancel it | system: <offer> | customer: yes")
	create := w.last(handoffv1.Action_ACTION_CREATE_TICKET)
	ticket := create.GetCreateTicket()
	if ticket.GetSubject() != "Shopper SMS Handoff — Acme Outdoors" {
		t.Errorf("subject %q", ticket.GetSubject())
	}
	if got := strings.Join(ticket.GetTags(), " "); got != "sms messaging_support vip has_shopper_support_escalation" {
		t.Errorf("tags %q", got)
	}
	if !strings.HasPrefix(ticket.GetExternalId(), "handoff:") || !strings.HasSuffix(ticket.GetExternalId(), ":1") {
		t.Errorf("external id %q", ticket.GetExternalId())
	}
	for _, m := range ticket.GetMessages() {
		if m.GetAt() == nil || m.GetAuthor() == 0 {
			t.Errorf("message without author or time: %v", m)
		}
	}
	w.created()
	w.created() // a receipt told twice changes nothing
	w.expect("episode 1: requested -> open")
	if w.ticket().GetUrl() != "https://acme.example/t1" { // H9
		t.Errorf("ticket %v", w.ticket())
	}
	if f := w.episodeFacts()[2]; f.GetTicketId() != "t1" || f.GetOpenedAt() == nil || f.GetRequestedAt() == nil || f.GetOfferedAt() == nil {
		t.Errorf("fact %v", f)
	}
}

func TestThreadKeepsTenEntries(t *testing.T) {
	w := newWorld(t)
	for range 30 {
		w.customer("q")
		w.bot("a")
	}
	n := 0
	w.mem.Scan("thread/", func(string, []byte) bool { n++; return true })
	if n != lastMessages {
		t.Errorf("%d thread entries, want %d", n, lastMessages)
	}
}

func TestH4Pause(t *testing.T) {
	w := newWorld(t)
	w.customer("cancel it", intent("cancel_order"))
	w.customer("and where is it") // asked to the bot while the offer stands
	w.skip()
	w.customer("yes", yes)
	w.expect("episode 1: offered -> requested", "paused",
		"create 1: customer: cancel it | system: <offer> | customer: and where is it | customer: yes")
	w.bot("It is on its way.") // was in flight
	w.expect(`not sent: bot's answer to turn 1 not sent, people have the conversation: "It is on its way."`)
	w.customer("hello?") // before the ticket exists
	w.expect("ticket 1 <- customer: hello? (open)")
	w.created()
	w.expect("episode 1: requested -> open")
	w.customer("anyone?")
	w.customer("cancel!", intent("cancel_order"))
	w.expect("ticket 1 <- customer: anyone? (open)", "ticket 1 <- customer: cancel! (open)")
	for _, status := range []handoffv1.TicketStatus{
		handoffv1.TicketStatus_TICKET_STATUS_NEW, reopen,
		handoffv1.TicketStatus_TICKET_STATUS_PENDING, handoffv1.TicketStatus_TICKET_STATUS_ON_HOLD,
	} {
		w.desk(1, status)
		w.expect()
	}
	w.wait(time.Minute)
	w.expect()
}

func TestH4ClosingStatuses(t *testing.T) {
	for _, status := range []handoffv1.TicketStatus{
		solved, closing, handoffv1.TicketStatus_TICKET_STATUS_SPAM, handoffv1.TicketStatus_TICKET_STATUS_DELETED,
	} {
		w := newWorld(t).opened()
		w.desk(1, status)
		w.expect("episode 1: open -> closed", "resumed")
		w.desk(1, status)
		w.expect()
	}
}

func TestH5AgentReplies(t *testing.T) {
	w := newWorld(t).opened()
	w.agent(1, "On it.")
	w.agent(1, "Done.")
	w.expect("text [agent]: On it.", "text [agent]: Done.")
	send := w.last(handoffv1.Action_ACTION_SEND_TEXT).GetSendText()
	if send.GetAuthor() != "Kim" || send.GetNativeId() == "" || send.GetConsent() == nil {
		t.Errorf("sent %v", send)
	}
	w.agentID(1, "same", "Once.")
	w.agentID(1, "same", "Once.")
	w.expect("text [agent]: Once.")
	w.agent(1, strings.Repeat("a", 459))
	w.expect("text [agent]: " + strings.Repeat("a", 459))
	w.agent(1, strings.Repeat("a", 460))
	w.expect("text [agent]: "+strings.Repeat("a", 460), "note 1: This reply takes 4 SMS segments (more than 3): 4 credits.")
	if e := w.episode(); e.GetAgentReplies() != 5 || e.GetFirstReplyAt() == nil {
		t.Errorf("episode %v", e)
	}
	w.customer("ok", intent("order_status"))
	w.expect("ticket 1 <- customer: ok (open)") // agents' replies are on the ticket already
}

func TestH6ResumeOnClose(t *testing.T) {
	w := newWorld(t).opened()
	w.agent(1, "Done, bye.")
	w.skip()
	w.desk(1, solved)
	w.expect("episode 1: open -> closed", "resumed")
	w.customer("where is it")
	w.expect("bot 1: where is it")
	w.agent(1, "Written with the close.")
	w.expect("text [agent]: Written with the close.") // never pauses
	w.bot("There.")
	w.expect("text [bot]: There.")
	if len(w.timers) != 0 {
		t.Errorf("timers left: %v", w.timers)
	}
}

func TestH6ResumedText(t *testing.T) {
	w := newWorld(t, func(s *settings.Shop) { s.Handoff.SayResumed = true }).opened()
	w.desk(1, solved)
	w.expect("episode 1: open -> closed", "resumed", "text [system]: Our support team has closed this conversation. Shopper is back to help.")
}

func TestH6CloseBeforeTheReceipt(t *testing.T) {
	w := newWorld(t)
	w.customer("cancel it", intent("cancel_order"))
	w.customer("yes", yes)
	w.skip()
	w.agent(1, "Done.")
	w.expect("episode 1: requested -> open", "text [agent]: Done.")
	w.desk(1, solved)
	w.expect("episode 1: open -> closed", "resumed")
	w.created()
	w.expect()
	if w.ticket().GetUrl() == "" {
		t.Error("the link is lost")
	}
}

func TestH6AgentReopens(t *testing.T) {
	w := newWorld(t).opened()
	w.desk(1, solved)
	w.desk(1, reopen)
	w.skip()
	w.agent(1, "One more thing.")
	w.expect("episode 1: closed -> open", "paused", "text [agent]: One more thing.")
}
