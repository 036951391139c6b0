package escalate

import (
	"fmt"
	"slices"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/settings/rules"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// rememberedReplies is how many of a ticket's replies are known by their ids.
const rememberedReplies = 16

// onAgentReply sends an agent's reply to the subscriber (H5): whatever state the conversation is in,
// and from whichever of its tickets. Only a reply on the newest ticket, while that is open, moves the
// episode.
func (c *conversation) onAgentReply(r *handoffv1.AgentReply) {
	if r.GetText() == "" && len(r.GetMedia()) == 0 {
		return // nothing was written to the subscriber, e.g. a signature alone (H14)
	}
	number, current := c.ticketNamed(r.GetTicketId(), r.GetEpisode())
	if current && c.repliedBefore(r.GetNativeId()) {
		return
	}
	if c.isDetached(r.GetTicketId(), current) {
		c.blockWith(number, agentText(&statev1.Parked{Reply: r}), handoffv1.BlockReason_BLOCK_REASON_NO_RECORD, notSent(becauseDetached), becauseDetached)
		return
	}
	if text, now := cutSendNow(r.GetText()); now {
		r.Text, r.Parking, c.whateverHour = text, nil, true
		bare := text == "" && len(r.GetMedia()) == 0
		if c.sendNow(number, bare); bare {
			return
		}
	}
	p := &statev1.Parked{Reply: r, At: c.received(), OnTicket: number}
	if current {
		c.known(r.GetTicketId())
	}
	c.ofEpisode(p, current)
	parks, blocked := c.parkOrBlock(p)
	if blocked {
		return // nothing reached the subscriber, so nothing is answered or opened again
	}
	if current {
		c.beforeReply()
		c.countReply()
		c.afterReply()
	}
	c.ofEpisode(p, current)
	c.state.AgentRepliedAt = c.received()
	c.restartTimers(rules.SinceAgentReply, "")
	if parks {
		c.parkReply(p)
		return
	}
	c.sendReply(p)
}

// becauseDetached is why a reply is not sent to somebody who has the address no more (C15).
const becauseDetached = "it was a wrong number. Whoever has the number now is somebody else, and what they write comes on a ticket of their own"

// isDetached tells that a ticket is of somebody whose number it was not: what is written there is for nobody who has
// the number (C15).
func (c *conversation) isDetached(ticketID string, current bool) bool {
	if current {
		return c.ticket.GetDetached()
	}
	past := &statev1.Ticket{}
	return c.t.Get(pastEntry(c.at.Conversation, ticketID), past) && past.GetDetached()
}

// ofEpisode notes the episode that a reply belongs to, where it stands on that one's ticket.
func (c *conversation) ofEpisode(p *statev1.Parked, current bool) {
	if current && c.episode.GetTicketEpisode() == p.GetOnTicket() {
		p.Episode = c.episode.GetNumber()
	}
}

// sendReply sends an agent's reply that may leave.
func (c *conversation) sendReply(p *statev1.Parked) {
	r, onTicket := p.GetReply(), uint64(0)
	if p.GetOnTicket() == c.ticket.GetEpisode() {
		onTicket = p.GetOnTicket()
	}
	c.sendText(outbound{
		class: handoffv1.TextClass_TEXT_CLASS_AGENT, text: r.GetText(), media: r.GetMedia(),
		nativeID: r.GetNativeId(), author: r.GetAuthor(), onTicket: onTicket, episode: p.GetEpisode(), inThread: p.GetInThread(),
	})
	if p.GetInThread() == "" { // else it was noted when it was on its way first
		c.noteSegments(p.GetOnTicket(), r)
	}
}

// repliedBefore drops a reply that the desk told twice.
func (c *conversation) repliedBefore(nativeID string) bool {
	if nativeID == "" {
		return false
	}
	if slices.Contains(c.ticket.GetReplies(), nativeID) {
		return true
	}
	replies := append(c.ticket.GetReplies(), nativeID)
	c.ticket.Replies = replies[max(0, len(replies)-rememberedReplies):]
	return false
}

// beforeReply brings an episode back that expired, or was closed before an agent opened its ticket again, where a
// newer one was only offered: the agent's answer comes first, and the offer has no use any more.
func (c *conversation) beforeReply() {
	before := &statev1.Episode{}
	if c.behindOffer(before) {
		c.move(EventLapse, "an agent answered first")
		c.episode = before
		c.t.Delete(expiredEntry(c.at.Conversation))
	}
}

// behindOffer reads an episode of the current ticket, open now, that stands behind an offer or what became of it.
func (c *conversation) behindOffer(into *statev1.Episode) bool {
	switch c.episode.GetState() {
	case offered, declined, lapsed:
		return c.t.Get(expiredEntry(c.at.Conversation), into) && into.GetTicketEpisode() == c.ticket.GetEpisode() && c.live()
	case none, requested, open, closed, expired, failed, optedOut:
	}
	return false
}

// countReply notes the reply's time; one that comes after the close still counts to its episode.
func (c *conversation) countReply() {
	c.ticket.LastAuthor = handoffv1.AuthorKind_AUTHOR_KIND_AGENT
	c.stopWaiting()
	e := c.episode
	if e.GetTicketEpisode() != c.ticket.GetEpisode() || e.GetNumber() == 0 {
		return
	}
	e.AgentReplies++
	if e.GetFirstReplyAt() == nil {
		e.FirstReplyAt = c.received()
	}
	e.LastReplyAt = c.received()
}

// afterReply restarts the clock, or reopens the episode where its ticket is open (H7), after a STOP once the subscriber
// opted in again. A reply on a ticket that stays closed never pauses (H6).
func (c *conversation) afterReply() {
	if !c.live() {
		return
	}
	ofTicket := c.episode.GetTicketEpisode() == c.ticket.GetEpisode()
	switch state := c.episode.GetState(); {
	case state == open:
		c.setTimer(timerPause, c.look(c.pauseEnds()))
	case ofTicket && (state == expired || state == closed || state == optedOut && !c.optedOut()):
		c.move(EventAgentReply, "an agent replied")
	case c.mirrored() && c.botInMirror() && state != requested:
		c.take()
	}
}

// take gives a conversation to the agents beside the episodes, mirrored (M6) or in the channel's own app (H14):
// the bot is paused until close or H7, which a further reply puts off unless the shop counts from the first.
func (c *conversation) take() {
	again := c.ticket.GetTaken()
	c.ticket.Taken, c.ticket.ByEcho = true, false
	if !again || !c.shop.Handoff.PauseFromOpening {
		c.ticket.TakenAt = c.received()
	}
	c.settle()
	if !again {
		c.sayTakenOver()
	}
}

// noteSegments tells the agents when a reply took many segments (H5).
func (c *conversation) noteSegments(ticket uint64, r *handoffv1.AgentReply) {
	if ticket == 0 || c.at.Channel != handoffv1.Channel_CHANNEL_SMS || len(r.GetMedia()) > 0 {
		return
	}
	n, _ := schemas.Segments(r.GetText())
	if over := c.shop.Handoff.SegmentsNoted; n > over {
		c.noteOn(ticket, fmt.Sprintf("This reply takes %d SMS segments (more than %d): %d credits.",
			n, over, n*c.shop.Handoff.SegmentCredits))
	}
}

// onBlockedText writes why consent did not let a text pass (C7): on the ticket of an agent's reply, and
// for automated texts only where a ticket is open.
func (c *conversation) onBlockedText(b *handoffv1.BlockedText) {
	from := b.GetAuthor()
	why := c.blockedNote(b.GetReason(), &handoffv1.ConsentStamp{Since: b.GetSince()})
	if from.GetTextClass() == handoffv1.TextClass_TEXT_CLASS_AGENT {
		if number, _ := c.ticketNamed(from.GetTicketId(), c.ticket.GetEpisode()); number != 0 {
			c.noteOn(number, why)
		}
		return
	}
	if c.live() {
		c.note(why)
	}
	switch {
	case from.GetTextClass() != handoffv1.TextClass_TEXT_CLASS_BOT || !c.isOpenTurn(from.GetNativeId()):
	case c.state.GetConsent().GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_PENDING:
		c.turnFailed("its answer may not be sent") // asked to confirm meanwhile (C14): the question is for people
	default:
		c.endTurn()
	}
}

// blockedNote is the note on a text that was not sent (C7); some of them a shop can word itself.
func (c *conversation) blockedNote(why handoffv1.BlockReason, stamp *handoffv1.ConsentStamp) string {
	switch why {
	case handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT:
		return c.text(settings.TextBlockedOptedOut, "date", c.optedOutOn(stamp))
	case handoffv1.BlockReason_BLOCK_REASON_NEVER_CONFIRMED:
		return c.text(settings.TextBlockedUnconfirmed)
	case handoffv1.BlockReason_BLOCK_REASON_NO_RECORD:
		return c.text(settings.TextBlockedNoRecord)
	case handoffv1.BlockReason_BLOCK_REASON_WINDOW:
		return c.windowNote(handoffv1.TextClass_TEXT_CLASS_AGENT)
	default:
		return notSent(c.blockedBecause(why, stamp))
	}
}

// notSent is a note that says why a text was not sent.
func notSent(because string) string {
	if because == "" {
		return "Not sent."
	}
	return "Not sent: " + because + "."
}

// blockedBecause says why a text was not sent, in the words of the records, whatever a shop has its notes say (X3).
func (c *conversation) blockedBecause(why handoffv1.BlockReason, stamp *handoffv1.ConsentStamp) string {
	switch why {
	case handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT:
		return "the customer opted out on " + c.optedOutOn(stamp)
	case handoffv1.BlockReason_BLOCK_REASON_NEVER_CONFIRMED:
		return "the customer never confirmed their subscription"
	case handoffv1.BlockReason_BLOCK_REASON_NO_RECORD:
		return "there is no subscriber record for this address"
	case handoffv1.BlockReason_BLOCK_REASON_PAUSED:
		return "an automated reply was on its way when people took over the conversation"
	case handoffv1.BlockReason_BLOCK_REASON_GATE_SHUT:
		return "a message of this customer could not be processed, so texts to them wait for a decision"
	case handoffv1.BlockReason_BLOCK_REASON_EXPIRED:
		return "it could not be sent in time"
	case handoffv1.BlockReason_BLOCK_REASON_WINDOW:
		return c.windowBecause(handoffv1.TextClass_TEXT_CLASS_AGENT)
	case handoffv1.BlockReason_BLOCK_REASON_COUNTRY:
		return c.country()
	case handoffv1.BlockReason_BLOCK_REASON_QUIET_HOURS:
		return "an automated text would have reached the customer in quiet hours"
	case handoffv1.BlockReason_BLOCK_REASON_OVERTAKEN:
		return "what it says was over before it left"
	case handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED:
	}
	return ""
}

// optedOutOn is the day of the opt-out that a stamp, else the conversation's own, tells of.
func (c *conversation) optedOutOn(stamp *handoffv1.ConsentStamp) string {
	since := stamp.GetSince()
	if since == nil {
		since = c.state.GetConsent().GetSince()
	}
	if since == nil {
		since = c.received()
	}
	return c.shop.Date(since.AsTime())
}

// textEnded tells the agents of a text that did not arrive at the provider (C7, X1).
func (c *conversation) textEnded(r *handoffv1.Receipt) {
	if r.GetNotYet() != nil {
		c.metQuietHours(r)
		return
	}
	var why string
	out := r.GetOutcome()
	switch out.GetStatus() {
	case handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE, handoffv1.OutcomeStatus_OUTCOME_STATUS_UNSPECIFIED:
		c.questionLeft(r.GetCallId())
		return
	case handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED:
		why = c.blockedNote(out.GetBlockReason(), nil)
	case handoffv1.OutcomeStatus_OUTCOME_STATUS_UNKNOWN:
		c.questionLeft(r.GetCallId())
		why = "Not known whether this was delivered: the provider did not answer, and it was not sent again."
	case handoffv1.OutcomeStatus_OUTCOME_STATUS_EXPIRED:
		reason := handoffv1.BlockReason_BLOCK_REASON_EXPIRED
		if c.outsideWindow(outbound{class: r.GetTextClass()}) {
			reason = handoffv1.BlockReason_BLOCK_REASON_WINDOW // it closed while the text waited
		}
		why = c.blockedNote(reason, nil)
	case handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED:
		why = notDelivered(out.GetCode(), out.GetMeaning())
	}
	if out.GetStatus() != handoffv1.OutcomeStatus_OUTCOME_STATUS_UNKNOWN {
		c.undisclosed(r.GetCallId())
		c.unseen(r.GetCallId())
		text, shown := c.thread.notSent(r.GetCallId())
		if !shown && out.GetBlockReason() == handoffv1.BlockReason_BLOCK_REASON_OVERTAKEN {
			return // nobody at the desk has seen it
		}
		if shown && text != "" && r.GetTextClass() != handoffv1.TextClass_TEXT_CLASS_AGENT && saysWhich(out.GetBlockReason()) {
			why += " It said: " + text
		}
	}
	c.noteText(r.GetTextClass() == handoffv1.TextClass_TEXT_CLASS_AGENT, why)
}

// saysWhich tells that the note on an automated text which the ticket shows is to say which one it was. The notes of C7
// are what they are.
func saysWhich(why handoffv1.BlockReason) bool {
	return why != handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT && why != handoffv1.BlockReason_BLOCK_REASON_NEVER_CONFIRMED &&
		why != handoffv1.BlockReason_BLOCK_REASON_NO_RECORD
}

// onDeliveryState tells the agents of a text that the provider took but could not deliver (W8).
func (c *conversation) onDeliveryState(d *handoffv1.DeliveryState) {
	if d.GetStatus() != handoffv1.DeliveryStatus_DELIVERY_STATUS_FAILED {
		return
	}
	c.undisclosed(d.GetCallId())
	c.unseen(d.GetCallId())
	author := c.thread.find(d.GetCallId()).GetAuthor()
	c.noteText(author == handoffv1.AuthorKind_AUTHOR_KIND_AGENT, notDelivered(d.GetCode(), d.GetMeaning()))
}

// noteText writes a note on the fate of a text: of an agent's on the last ticket even if it is closed,
// of another only where a ticket is open.
func (c *conversation) noteText(agents bool, why string) {
	if agents && c.ticket.GetEpisode() != 0 && !c.ticket.GetGone() || c.live() {
		c.note(why)
	}
}

func notDelivered(code, meaning string) string {
	switch {
	case meaning == "" && code == "":
		return "Not delivered."
	case meaning == "":
		return "Not delivered (" + code + ")."
	case code == "":
		return "Not delivered: " + meaning
	}
	return "Not delivered: " + meaning + " (" + code + ")"
}

// stampOf is what consent knows after a notice.
func stampOf(n *handoffv1.ConsentNotice, before *handoffv1.ConsentStamp) *handoffv1.ConsentStamp {
	s := before.CloneVT()
	if s == nil {
		s = &handoffv1.ConsentStamp{}
	}
	s.Status, s.Since = n.GetStatus(), n.GetSince()
	return s
}
