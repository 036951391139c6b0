package zendesk

import (
	"encoding/json"
	"time"
)

// The JSON shapes of Zendesk's API, as far as Handoff reads and writes them.

type user struct {
	ID         int64  `json:"id,omitempty"`
	Name       string `json:"name,omitempty"`
	Email      string `json:"email,omitempty"`
	Phone      string `json:"phone,omitempty"`
	Details    string `json:"details,omitempty"`
	ExternalID string `json:"external_id,omitempty"`
	Role       string `json:"role,omitempty"`
	// ambiguous: others have the same number; not Zendesk's.
	ambiguous bool
}

type userEnvelope struct {
	User user `json:"user"`
}

type usersEnvelope struct {
	Users []user `json:"users"`
}

type newTicket struct {
	Subject          string            `json:"subject"`
	ExternalID       string            `json:"external_id"`
	RequesterID      int64             `json:"requester_id"`
	Status           string            `json:"status"`
	Comment          comment           `json:"comment"`
	Tags             []string          `json:"tags,omitempty"`
	FollowupSourceID int64             `json:"via_followup_source_id,omitempty"`
	Metadata         map[string]string `json:"metadata,omitempty"`
}

type ticketUpdate struct {
	Status         string            `json:"status,omitempty"`
	Comment        *comment          `json:"comment,omitempty"`
	AdditionalTags []string          `json:"additional_tags,omitempty"`
	AssigneeEmail  string            `json:"assignee_email,omitempty"`
	GroupID        int64             `json:"group_id,omitempty"`
	Priority       string            `json:"priority,omitempty"`
	Metadata       map[string]string `json:"metadata,omitempty"`
}

type comment struct {
	Body     string `json:"body"`
	Public   bool   `json:"public"`
	AuthorID int64  `json:"author_id,omitempty"`
}

type ticket struct {
	ID          int64  `json:"id"`
	ExternalID  string `json:"external_id"`
	Status      string `json:"status"`
	RequesterID int64  `json:"requester_id"`
}

type ticketEnvelope struct {
	Ticket ticket `json:"ticket"`
}

type ticketsEnvelope struct {
	Tickets []ticket `json:"tickets"`
}

type page struct {
	HasMore     bool   `json:"has_more"`
	AfterCursor string `json:"after_cursor"`
}

type auditsEnvelope struct {
	Audits []audit `json:"audits"`
	Meta   page    `json:"meta"`
}

type audit struct {
	ID        int64        `json:"id"`
	AuthorID  int64        `json:"author_id"`
	CreatedAt time.Time    `json:"created_at"`
	Via       via          `json:"via"`
	Metadata  metadata     `json:"metadata"`
	Events    []auditEvent `json:"events"`
}

type metadata struct {
	Custom map[string]json.RawMessage `json:"custom"`
}

// call gives the marker that Handoff left in an audit, or "".
func (m metadata) call() string {
	var id string
	if json.Unmarshal(m.Custom[marker], &id) != nil {
		return ""
	}
	return id
}

type via struct {
	Channel string `json:"channel"`
	Source  struct {
		Rel string `json:"rel"`
		To  struct {
			TicketID flexible `json:"ticket_id"`
		} `json:"to"`
	} `json:"source"`
}

// auditEvent is one event of an audit: a Comment, or a Change or Create of a
// field. value is a string, number, list or null, by field.
type auditEvent struct {
	ID          int64           `json:"id"`
	Type        string          `json:"type"`
	AuthorID    int64           `json:"author_id"`
	Body        string          `json:"body"`
	HTMLBody    string          `json:"html_body"`
	Public      bool            `json:"public"`
	FieldName   string          `json:"field_name"`
	Value       json.RawMessage `json:"value"`
	Via         *via            `json:"via"`
	Attachments []struct {
		ContentURL  string `json:"content_url"`
		ContentType string `json:"content_type"`
		Inline      bool   `json:"inline"`
	} `json:"attachments"`
}
