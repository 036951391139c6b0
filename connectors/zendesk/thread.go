package zendesk

import (
	"strings"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// transcript writes messages as one comment, oldest first, each with its
// author and time (H3).
func transcript(messages []*handoffv1.ThreadMessage, r *handoffv1.Record) string {
	var b strings.Builder
	for i, m := range messages {
		if i > 0 {
			b.WriteString("\n\n")
		}
		b.WriteString("[" + m.GetAt().AsTime().UTC().Format("2006-01-02 15:04:05 UTC") + "] ")
		b.WriteString(authorName(m, r) + ": ")
		b.WriteString(words(m))
	}
	return b.String()
}

// words gives a message's text and the addresses of its attachments.
func words(m *handoffv1.ThreadMessage) string {
	parts := make([]string, 0, 1+len(m.GetMedia()))
	if m.GetText() != "" {
		parts = append(parts, m.GetText())
	}
	for _, media := range m.GetMedia() {
		parts = append(parts, media.GetUrl())
	}
	if len(parts) == 0 {
		return "(empty message)"
	}
	return strings.Join(parts, "\n")
}

func authorName(m *handoffv1.ThreadMessage, r *handoffv1.Record) string {
	name := m.GetName()
	switch m.GetAuthor() {
	case handoffv1.AuthorKind_AUTHOR_KIND_CUSTOMER:
		if name == "" {
			return r.GetAddress()
		}
	case handoffv1.AuthorKind_AUTHOR_KIND_AGENT:
		if name == "" {
			return "Agent"
		}
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
	return name
}

func byCustomer(m *handoffv1.ThreadMessage) bool {
	return m.GetAuthor() == handoffv1.AuthorKind_AUTHOR_KIND_CUSTOMER
}

// cleanTags makes tags as Zendesk keeps them: lower case, without spaces.
func cleanTags(tags []string) []string {
	out := make([]string, 0, len(tags))
	for _, tag := range tags {
		if tag = strings.Join(strings.Fields(strings.ToLower(tag)), "_"); tag != "" {
			out = append(out, tag)
		}
	}
	return out
}

// nativeStatus gives Zendesk's name of a status that Handoff may set, else "". Closed becomes
// solved: an API caller that sets "closed" makes the ticket read-only for good,
// while solved tickets can be reopened (M4) and Zendesk closes them itself.
func nativeStatus(s handoffv1.TicketStatus) string {
	switch s {
	case handoffv1.TicketStatus_TICKET_STATUS_NEW:
		return "new"
	case handoffv1.TicketStatus_TICKET_STATUS_OPEN:
		return "open"
	case handoffv1.TicketStatus_TICKET_STATUS_PENDING:
		return "pending"
	case handoffv1.TicketStatus_TICKET_STATUS_ON_HOLD:
		return "hold"
	case handoffv1.TicketStatus_TICKET_STATUS_SOLVED, handoffv1.TicketStatus_TICKET_STATUS_CLOSED:
		return "solved"
	default: // unspecified leaves it; spam and deleted are the desk's to decide
		return ""
	}
}

// readStatus reads Zendesk's name of a status; UNSPECIFIED for an unknown one.
func readStatus(name string) handoffv1.TicketStatus {
	switch strings.ToLower(name) {
	case "new":
		return handoffv1.TicketStatus_TICKET_STATUS_NEW
	case "open":
		return handoffv1.TicketStatus_TICKET_STATUS_OPEN
	case "pending":
		return handoffv1.TicketStatus_TICKET_STATUS_PENDING
	case "hold":
		return handoffv1.TicketStatus_TICKET_STATUS_ON_HOLD
	case "solved":
		return handoffv1.TicketStatus_TICKET_STATUS_SOLVED
	case "closed":
		return handoffv1.TicketStatus_TICKET_STATUS_CLOSED
	case "deleted":
		return handoffv1.TicketStatus_TICKET_STATUS_DELETED
	}
	return handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED
}
