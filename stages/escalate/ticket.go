package escalate

import (
	"slices"
	"time"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings/rules"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// ticketPatience is how long the desk is tried for: one that is down for days still gets everything (H11).
const ticketPatience = 365 * 24 * time.Hour

// defaultReopenWithin is the reopen window where the shop sets none for the channel (M4).
const defaultReopenWithin = 24 * time.Hour

// deskZendesk is the desk whose closed tickets stay closed.
const deskZendesk = "zendesk"

// tagMessaging is on every ticket that comes from a messaging channel (W6).
const tagMessaging = "messaging_support"

// isClosed tells which statuses are not open (H4).
func isClosed(s handoffv1.TicketStatus) bool {
	switch s {
	case handoffv1.TicketStatus_TICKET_STATUS_SOLVED, handoffv1.TicketStatus_TICKET_STATUS_CLOSED,
		handoffv1.TicketStatus_TICKET_STATUS_SPAM, handoffv1.TicketStatus_TICKET_STATUS_DELETED:
		return true
	case handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED, handoffv1.TicketStatus_TICKET_STATUS_NEW,
		handoffv1.TicketStatus_TICKET_STATUS_OPEN, handoffv1.TicketStatus_TICKET_STATUS_PENDING,
		handoffv1.TicketStatus_TICKET_STATUS_ON_HOLD:
	}
	return false
}

// live tells that the conversation has a ticket that is open, or is being created.
func (c *conversation) live() bool {
	return c.ticket.GetEpisode() != 0 && !c.ticket.GetGone() && !isClosed(c.ticket.GetStatus())
}

// reopenable tells that the last ticket is closed, can be opened again, and the window is not over (M4).
func (c *conversation) reopenable() bool {
	k := c.ticket
	if k.GetEpisode() == 0 || k.GetGone() || k.GetClosedAt() == nil {
		return false
	}
	switch k.GetStatus() {
	case handoffv1.TicketStatus_TICKET_STATUS_SOLVED:
	case handoffv1.TicketStatus_TICKET_STATUS_CLOSED:
		if k.GetDesk() == deskZendesk {
			return false // terminal there
		}
	default:
		return false
	}
	within, ok := c.shop.Handoff.ReopenWithin[schemas.ChannelName(c.at.Channel)]
	if !ok {
		within = defaultReopenWithin
	}
	return !c.t.At().After(k.GetClosedAt().AsTime().Add(within))
}

// spam tells that one of the address's tickets, of any of its conversations and an earlier one too, is marked as
// spam: it opens none until that is undone (M7).
func (c *conversation) spam() bool {
	const spam = handoffv1.TicketStatus_TICKET_STATUS_SPAM
	if c.ticket.GetStatus() == spam {
		return true
	}
	for _, prefix := range [...]string{ticketPrefix, pastPrefix} {
		for _, e := range c.t.Stored(prefix) {
			if e.Name == c.names.ticket {
				continue // the one above, as it was before this turn
			}
			k := turn.Zero[statev1.Ticket](c.t)
			if c.t.Decode(e.Name, e.Value, k) && k.GetStatus() == spam {
				return true
			}
		}
	}
	return false
}

// request moves the episode to requested and gets it a ticket: the open one, the last one reopened, or
// a new one (H3, M4). Notes go on it.
func (c *conversation) request(on Event, reason string, notes ...string) {
	if !c.move(on, reason+"; subscriber tagged "+c.shop.Handoff.Tag) {
		return
	}
	c.tag()
	c.t.Delete(expiredEntry(c.at.Conversation))
	opening := c.openTicket(c.episode.GetNumber(), c.handoffSubject(), []string{c.shop.Handoff.Tag}, notes)
	c.episode.Opening = opening
	c.episode.TicketEpisode = c.ticket.GetEpisode()
	c.episode.ReusesTicket = c.ticket.GetEpisode() != c.episode.GetNumber()
	c.awaitAgent(c.now())
	if opening == "" {
		c.opened("its ticket is open already")
	}
}

// openTicket makes sure of an open ticket that holds the conversation. number is the episode that a new
// one is named after; tags are those besides the conversation's own. It returns the call whose receipt says that the ticket is there, "" when it is.
func (c *conversation) openTicket(number uint64, subject string, tags, notes []string) (opening string) {
	const status = handoffv1.TicketStatus_TICKET_STATUS_OPEN
	switch {
	case c.live():
		if messages := c.missing(); len(messages) > 0 {
			c.appendWith(messages, status)
		} else if c.liveEpisode() != 0 { // an agent may have closed it just now (M4)
			c.command(&handoffv1.Command{Action: &handoffv1.Command_SetTicketStatus{
				SetTicketStatus: &handoffv1.SetTicketStatus{Status: status},
			}})
		}
		if c.ticket.GetTicketId() == "" {
			opening = c.ticket.GetCreating()
		}
	case c.reopenable():
		c.ticket.Status, c.ticket.ClosedAt = status, nil
		c.ticket.LastAuthor = handoffv1.AuthorKind_AUTHOR_KIND_CUSTOMER // it is their message that opens it
		c.happen(rules.TicketUpdated)
		opening = c.appendWith(c.missing(), status)
	default:
		c.create(number, subject, tags, notes)
		return c.ticket.GetCreating()
	}
	if len(tags) > 0 {
		c.addTags(tags)
	}
	for _, text := range append(notes, c.waitingNotes()...) {
		c.note(text)
	}
	return opening
}

// create makes a new ticket with the last ten messages (H3), linked to the one before it (M4).
func (c *conversation) create(number uint64, subject string, tags, notes []string) {
	before := c.ticket
	followUp := before.GetTicketId()
	if followUp != "" {
		c.t.Put(pastEntry(c.at.Conversation, followUp), before)
		if before.GetStatus() == handoffv1.TicketStatus_TICKET_STATUS_DELETED || before.GetDesk() != c.shop.Desk.Kind {
			followUp = ""
		}
	}
	c.ticket = &statev1.Ticket{
		Episode: number, Desk: c.shop.Desk.Kind, Status: handoffv1.TicketStatus_TICKET_STATUS_OPEN,
		LastAuthor: handoffv1.AuthorKind_AUTHOR_KIND_CUSTOMER,
		Taken:      before.GetTaken(), TakenAt: before.GetTakenAt(), ByEcho: before.GetByEcho(),
	}
	c.ticket.Subject, c.ticket.FollowUp = subject, followUp != ""
	c.ticket.Tags = c.ticketTags()
	for _, tag := range slices.Concat(c.state.GetTags(), tags) {
		if !contains(c.ticket.GetTags(), tag) {
			c.ticket.Tags = append(c.ticket.Tags, tag)
		}
	}
	notes = append(notes, c.waitingNotes()...)
	c.thread.onTicket(number)
	messages := c.thread.last()
	external := schemas.Ticket{Key: c.t.Key, Conversation: c.at.Conversation, Episode: number}.ExternalID()
	c.ticket.Creating = c.command(&handoffv1.Command{
		Action: &handoffv1.Command_CreateTicket{CreateTicket: &handoffv1.CreateTicket{
			ExternalId: external, Subject: subject, Messages: messages, Tags: c.ticket.GetTags(),
			RequesterName: c.state.GetName(), FollowUpOf: followUp, Notes: notes,
		}},
	})
}

// ticketTags are the channel's tag, that of messaging, and the shop's own (W6).
func (c *conversation) ticketTags() []string {
	tags := []string{schemas.ChannelName(c.at.Channel), tagMessaging}
	for _, tag := range c.shop.Desk.Tags {
		if tag != tags[0] && tag != tagMessaging {
			tags = append(tags, tag)
		}
	}
	if auto := c.state.GetAutomation(); len(auto.GetTags()) > 0 { // rules' that waited for a ticket
		for _, tag := range auto.GetTags() {
			if !contains(tags, tag) {
				tags = append(tags, tag)
			}
		}
		auto.Tags = nil
	}
	return tags
}

// command posts a command about the current ticket.
func (c *conversation) command(cmd *handoffv1.Command) (callID string) {
	return c.commandOn(c.ticket.GetEpisode(), cmd)
}

// commandOn posts a command about any ticket of the conversation.
func (c *conversation) commandOn(ticket uint64, cmd *handoffv1.Command) (callID string) {
	cmd.Episode, cmd.TicketEpisode = c.liveEpisode(), ticket
	cmd.GiveUpAt = c.t.Stamp(c.t.Now.Add(ticketPatience))
	return c.t.Command(c.at, cmd)
}

// append puts what this turn added to the thread on the open ticket; nothing where there is none.
func (c *conversation) append(status handoffv1.TicketStatus) {
	if c.live() && c.thread.grew() {
		c.appendMissing(status)
	}
}

// appendMissing puts on the open ticket what it lacks of the last messages. Those are this turn's, and, on a
// ticket that was closed for a while and that an agent opened again, what was said meanwhile: before this turn's,
// so that the ticket holds all of it in order (H3, H4).
func (c *conversation) appendMissing(status handoffv1.TicketStatus) {
	if messages := c.missing(); len(messages) > 0 {
		c.appendWith(messages, status)
	}
}

// missing takes the messages that the ticket lacks as put on it.
func (c *conversation) missing() []*handoffv1.ThreadMessage {
	return c.thread.toTicket(c.ticket.GetEpisode(), true)
}

// appendWith puts messages on the current ticket and sets its status.
func (c *conversation) appendWith(messages []*handoffv1.ThreadMessage, status handoffv1.TicketStatus) (callID string) {
	return c.command(&handoffv1.Command{Action: &handoffv1.Command_AppendMessages{
		AppendMessages: &handoffv1.AppendMessages{Messages: messages, Status: status},
	}})
}

// note writes an internal note on the current ticket; the caller knows that there is one.
func (c *conversation) note(text string) { c.noteOn(c.ticket.GetEpisode(), text) }

// noteOn writes an internal note on any ticket of the conversation.
func (c *conversation) noteOn(ticket uint64, text string) {
	c.commandOn(ticket, &handoffv1.Command{Action: &handoffv1.Command_AddNote{AddNote: &handoffv1.AddNote{Text: text}}})
}

// setStatus sets the current ticket's status at the desk and takes it as done: the desk's own report of
// it changes nothing more.
func (c *conversation) setStatus(status handoffv1.TicketStatus) {
	c.command(&handoffv1.Command{Action: &handoffv1.Command_SetTicketStatus{
		SetTicketStatus: &handoffv1.SetTicketStatus{Status: status},
	}})
	c.ticket.Status = status
	if isClosed(status) {
		c.ticket.ClosedAt, c.ticket.CloseUnreported = c.now(), true
	}
	c.happen(rules.TicketUpdated)
}

// ticketNamed finds the ticket that an outside record speaks of: by the desk's id, else by the episode
// in the ticket's external id. current tells that it is the newest; number is 0 when it is unknown.
func (c *conversation) ticketNamed(ticketID string, episode uint64) (number uint64, current bool) {
	k := c.ticket
	if k.GetEpisode() != 0 {
		if k.GetTicketId() != "" && ticketID == k.GetTicketId() {
			return k.GetEpisode(), true
		}
		if (k.GetTicketId() == "" || ticketID == "") && episode == k.GetEpisode() {
			return k.GetEpisode(), true
		}
	}
	past := &statev1.Ticket{}
	if ticketID != "" && c.t.Get(pastEntry(c.at.Conversation, ticketID), past) {
		return past.GetEpisode(), false
	}
	return 0, false
}

// known takes the desk's id of the current ticket from what comes from it before its receipt does.
func (c *conversation) known(ticketID string) {
	if c.ticket.GetTicketId() != "" || ticketID == "" {
		return
	}
	c.ticket.TicketId = ticketID
	c.announce()
	if c.episode.GetOpening() == c.ticket.GetCreating() {
		c.opened("heard from its ticket before the receipt")
	}
}

// announce tells rules, once, that the ticket exists.
func (c *conversation) announce() {
	if !c.ticket.GetAnnounced() && c.shop.RuleSet() != nil {
		c.ticket.Announced = true
		c.happen(rules.TicketCreated)
	}
}

// opened moves a requested episode to open.
func (c *conversation) opened(reason string) {
	if c.episode.GetState() == requested {
		c.move(EventTicket, reason)
	}
}

// handoffSubject is the subject of an escalation (H3).
func (c *conversation) handoffSubject() string {
	return "Shopper " + schemas.ChannelTitle(c.at.Channel) + " Handoff — " + c.shop.Name
}
