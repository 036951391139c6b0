package explain

import (
	"fmt"
	"strings"

	"github.com/handoff-dev/handoff/schemas/evidence"
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
		l.Kind, l.Text = "delivery", s.delivery(k.Delivery, f.GetReason())
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

// inbound tells who wrote, and how it was read: the order of C12.
func inbound(m *handoffv1.MessageFact, reason string) string {
	c := m.GetClassification()
	text := fmt.Sprintf("%s wrote: %q", called(m.GetAuthorName(), "The customer"), m.GetText())
	if m.GetMediaCount() > 0 {
		text += fmt.Sprintf(" With %d attachment(s).", m.GetMediaCount())
	}
	var read []string
	if d := c.GetDirective(); d != handoffv1.Directive_DIRECTIVE_UNSPECIFIED {
		how := "a " + strings.ToUpper(words(d.String(), "DIRECTIVE_"))
		if c.GetPlainLanguage() {
			how = "an opt-out in plain language"
		}
		if q := c.GetAnswers(); q != handoffv1.Question_QUESTION_UNSPECIFIED {
			how += " that answers the " + words(q.String(), "QUESTION_") + " question"
		}
		read = append(read, how)
	}
	if c.GetPossibleOptOut() {
		read = append(read, "perhaps an opt-out")
	}
	if c.GetThanksOnly() {
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
		text += " Read as " + strings.Join(read, ", ")
		if reason != "" {
			text += " (by " + reason + ")"
		}
		text += "."
	}
	return text
}

// outbound tells a text that was decided to be sent.
func outbound(m *handoffv1.MessageFact, reason string) string {
	who := map[handoffv1.TextClass]string{
		handoffv1.TextClass_TEXT_CLASS_AGENT: "agent " + m.GetAuthorName(), handoffv1.TextClass_TEXT_CLASS_BOT: "the bot",
		handoffv1.TextClass_TEXT_CLASS_RULE: "a rule", handoffv1.TextClass_TEXT_CLASS_SYSTEM: "Handoff",
		handoffv1.TextClass_TEXT_CLASS_KEYWORD_ANSWER: "Handoff that answers a keyword",
	}[m.GetTextClass()]
	if m.GetAuthor() == handoffv1.AuthorKind_AUTHOR_KIND_PLATFORM {
		return fmt.Sprintf("The platform sent a text of its own%s: %q", inBrackets(reason), m.GetText())
	}
	return fmt.Sprintf("A text of %s was to be sent%s: %q", strings.TrimSpace(called(who, "Handoff")), inBrackets(reason), m.GetText())
}

func inBrackets(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
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
	text := fmt.Sprintf("Handoff %d: %s%s.", e.GetEpisode(), called(what, "It changed"), because(reason))
	if e.GetTicketId() != "" {
		text += " Ticket " + e.GetTicketId() + "."
	}
	return text
}

// consent tells a change of the ledger.
func consent(c *handoffv1.ConsentFact) string {
	source := words(c.GetSource().String(), "CONSENT_SOURCE_")
	if c.GetKeyword() != "" {
		source += " " + c.GetKeyword()
	}
	text := fmt.Sprintf("Consent became %s, it was %s (%s): %s", evidence.Status(c.GetStatus()), evidence.Status(c.GetPrior()), c.GetScope(), source)
	if c.GetText() != "" && c.GetText() != c.GetKeyword() {
		text += fmt.Sprintf(", by the text %q", c.GetText())
	}
	return text + "."
}

func consentEvent(e *handoffv1.ConsentEvent, reason string) string {
	text := "Consent: " + words(e.GetKind().String(), "CONSENT_EVENT_KIND_") + by(e.GetBy())
	if e.GetText() != "" {
		text += fmt.Sprintf(", about %q", e.GetText())
	}
	return text + because(reason) + "."
}

func rule(r *handoffv1.RuleFact) string {
	text := fmt.Sprintf("The rule %q ran at %s: %s.", r.GetRule(), r.GetWhen(), called(strings.Join(r.GetDid(), ", "), "it did nothing"))
	for _, why := range r.GetRefused() {
		text += " It did not " + why + "."
	}
	return text
}

// ticket tells what the desk said of a ticket.
func ticket(t *handoffv1.TicketFact, reason string) string {
	text := fmt.Sprintf("At the help desk ticket %s is %s", t.GetTicketId(), words(t.GetStatus().String(), "TICKET_STATUS_"))
	if t.GetPrior() != t.GetStatus() && t.GetPrior() != handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED {
		text += ", it was " + words(t.GetPrior().String(), "TICKET_STATUS_")
	}
	if t.GetAssignee() != "" {
		text += ", assigned to " + t.GetAssignee()
	}
	if t.GetMergedInto() != "" {
		text += ", merged into ticket " + t.GetMergedInto()
	}
	return text + because(reason) + "."
}
