package sim

import (
	"fmt"
	"html"
	"slices"
	"strings"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
)

var _ standin.Desk = (*Sim)(nil)

// Creates counts the tickets that were ever made.
func (s *Sim) Creates() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.creates
}

// Act does what a person asks for at the desk.
func (s *Sim) Act(a standin.Action) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.ticket(a.Ticket)
	if t == nil {
		return 0, standin.ErrNoSuchTicket
	}
	if a.Kind == "delete" || a.Kind == "spam" {
		t.Gone = true // marking as spam deletes the ticket
		s.sendEvent(t, map[string]string{"delete": "soft_deleted", "spam": "marked_as_spam"}[a.Kind], map[string]any{}, s.cfg.Now())
		return 0, nil
	}
	if t.Status == "closed" {
		return 0, fmt.Errorf("ticket %d is closed for good", t.ID)
	}
	if a.Kind == "merge" {
		return s.merge(t, a)
	}
	c, channel, err := s.change(a)
	if err != nil {
		return 0, err
	}
	made := s.apply(t, c, s.agent(a.Author).ID, channel)
	if made == nil {
		return 0, nil
	}
	return made.Events[0].ID, nil
}

// merge closes a ticket in favour of another one; both get a comment that says so.
func (s *Sim) merge(t *ticket, a standin.Action) (int64, error) {
	into := s.ticket(a.Into)
	if into == nil || into == t || into.Gone || into.Status == "closed" {
		return 0, fmt.Errorf("ticket %d cannot take another one", a.Into)
	}
	by, private := s.agent(a.Author).ID, false
	out := s.apply(t, change{
		Comment: &comment{Body: fmt.Sprintf("This request was closed and merged into request #%d %q.", into.ID, into.Subject), Public: &private},
		Status:  "closed", AdditionalTags: []string{"closed_by_merge"},
	}, by, "web")
	in := s.apply(into, change{
		Comment: &comment{Body: fmt.Sprintf("Request #%d %q was closed and merged into this request.", t.ID, t.Subject), Public: &private},
	}, by, "web")
	out.Via["source"] = map[string]any{"rel": "merge", "from": map[string]any{}, "to": map[string]any{}}
	in.Via["source"] = map[string]any{"rel": "merge", "from": map[string]any{"ticket_id": t.ID}, "to": map[string]any{}}
	return out.ID, nil
}

// change translates an action.
func (s *Sim) change(a standin.Action) (c change, channel string, err error) {
	channel = "web"
	if a.Status != "" && !validStatus(a.Status) {
		return c, "", fmt.Errorf("status %q: want new, open, pending, hold, solved or closed", a.Status)
	}
	c.Status = a.Status
	public := a.Kind != "note"
	switch a.Kind {
	case "reply", "note", "email":
		markup := a.HTML
		if markup == "" {
			markup = "<p>" + strings.ReplaceAll(html.EscapeString(a.Text), "\n", "<br>") + "</p>"
		}
		if strings.TrimSpace(a.Text+a.HTML) == "" {
			return c, "", fmt.Errorf("%s: the text is missing", a.Kind)
		}
		c.Comment = &comment{Body: a.Text, HTMLBody: markup, Public: &public}
		if a.Kind == "email" {
			channel = "email"
		}
	case "status":
		if a.Status == "" {
			return c, "", fmt.Errorf("status: which one is missing")
		}
	case "tags":
		c.AdditionalTags = a.Tags
	case "assign":
		id := s.agent(a.Author).ID
		c.AssigneeID = &id
	default:
		return c, "", fmt.Errorf("%q: want reply, note, email, status, tags, assign, merge, spam or delete", a.Kind)
	}
	return c, channel, nil
}

// Statuses are those that an agent can give a ticket.
func (*Sim) Statuses() []string { return []string{"open", "pending", "hold", "solved", "closed"} }

// Tickets gives all tickets, oldest first.
func (s *Sim) Tickets() []standin.Ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]standin.Ticket, 0, len(s.tickets))
	users := make(map[int64]*user, len(s.users))
	for _, u := range s.users {
		users[u.ID] = u
	}
	for _, t := range s.tickets {
		view := standin.Ticket{
			ID: t.ID, Subject: t.Subject, Status: t.Status, Channel: "api", Tags: slices.Clone(t.Tags), CreatedAt: t.CreatedAt, FollowUpOf: t.Followup,
		}
		if t.ExternalID != nil {
			view.ExternalID = *t.ExternalID
		}
		if t.Priority != nil {
			view.Priority = *t.Priority
		}
		if t.GroupID != nil {
			view.Team = s.group(*t.GroupID)
		}
		if t.AssigneeID != nil {
			view.Assignee = users[*t.AssigneeID].Name
		}
		if t.Gone {
			view.Status = "deleted"
		}
		if u := users[t.RequesterID]; u != nil {
			view.Requester, view.Phone = u.Name, u.Phone
		}
		for _, a := range t.Audits {
			for _, e := range a.Events {
				if entry, ok := entryOf(a, e, users); ok {
					view.Thread = append(view.Thread, entry)
				}
			}
		}
		out = append(out, view)
	}
	return out
}

func entryOf(a *audit, e *event, users map[int64]*user) (standin.Entry, bool) {
	entry := standin.Entry{ID: e.ID, At: a.CreatedAt, Text: e.Body}
	by := e.AuthorID
	if by == 0 {
		by = a.AuthorID
	}
	staff := false
	if u := users[by]; u != nil {
		entry.Author, staff = u.Name, u.Role != "end-user"
	}
	switch {
	case e.Type == "Comment" && !*e.Public:
		entry.Kind = "note"
	case e.Type == "Comment" && a.Via["channel"] == "email":
		entry.Kind = "email"
	case e.Type == "Comment" && staff:
		entry.Kind = "agent"
	case e.Type == "Comment":
		entry.Kind = "customer"
	case e.Type == "Change":
		entry.Kind, entry.Text = "event", fmt.Sprintf("%s: %v → %v", e.FieldName, e.PreviousValue, e.Value)
	default:
		return entry, false
	}
	if entry.Text == "" {
		entry.Text = e.HTMLBody
	}
	return entry, true
}
