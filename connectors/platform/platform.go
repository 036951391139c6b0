// Package platform is the messaging platform that a shop sends its campaigns with.
//
// The platform reports what it sent by itself (H13) to /in/platform/<shop>:
//
//	{"sends": [{"id": "c81-4155550123", "account": "+15557770000", "to": "+14155550123",
//	            "text": "Spring sale! Want 20% off? Reply YES", "campaign": "Spring sale",
//	            "asks": true, "asks_until": "2026-03-02T12:00:00Z", "sent_at": "2026-03-01T12:00:00Z",
//	            "channel": "sms", "media": [{"url": "https://…", "content_type": "image/png"}]}]}
//
// Of id, account, to, and text or media are needed. channel is "sms" unless it is given; asks tells that a
// yes or no answers the text, until asks_until where that is given. A body holds up to MaxSends.
//
// A request is signed as httpcall.Sign does, keyed by the shop's platform.secret.
package platform

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// Name of the connector: in paths and in record ids.
const Name = "platform"

// MaxSends is how many sends one body may hold.
const MaxSends = 1000

// Webhook reads what the platform reports.
type Webhook struct{}

var _ ingress.Webhook = Webhook{}

// Verify checks the signature.
func (Webhook) Verify(req *ingress.Request) error {
	return ingress.VerifySigned(req.Header, req.Secret, req.Now, req.Body)
}

// Answer is 202: the report was taken.
func (Webhook) Answer(w http.ResponseWriter) { w.WriteHeader(http.StatusAccepted) }

// report is a body.
type report struct {
	Sends []send `json:"sends"`
}

type send struct {
	ID        string    `json:"id"`
	Channel   string    `json:"channel"`
	Account   string    `json:"account"`
	To        string    `json:"to"`
	Text      string    `json:"text"`
	Campaign  string    `json:"campaign"`
	Asks      bool      `json:"asks"`
	AsksUntil time.Time `json:"asks_until"`
	SentAt    time.Time `json:"sent_at"`
	Media     []struct {
		URL         string `json:"url"`
		ContentType string `json:"content_type"`
	} `json:"media"`
}

// Decode reads a report.
func (Webhook) Decode(req *ingress.Request) ([]ingress.Event, error) {
	var b report
	if err := json.Unmarshal(req.Body, &b); err != nil {
		return nil, &ingress.Malformed{Place: "body", Reason: `not the JSON object {"sends": […]} with times as RFC 3339`}
	}
	if len(b.Sends) > MaxSends {
		return nil, &ingress.Malformed{Place: "sends", Reason: fmt.Sprintf("holds more than %d; report them in several bodies", MaxSends)}
	}
	var events []ingress.Event
	for i, s := range b.Sends {
		e, err := s.event(fmt.Sprintf("sends[%d].", i))
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

// event is one send. place begins the names of its fields.
func (s *send) event(place string) (ingress.Event, error) {
	bad := func(field, reason string) (ingress.Event, error) {
		return ingress.Event{}, &ingress.Malformed{Place: place + field, Reason: reason}
	}
	channel := handoffv1.Channel_CHANNEL_SMS
	if s.Channel != "" {
		channel = schemas.ChannelOf(s.Channel)
	}
	switch {
	case s.ID == "":
		return bad("id", "is missing: the same report would count twice")
	case channel == handoffv1.Channel_CHANNEL_UNSPECIFIED:
		return bad("channel", "is not a channel, e.g. sms")
	case s.Account == "":
		return bad("account", "is missing: the number or page it was sent from")
	case s.To == "":
		return bad("to", "is missing: the subscriber's number or id")
	case s.Text == "" && len(s.Media) == 0:
		return bad("text", "is missing, and there is no media")
	}
	body := &handoffv1.PlatformSend{NativeId: s.ID, Text: s.Text, Campaign: s.Campaign}
	for _, m := range s.Media {
		body.Media = append(body.Media, &handoffv1.Media{Url: m.URL, ContentType: m.ContentType})
	}
	if s.Asks {
		body.Question = handoffv1.Question_QUESTION_OTHER
	}
	if s.Asks && !s.AsksUntil.IsZero() {
		body.Until = timestamppb.New(s.AsksUntil)
	}
	r := &handoffv1.Record{
		Channel: channel, Account: s.Account, Address: s.To,
		Body: &handoffv1.Record_PlatformSend{PlatformSend: body},
	}
	if !s.SentAt.IsZero() {
		r.EventTime = timestamppb.New(s.SentAt)
	}
	return ingress.Event{NativeID: s.ID, Record: r}, nil
}
