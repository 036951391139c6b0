package escalate

import (
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings/rules"
)

// State is a state of the episode machine.
type State = handoffv1.EpisodeState

// States, by short names.
const (
	none      = handoffv1.EpisodeState_EPISODE_STATE_UNSPECIFIED
	offered   = handoffv1.EpisodeState_EPISODE_STATE_OFFERED
	requested = handoffv1.EpisodeState_EPISODE_STATE_REQUESTED
	open      = handoffv1.EpisodeState_EPISODE_STATE_OPEN
	closed    = handoffv1.EpisodeState_EPISODE_STATE_CLOSED
	expired   = handoffv1.EpisodeState_EPISODE_STATE_EXPIRED
	declined  = handoffv1.EpisodeState_EPISODE_STATE_DECLINED
	lapsed    = handoffv1.EpisodeState_EPISODE_STATE_LAPSED
	failed    = handoffv1.EpisodeState_EPISODE_STATE_FAILED
	optedOut  = handoffv1.EpisodeState_EPISODE_STATE_OPTED_OUT
)

// Event is what moves an episode.
type Event uint8

// Events.
const (
	// EventOffer: a signal, and the subscriber is asked.
	EventOffer Event = iota + 1
	// EventRequest: a signal, and the question is skipped or not allowed.
	EventRequest
	// EventYes: the offer was accepted in time.
	EventYes
	// EventNo: the offer was declined in time.
	EventNo
	// EventLapse: the offer was not answered.
	EventLapse
	// EventTicket: the ticket exists.
	EventTicket
	// EventRefused: the desk refused it for good, or the desk is switched off or disconnected.
	EventRefused
	// EventClose: the ticket is closed, solved, spam or deleted.
	EventClose
	// EventExpire: people had the conversation for long enough without a reply.
	EventExpire
	// EventAgentReply: an agent replied on a ticket that is open.
	EventAgentReply
	// EventOptOut: the subscriber opted out.
	EventOptOut
	// EventOptIn: the subscriber opted in again, and the ticket was left open.
	EventOptIn
)

// String names the event in lower case.
func (e Event) String() string {
	names := [...]string{"", "signal, asked", "signal, not asked", "yes", "no", "no answer in time", "ticket exists",
		"refused for good", "closed at the desk", "time is over", "agent's reply", "opt-out", "opt-in"}
	if int(e) < len(names) {
		return names[e]
	}
	return ""
}

// Transition is one line of the episode machine.
type Transition struct {
	From State
	On   Event
	To   State
	// Rule is the behaviour it comes from.
	Rule string
}

// Transitions is the episode machine, whole: an episode changes its state in no other way. A newly
// confirmed signal after an expiry is a new episode on the same ticket, so it begins at none.
func Transitions() [22]Transition {
	return [...]Transition{
		{none, EventOffer, offered, "H1, H2"},
		{none, EventRequest, requested, "H2, C13, M4, M6"},

		{offered, EventYes, requested, "H2"},
		{offered, EventNo, declined, "H2"},
		{offered, EventLapse, lapsed, "H2"},
		{offered, EventRefused, failed, "H10"},
		{offered, EventOptOut, optedOut, "C2"},
		// An answer received in time counts though the timer came first: received_at judges.
		{lapsed, EventYes, requested, "H2"},
		{lapsed, EventNo, declined, "H2"},
		{lapsed, EventRefused, failed, "H10"},

		{requested, EventTicket, open, "H3"},
		{requested, EventRefused, failed, "H11"},
		{requested, EventOptOut, optedOut, "C2"},

		{open, EventClose, closed, "H6, M7"},
		{open, EventExpire, expired, "H7"},
		{open, EventRefused, failed, "D1, D2"},
		{open, EventOptOut, optedOut, "C2"},

		{expired, EventAgentReply, open, "H7"},
		{expired, EventOptOut, optedOut, "C2"},
		// Only where an agent reopened the ticket: a reply on one that stays closed never pauses.
		{closed, EventAgentReply, open, "H6"},
		// Only where an agent opened the ticket that the opt-out closed, and the subscriber opted in again.
		{optedOut, EventAgentReply, open, "C2, H4"},
		// Only where the ticket was left open: people had it and nobody closed it.
		{optedOut, EventOptIn, requested, "C2, H4"},
	}
}

// next returns the state after an event; ok is false where the machine does not know the event.
func next(from State, on Event) (to State, ok bool) {
	for _, t := range Transitions() {
		if t.From == from && t.On == on {
			return t.To, true
		}
	}
	return from, false
}

// move takes the episode through the machine, stamps its times, reports the fact, and pauses or
// resumes what the new state asks for. It tells whether the state changed.
func (c *conversation) move(on Event, reason string) bool {
	e := c.episode
	to, ok := next(e.GetState(), on)
	if !ok || to == e.GetState() {
		return false
	}
	from, now := e.GetState(), c.t.NowStamp()
	e.State, e.EndedAt = to, nil
	if from == offered && on != EventYes && on != EventNo {
		c.offerOver()
	}
	switch to {
	case offered:
		e.OfferedAt = now
	case requested:
		if e.GetRequestedAt() == nil { // it stays one escalation when an opt-in brings it back
			e.RequestedAt = now
		}
		e.DeskFailingSince = nil
	case open:
		if e.GetOpenedAt() == nil {
			e.OpenedAt = now
		} else {
			e.ReopenedAt = now
			e.Reopened++
		}
	case closed, expired, declined, lapsed, failed, optedOut:
		e.EndedAt = now
	case none:
	}
	c.episodeFact(from, reason)
	c.settle()
	switch {
	case to == open:
		c.armAgentTimer()
		c.sayTakenOver()
		c.happen(rules.EpisodeOpened)
	case (from == requested || from == open) && !c.paused():
		c.happen(rules.EpisodeClosed)
	}
	return true
}

// settle makes timers and the gate's hold agree with the state.
func (c *conversation) settle() {
	state := c.episode.GetState()
	if state != offered {
		c.stopTimer(timerLapse)
	}
	if state != requested && !c.mirrorWaits() {
		c.stopTimer(timerDesk)
	}
	held := peopleHave(state) || c.ticket.GetTaken()
	if held {
		c.dropTurn("people have the conversation")
	}
	if state == open || c.ticket.GetTaken() {
		c.setTimer(timerPause, c.look(c.pauseEnds()))
	} else {
		c.stopTimer(timerPause)
	}
	if held != c.state.GetHeld() {
		c.state.Held = held
		c.state.PacedUntil = nil // what waits for its time waits no longer: it does not leave
		c.hold(held)
	}
	if !held {
		return
	}
	c.state.Disclosed = false // the bot's first text after a return introduces it again (H12)
	c.state.Unsure = 0
}
