package script

import (
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/evidence"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// tell prints what a posted record means to people, where it means something.
func (w *World) tell(e pipeline.Emit) {
	r, err := schemas.Decode(e.Key, e.Value)
	if err != nil {
		w.say("a stage posted a bad record to %s: %v", e.Topic, err)
		return
	}
	switch body := r.GetBody().(type) {
	case *handoffv1.Record_Hold:
		w.tellHold(r, body.Hold)
	case *handoffv1.Record_TextGate:
		w.say("text gate of %s: shut=%v", r.GetAddress(), body.TextGate.GetShut())
	case *handoffv1.Record_Fact:
		w.tellFact(r, body.Fact)
	}
}

// tellHold prints who has the conversation, where that is news: behind a dead letter deliver is told again.
func (w *World) tellHold(r *handoffv1.Record, h *handoffv1.Hold) {
	of := schemas.KeyOf(r).String() + " " + r.GetConversation()
	if h.GetVersion() <= w.holds[of] {
		return
	}
	w.holds[of] = h.GetVersion()
	if h.GetHeld() {
		w.say("paused")
	} else {
		w.say("resumed")
	}
}

func (w *World) tellFact(r *handoffv1.Record, f *handoffv1.Fact) {
	line := ""
	switch k := f.GetKind().(type) {
	case *handoffv1.Fact_Episode:
		line = fmt.Sprintf("episode %d: %s -> %s", k.Episode.GetEpisode(), stateName(k.Episode.GetFrom()), stateName(k.Episode.GetTo()))
		w.say("%s%s", line, because(f.GetReason()))
		w.tellLink(fmt.Sprintf("episode %d", k.Episode.GetEpisode()), k.Episode.GetTicketUrl())
	case *handoffv1.Fact_Consent:
		c := k.Consent
		w.say("consent: %s, was %s (%s%s, %s)", evidence.Status(c.GetStatus()), evidence.Status(c.GetPrior()), sourceName(c.GetSource()), keyword(c.GetKeyword()), c.GetScope())
		line = "consent " + evidence.Status(c.GetStatus())
	case *handoffv1.Fact_ConsentEvent:
		line = consentEventLine(k.ConsentEvent)
		w.say("%s%s", line, because(f.GetReason()))
	case *handoffv1.Fact_Delivery:
		if k.Delivery.GetBlockReason() != handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED {
			w.say("blocked [%s]: %s", className(k.Delivery.GetTextClass()), blockName(k.Delivery.GetBlockReason()))
		}
		line = deliveryLine(k.Delivery)
	case *handoffv1.Fact_Ticket:
		if k.Ticket.GetStatus() != handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED || k.Ticket.GetAssignee() != "" || k.Ticket.GetMergedInto() != "" {
			w.told["ticket"] = append(w.told["ticket"], f.GetAt().AsTime().Format("15:04:05")+" "+ticketLine(k.Ticket))
		}
		w.tellLink("ticket "+k.Ticket.GetTicketId(), k.Ticket.GetTicketUrl())
		return
	case *handoffv1.Fact_Rule:
		line = w.tellRule(k.Rule)
	case *handoffv1.Fact_Message:
		line = messageLine(k.Message)
	}
	w.facts = append(w.facts, fmt.Sprintf("%s %s %s%s", f.GetAt().AsTime().Format("15:04:05"), f.GetStage(), line, because(f.GetReason())))
}

// tellLink notes, once, the link to a ticket that was reported with something (H9).
func (w *World) tellLink(of, url string) {
	if line := of + ": " + url; url != "" && !slices.Contains(w.told["links"], line) {
		w.told["links"] = append(w.told["links"], line)
	}
}

// tellRule prints what a rule did not do, and returns what it did: the rest shows in what it causes.
func (w *World) tellRule(r *handoffv1.RuleFact) string {
	for _, list := range r.GetLists() {
		w.say("list %s: the subscriber is on it (rule %s)", list, r.GetRule())
	}
	for _, why := range r.GetRefused() {
		w.say("rule %s did not %s", r.GetRule(), why)
	}
	line := "rule " + r.GetRule() + " at " + r.GetWhen() + ": " + strings.Join(r.GetDid(), ", ")
	if len(r.GetRefused()) > 0 {
		line += "; not " + strings.Join(r.GetRefused(), ", not ")
	}
	return line
}

// consentEventLine says what happened about consent.
func consentEventLine(e *handoffv1.ConsentEvent) string {
	line := short(e.GetKind().String(), "CONSENT_EVENT_KIND_")
	if e.GetBy() != "" {
		line += " by " + e.GetBy()
	}
	switch {
	case e.GetKind() == handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_POSSIBLE_OPT_OUT:
		line += ", counts on " + e.GetDueAt().AsTime().Format("Mon 2006-01-02 15:04")
	case e.GetPerson() != "":
		line += " as person " + e.GetPerson()
	case e.GetSubscriber() > 0:
		line += fmt.Sprintf(": subscriber %d", e.GetSubscriber())
	}
	return line
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

func keyword(k string) string {
	if k == "" {
		return ""
	}
	return " " + k
}

func messageLine(m *handoffv1.MessageFact) string {
	if !m.GetInbound() {
		by := className(m.GetTextClass())
		if m.GetTextClass() == handoffv1.TextClass_TEXT_CLASS_UNSPECIFIED { // not sent by Handoff
			by = short(m.GetAuthor().String(), "AUTHOR_KIND_")
		}
		return fmt.Sprintf("message out [%s]: %s", by, m.GetText())
	}
	c := m.GetClassification()
	intent := c.GetIntent()
	if c.GetUnsure() {
		intent = "unsure"
	}
	line := "message in: " + m.GetText()
	if intent != "" {
		line += " | intent " + intent
	}
	if c.GetDirective() != handoffv1.Directive_DIRECTIVE_UNSPECIFIED {
		line += " | directive " + short(c.GetDirective().String(), "DIRECTIVE_")
	}
	if c.GetAnswers() != handoffv1.Question_QUESTION_UNSPECIFIED {
		line += " | answers " + short(c.GetAnswers().String(), "QUESTION_")
	}
	if c.GetThanksOnly() {
		line += " | thanks only"
	}
	return line
}

func deliveryLine(d *handoffv1.DeliveryFact) string {
	line := "call " + short(d.GetAction().String(), "ACTION_") + " at " + d.GetDestination() + ": " + short(d.GetStatus().String(), "OUTCOME_STATUS_")
	if d.GetDelivery() != handoffv1.DeliveryStatus_DELIVERY_STATUS_UNSPECIFIED {
		line = "delivery state " + short(d.GetDelivery().String(), "DELIVERY_STATUS_")
	}
	if d.GetCode() != "" {
		line += " code " + d.GetCode()
	}
	if d.GetSegments() > 0 {
		line += fmt.Sprintf(" segments %d credits %d", d.GetSegments(), d.GetCredits())
	}
	if d.GetCrossed() {
		line += " crossed"
	}
	return line
}

// short turns an enum's name into words: "OUTCOME_STATUS_DONE" into "done".
func short(name, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, prefix)), "_", " ")
}

