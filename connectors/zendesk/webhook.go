package zendesk

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// Headers of a Zendesk webhook.
const (
	SignatureHeader = "X-Zendesk-Webhook-Signature"
	TimestampHeader = "X-Zendesk-Webhook-Signature-Timestamp"
	// InvocationHeader identifies one sending of a webhook.
	InvocationHeader = "X-Zendesk-Webhook-Invocation-Id"
)

// Sign gives the signature of a webhook: base64 of HMAC-SHA256 over timestamp
// and raw body, keyed by the signing secret as Zendesk shows it.
func Sign(secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Webhook reads what Zendesk posts about tickets. A webhook is a hint: it says
// which ticket changed, and what changed is fetched.
type Webhook struct{}

var _ ingress.Webhook = Webhook{}

// Verify checks the signature. The timestamp's age is not judged: a replayed
// webhook makes Handoff fetch once more, which does no harm.
func (Webhook) Verify(req *ingress.Request) error {
	timestamp, signature := req.Header.Get(TimestampHeader), req.Header.Get(SignatureHeader)
	if timestamp == "" || signature == "" {
		return ingress.ErrUnsigned
	}
	if req.Secret == "" || !hmac.Equal([]byte(Sign(req.Secret, timestamp, req.Body)), []byte(signature)) {
		return ingress.ErrForged
	}
	return nil
}

// Decode reads an event subscription's body, or that of a trigger with the body
// {"ticket_id":"{{ticket.id}}","external_id":"{{ticket.external_id}}"}. Events
// that are not about tickets give nothing.
func (Webhook) Decode(req *ingress.Request) ([]ingress.Event, error) {
	var b hookBody
	if err := json.Unmarshal(req.Body, &b); err != nil {
		return nil, &ingress.Malformed{Place: "body", Reason: "not the JSON object that Zendesk sends"}
	}
	id, external, place := string(b.Ticket), string(b.External), "ticket_id"
	if b.Type != "" {
		if !strings.HasPrefix(b.Type, "zen:event-type:ticket.") {
			return nil, nil
		}
		id, external, place = string(b.Detail.ID), string(b.Detail.ExternalID), "detail.id"
	}
	if !isID(id) {
		return nil, &ingress.Malformed{Place: place, Reason: "not a ticket's number"}
	}
	record := &handoffv1.Record{Body: &handoffv1.Record_TicketChanged{
		TicketChanged: &handoffv1.TicketChanged{Desk: Name, TicketId: id},
	}}
	if at, err := time.Parse(time.RFC3339, b.Time); err == nil {
		record.EventTime = timestamppb.New(at)
	}
	return []ingress.Event{{NativeID: b.ID, ExternalID: external, Record: record}}, nil
}

// Answer is a plain 200; Zendesk reads nothing but the status.
func (Webhook) Answer(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) }

// hookBody has the fields of both kinds of webhook.
type hookBody struct {
	ID       string   `json:"id"`
	Type     string   `json:"type"`
	Time     string   `json:"time"`
	Ticket   flexible `json:"ticket_id"`
	External flexible `json:"external_id"`
	Detail   struct {
		ID         flexible `json:"id"`
		ExternalID flexible `json:"external_id"`
	} `json:"detail"`
}

// flexible reads an id that is a JSON string or number.
type flexible string

// UnmarshalJSON implements json.Unmarshaler.
func (f *flexible) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*f = flexible(strings.TrimSpace(s))
		return nil
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	*f = flexible(n.String())
	return nil
}

// isID accepts what Zendesk numbers tickets with.
func isID(s string) bool {
	return s != "" && len(s) <= 20 && strings.Trim(s, "0123456789") == ""
}
