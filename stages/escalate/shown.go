package escalate

import (
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// peopleHave tells whether people have the conversation in a state (H4).
func peopleHave(s State) bool { return s == requested || s == open }

// tellPlatform tells the messaging platform that people have a conversation from now on, or no more, so
// that it holds campaigns meanwhile (H13).
func (c *conversation) tellPlatform(f *handoffv1.Fact) {
	f.Stage, f.At = schemas.StageEscalate, c.now()
	r := c.t.Make(c.at)
	r.Consent, r.Body = nil, &handoffv1.Record_Fact{Fact: f}
	c.t.Emit(schemas.TopicPlatform, r)
}

// show notes what the table of episodes is to say of the conversation, and tells whether that is another
// thing than what it says.
func (c *conversation) show() bool {
	now := none
	if state := c.episode.GetState(); peopleHave(state) {
		now = state
	}
	if c.state.GetShown() == now {
		return false
	}
	c.state.Shown = now
	return true
}

// showPeople writes into the table of episodes which of the address's conversations people have now, so that
// the platform can ask before it sends (H13). It is called when this conversation is written.
func (c *conversation) showPeople() {
	held := &handoffv1.WithPeople{}
	turn.Scan(c.t, episodePrefix, &statev1.Episode{}, func(name string, e *statev1.Episode) bool {
		if peopleHave(e.GetState()) {
			held.Conversations = append(held.Conversations, &handoffv1.HeldConversation{
				Conversation: strings.TrimPrefix(name, episodePrefix), State: e.GetState(), Episode: e.GetNumber(),
				Since: timestamppb.New(later(e.GetReopenedAt(), e.GetRequestedAt())),
			})
		}
		return true
	})
	for _, h := range held.GetConversations() {
		k := &statev1.Ticket{}
		c.t.Get(ticketEntry(h.GetConversation()), k)
		h.TicketId, h.TicketUrl = k.GetTicketId(), k.GetUrl()
	}
	r := c.t.Make(turn.Place{})
	r.Consent, r.Body = nil, &handoffv1.Record_WithPeople{WithPeople: held}
	c.t.Emit(schemas.TopicEpisodes, r)
}
