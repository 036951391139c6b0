package explain

import (
	"fmt"
	"time"

	"github.com/handoff-dev/handoff/schemas/evidence"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// consent tells a change of the ledger.
func consent(c *handoffv1.ConsentFact) string {
	source := words(c.GetSource().String(), "CONSENT_SOURCE_")
	if c.GetSource() == handoffv1.ConsentSource_CONSENT_SOURCE_LINK {
		return fmt.Sprintf("Consent became %s, it was %s (%s): they are so under %s, which is linked as the same person.",
			evidence.Status(c.GetStatus()), evidence.Status(c.GetPrior()), c.GetScope(), c.GetKeyword())
	}
	said := c.GetText() // in plain language: what was taken for it is the text
	if !inPlainWords(c.GetSource()) && c.GetKeyword() != "" {
		source += " " + c.GetKeyword()
		if said == c.GetKeyword() {
			said = ""
		}
	}
	text := fmt.Sprintf("Consent became %s, it was %s (%s): %s", evidence.Status(c.GetStatus()), evidence.Status(c.GetPrior()), c.GetScope(), source)
	switch {
	case said == "":
	case c.GetSource() == handoffv1.ConsentSource_CONSENT_SOURCE_PROVIDER && c.GetKeyword() == "": // its own words and code
		text += ", which reported " + quoted(said)
	default:
		text += ", by the text " + quoted(said)
	}
	return stop(text)
}

// inPlainWords tells that a source is what somebody said, and no keyword of a list.
func inPlainWords(s handoffv1.ConsentSource) bool {
	return s == handoffv1.ConsentSource_CONSENT_SOURCE_PLAIN_LANGUAGE || s == handoffv1.ConsentSource_CONSENT_SOURCE_WRONG_NUMBER
}

// consentEvent tells what else happened about consent.
func consentEvent(e *handoffv1.ConsentEvent, reason string) string {
	about := ""
	if e.GetText() != "" {
		about = " " + quoted(e.GetText())
	}
	var text string
	switch e.GetKind() {
	case handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_POSSIBLE_OPT_OUT:
		text = fmt.Sprintf("The message%s may be an opt-out%s: it waits for somebody to decide", about, inBrackets(e.GetBy()))
		if e.GetDueAt() != nil {
			text += ", and counts as one on " + moment(e.GetDueAt().AsTime())
		}
		return stop(text)
	case handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_POSSIBLE_CONFIRMED:
		if reason == unsubscribed { // by what was written meanwhile, or whom they are linked with
			return stop("Nobody has to decide on the possible opt-out" + about + " any more: " + reason + ", by " + quoted(e.GetBy()))
		}
		text = "The possible opt-out" + about + " is one" + decided(e.GetBy())
	case handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_POSSIBLE_DECLINED:
		text = "The possible opt-out" + about + " is none" + decided(e.GetBy())
	case handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_POSSIBLE_UNDECIDED:
		return "The possible opt-out" + about + " counts, nobody decided in time."
	case handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_DETACHED:
		text = "The address belongs to somebody else: name and history were detached"
		if about != "" {
			text += ", because of the text" + about
		}
	case handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_NEW_SUBSCRIBER:
		text = "A new subscriber begins at the address"
	case handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_LINKED:
		text = "The address was linked" + by(e.GetBy()) + " with others of the same person"
	case handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_UNLINKED:
		text = "The address was taken" + by(e.GetBy()) + " from the person it was linked as"
	case handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_IMPORT_OUTDONE:
		text = "The import" + about + " changed nothing"
	case handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_REDUCED:
		if reason != "" {
			return stop("Reduced for their age: " + reason)
		}
		text = "The evidence of earlier changes of consent was reduced to a keyed hash"
	case handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_UNSPECIFIED:
		text = "Something happened about consent" + about
	}
	return stop(text + because(reason))
}

// unsubscribed is consent's reason why nothing is left to be decided.
const unsubscribed = "the customer is unsubscribed"

func decided(by string) string {
	if by == "" {
		return ""
	}
	return ", by the word of " + by
}

// imported tells what the platform said of consent, whatever came of it.
func imported(m *handoffv1.ConsentImport) string {
	text := "An import" + by(m.GetBy()) + " says " + evidence.Status(m.GetStatus()) + " since " + moment(m.GetChangedAt().AsTime())
	if m.GetSource() != "" {
		text += ", source " + m.GetSource()
	}
	if m.GetScope() != "" {
		text += ", for " + m.GetScope()
	}
	return stop(text)
}

func moment(at time.Time) string { return at.UTC().Format("Monday, January 2, 2006, 15:04 UTC") }
