package escalate

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

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

func TestH7ResumeOnTime(t *testing.T) {
	w := newWorld(t).opened()
	w.wait(23 * time.Hour)
	w.agent(1, "Looking.")
	w.expect("text [agent]: Looking.")
	w.wait(24*time.Hour - time.Second)
	w.expect()
	w.wait(time.Second)
	w.expect("episode 1: open -> expired", "resumed",
		"note 1: No close within 24 hours: Shopper answers again. Your replies are still delivered.")
	w.customer("where is it")
	w.expect("bot 1: where is it", "ticket 1 <- customer: where is it")
	w.bot("There.")
	w.expect("text [bot]: There.", "ticket 1 <- bot: There.")
	w.agent(1, "Sorry for the wait.")
	w.expect("episode 1: expired -> open", "paused", "text [agent]: Sorry for the wait.")
	w.wait(24 * time.Hour)
	w.expect("episode 1: open -> expired", "resumed",
		"note 1: No close within 24 hours: Shopper answers again. Your replies are still delivered.")
	f := w.episodeFacts()
	if last := f[len(f)-1]; last.GetReopened() != 1 || last.GetAgentReplies() != 2 || last.GetEndedAt() == nil {
		t.Errorf("fact %v", last)
	}
}

func TestH7Settings(t *testing.T) {
	w := newWorld(t, func(s *settings.Shop) { s.Handoff.PauseFor, s.Handoff.PauseFromOpening = 2*time.Hour, true }).opened()
	w.wait(time.Hour)
	w.agent(1, "Looking.")
	w.skip()
	w.wait(time.Hour)
	w.expect("episode 1: open -> expired", "resumed", "note 1: No close within 2 hours: Shopper answers again. Your replies are still delivered.")

	w = newWorld(t, func(s *settings.Shop) {
		s.Handoff.PauseFor, s.Handoff.PauseInSupportHours = 2*time.Hour, true
		s.Hours.Weekly = map[string][]string{"mon": {"09:00-11:00"}, "tue": {"09:00-11:00"}}
	}).opened()
	w.wait(22 * time.Hour) // Monday 10:00 to Tuesday 08:00: one support hour
	w.expect()
	w.wait(2 * time.Hour)
	if w.episode().GetState() != expired {
		t.Errorf("state %v after two support hours", w.episode().GetState())
	}
}

func TestH7LongerSettingMovesTheTimer(t *testing.T) {
	w := newWorld(t).opened()
	w.shop.Handoff.PauseFor = 48 * time.Hour
	w.wait(47 * time.Hour)
	w.expect()
	w.wait(time.Hour)
	w.expect("episode 1: open -> expired", "resumed", "note 1: No close within 48 hours: Shopper answers again. Your replies are still delivered.")
}

func TestH7NewSignalAfterExpiry(t *testing.T) {
	w := newWorld(t).opened()
	w.wait(24 * time.Hour)
	w.skip()
	w.customer("refund me", intent("return_refund"))
	w.expect("episode 2: none -> offered", "text [system]: <offer>", "ticket 1 <- customer: refund me | system: <offer>")
	w.customer("yes", yes)
	w.expect("episode 2: offered -> requested", "paused", "ticket 1 <- customer: yes (open)",
		"tags 1: has_shopper_support_escalation", "episode 2: requested -> open")
	w.agent(1, "Hi.")
	w.desk(1, solved)
	w.expect("text [agent]: Hi.", "episode 2: open -> closed", "resumed")
}

func TestH7AgentAnswersBeforeTheNewOfferIs(t *testing.T) {
	w := newWorld(t).opened()
	w.wait(24 * time.Hour)
	w.customer("refund me", intent("return_refund"))
	w.skip()
	w.agent(1, "I do that.")
	w.expect("episode 2: offered -> lapsed", "episode 1: expired -> open", "paused", "text [agent]: I do that.")
	w.customer("yes", yes)
	w.expect("ticket 1 <- customer: yes (open)")
	w.wait(24 * time.Hour)
	w.expect("episode 1: open -> expired", "resumed", "note 1: No close within 24 hours: Shopper answers again. Your replies are still delivered.")
}

func TestH7ClosedAfterExpiry(t *testing.T) {
	w := newWorld(t).opened()
	w.wait(24 * time.Hour)
	w.skip()
	w.desk(1, solved)
	w.agent(1, "On a closed ticket.")
	w.expect("text [agent]: On a closed ticket.")
}

func TestH8Tag(t *testing.T) {
	w := newWorld(t, func(s *settings.Shop) { s.Handoff.Tag = "escalated" })
	w.customer("cancel it", intent("cancel_order"))
	if len(w.conv().GetTags()) != 0 {
		t.Error("tagged before requested")
	}
	w.customer("yes", yes)
	w.created()
	w.desk(1, solved)
	if tags := w.conv().GetTags(); len(tags) != 1 || tags[0] != "escalated" {
		t.Errorf("tags %v", tags)
	}
	if tags := w.last(handoffv1.Action_ACTION_CREATE_TICKET).GetCreateTicket().GetTags(); tags[len(tags)-1] != "escalated" {
		t.Errorf("ticket tags %v", tags)
	}
}

