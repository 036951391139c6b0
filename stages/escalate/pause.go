package escalate

import (
	"time"

	"github.com/handoff-dev/handoff/schemas/settings"
)

// pauseEnds is when people have had the conversation for long enough (H7): by default 24 h after the
// later of opening and the last agent's reply.
func (c *conversation) pauseEnds() time.Time {
	e, h := c.episode, c.shop.Handoff
	from := later(e.GetReopenedAt(), e.GetOpenedAt())
	if e.GetState() != open { // a mirrored conversation that an agent took (M6)
		from = c.ticket.GetTakenAt().AsTime()
	}
	if replied := e.GetLastReplyAt(); replied != nil && e.GetState() == open && !h.PauseFromOpening {
		if at := replied.AsTime(); at.After(from) {
			from = at
		}
	}
	if h.PauseInSupportHours {
		return c.shop.AddSupportTime(from, h.PauseFor)
	}
	return from.Add(h.PauseFor)
}

// onPauseOver gives the conversation back to the bot on time (H7). Settings may have changed since the
// timer was set: the current ones decide.
func (c *conversation) onPauseOver() {
	c.disconnected() // D1, D2
	if c.episode.GetState() != open && !c.ticket.GetTaken() {
		return
	}
	if ends := c.pauseEnds(); ends.After(c.t.Now) {
		c.setTimer(timerPause, c.look(ends))
		return
	}
	span := settings.Span(c.shop.Handoff.PauseFor)
	c.backToBot("not closed within "+span, c.text(settings.TextExpiredNote, "hours", span))
}

// lookAgain is how long a timer of hours or days waits at most before it looks at the shop's settings: so
// a limit that is shortened takes effect soon, and not only when the old one is over.
const lookAgain = 15 * time.Minute

// look is when a timer for a moment is to fire: then, or sooner to look at the settings again.
func (c *conversation) look(at time.Time) time.Time {
	if soon := c.t.Now.Add(lookAgain); at.After(soon) {
		return soon
	}
	return at
}

// ticketClosed ends the pause because the ticket is closed, and says so where the shop wants that (H6).
func (c *conversation) ticketClosed(reason string) {
	if c.closePause(reason) {
		c.sayReturned(true)
	}
}

// closePause ends the pause because the ticket is closed. It tells whether an episode was.
func (c *conversation) closePause(reason string) bool {
	c.stopWaiting()
	c.ticket.Taken = false
	if !c.move(EventClose, reason) {
		c.settle()
		return false
	}
	return true
}
