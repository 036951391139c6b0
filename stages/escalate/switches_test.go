package escalate

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

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
