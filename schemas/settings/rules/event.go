package rules

import (
	"strings"
	"unicode/utf8"
)

// Event is what rules look at: something that happened in a conversation, and how the conversation is.
// The names of its fields are those of expressions.
type Event struct {
	// When is the trigger.
	When string `expr:"when"`
	// Channel, e.g. "sms".
	Channel string `expr:"channel"`
	// Status of the ticket now, and before what happened: new, open, pending, on_hold, solved, closed, spam,
	// deleted; "" where there is no ticket, or was none.
	Status string `expr:"status"`
	// StatusBefore is the status of the same ticket before.
	StatusBefore string `expr:"status_before"`
	// Tags of the ticket and of the subscriber, in small letters.
	Tags []string `expr:"tags"`
	// Subject of the ticket.
	Subject string `expr:"subject"`
	// Text of the customer's last message.
	Text string `expr:"text"`
	// Intent of it; "" where the classifier is not sure.
	Intent string `expr:"intent"`
	// Sentiment of it, -1 to 1.
	Sentiment float64 `expr:"sentiment"`
	// Language of the conversation, e.g. "en".
	Language string `expr:"language"`
	// Name of the subscriber; "" where it is not known.
	Name string `expr:"name"`
	// Address of the subscriber, e.g. "+14155550001".
	Address string `expr:"address"`
	// Consent of the subscriber: unknown, conversational, pending, subscribed, unsubscribed.
	Consent string `expr:"consent"`
	// SupportOpen tells that it is within support hours.
	SupportOpen bool `expr:"support_open"`
	// Episode is the state of the newest episode: offered, requested, open, closed, expired, declined,
	// lapsed, failed, opted_out; "" where there was none.
	Episode string `expr:"episode"`
	// LastAuthor of the ticket's messages: customer, agent; "" where there is no ticket.
	LastAuthor string `expr:"last_author"`
	// FollowUp tells that the ticket is linked to an earlier one.
	FollowUp bool `expr:"follow_up"`
	// PublicPost tells that the message is a post that everybody can read.
	PublicPost bool `expr:"public_post"`

	lowText, lowSubject string
	lowered             bool
}

// looked is how much of a text or subject rules look at, in bytes.
const looked = 4096

// Cut returns as much of a text as rules look at.
func Cut(text string) string {
	if len(text) <= looked {
		return text
	}
	cut := looked
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut]
}

// lower makes what is compared without regard to case, once for an event.
func (e *Event) lower() {
	if !e.lowered {
		e.lowText, e.lowSubject, e.lowered = strings.ToLower(Cut(e.Text)), strings.ToLower(Cut(e.Subject)), true
	}
}
