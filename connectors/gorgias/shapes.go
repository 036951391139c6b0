package gorgias

import (
	"encoding/json"
	"strings"
	"time"
)

// The JSON shapes of Gorgias' API, as far as Handoff reads and writes them.

// moment is a time as Gorgias writes it: UTC, with or without saying so.
type moment struct{ time.Time }

// layouts of a moment, the documented one first.
const (
	layoutMicros = "2006-01-02T15:04:05.000000"
	layoutPlain  = "2006-01-02T15:04:05.999999999"
)

// MarshalJSON writes microseconds without a zone.
func (m moment) MarshalJSON() ([]byte, error) {
	return json.Marshal(m.UTC().Format(layoutMicros))
}

// UnmarshalJSON reads a time; null and "" are the zero time.
func (m *moment) UnmarshalJSON(b []byte) error {
	var s *string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	if s == nil || *s == "" {
		m.Time = time.Time{}
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, *s)
	if err != nil {
		at, err = time.Parse(layoutPlain, strings.TrimSuffix(*s, "Z"))
	}
	m.Time = at.UTC()
	return err
}

type party struct {
	ID        int64  `json:"id,omitempty"`
	Email     string `json:"email,omitempty"`
	Name      string `json:"name,omitempty"`
	FirstName string `json:"firstname,omitempty"`
	LastName  string `json:"lastname,omitempty"`
}

// name is what people see of a party.
func (p party) name() string {
	if p.Name != "" {
		return p.Name
	}
	return strings.TrimSpace(p.FirstName + " " + p.LastName)
}

type customer struct {
	ID         int64             `json:"id,omitempty"`
	Name       string            `json:"name,omitempty"`
	ExternalID string            `json:"external_id,omitempty"`
	Channels   []customerChannel `json:"channels,omitempty"`
}

type customerChannel struct {
	Type      string `json:"type"`
	Address   string `json:"address"`
	Preferred bool   `json:"preferred"`
}

type address struct {
	Address string `json:"address"`
	Name    string `json:"name,omitempty"`
}

type source struct {
	Type string    `json:"type"`
	From *address  `json:"from,omitempty"`
	To   []address `json:"to"`
}

type attachment struct {
	URL         string `json:"url"`
	Name        string `json:"name"`
	ContentType string `json:"content_type"`
}

type message struct {
	ID           int64        `json:"id,omitempty"`
	TicketID     int64        `json:"ticket_id,omitempty"`
	ExternalID   string       `json:"external_id,omitempty"`
	Channel      string       `json:"channel"`
	Via          string       `json:"via"`
	FromAgent    bool         `json:"from_agent"`
	Public       bool         `json:"public"`
	Sender       *party       `json:"sender,omitempty"`
	Receiver     *party       `json:"receiver,omitempty"`
	Source       *source      `json:"source,omitempty"`
	BodyText     string       `json:"body_text"`
	BodyHTML     string       `json:"body_html,omitempty"`
	StrippedText string       `json:"stripped_text,omitempty"`
	StrippedHTML string       `json:"stripped_html,omitempty"`
	RuleID       *int64       `json:"rule_id,omitempty"`
	Attachments  []attachment `json:"attachments,omitempty"`
	Sent         *moment      `json:"sent_datetime,omitempty"`
	Created      *moment      `json:"created_datetime,omitempty"`
}

type tag struct {
	Name string `json:"name"`
}

type newTicket struct {
	Channel    string    `json:"channel"`
	Via        string    `json:"via"`
	FromAgent  bool      `json:"from_agent"`
	Subject    string    `json:"subject"`
	ExternalID string    `json:"external_id"`
	Status     string    `json:"status"`
	Customer   party     `json:"customer"`
	Tags       []tag     `json:"tags"`
	Messages   []message `json:"messages"`
}

type ticket struct {
	ID         int64   `json:"id"`
	ExternalID string  `json:"external_id"`
	Channel    string  `json:"channel"`
	Status     string  `json:"status"`
	Spam       bool    `json:"spam"`
	Customer   *party  `json:"customer"`
	Tags       []tag   `json:"tags"`
	Trashed    *moment `json:"trashed_datetime"`
	Snooze     *moment `json:"snooze_datetime"`
	Closed     *moment `json:"closed_datetime"`
	Updated    *moment `json:"updated_datetime"`
}

type event struct {
	ID      int64           `json:"id"`
	Type    string          `json:"type"`
	UserID  int64           `json:"user_id"` // who did it; 0 for the desk itself
	Created moment          `json:"created_datetime"`
	Data    json.RawMessage `json:"data"`
}

// list is one page of a listing.
type list[T any] struct {
	Data []T `json:"data"`
	Meta struct {
		NextCursor string `json:"next_cursor"`
	} `json:"meta"`
}

// at is when a message came to the desk.
func (m message) at() time.Time {
	switch {
	case m.Created != nil && !m.Created.IsZero():
		return m.Created.Time
	case m.Sent != nil:
		return m.Sent.Time
	}
	return time.Time{}
}