func TestH10Switches(t *testing.T) {
	for name, off := range map[string]func(*settings.Shop){
		"active":          func(s *settings.Shop) { s.Active = false },
		"support details": func(s *settings.Shop) { s.SupportDetails = false },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, off)
			w.customer("cancel it", intent("cancel_order"))
			w.expect("bot 1: cancel it")
			w.botCannot("no")
			w.expect("not sent: the bot cannot answer: no; not offered: handoffs are switched off (H10)")

			w = newWorld(t).opened() // an open episode finishes
			off(w.shop)
			w.customer("hello")
			w.agent(1, "Hi.")
			w.desk(1, solved)
			w.expect("ticket 1 <- customer: hello (open)", "text [agent]: Hi.", "episode 1: open -> closed", "resumed")

			w = newWorld(t)
			w.customer("cancel it", intent("cancel_order"))
			w.skip()
			off(w.shop)
			w.customer("yes", yes)
			w.expect("episode 1: offered -> failed", "text [system]: We couldn't connect you with our support team. Please contact help@acme.example.")
		})
	}
}

func TestH11BotSilent(t *testing.T) {
	w := newWorld(t)
	w.customer("where is it")
	w.expect("bot 1: where is it")
	asked := w.last(handoffv1.Action_ACTION_ASK_BOT)
	if asked.GetTryForMs() != 10_000 {
		t.Errorf("the bot is waited for %d ms", asked.GetTryForMs())
	}
	w.wait(time.Hour) // whoever asks it says that it is silent: it may not have been asked yet
	w.expect()
	w.receipt(asked, &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_EXPIRED})
	w.expect("episode 1: none -> offered", "text [system]: <offer>")
	if w.reason() != "the bot cannot answer: timeout" {
		t.Errorf("reason %q", w.reason())
	}
	w.botTurn(1, &handoffv1.BotReply{Text: "Late."})
	w.expect(`not sent: bot's answer to turn 1 not sent, its turn is over: "Late."`)
}

// TestH11NothingIsHeardOfTheBot: a question that is lost with whoever was to ask it ends after a day.
func TestH11NothingIsHeardOfTheBot(t *testing.T) {
	w := newWorld(t)
	w.customer("where is it")
	w.skip()
	w.wait(24 * time.Hour)
	w.expect("episode 1: none -> offered", "text [system]: <offer>")
}

func TestH11BotDown(t *testing.T) {
	w := newWorld(t)
	w.customer("where is it")
	w.skip()
	w.receipt(w.last(handoffv1.Action_ACTION_ASK_BOT), &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED})
	w.expect("episode 1: none -> offered", "text [system]: <offer>")
	w.botTurn(1, &handoffv1.BotReply{CannotAnswer: true, Reason: "unavailable"})
	w.expect(`not sent: bot's answer to turn 1 not sent, its turn is over: "cannot answer: unavailable"`)
}

func TestH11DeskDown(t *testing.T) {
	w := newWorld(t)
	w.customer("cancel it", intent("cancel_order"))
	w.customer("yes", yes)
	w.skip()
	create := w.last(handoffv1.Action_ACTION_CREATE_TICKET)
	w.deskFails(sent{call: "another"})
	w.wait(time.Hour)
	w.expect() // nobody said that the desk fails on this one
	w.deskFails(create)
	w.wait(30 * time.Second)
	w.deskFails(create)
	w.wait(29 * time.Second)
	w.expect()
	w.wait(time.Second)
	w.expect("text [system]: <desk_down>", "ticket 1 <- system: <desk_down>")
	if text := w.last(handoffv1.Action_ACTION_SEND_TEXT); text.GetSendText().GetWhileOpen() != create.call {
		t.Errorf("the text leaves while %q is open, want %q", text.GetSendText().GetWhileOpen(), create.call)
	}
	w.wait(48 * time.Hour)
	w.expect() // told once
	w.customer("hello?")
	w.created()
	w.expect("ticket 1 <- customer: hello? (open)", "episode 1: requested -> open")
}

func TestH11CreateGivenUpIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.customer("cancel it", intent("cancel_order"))
	w.customer("yes", yes)
	w.skip()
	w.receipt(w.last(handoffv1.Action_ACTION_CREATE_TICKET), &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_EXPIRED})
	w.expect("create 1: customer: cancel it | system: <offer> | customer: yes")
	w.created()
	w.expect("episode 1: requested -> open")
}

