package sim

import (
	"fmt"
	"html"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
)

var _ standin.Desk = (*Sim)(nil)

// Act does what a person asks for at the desk. The kinds snooze and rule exist
// here beside the common ones: a ticket put off for a day, and an auto-reply by
// one of the desk's own rules.
func (s *Sim) Act(a standin.Action) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.ticket(a.Ticket)
	if t == nil {
		return 0, standin.ErrNoSuchTicket
	}
	status, err := statusName(a.Status)
	if err != nil {
		return 0, err
	}
	switch a.Kind {
	case "reply", "note", "email", "rule":
		if strings.TrimSpace(a.Text+a.HTML) == "" {
			return 0, fmt.Errorf("%s: the text is missing", a.Kind)
		}
		made := s.keep(t, s.typed(t, a))
		if status != "" {
			s.setStatus(t, status)
		}
		return made.ID, nil
	case "status":
		if status == "" {
			return 0, fmt.Errorf("status: which one is missing")
		}
		s.setStatus(t, status)
	case "snooze":
		s.snooze(t, stamp(s.cfg.Now().Add(24*time.Hour)))
	case "tags":
		for _, name := range a.Tags {
			t.add([]tag{{Name: name}})
		}
	case "assign":
		t.Assignee = s.agent(a.Author)
		s.happened(t, "ticket-assigned", map[string]any{"assignee_user": t.Assignee})
		s.tell(t, "ticket-assignment-updated", nil)
	case "merge":
		return 0, s.merge(t, a.Into)
	case "spam":
		s.setSpam(t, true)
	case "delete":
		trashed := s.now()
		t.Trashed, t.Updated = &trashed, trashed
		s.happened(t, "ticket-trashed", nil)
		s.tell(t, "ticket-updated", nil)
	default:
		return 0, fmt.Errorf("%q: want reply, note, email, rule, status, snooze, tags, assign, merge, spam or delete", a.Kind)
	}
	return 0, nil
}

// Statuses are those that an agent can give a ticket.
func (*Sim) Statuses() []string { return []string{"open", "closed"} }

// statusName reads a status; Gorgias knows two.
func statusName(name string) (string, error) {
	switch name {
	case "", "open", "closed":
		return name, nil
	case "solved":
		return "closed", nil
	}
	return "", fmt.Errorf("status %q: this desk has open and closed", name)
}

// typed gives what a person wrote as a message.
func (s *Sim) typed(t *ticket, a standin.Action) message {
	yes, public := true, a.Kind != "note"
	m := message{
		Channel: t.Channel, Via: "helpdesk", FromAgent: &yes, Public: &public, Sender: s.agent(a.Author), BodyText: a.Text, BodyHTML: a.HTML,
		Source: map[string]any{"type": t.Channel, "to": []any{}},
	}
	switch a.Kind {
	case "note":
		m.Channel = "internal-note"
	case "email":
		m.Channel = "email"
	case "rule":
		rule := int64(7)
		m.Via, m.RuleID = "rule", &rule
	}
	if m.BodyHTML == "" {
		m.BodyHTML = "<div>" + strings.ReplaceAll(html.EscapeString(a.Text), "\n", "<br>") + "</div>"
	}
	return m
}

// Tickets gives all tickets, oldest first.
func (s *Sim) Tickets() []standin.Ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]standin.Ticket, 0, len(s.tickets))
	customers := make(map[int64]*customer, len(s.customers))
	for _, c := range s.customers {
		customers[c.ID] = c
	}
	for _, t := range s.tickets {
		view := standin.Ticket{
			ID: t.ID, Subject: t.Subject, Status: t.Status, Channel: t.Channel, Tags: []string{}, CreatedAt: moment(t.Created), Requester: t.Customer.Name,
		}
		if t.ExternalID != nil {
			view.ExternalID = *t.ExternalID
		}
		view.Priority = t.Priority
		if t.Team != nil {
			view.Team = t.Team.Name
		}
		if t.Assignee != nil {
			view.Assignee = t.Assignee.Name
		}
		if t.Trashed != nil {
			view.Status = "deleted"
		}
		for _, tag := range t.Tags {
			view.Tags = append(view.Tags, tag.Name)
		}
		if c := customers[t.Customer.ID]; c != nil && len(c.Channels) > 0 {
			view.Phone = c.Channels[0].Address
		}
		for _, m := range t.messages {
			view.Thread = append(view.Thread, m.entry())
		}
		out = append(out, view)
	}
	return out
}

// entry gives a message as the console shows it, at the time it was sent.
func (m *message) entry() standin.Entry {
	e := standin.Entry{ID: m.ID, At: moment(m.Created), Author: m.Sender.Name, Text: m.BodyText, Kind: "agent"}
	if m.Sent != nil {
		e.At = moment(*m.Sent)
	}
	switch {
	case m.Channel == "internal-note":
		e.Kind = "note"
	case !*m.FromAgent:
		e.Kind = "customer"
	case m.SentByDesk:
		e.Kind = "sent"
	case m.Channel == "email":
		e.Kind = "email"
	case m.Via == "api":
		e.Kind = "imported"
	case m.Via == "rule":
		e.Kind = "rule"
	}
	if e.Text == "" {
		e.Text = m.BodyHTML
	}
	return e
}

// merge moves a ticket's messages to another one; whoever asks for it is sent there from then on.
func (s *Sim) merge(t *ticket, id int64) error {
	into := s.ticket(id)
	if into == nil || into == t || into.mergedInto != 0 {
		return fmt.Errorf("ticket %d cannot take another one", id)
	}
	into.messages = append(into.messages, t.messages...)
	t.messages, t.mergedInto, t.Updated = nil, id, s.now()
	s.happened(into, "ticket-merged", nil)
	s.tell(t, "ticket-updated", nil)
	return nil
}
