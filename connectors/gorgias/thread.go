package gorgias

import (
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// ownPrefix begins the external id of every message that Handoff puts on a
// ticket: "handoff:<call id>:<n>". By it a second try finds the first, and
// Handoff knows its own messages when it reads them back.
const ownPrefix = "handoff:"

func messageID(call string, n int) string { return ownPrefix + call + ":" + strconv.Itoa(n) }

// channelNames gives Gorgias' channel and source type of a conversation;
// channels that Gorgias does not know go as api, which fires no auto-replies.
func channelNames(c handoffv1.Channel) (channel, sourceType string) {
	switch c {
	case handoffv1.Channel_CHANNEL_SMS:
		return "sms", "sms"
	case handoffv1.Channel_CHANNEL_WHATSAPP:
		return "whatsapp", "whatsapp-message"
	case handoffv1.Channel_CHANNEL_MESSENGER:
		return "facebook-messenger", "facebook-messenger"
	case handoffv1.Channel_CHANNEL_X:
		return "twitter-direct-message", "twitter-direct-message"
	default:
		return "api", "api"
	}
}

// subscriberAddress is the customer's address in a message: at Gorgias
// number@inbound domain (H3).
func (c *client) subscriberAddress(r *handoffv1.Record) string {
	if c.account.InboundDomain == "" {
		return r.GetAddress()
	}
	return r.GetAddress() + "@" + c.account.InboundDomain
}

// imported gives a message of the thread as Gorgias takes it: already sent,
// whoever wrote it.
func (c *client) imported(a caller.Attempt, n int, m *handoffv1.ThreadMessage, customerID int64) message {
	channel, sourceType := channelNames(a.Record.GetChannel())
	subscriber := address{Address: c.subscriberAddress(a.Record), Name: m.GetName()}
	shop := address{Address: a.Record.GetAccount()}
	sent := moment{m.GetAt().AsTime()}
	if m.GetAt() == nil {
		sent = moment{a.Created}
	}
	out := message{
		ExternalID: messageID(a.CallID, n), Channel: channel, Via: "api", Public: true, Sent: &sent, BodyText: words(m),
	}
	for _, media := range m.GetMedia() {
		out.Attachments = append(out.Attachments, attachment{
			URL: media.GetUrl(), Name: path.Base(media.GetUrl()), ContentType: media.GetContentType(),
		})
	}
	if m.GetAuthor() == handoffv1.AuthorKind_AUTHOR_KIND_CUSTOMER {
		out.Sender = &party{ID: customerID}
		out.Source = &source{Type: sourceType, From: &subscriber, To: []address{shop}}
		return out
	}
	shop.Name = authorName(m)
	subscriber.Name = ""
	out.FromAgent = true
	out.Sender, out.Receiver = &party{Email: c.account.Email}, &party{ID: customerID}
	out.Source = &source{Type: sourceType, From: &shop, To: []address{subscriber}}
	out.BodyText = authorName(m) + ": " + out.BodyText // the sender is the API key's user
	return out
}

// note gives an internal note.
func (c *client) note(a caller.Attempt, n int, text string) message {
	sent := moment{a.Created}
	return message{
		ExternalID: messageID(a.CallID, n), Channel: "internal-note", Via: "api", FromAgent: true,
		Sender: &party{Email: c.account.Email}, Sent: &sent, BodyText: text,
		Source: &source{Type: "internal-note", From: &address{Address: c.account.Email}, To: []address{}},
	}
}

func words(m *handoffv1.ThreadMessage) string {
	if m.GetText() == "" && len(m.GetMedia()) == 0 {
		return "(empty message)"
	}
	return m.GetText()
}

func authorName(m *handoffv1.ThreadMessage) string {
	name := m.GetName()
	switch m.GetAuthor() {
	case handoffv1.AuthorKind_AUTHOR_KIND_AGENT:
		if name == "" {
			return "Agent"
		}
		return name
	case handoffv1.AuthorKind_AUTHOR_KIND_BOT:
		if name == "" {
			return "Bot"
		}
		return name + " (bot)"
	default:
		if name == "" {
			return "Automated"
		}
		return name + " (automated)"
	}
}

// nativeStatus gives Gorgias' name: it knows open and closed only.
func nativeStatus(s handoffv1.TicketStatus) string {
	switch s {
	case handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED:
		return ""
	case handoffv1.TicketStatus_TICKET_STATUS_SOLVED, handoffv1.TicketStatus_TICKET_STATUS_CLOSED:
		return "closed"
	default:
		return "open"
	}
}

// native gives a ticket's state by one name: trashed, spam, snoozed (which
// Gorgias keeps as closed until a time), else open or closed.
func (t ticket) native() string {
	switch {
	case t.Trashed != nil && !t.Trashed.IsZero():
		return "trashed"
	case t.Spam:
		return "spam"
	case t.Status == "closed" && t.Snooze != nil && !t.Snooze.IsZero():
		return "snoozed"
	}
	return t.Status
}

// since is when a ticket came into its state, as well as it tells.
func (t ticket) since() time.Time {
	switch {
	case t.native() == "trashed":
		return t.Trashed.Time
	case t.native() == "closed" && t.Closed != nil && !t.Closed.IsZero():
		return t.Closed.Time
	case t.Updated != nil:
		return t.Updated.Time
	}
	return time.Time{}
}

// readStatus reads a native name; UNSPECIFIED for an unknown one.
func readStatus(name string) handoffv1.TicketStatus {
	switch strings.ToLower(name) {
	case "open", "new":
		return handoffv1.TicketStatus_TICKET_STATUS_OPEN
	case "closed":
		return handoffv1.TicketStatus_TICKET_STATUS_CLOSED
	case "snoozed":
		return handoffv1.TicketStatus_TICKET_STATUS_PENDING
	case "spam":
		return handoffv1.TicketStatus_TICKET_STATUS_SPAM
	case "trashed", "deleted":
		return handoffv1.TicketStatus_TICKET_STATUS_DELETED
	}
	return handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED
}
