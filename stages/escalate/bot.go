package escalate

import (
	"fmt"
	"strconv"
	"time"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// askBot asks the bot about a message. One turn is in flight; messages that come meanwhile join the
// next one. A shop without a bot has one that cannot answer.
func (c *conversation) askBot(asked *statev1.Cause) {
	if c.shop.AutoReply.URL == "" {
		c.cannotAnswer(asked, "there is no bot")
		return
	}
	if t := c.state.GetTurn(); t != nil {
		t.Waiting = asked
		return
	}
	c.ask(asked, c.message-1) // replies that waited for the message may stand behind it (W3)
}

// botPatience is how long a question may wait until the bot can be asked it, for a stage that is down; and an answer
// until it is read. How long the bot may take is another matter: whoever asks it judges that, from the moment it is
// asked (H11).
const botPatience = 24 * time.Hour

// ask starts a turn about the customer's messages after seq.
func (c *conversation) ask(asked *statev1.Cause, after uint64) {
	c.state.Turns++
	deadline := c.t.Now.Add(botPatience)
	callID := c.t.Command(c.at, &handoffv1.Command{
		Episode: c.liveEpisode(),
		Action: &handoffv1.Command_AskBot{AskBot: &handoffv1.AskBot{
			Turn: c.state.GetTurns(), Messages: c.thread.forBot(after),
			Language: c.state.GetLanguage(), Intent: asked.GetIntent(), NotOffered: asked.GetNotOffered(),
		}},
		GiveUpAt: c.t.Stamp(deadline), TryForMs: uint32(c.shop.AutoReply.Timeout.Milliseconds()),
	})
	c.state.Turn = &statev1.BotTurn{
		Turn: c.state.GetTurns(), CallId: callID, Deadline: c.t.Stamp(deadline),
		Through: c.state.GetMessages(), Asked: asked,
	}
	c.setTimer(timerBot, deadline)
}

// endTurn ends the turn in flight and asks the next one where messages waited for it.
func (c *conversation) endTurn() {
	t := c.state.GetTurn()
	if t == nil {
		return
	}
	c.forgetTurn()
	c.askWaiting(t.GetWaiting(), t.GetThrough())
}

// askWaiting asks the bot about messages that waited for a turn, those after through, or records of each why
// not. waiting is nil where none did.
func (c *conversation) askWaiting(waiting *statev1.Cause, through uint64) {
	switch {
	case waiting == nil:
	case c.paused():
		c.neverAskedAfter(through, "people have the conversation")
	case c.optedOut():
		c.neverAskedAfter(through, "the customer opted out before the bot was asked about it")
	case c.stopped():
		c.neverAskedAfter(through, "automation is stopped")
	default:
		c.ask(waiting, through)
	}
}

// forgetTurn forgets the turn in flight: an answer to it is late.
func (c *conversation) forgetTurn() {
	if c.state.GetTurn() != nil {
		c.state.Turn = nil
		c.stopTimer(timerBot)
	}
}

// dropTurn forgets the turn in flight, and records why the bot is not asked about the messages that waited for
// it.
func (c *conversation) dropTurn(reason string) {
	if t := c.state.GetTurn(); t.GetWaiting() != nil {
		c.neverAskedAfter(t.GetThrough(), reason)
	}
	c.forgetTurn()
}

// neverAskedAfter records of the customer's messages after seq why the bot was never asked about them, but for
// those that are on a ticket.
func (c *conversation) neverAskedAfter(seq uint64, reason string) {
	for _, id := range c.thread.waiting(seq) {
		c.neverAsked(id, reason)
	}
}

// isOpenTurn tells whether the turn in flight has this number, in decimal.
func (c *conversation) isOpenTurn(number string) bool {
	t := c.state.GetTurn()
	return t != nil && strconv.FormatUint(t.GetTurn(), 10) == number
}

// onBotReply sends the bot's answer, unless it is late or people have taken over (H4): then it is
// recorded and dropped.
func (c *conversation) onBotReply(r *handoffv1.BotReply) {
	t := c.state.GetTurn()
	switch {
	case c.paused():
		c.dropped(r, handoffv1.BlockReason_BLOCK_REASON_PAUSED, "people have the conversation")
	case t == nil || t.GetTurn() != r.GetTurn():
		c.dropped(r, handoffv1.BlockReason_BLOCK_REASON_EXPIRED, "its turn is over")
	case c.optedOut():
		c.dropped(r, handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT, "the customer opted out")
		c.endTurn()
	case r.GetCannotAnswer():
		c.turnFailed(r.GetReason())
	case r.GetText() == "":
		c.turnFailed("empty answer")
	default:
		c.botText(r)
		c.endTurn()
	}
}

// botText sends the answer; the first one to a person, and the first after people had the
// conversation, says who is speaking (H12).
func (c *conversation) botText(r *handoffv1.BotReply) {
	text, discloses := r.GetText(), c.shop.Handoff.Disclose && !c.state.GetDisclosed()
	if discloses {
		text = c.text(settings.TextDisclosure) + " " + text
	}
	callID := c.sendText(outbound{
		class: handoffv1.TextClass_TEXT_CLASS_BOT, text: text, turn: r.GetTurn(),
		moment: momentOf(c.state.GetTurn().GetAsked().GetIntent()),
	})
	if callID == "" {
		return // it may not leave, so it introduces nobody
	}
	c.state.Disclosed = true
	if discloses {
		c.state.Disclosing = callID
	}
}

// undisclosed notes that a text did not arrive: where it was the one that introduces the bot, the next one does (H12).
func (c *conversation) undisclosed(callID string) {
	if callID != "" && callID == c.state.GetDisclosing() {
		c.state.Disclosed, c.state.Disclosing = false, ""
	}
}

// dropped records a bot's reply that is not sent.
func (c *conversation) dropped(r *handoffv1.BotReply, why handoffv1.BlockReason, reason string) {
	text := r.GetText()
	if r.GetCannotAnswer() {
		text = "cannot answer: " + r.GetReason()
	}
	c.t.Fact(c.at, &handoffv1.Fact{
		Reason: fmt.Sprintf("bot's answer to turn %d not sent, %s: %q", r.GetTurn(), reason, text),
		Kind: &handoffv1.Fact_Delivery{Delivery: &handoffv1.DeliveryFact{
			CallId: c.t.HexID(), Action: handoffv1.Action_ACTION_SEND_TEXT,
			Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED, BlockReason: why,
			TextClass: handoffv1.TextClass_TEXT_CLASS_BOT, Episode: c.liveEpisode(),
		}},
	})
}

// onBotSilent ends a turn of which nothing was heard for longer than a question waits: it, or its answer, is lost.
func (c *conversation) onBotSilent() {
	if t := c.state.GetTurn(); t != nil && !t.GetDeadline().AsTime().After(c.t.Now) {
		c.turnFailed("timeout")
	}
}

// botCallEnded takes the receipt of AskBot; its answer, if any, comes as a BotReply.
func (c *conversation) botCallEnded(r *handoffv1.Receipt) {
	if t := c.state.GetTurn(); t == nil || t.GetCallId() != r.GetCallId() {
		return
	}
	switch out := r.GetOutcome(); {
	case out.GetStatus() == handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE || out.GetStatus() == handoffv1.OutcomeStatus_OUTCOME_STATUS_UNSPECIFIED:
	case out.GetStatus() == handoffv1.OutcomeStatus_OUTCOME_STATUS_EXPIRED && out.GetCode() == "":
		c.turnFailed("timeout") // silent to the end; one that answered with errors is unavailable
	default:
		c.turnFailed("unavailable")
	}
}

// turnFailed makes a signal of a turn that the bot could not answer (H1, H11), and asks the next one
// where messages waited.
func (c *conversation) turnFailed(why string) {
	asked := c.state.GetTurn().GetAsked()
	if why == "" {
		why = "no reason given"
	}
	waiting, through := c.state.GetTurn().GetWaiting(), c.state.GetTurn().GetThrough()
	c.forgetTurn()
	c.cannotAnswer(asked, why)
	c.askWaiting(waiting, through)
}

// cannotAnswer hands the message over, or records why not.
func (c *conversation) cannotAnswer(asked *statev1.Cause, why string) {
	signal := c.botSignal(asked, why)
	if notDone := c.handoff(signal); notDone != "" {
		c.notAsked(c.t.Join(signal.GetReason(), "; not offered: ", notDone))
	}
}
