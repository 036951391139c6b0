package escalate

import (
	"slices"
	"time"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// offerText is the question (H2), outside support hours with when the team is back (H15).
func (c *conversation) offerText() string {
	text := c.text(settings.TextOffer)
	if back := c.shop.TeamBack(c.state.GetLanguage(), c.t.Now); back != "" {
		text += " " + back
	}
	return text
}

// offer asks the subscriber (H2).
func (c *conversation) offer(reason string) {
	c.move(EventOffer, reason)
	c.askOffer()
}

// askOffer sends the question. It is known to classify before an answer can come.
func (c *conversation) askOffer() {
	until := c.t.Now.Add(c.shop.Handoff.OfferLapses)
	c.episode.QuestionId = c.sendText(outbound{
		class: handoffv1.TextClass_TEXT_CLASS_SYSTEM, text: c.offerText(),
		question: handoffv1.Question_QUESTION_OFFER, until: until, moment: momentOfOffer(c.episode.GetSignal()),
		whileHeldSo: true, // one that waits is not to ask whoever has people by then
	})
	c.episode.QuestionWaits = !c.live() // on an open ticket it is already
	c.episode.OfferUntil = c.t.Stamp(until)
	c.setTimer(timerLapse, c.look(until))
}

// questionLeft notes that the offer is known to have left. A ticket that was opened meanwhile shows it from now on.
func (c *conversation) questionLeft(callID string) {
	if !c.episode.GetQuestionWaits() || callID != c.episode.GetQuestionId() {
		return
	}
	c.episode.QuestionWaits = false
	if c.live() {
		c.appendMissing(handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED)
	}
}

// unseen notes that a text never reached the subscriber. Was it the offer, then they have not been asked, and are on the
// next signal.
func (c *conversation) unseen(callID string) {
	if c.episode.GetState() == offered && callID == c.episode.GetQuestionId() {
		c.episode.QuestionId = ""
	}
}

// offerAgain asks what the subscriber never saw: the same offer stands, from now on.
func (c *conversation) offerAgain(reason string) {
	c.notAsked(reason + "; asked again, since the offer before did not arrive")
	c.episode.OfferedAt = c.now()
	c.askOffer()
}

// answer takes a yes or no to the offer (H2). It tells whether the message is done with: a no with more
// text is also a message to handle, while after a yes the whole message is on the ticket.
func (c *conversation) answer(m inbound) (done bool) {
	e, read := c.episode, m.read
	if e.GetState() != offered && e.GetState() != lapsed || c.t.At().After(e.GetOfferUntil().AsTime()) {
		return false
	}
	answers := read.GetAnswers() == handoffv1.Question_QUESTION_OFFER &&
		(read.GetQuestionId() == "" || read.GetQuestionId() == e.GetQuestionId())
	switch {
	case answers && read.GetDirective() == handoffv1.Directive_DIRECTIVE_NO:
		c.decline()
		return !read.GetMoreText()
	case answers && read.GetDirective() == handoffv1.Directive_DIRECTIVE_YES:
		e.QuestionWaits = false // it was seen
		c.confirm("yes to the offer")
		return true
	case read.GetAsksForPerson() && (answers || e.GetState() == offered):
		c.confirm("asked for a person while the offer stood")
		return true
	}
	return false
}

// confirm requests the ticket; where none may be opened since the offer, it says that it cannot (H10, M7).
func (c *conversation) confirm(reason string) {
	if why, _ := c.barred(); why != "" {
		c.move(EventRefused, reason+"; "+why+" since")
		c.sayFailed()
		return
	}
	c.request(EventYes, reason)
}

func (c *conversation) decline() {
	c.move(EventNo, "no to the offer")
	c.remember(c.t.At())
}

// onLapse ends an offer that nobody answered (H2). A limit that was shortened since counts at once, and
// answers that came before this moment; a longer one is for the next offer, since classify was told how
// long this one's answers count.
func (c *conversation) onLapse() {
	e := c.episode
	if e.GetState() != offered {
		return
	}
	until := e.GetOfferedAt().AsTime().Add(c.shop.Handoff.OfferLapses)
	if promised := e.GetOfferUntil().AsTime(); until.After(promised) {
		until = promised
	}
	if until.After(c.t.Now) {
		c.setTimer(timerLapse, c.look(until))
		return
	}
	c.move(EventLapse, "not answered within "+settings.Span(until.Sub(e.GetOfferedAt().AsTime())))
	c.remember(c.t.Now)
}

// offerOver ends the time for answers to an offer that ended before it: classify is told, so that no yes is taken for
// an answer to it from now on.
func (c *conversation) offerOver() {
	e := c.episode
	if !e.GetOfferUntil().AsTime().After(c.t.At()) {
		return
	}
	e.OfferUntil = c.received()
	if e.GetQuestionId() == "" {
		return // nobody has seen it
	}
	r := c.t.Make(c.at)
	r.Body = &handoffv1.Record_Asked{Asked: &handoffv1.Asked{
		Question: handoffv1.Question_QUESTION_OFFER, QuestionId: e.GetQuestionId(), Until: e.GetOfferUntil(),
	}}
	c.t.Emit(schemas.TopicClassify, r)
}

// remember keeps what was refused, so that it is not asked again for a while, and forgets what may be
// asked again.
func (c *conversation) remember(at time.Time) {
	signal := c.episode.GetSignal()
	c.state.Refusals = slices.DeleteFunc(c.state.GetRefusals(), func(r *statev1.Refusal) bool {
		return !at.Before(r.GetUntil().AsTime()) || sameReason(signal, r)
	})
	c.state.Refusals = append(c.state.Refusals, &statev1.Refusal{
		Kind: signal.GetKind(), Intent: signal.GetIntent(),
		Until: c.t.Stamp(at.Add(c.shop.Handoff.OfferAgainAfter)),
	})
}
