package escalate

import (
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// mirrorSubject is the subject of a mirrored conversation (M1).
func (c *conversation) mirrorSubject() string {
	who := c.state.GetName()
	if who == "" {
		who = c.t.Key.Address
	}
	return schemas.ChannelTitle(c.at.Channel) + " conversation with " + who
}

// onMirrored puts a message of a mirrored conversation on its ticket (M1, M4), and lets the bot answer
// where the shop wants that (M6).
func (c *conversation) onMirrored(m inbound) {
	c.mirror()
	if !c.botInMirror() {
		if !c.live() {
			c.notAsked("no ticket may be opened and the bot is off in mirror mode")
		}
		return
	}
	c.fromBotToPeople(m)
}

// mirror makes sure that the message is on an open ticket, if tickets may be opened at all. A mirrored
// ticket is no escalation: it takes a number of the episodes' row, so that its external id is unique.
func (c *conversation) mirror(notes ...string) {
	if c.live() {
		c.forAgents()
		return
	}
	if why, _ := c.deskBars(); why != "" {
		return
	}
	if state := c.episode.GetState(); state == closed || state == optedOut {
		c.episode.TicketEpisode = 0 // only an agent who opens its ticket again brings it back, and not the next message (H6)
	}
	number := c.state.GetEpisodes() + 1
	c.openTicket(number, c.mirrorSubject(), nil, notes)
	if c.ticket.GetEpisode() == number {
		c.state.Episodes = number
	}
	if c.forPeople() {
		c.awaitAgent(c.received())
	}
}

// botInMirror tells whether the bot answers in mirror mode (M6).
func (c *conversation) botInMirror() bool {
	return c.shop.AutoReply.InMirrorMode && c.shop.AutoReply.URL != ""
}

// mirrored tells whether every conversation of the shop is a ticket (M1).
func (c *conversation) mirrored() bool { return c.shop.Mode == settings.ModeMirror }
