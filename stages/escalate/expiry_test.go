package escalate

import (
	"testing"
	"time"

	"github.com/handoff-dev/handoff/schemas/settings"
)

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

func TestH7AgentAnswersAfterTheNewOfferWasDeclined(t *testing.T) {
	w := newWorld(t).opened()
	w.wait(24 * time.Hour)
	w.customer("refund me", intent("return_refund"))
	w.customer("no", no)
	w.skip()
	w.agent(1, "I do that.")
	w.expect("episode 1: expired -> open", "paused", "text [agent]: I do that.")
}