func className(c handoffv1.TextClass) string { return short(c.String(), "TEXT_CLASS_") }

func ticketLine(t *handoffv1.TicketFact) string {
	line := "ticket " + t.GetTicketId()
	if t.GetStatus() != handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED {
		line += " is " + statusName(t.GetStatus())
	}
	if t.GetPrior() != handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED {
		line += ", was " + statusName(t.GetPrior())
	}
	if t.GetReopened() {
		line += ", reopened"
	}
	if t.GetAssignee() != "" {
		line += ", assigned to " + t.GetAssignee()
	}
	if t.GetMergedInto() != "" {
		line += ", merged into " + t.GetMergedInto()
	}
	return line
}

// kindOf is a text's class, and what the channel is told of it.
func kindOf(t *handoffv1.SendText) string {
	kind := className(t.GetTextClass())
	if name := t.GetTemplate().GetName(); name != "" {
		kind += ", template " + name
	}
	if t.GetHumanAgent() {
		kind += ", human agent"
	}
	return kind
}

func blockName(b handoffv1.BlockReason) string { return short(b.String(), "BLOCK_REASON_") }

func statusName(s handoffv1.TicketStatus) string { return short(s.String(), "TICKET_STATUS_") }

func sourceName(s handoffv1.ConsentSource) string { return short(s.String(), "CONSENT_SOURCE_") }

func stateName(s handoffv1.EpisodeState) string {
	if s == handoffv1.EpisodeState_EPISODE_STATE_UNSPECIFIED {
		return "none"
	}
	return short(s.String(), "EPISODE_STATE_")
}

func authorName(m *handoffv1.ThreadMessage) string {
	name := short(m.GetAuthor().String(), "AUTHOR_KIND_")
	if m.GetName() != "" {
		name += " " + m.GetName()
	}
	return name
}

// withMedia is what a message says, and what is attached to it.
func withMedia(m interface {
	GetText() string
	GetMedia() []*handoffv1.Media
}) string {
	said := make([]string, 0, 1+len(m.GetMedia()))
	if m.GetText() != "" {
		said = append(said, m.GetText())
	}
	for _, a := range m.GetMedia() {
		said = append(said, "[attachment "+a.GetUrl()+"]")
	}
	return strings.Join(said, " ")
}
