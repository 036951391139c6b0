package twilio

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// MessageStatus is where a message is at Twilio.
type MessageStatus string

// The statuses of the Message resource.
const (
	StatusAccepted           MessageStatus = "accepted"
	StatusScheduled          MessageStatus = "scheduled"
	StatusQueued             MessageStatus = "queued"
	StatusSending            MessageStatus = "sending"
	StatusSent               MessageStatus = "sent"
	StatusDelivered          MessageStatus = "delivered"
	StatusPartiallyDelivered MessageStatus = "partially_delivered"
	StatusRead               MessageStatus = "read"
	StatusUndelivered        MessageStatus = "undelivered"
	StatusFailed             MessageStatus = "failed"
	StatusCanceled           MessageStatus = "canceled"
	StatusReceiving          MessageStatus = "receiving"
	StatusReceived           MessageStatus = "received"
)

// outbound tells whether a message that we sent can have the status.
func (s MessageStatus) outbound() bool {
	switch s {
	case StatusAccepted, StatusScheduled, StatusQueued, StatusSending, StatusSent, StatusDelivered,
		StatusPartiallyDelivered, StatusRead, StatusUndelivered, StatusFailed, StatusCanceled:
		return true
	case StatusReceiving, StatusReceived:
		return false
	default:
		return false
	}
}

// Message is Twilio's Message resource, as far as Handoff uses it.
type Message struct {
	SID                 string
	AccountSID          string
	MessagingServiceSID string
	// Direction is "inbound", "outbound-api", "outbound-call" or "outbound-reply".
	Direction string
	From, To  string
	Body      string
	Status    MessageStatus
	// ErrorCode is 0 where there is none.
	ErrorCode    int
	ErrorMessage string
	// NumSegments is 0 until Twilio has chosen a sender of a messaging service.
	NumSegments int
	NumMedia    int
	// Created is when Twilio made the resource; Sent is zero while it is queued.
	// Both have a precision of one second.
	Created, Sent time.Time
}

// Inbound tells whether a customer sent the message.
func (m *Message) Inbound() bool { return m.Direction == "inbound" }

// messageJSON is the resource on the wire: counts are strings, dates RFC 2822,
// and nearly everything can be null.
type messageJSON struct {
	SID                 string  `json:"sid"`
	AccountSID          string  `json:"account_sid"`
	MessagingServiceSID *string `json:"messaging_service_sid"`
	Direction           string  `json:"direction"`
	From                *string `json:"from"`
	To                  *string `json:"to"`
	Body                *string `json:"body"`
	Status              string  `json:"status"`
	ErrorCode           *int    `json:"error_code"`
	ErrorMessage        *string `json:"error_message"`
	NumSegments         *string `json:"num_segments"`
	NumMedia            *string `json:"num_media"`
	DateCreated         *string `json:"date_created"`
	DateSent            *string `json:"date_sent"`
}

// UnmarshalJSON reads the resource as the API writes it.
func (m *Message) UnmarshalJSON(b []byte) error {
	var w messageJSON
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("reading a Twilio message: %w", err)
	}
	created, err := parseDate(w.DateCreated)
	if err != nil {
		return fmt.Errorf("reading date_created of %s: %w", w.SID, err)
	}
	sent, err := parseDate(w.DateSent)
	if err != nil {
		return fmt.Errorf("reading date_sent of %s: %w", w.SID, err)
	}
	*m = Message{
		SID: w.SID, AccountSID: w.AccountSID, MessagingServiceSID: value(w.MessagingServiceSID),
		Direction: w.Direction, From: value(w.From), To: value(w.To), Body: value(w.Body),
		Status: MessageStatus(w.Status), ErrorCode: value(w.ErrorCode), ErrorMessage: value(w.ErrorMessage),
		NumSegments: count(w.NumSegments), NumMedia: count(w.NumMedia), Created: created, Sent: sent,
	}
	return nil
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// count reads a number that Twilio writes as a string; what is none counts as 0,
// as the field is informative only.
func count(s *string) int {
	n, err := strconv.Atoi(value(s))
	if err != nil {
		return 0
	}
	return n
}

func parseDate(s *string) (time.Time, error) {
	if value(s) == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC1123Z, *s)
	if err != nil {
		return time.Time{}, fmt.Errorf("parsing a date: %w", err)
	}
	return t.UTC(), nil
}
