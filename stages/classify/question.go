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
	return t.Join(conversationPrefix, t.Record.GetConversation())
}

// asked remembers what the text that is about to be sent asks. An offer stays open for words that name
// the handoff when something else is sent after it (H2); everything else is closed by the next text.
//
// A text that waits for its time (pace, H12) asks, or closes, when that has come.
func asked(t *turn.Turn, a *handoffv1.Asked) {
	c := turn.Zero[statev1.ClassifyConversation](t)
	name := conversationEntry(t)
	t.Get(name, c)
	arrived(c, t.At())
	q := turn.New(t, statev1.OpenQuestion{Question: a.GetQuestion(), Id: a.GetQuestionId(), Until: a.GetUntil()})
	if from := a.GetFrom(); from != nil && from.AsTime().After(t.At()) {
		q.From = from
		c.Coming = append(c.Coming, q)
	} else {
		ask(c, q)
	}
	t.Put(name, c)
}

// ask makes what a text asks the question that stands.
func ask(c *statev1.ClassifyConversation, q *statev1.OpenQuestion) {
	q.From, c.Last = nil, nil
	if q.GetQuestion() != handoffv1.Question_QUESTION_UNSPECIFIED {
		c.Last = q
	}
	if q.GetQuestion() == handoffv1.Question_QUESTION_OFFER {
		c.Offer = q
	}
}

// arrived has the texts ask that waited for a time which has come, and tells whether any did.
func arrived(c *statev1.ClassifyConversation, now time.Time) (any bool) {
	for len(c.Coming) > 0 && !c.Coming[0].GetFrom().AsTime().After(now) {
		ask(c, c.Coming[0])
		c.Coming, any = c.Coming[1:], true
	}
	return any
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
		if (only == "" || name == only) && (c.GetLast() != nil || c.GetOffer() != nil || len(c.GetComing()) > 0) {
			open[name] = c
			names = append(names, name)
		}
		return true
	})
	for _, name := range names {
		c := open[name]
		c.Last, c.Offer, c.Coming = nil, nil, nil
		t.Put(name, c)
	}
}

// stands tells whether a question can still be answered by what was received at a time.
func stands(q *statev1.OpenQuestion, received time.Time) bool {
	return q != nil && (q.GetUntil() == nil || !received.After(q.GetUntil().AsTime()))
}
