package escalate

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// awaitAgent begins the wait for an agent's reply (X4), or lets one that runs go on: it counts from the
// handoff, later from the first message that no agent has answered. Whoever cannot be texted waits for
// nothing.
func (c *conversation) awaitAgent(since *timestamppb.Timestamp) {
	if c.optedOut() || c.abroad() || !c.live() {
		return
	}
	if c.ticket.GetWaitingSince() == nil {
		c.ticket.WaitingSince, c.ticket.WaitingSteps = since, 0
	}
	c.armAgentTimer()
}

// stopWaiting ends the wait: an agent replied, or nobody waits for one any more.
func (c *conversation) stopWaiting() {
	if c.ticket.GetWaitingSince() == nil {
		return
	}
	c.ticket.WaitingSince, c.ticket.WaitingSteps = nil, 0
	c.stopTimer(timerAgent)
}

// forPeople tells that a message on the ticket waits for an agent and not for the bot.
func (c *conversation) forPeople() bool { return c.paused() || c.mirrored() && !c.botInMirror() }

// armAgentTimer sets the timer to the next step of the shop's.
func (c *conversation) armAgentTimer() {
	steps, done := c.shop.Handoff.AgentTimer.Steps, int(c.ticket.GetWaitingSteps())
	if c.ticket.GetWaitingSince() == nil || done >= len(steps) || c.tooSoon(steps[done]) {
		return
	}
	c.setTimer(timerAgent, c.look(c.stepDue(steps[done])))
}

// stepDue is when a step is due, on the wall or counted in support hours.
func (c *conversation) stepDue(s settings.AgentStep) time.Time {
	since := c.ticket.GetWaitingSince().AsTime()
	if c.shop.Handoff.AgentTimer.InSupportHours {
		return c.shop.AddSupportTime(since, s.After)
	}
	return since.Add(s.After)
}

// onAgentTimer takes the steps that are due.
func (c *conversation) onAgentTimer() {
	steps := c.shop.Handoff.AgentTimer.Steps
	for c.ticket.GetWaitingSince() != nil && c.live() && int(c.ticket.GetWaitingSteps()) < len(steps) {
		step := steps[c.ticket.GetWaitingSteps()]
		if c.stepDue(step).After(c.t.Now) || c.tooSoon(step) {
			break
		}
		c.ticket.WaitingSteps++
		c.takeStep(step)
	}
	c.armAgentTimer()
}

// tooSoon tells that the bot is to have a conversation back whose ticket does not exist yet: until it does nobody could
// have replied there, and the message waits for people (H11). The step is taken then.
func (c *conversation) tooSoon(s settings.AgentStep) bool {
	return s.Do == "return" && c.episode.GetState() == requested
}

// takeStep does what a shop wants where no agent replied in time (X4).
func (c *conversation) takeStep(s settings.AgentStep) {
	late := "No agent reply within " + settings.Span(s.After)
	switch s.Do {
	case "tell":
		c.sendText(outbound{class: handoffv1.TextClass_TEXT_CLASS_SYSTEM, text: c.text(settings.TextAgentLate), because: "no agent reply within " + settings.Span(s.After) + ", agent_timer"})
	case "reroute":
		c.command(&handoffv1.Command{Action: &handoffv1.Command_AssignTicket{
			AssignTicket: &handoffv1.AssignTicket{Team: s.Team},
		}})
		c.note(late + ": assigned to " + s.Team + ".")
	case "return":
		c.backToBot("no agent reply within "+settings.Span(s.After), late+": "+c.shop.Bot+" answers again. Your replies are still delivered.")
	}
}

// backToBot gives the conversation back to the bot while its ticket stays open, with a note (H7, X4).
func (c *conversation) backToBot(reason, note string) {
	c.stopWaiting()
	c.ticket.Taken = false
	if !c.move(EventExpire, reason) {
		c.settle()
	}
	if c.live() { // what an agent took in the channel's app may have no ticket (H14)
		c.note(note)
	}
	c.sayReturned(false)
}
