package gorgias

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// Headers of a Gorgias HTTP integration that Handoff installs.
const (
	// SecretHeader carries the shop's webhook secret: the integration's own
	// headers are the one proof of origin that Gorgias documents.
	SecretHeader = "X-Handoff-Secret"
	// SignatureHeader carries an HMAC-SHA256 of the body where the account
	// signs (hmac_secret); it is verified whenever it is there.
	SignatureHeader = "X-Gorgias-Signature"
)

// Form is the body template of the HTTP integration: ids alone, because
// everything else is fetched. Gorgias fills it in as Jinja, so a missing value
// arrives as "None" and a boolean as "True" or "False".
func Form() map[string]string {
	return map[string]string{
		"ticket_id":   "{{ticket.id}}",
		"external_id": "{{ticket.external_id}}",
		"message_id":  "{{message.id}}",
		"from_agent":  "{{message.from_agent}}",
	}
}

// Sign gives the signature of a body, hex HMAC-SHA256.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// Webhook reads what Gorgias posts about tickets. A webhook is a hint: it says
// which ticket changed, and what changed is fetched.
type Webhook struct{}

var _ ingress.Webhook = Webhook{}

// Verify checks the secret header, and the signature where there is one; a
// signature that matches is proof enough.
func (Webhook) Verify(req *ingress.Request) error {
	given, signature := req.Header.Get(SecretHeader), req.Header.Get(SignatureHeader)
	if given == "" && signature == "" {
		return ingress.ErrUnsigned
	}
	if req.Secret == "" {
		return ingress.ErrForged
	}
	if signature != "" {
		if !signed(req.Secret, signature, req.Body) {
			return ingress.ErrForged
		}
		return nil
	}
	if subtle.ConstantTimeCompare([]byte(given), []byte(req.Secret)) != 1 {
		return ingress.ErrForged
	}
	return nil
}

// signed accepts hex and base64, with or without "sha256=".
func signed(secret, signature string, body []byte) bool {
	signature = strings.TrimPrefix(strings.TrimSpace(signature), "sha256=")
	want, _ := hex.DecodeString(Sign(secret, body)) // just encoded
	got, err := hex.DecodeString(signature)
	if err != nil {
		got, err = base64.StdEncoding.DecodeString(signature)
	}
	return err == nil && hmac.Equal(got, want)
}

// Decode reads a body made from Form.
func (Webhook) Decode(req *ingress.Request) ([]ingress.Event, error) {
	var b struct {
		Ticket   flexible `json:"ticket_id"`
		External flexible `json:"external_id"`
	}
	if err := json.Unmarshal(req.Body, &b); err != nil {
		return nil, &ingress.Malformed{Place: "body", Reason: "not the JSON object that the integration's form makes"}
	}
	if id := string(b.Ticket); id == "" || len(id) > 20 || strings.Trim(id, "0123456789") != "" {
		return nil, &ingress.Malformed{Place: "ticket_id", Reason: "not a ticket's number"}
	}
	return []ingress.Event{{
		ExternalID: string(b.External),
		Record: &handoffv1.Record{Body: &handoffv1.Record_TicketChanged{
			TicketChanged: &handoffv1.TicketChanged{Desk: Name, TicketId: string(b.Ticket)},
		}},
	}}, nil
}

// Answer is a plain 200; Gorgias reads nothing but the status.
func (Webhook) Answer(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) }

// flexible reads an id that is a JSON string or number; Jinja's "None" is "".
type flexible string

// UnmarshalJSON implements json.Unmarshaler.
func (f *flexible) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		if s = strings.TrimSpace(s); s == "None" {
			s = ""
		}
		*f = flexible(s)
		return nil
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	*f = flexible(n.String())
	return nil
}
