package classify

import (
	"time"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// conversationPrefix begins the names of ClassifyConversation entries.
const conversationPrefix = "conversation/"

// conversationEntry is the name of the state of the turn's conversation.
func conversationEntry(t *turn.Turn) string {
	return conversationPrefix + t.Record.GetConversation()
}

// asked remembers what the text that is about to be sent asks. An offer stays open for words that name
// the handoff when something else is sent after it (H2); everything else is closed by the next text.
func asked(t *turn.Turn, a *handoffv1.Asked) {
	c := &statev1.ClassifyConversation{}
	name := conversationEntry(t)
	t.Get(name, c)
	c.Last = nil
	if a.GetQuestion() != handoffv1.Question_QUESTION_UNSPECIFIED {
		c.Last = &statev1.OpenQuestion{Question: a.GetQuestion(), Id: a.GetQuestionId(), Until: a.GetUntil()}
	}
	if a.GetQuestion() == handoffv1.Question_QUESTION_OFFER {
		c.Offer = c.Last
	}
	t.Put(name, c)
}

// closeQuestions closes every question that a STOP covers: nothing that was asked before it can be agreed to, on
// whichever of those accounts it was asked. That an address belongs to somebody else covers all.
func closeQuestions(t *turn.Turn, wrongNumber bool) {
	covered, only := conversationPrefix+schemas.ChannelName(t.Record.GetChannel())+":", ""
	switch scope := t.Shop.Consent.OptOutScope; {
	case wrongNumber || scope == "shop":
		covered = conversationPrefix
	case scope == "account":
		only = conversationEntry(t)
	}
	open := map[string]*statev1.ClassifyConversation{}
	var names []string
	turn.Scan(t, covered, &statev1.ClassifyConversation{}, func(name string, c *statev1.ClassifyConversation) bool {
		if (only == "" || name == only) && (c.GetLast() != nil || c.GetOffer() != nil) {
			open[name] = c
			names = append(names, name)
		}
		return true
	})
	for _, name := range names {
		c := open[name]
		c.Last, c.Offer = nil, nil
		t.Put(name, c)
	}
}

// stands tells whether a question can still be answered by what was received at a time.
func stands(q *statev1.OpenQuestion, received time.Time) bool {
	return q != nil && (q.GetUntil() == nil || !received.After(q.GetUntil().AsTime()))
}
