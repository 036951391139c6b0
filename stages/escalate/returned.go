package escalate

import (
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// onReturned judges a command to the desk that deliver lost and that was put back later: it is made anew
// where what it was decided on still holds, and changed or left out where it does not. So a lost command
// opens no ticket beside a newer one, and reopens none that was closed since.
func (c *conversation) onReturned(r *handoffv1.CommandReturned) {
	cmd, why := r.GetCommand(), ""
	switch action := cmd.GetAction().(type) {
	case *handoffv1.Command_CreateTicket:
		why = c.createReturned(r.GetCallId(), cmd, action.CreateTicket)
	case *handoffv1.Command_AppendMessages:
		why = c.appendReturned(r.GetCallId(), cmd, action.AppendMessages)
	case *handoffv1.Command_SetTicketStatus:
		if k := c.ticketOf(cmd.GetTicketEpisode()); k == nil || k.GetStatus() != action.SetTicketStatus.GetStatus() {
			why = "the ticket's status is another one by now"
		}
	case *handoffv1.Command_AddNote:
		if c.ticketOf(cmd.GetTicketEpisode()) == nil {
			why = "its ticket is none of the conversation's any more"
		}
	default:
		if cmd.GetTicketEpisode() != c.ticket.GetEpisode() || !c.live() {
			why = "its ticket is not open any more"
		}
	}
	switch {
	case why != "":
		c.notMade(r, why)
	case cmd.GetCreateTicket() == nil && cmd.GetAppendMessages() == nil:
		c.commandOn(cmd.GetTicketEpisode(), cmd)
	}
}

// createReturned creates the ticket that the conversation still waits for, with the messages that came
// since; one that STOP has closed before it existed is created closed (C2), and one that a wrong number was detached
// from keeps what it was to have.
func (c *conversation) createReturned(callID string, cmd *handoffv1.Command, create *handoffv1.CreateTicket) (why string) {
	k := c.ticket
	if callID != k.GetCreating() || k.GetGone() || k.GetTicketId() != "" {
		return "the conversation does not wait for that ticket any more"
	}
	if !k.GetDetached() { // else the thread holds nothing of it any more, and it stays as it was (C15)
		create.Messages = c.thread.last()
		c.thread.onTicket(k.GetEpisode())
	}
	if isClosed(k.GetStatus()) {
		create.Status = k.GetStatus()
	}
	made := c.commandOn(k.GetEpisode(), cmd)
	if c.episode.GetOpening() == callID {
		c.episode.Opening = made
	}
	k.Creating = made
	return ""
}

// appendReturned puts messages on their ticket if that is the open one. On one that was closed since they are
// notes, which reopen nothing; where a newer one is open they go there, as far as the thread still holds them
// and the newer one does not.
func (c *conversation) appendReturned(callID string, cmd *handoffv1.Command, lost *handoffv1.AppendMessages) (why string) {
	own := cmd.GetTicketEpisode() == c.ticket.GetEpisode()
	switch {
	case own && c.live():
		made := c.commandOn(c.ticket.GetEpisode(), cmd)
		if c.episode.GetOpening() == callID {
			c.episode.Opening = made
		}
		return ""
	case own && c.reopenable():
		for _, m := range lost.GetMessages() {
			c.note("This message was delayed. " + authorOfMessage(m) + ": " + m.GetText())
		}
		return ""
	case own || !c.live():
		return "its ticket is closed, and no other is open"
	}
	var missing []*handoffv1.ThreadMessage
	for _, m := range lost.GetMessages() {
		e := c.thread.entry(m.GetId())
		if e == nil {
			continue
		}
		if kept := c.thread.kept(e); kept.GetOnTicket() != c.ticket.GetEpisode() {
			kept.OnTicket, e.changed = c.ticket.GetEpisode(), true
			missing = append(missing, kept.GetMessage())
		}
	}
	if len(missing) == 0 {
		return "the conversation has a newer ticket, which holds its last messages"
	}
	c.command(&handoffv1.Command{Action: &handoffv1.Command_AppendMessages{AppendMessages: &handoffv1.AppendMessages{Messages: missing}}})
	return ""
}

// authorOfMessage names who wrote a message, for a note.
func authorOfMessage(m *handoffv1.ThreadMessage) string {
	switch {
	case m.GetAuthor() == handoffv1.AuthorKind_AUTHOR_KIND_CUSTOMER:
		return "Customer"
	case m.GetName() != "":
		return m.GetName()
	}
	return "Automated"
}

// ticketOf finds one of the conversation's tickets by its episode, the newest or an earlier one; nil where
// there is none that takes commands.
func (c *conversation) ticketOf(episode uint64) (found *statev1.Ticket) {
	switch {
	case episode == 0:
		return nil
	case episode == c.ticket.GetEpisode():
		if c.ticket.GetGone() {
			return nil
		}
		return c.ticket
	}
	turn.Scan(c.t, pastEntry(c.at.Conversation, ""), &statev1.Ticket{}, func(_ string, k *statev1.Ticket) bool {
		if k.GetEpisode() == episode && !k.GetGone() {
			found = k
		}
		return found == nil
	})
	return found
}

// notMade records why a command that came back is not made anew.
func (c *conversation) notMade(r *handoffv1.CommandReturned, why string) {
	c.t.Fact(c.at, &handoffv1.Fact{
		Reason: "lost, and put back too late: " + why,
		Kind: &handoffv1.Fact_Delivery{Delivery: &handoffv1.DeliveryFact{
			CallId: r.GetCallId(), Action: r.GetAction(), Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED,
			Episode: r.GetCommand().GetEpisode(),
		}},
	})
}
