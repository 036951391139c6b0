package explain

import (
	"fmt"
	"strings"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// fact tells what a stage reported.
func (s *story) fact(e Entry, f *handoffv1.Fact) {
	l := Line{At: f.GetAt().AsTime(), Stage: f.GetStage(), Reason: f.GetReason()}
	switch k := f.GetKind().(type) {
	case *handoffv1.Fact_Message:
		l.Kind, l.Text = "message", inbound(k.Message, f.GetReason())
		if !k.Message.GetInbound() {
			l.Kind, l.Text = "text", outbound(k.Message, f.GetReason())
		}
	case *handoffv1.Fact_Episode:
		l.Kind, l.Text = "episode", episode(k.Episode, f.GetReason())
		l.Link = s.tickets[k.Episode.GetTicketId()]
	case *handoffv1.Fact_Consent:
		l.Kind, l.Text = "consent", consent(k.Consent)
	case *handoffv1.Fact_ConsentEvent:
		l.Kind, l.Text = "consent", consentEvent(k.ConsentEvent, f.GetReason())
	case *handoffv1.Fact_Delivery:
		l.Kind, l.Text, l.order.rank = "delivery", s.delivery(k.Delivery, f.GetReason()), s.ended(k.Delivery, l.At)
		l.Link = s.tickets[k.Delivery.GetTicketId()]
	case *handoffv1.Fact_Ticket:
		l.Kind, l.Text = "agent", ticket(k.Ticket, f.GetReason())
		l.Link = s.tickets[k.Ticket.GetTicketId()]
	case *handoffv1.Fact_Rule:
		l.Kind, l.Text = "rule", rule(k.Rule)
		l.Link = s.tickets[k.Rule.GetTicketId()]
	}
	if l.Text != "" {
		s.add(e, l)
	}
}

// question says in words what a yes or no answers.
var question = map[handoffv1.Question]string{
	handoffv1.Question_QUESTION_OFFER:  "the offer",
	handoffv1.Question_QUESTION_OPT_IN: "whether they want texts",
	handoffv1.Question_QUESTION_OTHER:  "what the platform asked",
}

// inbound tells who wrote, and how it was read: the order of C12.
func inbound(m *handoffv1.MessageFact, reason string) string {
	c := m.GetClassification()
	text := called(m.GetAuthorName(), "The customer") + " wrote" + saying(m.GetText(), int(m.GetMediaCount()))
	var read []string
	if d := c.GetDirective(); d != handoffv1.Directive_DIRECTIVE_UNSPECIFIED {
		how := "a " + strings.ToUpper(words(d.String(), "DIRECTIVE_"))
		if c.GetPlainLanguage() {
			how = "an opt-out in plain language"
		}
		if q := question[c.GetAnswers()]; q != "" {
			how += " that answers " + q
		}
		read = append(read, how)
	}
	if c.GetPossibleOptOut() {
		read = append(read, "perhaps an opt-out")
	}
	switch {
	case c.GetThanksOnly() && reason == reaction:
		read = append(read, reaction)
	case c.GetThanksOnly():
		read = append(read, "thanks and nothing else")
	}
	switch {
	case c.GetUnsure():
		read = append(read, "something that cannot be placed")
	case c.GetIntent() != "" && len(read) == 0:
		how := "the intent " + c.GetIntent()
		if c.GetConfidence() > 0 {
			how += fmt.Sprintf(", confidence %.2f", c.GetConfidence())
		}
		read = append(read, how)
	}
	if len(read) > 0 {
		if c.GetThanksOnly() {
			reason = "" // said already
		}
		text += stop(" Read as " + strings.Join(read, ", ") + readBy(reason))
	}
	return text
}

// Reasons of classify that are sentences' parts of their own.
const (
	reaction  = "a reaction to a message"
	provider  = "the provider took it for a keyword"
	notPlaced = "not placed" // behind it stands what it is likeliest: ", likeliest other, confidence 0.41"
)

// readBy names what read a message so, where that is not said already. Behind it stands, in brackets, why the shop's
// own classifier had no part in it.
func readBy(reason string) string {
	reason, without, failed := strings.Cut(reason, " (")
	for _, said := range []string{"plain-language opt-out: ", "possible opt-out: ", notPlaced} {
		reason = strings.TrimPrefix(reason, said)
	}
	if reason == provider {
		return ": " + provider
	}
	how := ""
	switch likeliest, unsure := strings.CutPrefix(reason, ", "); {
	case unsure:
		how = likeliest
	case reason != "":
		how = "by " + reason
	}
	if failed {
		how = strings.TrimPrefix(how+"; without "+strings.TrimSuffix(without, ")"), "; ")
	}
	return inBrackets(how)
}

// outbound tells a text that was decided to be sent.
func outbound(m *handoffv1.MessageFact, reason string) string {
	who := map[handoffv1.TextClass]string{
		handoffv1.TextClass_TEXT_CLASS_AGENT: "agent " + m.GetAuthorName(), handoffv1.TextClass_TEXT_CLASS_BOT: "the bot",
		handoffv1.TextClass_TEXT_CLASS_RULE: "a rule", handoffv1.TextClass_TEXT_CLASS_SYSTEM: "Handoff",
		handoffv1.TextClass_TEXT_CLASS_KEYWORD_ANSWER: "Handoff that answers a keyword",
	}[m.GetTextClass()]
	if m.GetTextClass() == handoffv1.TextClass_TEXT_CLASS_KEYWORD_ANSWER && !strings.HasPrefix(reason, "keyword ") {
		who = "Handoff that confirms it" // what they said in words of their own
	}
	said := saying(m.GetText(), int(m.GetMediaCount()))
	switch {
	case m.GetAuthor() == handoffv1.AuthorKind_AUTHOR_KIND_PLATFORM:
		return "The platform sent a text of its own" + inBrackets(reason) + said
	case m.GetTextClass() == handoffv1.TextClass_TEXT_CLASS_UNSPECIFIED: // it had left when Handoff heard of it
		return called(m.GetAuthorName(), "An agent") + " wrote to the customer" + inBrackets(reason) + said
	}
	return "A text of " + strings.TrimSpace(called(who, "Handoff")) + " was to be sent" + inBrackets(reason) + said
}

// saying ends a sentence with what somebody wrote, and how many attachments it has.
func saying(text string, attachments int) string {
	with := ""
	if attachments > 0 {
		with = "with " + count(attachments, "attachment")
	}
	switch {
	case text == "" && with == "":
		return ", without words."
	case text == "":
		return ", without words, " + with + "."
	case with == "":
		return stop(": " + quoted(text))
	}
	return ", " + stop(with+": "+quoted(text))
}

// episode tells a transition.
func episode(e *handoffv1.EpisodeFact, reason string) string {
	what := map[handoffv1.EpisodeState]string{
		handoffv1.EpisodeState_EPISODE_STATE_OFFERED:   "The customer was asked whether they want to talk to the support team",
		handoffv1.EpisodeState_EPISODE_STATE_REQUESTED: "The conversation was handed to the support team",
		handoffv1.EpisodeState_EPISODE_STATE_OPEN:      "The support team has the conversation",
		handoffv1.EpisodeState_EPISODE_STATE_CLOSED:    "The support team closed the conversation",
		handoffv1.EpisodeState_EPISODE_STATE_EXPIRED:   "The conversation went back to the bot on time",
		handoffv1.EpisodeState_EPISODE_STATE_DECLINED:  "The customer declined the offer",
		handoffv1.EpisodeState_EPISODE_STATE_LAPSED:    "The offer lapsed",
		handoffv1.EpisodeState_EPISODE_STATE_FAILED:    "The handoff failed",
		handoffv1.EpisodeState_EPISODE_STATE_OPTED_OUT: "The handoff ended, because the customer opted out",
	}[e.GetTo()]
	if e.GetTo() == handoffv1.EpisodeState_EPISODE_STATE_OPTED_OUT {
		reason = strings.TrimPrefix(reason, "opted out: ") // said already
		if said, ok := strings.CutPrefix(reason, "plain language "); ok {
			reason = "in plain language, " + quoted(said)
		}
	}
	text := stop(fmt.Sprintf("Handoff %d: %s%s", e.GetEpisode(), called(what, "It changed"), because(reason)))
	if e.GetTicketId() != "" {
		text += " Ticket " + e.GetTicketId() + "."
	}
	return text
}

func rule(r *handoffv1.RuleFact) string {
	text := stop(fmt.Sprintf("The rule %q ran at %s: %s", r.GetRule(), r.GetWhen(), called(strings.Join(r.GetDid(), ", "), "it did nothing")))
	for _, why := range r.GetRefused() {
		text += stop(" It did not " + why)
	}
	return text
}

// ticket tells what the desk said of a ticket.
func ticket(t *handoffv1.TicketFact, reason string) string {
	text := "At the help desk ticket " + t.GetTicketId()
	if t.GetStatus() == handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED { // it stays what it was
		if t.GetMergedInto() != "" {
			return stop(text + " was merged into ticket " + t.GetMergedInto() + because(reason))
		}
		return stop(text + " was changed" + assigned(t) + because(reason))
	}
	text += " is " + words(t.GetStatus().String(), "TICKET_STATUS_")
	if t.GetPrior() != t.GetStatus() && t.GetPrior() != handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED {
		text += ", it was " + words(t.GetPrior().String(), "TICKET_STATUS_")
	}
	if t.GetReopened() {
		text += ": it was reopened"
	}
	text += assigned(t)
	if t.GetMergedInto() != "" {
		text += ", merged into ticket " + t.GetMergedInto()
	}
	return stop(text + because(reason))
}

func assigned(t *handoffv1.TicketFact) string {
	if t.GetAssignee() == "" {
		return ""
	}
	return ", assigned to " + t.GetAssignee()
}
