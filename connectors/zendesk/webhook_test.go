package zendesk_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/handoff-dev/handoff/connectors/zendesk"
	"github.com/handoff-dev/handoff/pipeline/ingress"
)

// The vector was made with the secret that Zendesk documents for testing.
const (
	vectorSecret    = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="
	vectorTime      = "2021-03-25T05:09:27Z"
	vectorBody      = `{"event":"ticket.updated","id":123}`
	vectorSignature = "S/RDdU2ERmj7LHDDoWJ2onPYH+t7/f2+LTM4dL7UiLM="
)

func TestVerify(t *testing.T) {
	tests := []struct {
		name, secret, timestamp, body, signature string
		want                                     error
	}{
		{"vector", vectorSecret, vectorTime, vectorBody, vectorSignature, nil},
		{"another body", vectorSecret, vectorTime, vectorBody + " ", vectorSignature, ingress.ErrForged},
		{"another time", vectorSecret, "2021-03-25T05:09:28Z", vectorBody, vectorSignature, ingress.ErrForged},
		{"another secret", "x", vectorTime, vectorBody, vectorSignature, ingress.ErrForged},
		{"no secret", "", vectorTime, vectorBody, zendesk.Sign("", vectorTime, []byte(vectorBody)), ingress.ErrForged},
		{"no time", vectorSecret, "", vectorBody, vectorSignature, ingress.ErrUnsigned},
		{"no signature", vectorSecret, vectorTime, vectorBody, "", ingress.ErrUnsigned},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header := http.Header{}
			if tt.timestamp != "" {
				header.Set(zendesk.TimestampHeader, tt.timestamp)
			}
			if tt.signature != "" {
				header.Set(zendesk.SignatureHeader, tt.signature)
			}
			err := zendesk.Webhook{}.Verify(&ingress.Request{Header: header, Body: []byte(tt.body), Secret: tt.secret})
			if !errors.Is(err, tt.want) {
				t.Errorf("Verify = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	tests := []struct {
		name, body, ticket, external, native, place string
		none                                        bool
	}{
		{name: "comment added", body: `{"id":"e1","type":"zen:event-type:ticket.comment_added","time":"2026-11-21T21:00:00Z","event":{"comment":{"id":"7"}},"detail":{"id":"35","external_id":"handoff:x:1"}}`, ticket: "35", external: "handoff:x:1", native: "e1"},
		{name: "no external id", body: `{"id":"e1","type":"zen:event-type:ticket.created","detail":{"id":"35","external_id":null}}`, ticket: "35", native: "e1"},
		{name: "trigger with strings", body: `{"ticket_id":"12","external_id":"handoff:x:2"}`, ticket: "12", external: "handoff:x:2"},
		{name: "trigger with a number", body: `{"ticket_id":12}`, ticket: "12"},
		{name: "another subject", body: `{"id":"e","type":"zen:event-type:user.created","detail":{"id":"1"}}`, none: true},
		{name: "no json", body: `<html>`, place: "body"},
		{name: "a list", body: `[1]`, place: "body"},
		{name: "no ticket", body: `{}`, place: "ticket_id"},
		{name: "bad ticket", body: `{"type":"zen:event-type:ticket.created","detail":{"id":"../1"}}`, place: "detail.id"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			events, err := zendesk.Webhook{}.Decode(&ingress.Request{Body: []byte(tt.body)})
			var bad *ingress.Malformed
			if tt.place != "" {
				if !errors.As(err, &bad) || bad.Place != tt.place {
					t.Fatalf("Decode = %v, want malformed at %s", err, tt.place)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if tt.none {
				if len(events) != 0 {
					t.Fatalf("events %v, want none", events)
				}
				return
			}
			changed := events[0].Record.GetTicketChanged()
			if len(events) != 1 || changed.GetTicketId() != tt.ticket || changed.GetDesk() != zendesk.Name || events[0].ExternalID != tt.external || events[0].NativeID != tt.native {
				t.Errorf("events %+v", events)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"id":"e1","type":"zen:event-type:ticket.x","detail":{"id":"35","external_id":"h"}}`))
	f.Add([]byte(`{"ticket_id":12,"external_id":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := zendesk.Webhook{}.Decode(&ingress.Request{Body: body})
		if err != nil && len(events) > 0 {
			t.Fatal("events beside an error")
		}
		for _, e := range events {
			if e.Record.GetTicketChanged().GetTicketId() == "" {
				t.Fatal("event without a ticket")
			}
		}
	})
}
