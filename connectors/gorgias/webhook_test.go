package gorgias_test

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"testing"

	"github.com/handoff-dev/handoff/connectors/gorgias"
	"github.com/handoff-dev/handoff/pipeline/ingress"
)

func TestVerify(t *testing.T) {
	const body = `{"ticket_id":"1"}`
	hexed := gorgias.Sign("s", []byte(body))
	raw, _ := hex.DecodeString(hexed)
	tests := []struct {
		name, secret, header, signature string
		want                            error
	}{
		{"secret header", "s", "s", "", nil},
		{"wrong header", "s", "t", "", ingress.ErrForged},
		{"nothing", "s", "", "", ingress.ErrUnsigned},
		{"no secret set", "", "", hexed, ingress.ErrForged},
		{"hex", "s", "", hexed, nil},
		{"prefixed", "s", "s", "sha256=" + hexed, nil},
		{"base64", "s", "", base64.StdEncoding.EncodeToString(raw), nil},
		{"bad signature beside the right header", "s", "s", "00", ingress.ErrForged},
		{"no signature at all in it", "s", "", "!", ingress.ErrForged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header := http.Header{}
			for name, value := range map[string]string{gorgias.SecretHeader: tt.header, gorgias.SignatureHeader: tt.signature} {
				if value != "" {
					header.Set(name, value)
				}
			}
			err := gorgias.Webhook{}.Verify(&ingress.Request{Header: header, Body: []byte(body), Secret: tt.secret})
			if !errors.Is(err, tt.want) {
				t.Errorf("Verify = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	tests := []struct{ name, body, ticket, external, place string }{
		{"form", `{"ticket_id":"35","external_id":"handoff:x:1","message_id":"None","from_agent":"True"}`, "35", "handoff:x:1", ""},
		{"number", `{"ticket_id":35}`, "35", "", ""},
		{"none", `{"ticket_id":"35","external_id":"None"}`, "35", "", ""},
		{"null", `{"ticket_id":"35","external_id":null}`, "35", "", ""},
		{"no ticket", `{"external_id":"x"}`, "", "", "ticket_id"},
		{"jinja left over", `{"ticket_id":"{{ticket.id}}"}`, "", "", "ticket_id"},
		{"no json", `ticket_id=1`, "", "", "body"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			events, err := gorgias.Webhook{}.Decode(&ingress.Request{Body: []byte(tt.body)})
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
			changed := events[0].Record.GetTicketChanged()
			if changed.GetTicketId() != tt.ticket || changed.GetDesk() != gorgias.Name || events[0].ExternalID != tt.external {
				t.Errorf("event %+v", events[0])
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"ticket_id":"35","external_id":"None"}`))
	f.Add([]byte(`{"ticket_id":{},"external_id":1e9}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := gorgias.Webhook{}.Decode(&ingress.Request{Body: body})
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
