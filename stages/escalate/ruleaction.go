package escalate

import (
	"cmp"
	"slices"
	"strings"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/settings/rules"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// mostKept bounds tags and lists that are kept with a conversation, and replies that are remembered.
const mostKept = 100

// act carries out one action of a rule. It returns why it was not done, "" when it was.
func (c *conversation) act(r *rules.Compiled, when rules.Trigger, a rules.Action) (notDone string) {
	switch {
	case a.AddTags != nil:
		return c.ruleTags(a.AddTags)
	case a.RemoveTags != nil:
		return c.removeTags(a.RemoveTags)
	case a.AutoReply != nil:
		return c.autoReply(r, when, a.AutoReply)
	case a.EscalateNow:
		return c.escalateNow(r)
	case a.AddToList != "":
		auto := c.auto()
		if !slices.Contains(auto.GetLists(), a.AddToList) && len(auto.GetLists()) < mostKept {
			auto.Lists = append(auto.Lists, a.AddToList)
		}
		return ""
	}
	if why := c.untouchable(); why != "" {
		return why
	}
	switch {
	case a.AssignTeam != "" || a.AssignAgent != "":
		c.command(&handoffv1.Command{Action: &handoffv1.Command_AssignTicket{
			AssignTicket: &handoffv1.AssignTicket{Team: a.AssignTeam, Agent: a.AssignAgent},
		}})
	case a.Note != nil:
		c.note(c.ruleText(a.Note.Text, a.Note.TextID, cmp.Or(c.state.GetName(), c.t.Key.Address)))
	case a.SetPriority != "":
		c.command(&handoffv1.Command{Action: &handoffv1.Command_SetPriority{SetPriority: &handoffv1.SetPriority{
			Priority: handoffv1.Priority(handoffv1.Priority_value["PRIORITY_"+strings.ToUpper(a.SetPriority)]),
		}}})
	case a.SetStatus != "":
		c.ruleStatus(r, a.SetStatus)
	}
	return ""
}

// untouchable says why the desk would take nothing on the conversation's ticket; "" where it would.
func (c *conversation) untouchable() string {
	switch {
	case c.ticket.GetEpisode() == 0 || c.ticket.GetGone():
		return "there is no ticket"
	case c.ticket.GetStatus() == handoffv1.TicketStatus_TICKET_STATUS_DELETED:
		return "the ticket is deleted"
	case c.ticket.GetStatus() == handoffv1.TicketStatus_TICKET_STATUS_CLOSED && c.ticket.GetDesk() == deskZendesk:
		return "the ticket is closed for good"
	}
	return ""
}

// ruleText fills in a rule's text; customer is what it calls them.
func (c *conversation) ruleText(texts rules.Texts, id, customer string) string {
	return c.shop.RuleText(texts, id, c.state.GetLanguage(), "customer name", customer, "channel", schemas.ChannelTitle(c.at.Channel))
}

// ruleTags gives the ticket a rule's tags; where there is none that can be tagged, the next one gets them.
func (c *conversation) ruleTags(tags []string) string {
	if c.untouchable() == "" {
		c.addTags(tags)
		return ""
	}
	auto := c.auto()
	for _, tag := range tags {
		if !contains(auto.GetTags(), tag) && len(auto.GetTags()) < mostKept {
			auto.Tags = append(auto.Tags, tag)
		}
	}
	return ""
}

// addTags puts tags on the current ticket; the caller knows that there is one.
func (c *conversation) addTags(tags []string) {
	c.command(&handoffv1.Command{Action: &handoffv1.Command_AddTags{AddTags: &handoffv1.AddTags{Tags: tags}}})
	for _, tag := range tags {
		if !contains(c.ticket.GetTags(), tag) {
			c.ticket.Tags = append(c.ticket.Tags, tag)
		}
	}
}

func (c *conversation) removeTags(tags []string) string {
	auto := c.state.GetAutomation()
	if auto != nil {
		auto.Tags = slices.DeleteFunc(auto.Tags, func(t string) bool { return contains(tags, t) })
	}
	if c.ticket.GetEpisode() == 0 {
		return ""
	}
	if why := c.untouchable(); why != "" {
		return why
	}
	c.command(&handoffv1.Command{Action: &handoffv1.Command_RemoveTags{RemoveTags: &handoffv1.RemoveTags{Tags: tags}}})
	c.ticket.Tags = slices.DeleteFunc(c.ticket.Tags, func(t string) bool { return contains(tags, t) })
	return ""
}

// contains tells whether a tag is among others, in any case: Zendesk knows small letters only.
func contains(tags []string, tag string) bool {
	return slices.ContainsFunc(tags, func(t string) bool { return strings.EqualFold(t, tag) })
}

// ruleStatus sets the ticket's status as an agent would: closing it gives the conversation back (H6).
func (c *conversation) ruleStatus(r *rules.Compiled, status string) {
	to := handoffv1.TicketStatus(handoffv1.TicketStatus_value["TICKET_STATUS_"+strings.ToUpper(status)])
	if to == c.ticket.GetStatus() {
		return
	}
	wasLive := c.live()
	c.setStatus(to)
	switch {
	case !isClosed(to):
		c.ticket.ClosedAt = nil
	case wasLive:
		c.ticketClosed("rule " + r.Name + " closed the ticket")
	}
}

// escalateNow gives the conversation to people without asking (R1).
func (c *conversation) escalateNow(r *rules.Compiled) string {
	switch barred, by := c.barred(); {
	case c.paused():
		return "people have the conversation"
	case barred != "":
		return barred + " (" + by + ")"
	}
	read := c.state.GetAutomation().GetRead()
	c.move(EventLapse, "a rule escalated") // a standing offer has no use any more
	c.begin(&statev1.Signal{
		Kind: handoffv1.SignalKind_SIGNAL_KIND_RULE, Intent: read.GetIntent(), Text: read.GetText(),
		At: c.received(), Reason: "rule " + r.Name, Rule: r.Name,
	})
	var notes []string
	if c.optedOut() {
		notes = append(notes, c.optedOutWrote()) // C13
	}
	c.request(EventRequest, "rule "+r.Name, notes...)
	return ""
}

// autoReply sends a rule's text through consent's gate, unless a guard against loops holds it (R4).
func (c *conversation) autoReply(r *rules.Compiled, when rules.Trigger, reply *rules.Reply) string {
	if why := c.mayReply(r, when, reply); why != "" {
		return why
	}
	text := c.ruleText(reply.Text, reply.TextID, c.state.GetName())
	ticket := ""
	if c.live() {
		ticket = c.ticket.GetTicketId()
	}
	out := c.t.Make(c.at)
	out.Body = &handoffv1.Record_RuleReply{RuleReply: &handoffv1.RuleReply{
		Rule: r.Name, Text: text, WhilePaused: reply.WhilePaused, Unprompted: when != rules.MessageCreated && !c.prompted(), TicketId: ticket,
	}}
	c.t.Emit(schemas.TopicConsent, out)
	auto := c.auto()
	auto.RuleRepliedAt, auto.RuleAnsweredAt = c.received(), c.received()
	if reply.Every > 0 {
		auto.Replied = setMoment(auto.Replied, r.Name, c.received())
	}
	c.rules.answered = r.Name
	return ""
}

// prompted tells that the turn comes from something the customer wrote: their message, or the ticket that
// it made. All others, a timer and a close among them, keep quiet hours strictly (C11).
func (c *conversation) prompted() bool {
	return c.t.Record.GetCustomerMessage() != nil || c.t.Record.GetReceipt() != nil
}

// mayReply says why a rule may not reply now; "" when it may.
func (c *conversation) mayReply(r *rules.Compiled, when rules.Trigger, reply *rules.Reply) string {
	auto, every := c.state.GetAutomation(), c.shop.Automation.ReplyEvery
	switch {
	case auto.GetStoppedAt() != nil:
		return "automation is stopped: " + auto.GetStoppedBecause()
	case c.paused() && !reply.WhilePaused:
		return "people have the conversation (H4)"
	case c.rules.mute != "":
		return c.rules.mute
	case when == rules.TicketCreated && auto.GetRead() == nil: // nothing but thanks has been said (M1)
		return onlyThanks
	case c.askedNow():
		return "the customer was just asked whether they want a person (H2)"
	case c.rules.answered != "":
		return "another rule has answered (R4)"
	case within(auto.GetRuleAnsweredAt(), c.t.At(), c.shop.Automation.AnswerOnceWithin):
		return "a rule answered within " + settings.Span(c.shop.Automation.AnswerOnceWithin) + " (automation.answer_once_within)"
	case within(auto.GetRuleRepliedAt(), c.t.At(), every):
		return "a rule replied within " + settings.Span(every) + " (automation.reply_every)"
	case within(ruleMoment(auto.GetReplied(), r.Name), c.t.At(), reply.Every):
		return "it replied within " + settings.Span(reply.Every) + " (every)"
	}
	return ""
}

// askedNow tells that this turn made an offer: a text behind it would take a bare yes its question (H2).
func (c *conversation) askedNow() bool {
	return c.episode.GetState() == offered && (c.rules.before.episode != c.episode.GetNumber() || c.rules.before.state != offered)
}

// onRuleReply sends a rule's text that consent passed, unless people took over meanwhile (H4) or
// automation was stopped.
func (c *conversation) onRuleReply(r *handoffv1.RuleReply) {
	o := outbound{class: handoffv1.TextClass_TEXT_CLASS_RULE, text: r.GetText(), whilePaused: r.GetWhilePaused(), episode: c.liveEpisode()}
	switch {
	case c.paused() && !r.GetWhilePaused():
		c.block(o, handoffv1.BlockReason_BLOCK_REASON_PAUSED)
	case c.optedOut():
		c.block(o, handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT)
	case c.stopped():
		c.notAsked("the reply of rule " + r.GetRule() + " is not sent: automation is stopped (R4)")
	default:
		c.sendText(o)
	}
}
