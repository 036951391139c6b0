package sim

import (
	"html"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
)

type message struct {
	ID           int64   `json:"id"`
	TicketID     int64   `json:"ticket_id"`
	ExternalID   *string `json:"external_id"`
	Channel      string  `json:"channel"`
	Via          string  `json:"via"`
	FromAgent    *bool   `json:"from_agent"`
	Public       *bool   `json:"public"`
	Sender       *party  `json:"sender"`
	Receiver     *party  `json:"receiver"`
	Source       any     `json:"source"`
	BodyText     string  `json:"body_text"`
	BodyHTML     string  `json:"body_html"`
	StrippedText string  `json:"stripped_text"`
	StrippedHTML string  `json:"stripped_html"`
	Attachments  []any   `json:"attachments"`
	RuleID       *int64  `json:"rule_id"`
	Sent         *string `json:"sent_datetime"`
	Failed       *string `json:"failed_datetime"`
	Created      string  `json:"created_datetime"`
	// SentByDesk: an agent's message without a sent time is sent by Gorgias
	// itself, which Handoff must never cause.
	SentByDesk bool `json:"-"`
}

// problem gives the field that Gorgias would refuse a message for, and why.
func (s *Sim) problem(m message) (field, why string) {
	const missing = "Missing data for required field."
	switch {
	case m.Channel == "":
		return "channel", missing
	case m.Via == "":
		return "via", missing
	case m.FromAgent == nil:
		return "from_agent", missing
	case m.Sender == nil:
		return "sender", missing
	case !*m.FromAgent && s.customer(m.Sender.ID) == nil:
		return "sender", "Unknown customer."
	case *m.FromAgent && s.user(m.Sender) == nil:
		return "sender", "Unknown user."
	case m.Source == nil:
		return "source", missing
	case m.BodyText == "" && m.BodyHTML == "" && len(m.Attachments) == 0:
		return "body_text", missing
	case m.Sent != nil && moment(*m.Sent).IsZero():
		return "sent_datetime", "Not a valid datetime."
	}
	return "", ""
}

func (s *Sim) user(p *party) *party {
	for _, a := range s.agents {
		if p.ID == a.ID || p.Email != "" && p.Email == a.Email {
			return a
		}
	}
	return nil
}

func (s *Sim) addMessage(w http.ResponseWriter, r *http.Request, t *ticket) {
	var m message
	if !read(w, r, &m) {
		return
	}
	if field, why := s.problem(m); field != "" {
		invalid(w, "Failed to create message", field, why)
		return
	}
	kept := s.keep(t, m)
	standin.WriteJSON(w, http.StatusCreated, kept)
}

// keep adds a message to a ticket. A message imported over the API does not
// reopen a closed ticket.
func (s *Sim) keep(t *ticket, m message) *message {
	m.ID, m.TicketID, m.Created = s.id(), t.ID, s.now()
	if m.Public == nil {
		public := m.Channel != "internal-note"
		m.Public = &public
	}
	if *m.FromAgent {
		m.Sender = s.user(m.Sender)
	} else {
		c := s.customer(m.Sender.ID)
		m.Sender = &party{ID: c.ID, Name: c.Name}
	}
	if m.BodyHTML == "" {
		m.BodyHTML = "<div>" + strings.ReplaceAll(html.EscapeString(m.BodyText), "\n", "<br>") + "</div>"
	}
	m.StrippedText, m.StrippedHTML = m.BodyText, m.BodyHTML
	if m.Attachments == nil {
		m.Attachments = []any{}
	}
	if *m.FromAgent && *m.Public && m.Sent == nil {
		sent := s.now()
		m.Sent, m.SentByDesk = &sent, m.Via == "api"
	}
	t.messages = append(t.messages, &m)
	t.Updated = s.now()
	s.tell(t, "ticket-message-created", &m)
	return &m
}

// updateMessage is the delivery write-back.
func (s *Sim) updateMessage(w http.ResponseWriter, r *http.Request, t *ticket) {
	var body struct {
		Sent   *string `json:"sent_datetime"`
		Failed *string `json:"failed_datetime"`
	}
	if !read(w, r, &body) {
		return
	}
	for _, m := range t.messages {
		if strconv.FormatInt(m.ID, 10) == r.PathValue("message") {
			if body.Sent != nil {
				m.Sent = body.Sent
			}
			if body.Failed != nil {
				m.Failed = body.Failed
			}
			standin.WriteJSON(w, http.StatusAccepted, m)
			return
		}
	}
	notFound(w)
}

func (s *Sim) listMessages(w http.ResponseWriter, r *http.Request) {
	var found []*message
	for _, t := range s.chosen(r.URL.Query().Get("ticket_id")) {
		found = append(found, t.messages...)
	}
	slices.SortFunc(found, func(a, b *message) int { return int(a.ID - b.ID) })
	listed(w, r, found)
}