func TestH11RefusedForGood(t *testing.T) {
	w := newWorld(t)
	w.customer("cancel it", intent("cancel_order"))
	w.customer("yes", yes)
	w.skip()
	w.receipt(w.last(handoffv1.Action_ACTION_CREATE_TICKET), &handoffv1.Outcome{
		Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, Code: "422", Meaning: "the requester is suspended",
	})
	w.expect("episode 1: requested -> failed", "resumed",
		"text [system]: We couldn't connect you with our support team. Please contact help@acme.example.")
	if w.reason() != "the desk refused the ticket for good: 422, the requester is suspended" {
		t.Errorf("reason %q", w.reason())
	}
	w.wait(time.Hour)
	w.customer("where is it")
	w.expect("bot 1: where is it")
}

func TestH12Disclosure(t *testing.T) {
	w := newWorld(t, func(s *settings.Shop) { s.Handoff.Disclose = true })
	hello := "This is Shopper, Acme Outdoors's automated assistant. "
	w.customer("where is it")
	w.bot("There.")
	w.customer("thanks, and when?")
	w.bot("Soon.")
	w.expect("bot 1: where is it", "text [bot]: "+hello+"There.", "bot 2: thanks, and when?", "text [bot]: Soon.")
	w.opened()
	w.desk(1, solved)
	w.skip()
	w.customer("where is it")
	w.bot("There.")
	w.expect("bot 3: where is it", "text [bot]: "+hello+"There.")
}

func TestBotTurnsJoin(t *testing.T) {
	w := newWorld(t)
	w.customer("one")
	w.customer("two")
	w.customer("three")
	w.expect("bot 1: one")
	w.bot("1")
	w.expect("text [bot]: 1", "bot 2: three")
	var got []string
	for _, m := range w.last(handoffv1.Action_ACTION_ASK_BOT).GetAskBot().GetMessages() {
		got = append(got, m.GetText())
	}
	if strings.Join(got, " ") != "one 1 two three" {
		t.Errorf("asked %v", got)
	}
	w.botTurn(1, &handoffv1.BotReply{Text: "1 again"})
	w.expect(`not sent: bot's answer to turn 1 not sent, its turn is over: "1 again"`)
	w.bot("2")
	w.expect("text [bot]: 2")
	w.wait(time.Minute)
	w.expect()
}

func TestTextsInTheConversationsLanguage(t *testing.T) {
	w := newWorld(t, func(s *settings.Shop) {
		s.Texts = map[string]map[settings.TextID]string{"fr": {settings.TextOffer: "Voulez-vous parler à quelqu'un ?"}}
	})
	w.customer("annuler", intent("cancel_order"), french)
	w.expect("episode 1: none -> offered", "text [system]: Voulez-vous parler à quelqu'un ?")
}

func TestH15OfferOutsideHours(t *testing.T) {
	w := newWorld(t, func(s *settings.Shop) { s.Hours.Weekly = map[string][]string{"tue": {"09:00-17:00"}} })
	w.customer("cancel it", intent("cancel_order"))
	w.expect("episode 1: none -> offered", "text [system]: "+settings.TextOffer.Default()+" Our team is back Tuesday, 09:00.")
}

func TestReplayIsTheSame(t *testing.T) {
	play := func() *world {
		w := newWorld(t).opened()
		w.agent(1, "Hi.")
		w.desk(1, solved)
		return w
	}
	a, b := play(), play()
	for i := range a.facts {
		if !proto.Equal(a.facts[i], b.facts[i]) {
			t.Fatalf("fact %d differs", i)
		}
	}
	for i := range a.commands {
		if a.commands[i].call != b.commands[i].call {
			t.Fatalf("call %d differs", i)
		}
	}
}

func TestH7AgentAnswersAfterTheNewOfferWasDeclined(t *testing.T) {
	w := newWorld(t).opened()
	w.wait(24 * time.Hour)
	w.customer("refund me", intent("return_refund"))
	w.customer("no", no)
	w.skip()
	w.agent(1, "I do that.")
	w.expect("episode 1: expired -> open", "paused", "text [agent]: I do that.")
}

func TestH5RepliesWithNothingInThemAreNotSent(t *testing.T) {
	w := newWorld(t).opened()
	w.agent(1, "")
	w.expect()
}

func TestSettingsOfTheTimersMoment(t *testing.T) {
	w := newWorld(t, func(s *settings.Shop) { s.Handoff.SayResumed = true }).opened()
	w.shop.Bot = "Ada"
	w.wait(24 * time.Hour)
	w.expect("episode 1: open -> expired", "resumed", "note 1: No close within 24 hours: Ada answers again. Your replies are still delivered.")
}

func TestDeskDisconnected(t *testing.T) {
	w := newWorld(t, func(s *settings.Shop) { s.Desk = settings.Desk{} })
	w.customer("cancel it", intent("cancel_order"))
	w.expect("bot 1: cancel it")

	w = newWorld(t).opened()
	w.shop.Desk = settings.Desk{}
	w.customer("where is it")
	w.expect("episode 1: open -> failed", "resumed",
		"text [system]: We couldn't connect you with our support team. Please contact help@acme.example.", "bot 1: where is it")
}
