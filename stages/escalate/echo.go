package escalate

import (
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings/rules"
)

// onEcho takes what a person of the shop wrote in the channel's own app (H14): it is an agent's, in the thread
// and on the open ticket, and pauses the bot as an agent's reply does. Nothing is sent: the subscriber has it.
func (c *conversation) onEcho(e *handoffv1.ChannelEcho) {
	id := c.t.HexID()
	c.beforeReply()
	c.thread.add(&handoffv1.ThreadMessage{
		Id: id, Author: handoffv1.AuthorKind_AUTHOR_KIND_AGENT, Name: e.GetAuthor(),
		At: c.t.Record.GetEventTime(), Text: e.GetText(), Media: e.GetMedia(),
	}, 0)
	c.sentElsewhere(&handoffv1.Asked{}, e.GetText())
	c.t.Fact(c.at, &handoffv1.Fact{Reason: "written in the channel's own app", Kind: &handoffv1.Fact_Message{Message: &handoffv1.MessageFact{
		MessageId: id, Author: handoffv1.AuthorKind_AUTHOR_KIND_AGENT, AuthorName: e.GetAuthor(), Text: e.GetText(),
		MediaCount: uint32(len(e.GetMedia())), Episode: c.liveEpisode(), NativeId: e.GetNativeId(),
	}}})
	c.state.AgentRepliedAt = c.received()
	c.restartTimers(rules.SinceAgentReply, "")
	if c.live() {
		c.countReply()
		c.afterReply()
	}
	if c.optedOut() || peopleHave(c.episode.GetState()) {
		return
	}
	c.move(EventLapse, "an agent wrote in the channel's app")
	c.dropTurn("an agent answers in the channel's app")
	c.take()
	c.ticket.ByEcho = true
}

// sentElsewhere notes that somebody else texted the subscriber: it is the last question, and one of the
// texts in the channel's window.
func (c *conversation) sentElsewhere(asked *handoffv1.Asked, text string) {
	r := c.t.Make(c.at)
	r.Body = &handoffv1.Record_Asked{Asked: asked}
	c.t.Emit(schemas.TopicClassify, r)
	c.state.SentSince += c.messagesOf(outbound{text: text})
}

// forTheApp handles a message while an agent has the conversation in the channel's app and no ticket is open:
// the agent sees it there. Mirror mode has a ticket for every message (M1).
func (c *conversation) forTheApp() {
	if c.mirrored() {
		c.mirror()
	}
	if !c.live() {
		c.notAsked("an agent answers in the channel's app")
	}
}
