package classify

import (
	"slices"
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

// mostTexts bounds the texts that are remembered from an open question on, and those that wait: what is above is not
// taken back any more.
const mostTexts = 16

// asked remembers what the text that is about to be sent asks. An offer stays open for words that name
// the handoff when something else is sent after it (H2); everything else is closed by the next text.
//
// A text that waits for its time (pace, H12) asks, or closes, when that has come. One that its provider does not take
// asks when it has left after all, and one that is not sent, or does not arrive, never did: nobody agrees to what they
// did not see, and what they saw before can still be answered.
func asked(t *turn.Turn, a *handoffv1.Asked) {
	c := turn.Zero[statev1.ClassifyConversation](t)
	name := conversationEntry(t)
	t.Get(name, c)
	fromBefore(c)
	changed := arrived(c, t.At())
	q := turn.New(t, statev1.OpenQuestion{Question: a.GetQuestion(), Id: a.GetQuestionId(), Until: a.GetUntil()})
	switch from := a.GetFrom(); {
	case a.GetLeaving() != handoffv1.Leaving_LEAVING_UNSPECIFIED:
		changed = leaving(c, a) || changed
	case from != nil && from.AsTime().After(t.At()):
		q.From = from
		c.Coming, changed = append(c.Coming, q), true
	case over(a, t.At()):
		changed = shorten(c, a) || changed
	default:
		changed = ask(c, q) || changed
	}
	if changed {
		prune(c, t.At())
		t.Put(name, c)
	}
}

// over tells that an offer ended before its time: whoever made it says so by its id, with the moment of that.
func over(a *handoffv1.Asked, now time.Time) bool {
	return a.GetQuestion() == handoffv1.Question_QUESTION_OFFER && a.GetUntil() != nil && !a.GetUntil().AsTime().After(now)
}

// shorten ends an offer before its time: answers count that were received until then. It closes nothing else, for it
// stands for no text.
func shorten(c *statev1.ClassifyConversation, a *handoffv1.Asked) (any bool) {
	for _, list := range [...][]*statev1.OpenQuestion{c.Texts, c.Coming, c.Waiting} {
		for _, q := range list {
			if a.GetQuestionId() != "" && q.GetId() == a.GetQuestionId() && stands(q, a.GetUntil().AsTime()) {
				q.Until, any = a.GetUntil(), true
			}
		}
	}
	return any
}

// leaving takes back what a text asks that did not leave, and asks it when it has. It tells whether that changed
// anything.
func leaving(c *statev1.ClassifyConversation, a *handoffv1.Asked) bool {
	if a.GetLeaving() == handoffv1.Leaving_LEAVING_LEFT {
		q := takeBack(&c.Waiting, a.GetQuestionId())
		if q == nil {
			return ask(c, &statev1.OpenQuestion{Id: a.GetQuestionId()}) // from before a STOP: it asks nothing
		}
		ask(c, q)
		return true
	}
	var q *statev1.OpenQuestion
	for _, list := range []*[]*statev1.OpenQuestion{&c.Texts, &c.Coming, &c.Waiting} {
		if q = takeBack(list, a.GetQuestionId()); q != nil {
			break
		}
	}
	if q == nil {
		return false
	}
	if a.GetLeaving() == handoffv1.Leaving_LEAVING_WAITS {
		q.From = nil
		c.Waiting = append(c.Waiting[max(0, len(c.Waiting)-mostTexts+1):], q)
	}
	return true
}

// takeBack removes a text from a list; nil where it is not there.
func takeBack(list *[]*statev1.OpenQuestion, id string) *statev1.OpenQuestion {
	at := slices.IndexFunc(*list, func(q *statev1.OpenQuestion) bool { return id != "" && q.GetId() == id })
	if at < 0 {
		return nil
	}
	q := (*list)[at]
	*list = slices.Delete(*list, at, at+1)
	return q
}

// ask puts a text behind those before it. It tells whether there is anything to remember: a text that asks nothing
// closes a question, or is nothing to classify.
func ask(c *statev1.ClassifyConversation, q *statev1.OpenQuestion) bool {
	q.From = nil
	if q.GetQuestion() == handoffv1.Question_QUESTION_UNSPECIFIED && len(c.Texts) == 0 {
		return false
	}
	c.Texts = append(c.Texts, q)
	return true
}

// arrived has the texts ask that waited for a time which has come, and tells whether any did.
func arrived(c *statev1.ClassifyConversation, now time.Time) (any bool) {
	for len(c.Coming) > 0 && !c.Coming[0].GetFrom().AsTime().After(now) {
		ask(c, c.Coming[0])
		c.Coming, any = c.Coming[1:], true
	}
	return any
}

// prune forgets what can be answered no more, and the texts above it.
func prune(c *statev1.ClassifyConversation, now time.Time) {
	for len(c.Texts) > 0 && !answerable(c.Texts[0], now) {
		c.Texts = c.Texts[1:]
	}
	for len(c.Texts) > mostTexts {
		if isOffer(c.Texts[0]) { // words accept it yet
			c.Texts[0].Passed = true
			c.Texts = slices.Delete(c.Texts, 1, 2)
		} else {
			c.Texts = c.Texts[1:]
		}
	}
}

// answerable tells whether a text asks what can still be answered.
func answerable(q *statev1.OpenQuestion, now time.Time) bool {
	return q.GetQuestion() != handoffv1.Question_QUESTION_UNSPECIFIED && stands(q, now) && (isOffer(q) || !q.GetPassed())
}

func isOffer(q *statev1.OpenQuestion) bool {
	return q.GetQuestion() == handoffv1.Question_QUESTION_OFFER
}

// lastAsked is the question that a bare yes or no answers; nil where there is none.
func lastAsked(c *statev1.ClassifyConversation, received time.Time) *statev1.OpenQuestion {
	if len(c.GetTexts()) == 0 {
		return nil
	}
	q := c.Texts[len(c.Texts)-1]
	if q.GetPassed() || !answerable(q, received) {
		return nil
	}
	return q
}

// standingOffer is the offer that words naming the handoff accept; nil where there is none.
func standingOffer(c *statev1.ClassifyConversation, received time.Time) *statev1.OpenQuestion {
	for _, q := range slices.Backward(c.GetTexts()) {
		if isOffer(q) {
			if stands(q, received) {
				return q
			}
			return nil
		}
	}
	return nil
}

// answered closes a question, and with it every bare answer to what was asked before it. Of those only an offer stays,
// for words that name it; with an offer all offers are answered.
func answered(c *statev1.ClassifyConversation, q *statev1.OpenQuestion) {
	at := slices.Index(c.Texts, q)
	kept := c.Texts[:0:0]
	for i, other := range c.Texts {
		switch {
		case i > at && (!isOffer(other) || !isOffer(q)):
			kept = append(kept, other)
		case i < at && isOffer(other) && !isOffer(q):
			other.Passed = true
			kept = append(kept, other)
		}
	}
	c.Texts = kept
}

// fromBefore reads what was kept before texts were.
func fromBefore(c *statev1.ClassifyConversation) {
	if c.GetOffer() != nil && c.GetOffer().GetId() != c.GetLast().GetId() {
		c.Offer.Passed = true
		c.Texts = append(c.Texts, c.Offer)
	}
	if c.GetLast() != nil {
		c.Texts = append(c.Texts, c.Last)
	}
	c.Last, c.Offer = nil, nil
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
		fromBefore(c)
		if (only == "" || name == only) && len(c.GetTexts())+len(c.GetComing())+len(c.GetWaiting()) > 0 {
			open[name] = c
			names = append(names, name)
		}
		return true
	})
	for _, name := range names {
		c := open[name]
		c.Texts, c.Coming, c.Waiting = nil, nil, nil
		t.Put(name, c)
	}
}

// stands tells whether a question can still be answered by what was received at a time.
func stands(q *statev1.OpenQuestion, received time.Time) bool {
	return q != nil && (q.GetUntil() == nil || !received.After(q.GetUntil().AsTime()))
}
