package escalate

import (
	"slices"
	"strings"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/settings/rules"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// onTicketEvent follows the ticket at the desk: close and solve resume the bot (H6), spam and deletion
// too (M7); an assignment takes a mirrored conversation (M6).
func (c *conversation) onTicketEvent(ev *handoffv1.TicketEvent) {
	if ev.GetMergedInto() != "" {
		c.merged(ev)
		return
	}
	_, current := c.ticketNamed(ev.GetTicketId(), ev.GetEpisode())
	if !current {
		c.pastEvent(ev)
		return
	}
	c.known(ev.GetTicketId())
	if c.outdated(c.ticket, ev) {
		return
	}
	c.ticketFact(c.ticket, ev)
	if ev.GetStatus() != handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED && !c.overtaken(ev) {
		c.statusChanged(ev)
	}
	c.ticketChanged(ev)
	if ev.GetAssignee() != "" && !ev.GetByHandoff() && c.mirrored() && c.botInMirror() && c.live() && !c.paused() {
		c.take()
	}
}

// ticketChanged follows the ticket's tags, and tells rules of a change of tags or assignee that Handoff did
// not make; statusChanged tells them of the status.
func (c *conversation) ticketChanged(ev *handoffv1.TicketEvent) {
	changed := ev.GetAssignee() != ""
	if ev.GetTagsKnown() && !slices.Equal(c.ticket.GetTags(), ev.GetTags()) {
		c.ticket.Tags, changed = ev.GetTags(), true
	}
	if changed && !ev.GetByHandoff() {
		c.happen(rules.TicketUpdated)
	}
}

// pastEvent keeps the status of an earlier ticket: nothing else hangs on it any more.
func (c *conversation) pastEvent(ev *handoffv1.TicketEvent) {
	past := &statev1.Ticket{}
	name := pastEntry(c.at.Conversation, ev.GetTicketId())
	if ev.GetTicketId() == "" || ev.GetStatus() == handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED || !c.t.Get(name, past) {
		return
	}
	if c.outdated(past, ev) {
		return
	}
	past.Status = ev.GetStatus()
	c.ticketFact(past, ev)
	c.t.Put(name, past)
}

// outdated tells that a status was lost on its way and put back when the desk had told of a later one, and
// records it.
func (c *conversation) outdated(k *statev1.Ticket, ev *handoffv1.TicketEvent) bool {
	at := c.t.Record.GetEventTime()
	if !c.t.Record.GetPutBack() || ev.GetStatus() == handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED ||
		k.GetToldAt() == nil || !at.AsTime().Before(k.GetToldAt().AsTime()) {
		return false
	}
	c.t.Fact(c.at, &handoffv1.Fact{
		Reason: "put back when a later status was known: " + strings.ToLower(strings.TrimPrefix(ev.GetStatus().String(), "TICKET_STATUS_")) + " changes nothing",
		Kind: &handoffv1.Fact_Delivery{Delivery: &handoffv1.DeliveryFact{
			CallId: c.t.HexID(), Action: handoffv1.Action_ACTION_FETCH_TICKET,
			Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED, TicketId: ev.GetTicketId(), Episode: c.liveEpisode(),
		}},
	})
	return true
}

// overtaken tells that a close is older than the reopening that Handoff asked for: it speaks of the
// episode before (M4). Their order is the desk's own, whatever its clock says. So does the report of a close of Handoff's own, e.g. by a STOP (C2), that comes when the ticket
// is open again.
func (c *conversation) overtaken(ev *handoffv1.TicketEvent) bool {
	e := c.episode
	if isClosed(ev.GetStatus()) && ev.GetByHandoff() && c.ticket.GetCloseUnreported() {
		c.ticket.CloseUnreported = false
		if !isClosed(c.ticket.GetStatus()) {
			return true
		}
	}
	if !isClosed(ev.GetStatus()) || !e.GetReusesTicket() || (e.GetState() != requested && e.GetState() != open) {
		return false
	}
	if e.GetState() == requested {
		return true // the reopening stands in the lane, so it comes after this close
	}
	return ev.GetOpenedFor() != 0 && ev.GetOpenedFor() < e.GetNumber()
}

func (c *conversation) statusChanged(ev *handoffv1.TicketEvent) {
	was := isClosed(c.ticket.GetStatus())
	if c.ticket.GetStatus() != ev.GetStatus() && !ev.GetByHandoff() {
		c.happen(rules.TicketUpdated)
	}
	c.ticket.Status = ev.GetStatus()
	switch now := isClosed(ev.GetStatus()); {
	case now && !was:
		c.ticket.ClosedAt = c.received()
		name := ev.GetNativeStatus()
		if name == "" {
			name = strings.ToLower(strings.TrimPrefix(ev.GetStatus().String(), "TICKET_STATUS_"))
		}
		c.resumeAutomation() // R4
		c.ticketClosed("the ticket is " + name)
	case !now && was:
		c.ticket.ClosedAt = nil
	}
}

// onReceipt learns how one of the commands ended.
func (c *conversation) onReceipt(r *handoffv1.Receipt) {
	switch r.GetAction() {
	case handoffv1.Action_ACTION_SEND_TEXT:
		c.textEnded(r)
	case handoffv1.Action_ACTION_ASK_BOT:
		c.botCallEnded(r)
	case handoffv1.Action_ACTION_CREATE_TICKET:
		if r.GetCallId() == c.ticket.GetCreating() {
			c.ticketCallEnded(r)
		}
	case handoffv1.Action_ACTION_APPEND_MESSAGES, handoffv1.Action_ACTION_ADD_NOTE,
		handoffv1.Action_ACTION_SET_TICKET_STATUS, handoffv1.Action_ACTION_ADD_TAGS,
		handoffv1.Action_ACTION_REMOVE_TAGS, handoffv1.Action_ACTION_SET_PRIORITY:
		c.deskCallEnded(r)
	case handoffv1.Action_ACTION_ASSIGN_TICKET:
		c.deskCallEnded(r)
		c.assignEnded(r.GetOutcome())
	case handoffv1.Action_ACTION_FETCH_TICKET, handoffv1.Action_ACTION_UNSPECIFIED:
	}
}

// ticketCallEnded takes the receipt of CreateTicket.
func (c *conversation) ticketCallEnded(r *handoffv1.Receipt) {
	out, k := r.GetOutcome(), c.ticket
	opening := c.episode.GetOpening() == r.GetCallId()
	switch out.GetStatus() {
	case handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE:
		k.TicketId, k.Url = out.GetTicketId(), out.GetTicketUrl()
		if k.GetTold() == handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED {
			c.ticketFact(k, &handoffv1.TicketEvent{TicketId: k.GetTicketId(), Status: handoffv1.TicketStatus_TICKET_STATUS_OPEN})
		} else if k.GetUrl() != "" {
			c.linkFact()
		}
		c.announce()
		if opening {
			c.opened("the ticket exists")
		} else if k.GetDeskFailingSince() != nil {
			k.DeskFailingSince = nil
			c.stopTimer(timerDesk)
		}
		if k.GetDetached() { // nothing of the new subscriber's follows it
			c.t.Put(pastEntry(c.at.Conversation, k.GetTicketId()), k)
			c.ticket = &statev1.Ticket{}
		}
	case handoffv1.OutcomeStatus_OUTCOME_STATUS_EXPIRED:
		c.createAgain(opening) // tried until it exists (H11)
	default:
		if k.GetTicketId() != "" {
			return // it exists, whatever the call says
		}
		k.Gone = true
		switch {
		case c.episode.GetTicketEpisode() == k.GetEpisode(): // also one that was to reopen it
			c.refusedForGood(out)
		case c.mirrored() && !c.botInMirror(): // people alone answer, and none will see it
			c.sayFailed()
		}
	}
}

// createAgain makes the same ticket anew, with what the thread holds now.
func (c *conversation) createAgain(opening bool) {
	subject, tags := c.mirrorSubject(), []string(nil)
	if opening {
		subject, tags = c.handoffSubject(), []string{c.shop.Handoff.Tag}
	}
	c.create(c.ticket.GetEpisode(), subject, tags, nil)
	if opening {
		c.episode.Opening = c.ticket.GetCreating()
	}
}

// refusedForGood ends a requested episode and tells the subscriber where to turn (H11).
func (c *conversation) refusedForGood(out *handoffv1.Outcome) {
	reason := "the desk refused the ticket for good"
	if out.GetCode() != "" {
		reason += ": " + out.GetCode()
	}
	if out.GetMeaning() != "" {
		reason += ", " + out.GetMeaning()
	}
	if c.move(EventRefused, reason) {
		c.sayFailed()
	}
}

// sayFailed tells the subscriber where to turn, since nobody reads here what they wrote (H11).
func (c *conversation) sayFailed() {
	c.sendText(outbound{class: handoffv1.TextClass_TEXT_CLASS_SYSTEM, text: c.text(settings.TextFailed)})
}

// deskCallEnded takes the receipt of any other command to the desk.
func (c *conversation) deskCallEnded(r *handoffv1.Receipt) {
	out := r.GetOutcome()
	opening := r.GetCallId() != "" && r.GetCallId() == c.episode.GetOpening() && c.episode.GetState() == requested
	done := out.GetStatus() == handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE
	switch {
	case done && opening:
		c.opened("the ticket is open again")
	case done:
	case out.GetTicketGone() && c.aboutCurrent(out):
		c.ticketGone(r.GetAction())
	case opening && out.GetStatus() == handoffv1.OutcomeStatus_OUTCOME_STATUS_EXPIRED:
		c.episode.Opening = c.command(&handoffv1.Command{Action: &handoffv1.Command_AppendMessages{
			AppendMessages: &handoffv1.AppendMessages{
				Messages: c.thread.last(), Status: handoffv1.TicketStatus_TICKET_STATUS_OPEN,
			},
		}})
	case opening:
		c.ticket.Gone = true // it stays closed: the next handoff gets a ticket of its own
		c.refusedForGood(out)
	}
}

// assignEnded tells the agents of an assignment that the desk refused, e.g. because it has no such team.
func (c *conversation) assignEnded(out *handoffv1.Outcome) {
	if out.GetStatus() == handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED && !out.GetTicketGone() && c.untouchable() == "" {
		c.note("Not assigned: " + out.GetMeaning() + ".")
	}
}

// aboutCurrent tells that a receipt speaks of the newest ticket.
func (c *conversation) aboutCurrent(out *handoffv1.Outcome) bool {
	return out.GetTicketId() == "" || out.GetTicketId() == c.ticket.GetTicketId()
}

// ticketGone goes on where the desk takes nothing on the ticket any more: people who have the
// conversation, or wait for it, get a linked new one (M4), so that no message is lost.
func (c *conversation) ticketGone(action handoffv1.Action) {
	c.ticket.Gone, c.ticket.Taken = true, false
	if c.ticket.GetClosedAt() == nil {
		c.ticket.ClosedAt = c.now()
	}
	switch c.episode.GetState() {
	case requested:
		c.episode.TicketEpisode, c.episode.ReusesTicket = c.episode.GetNumber(), false
		c.create(c.episode.GetNumber(), c.handoffSubject(), []string{c.shop.Handoff.Tag}, nil)
		c.episode.Opening = c.ticket.GetCreating()
	case open, closed: // a close can be told before the append that it crossed is refused
		signal := c.episode.GetSignal()
		wasOpen := c.move(EventClose, "the ticket takes nothing any more")
		if !wasOpen {
			c.settle()
		}
		if action == handoffv1.Action_ACTION_APPEND_MESSAGES && (wasOpen || !c.mirrored()) {
			c.begin(signal)
			c.request(EventRequest, "a message came after the ticket was closed for good")
		}
	case none, offered, expired, declined, lapsed, failed, optedOut:
		c.settle()
	}
	if action == handoffv1.Action_ACTION_APPEND_MESSAGES && c.mirrored() && !c.live() {
		c.mirror()
	}
}
