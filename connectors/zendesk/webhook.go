package zendesk

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// Headers of a Zendesk webhook.
const (
	SignatureHeader = "X-Zendesk-Webhook-Signature"
	TimestampHeader = "X-Zendesk-Webhook-Signature-Timestamp"
	// InvocationHeader identifies one sending of a webhook.
	InvocationHeader = "X-Zendesk-Webhook-Invocation-Id"
)

// ErrSignature is returned for a webhook that Zendesk did not sign.
var ErrSignature = errors.New("zendesk webhook: the signature does not match")

// ErrMalformed is wrapped by every error about a webhook's body; the text names
// the place.
var ErrMalformed = errors.New("zendesk webhook: malformed body")

// Sign gives the signature of a webhook: base64 of HMAC-SHA256 over timestamp
// and raw body, keyed by the signing secret as Zendesk shows it.
func Sign(secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// VerifySignature checks a webhook's signature. The timestamp's age is not
// judged: a replayed webhook is only a hint, and fetching twice does no harm.
func VerifySignature(secret string, header http.Header, body []byte) error {
	timestamp, signature := header.Get(TimestampHeader), header.Get(SignatureHeader)
	if secret == "" || timestamp == "" || signature == "" {
		return ErrSignature
	}
	if !hmac.Equal([]byte(Sign(secret, timestamp, body)), []byte(signature)) {
		return ErrSignature
	}
	return nil
}

// Hint says that a ticket changed; what changed must be fetched.
type Hint struct {
	// TicketID at the desk.
	TicketID string
	// ExternalID of the ticket; empty where the webhook does not tell.
	ExternalID string
	// EventID is the desk's id of the event; a duplicate has the same. Empty
	// for webhooks that triggers send.
	EventID string
	// At is when it happened by the desk's clock; zero where it does not tell.
	At time.Time
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

// hookBody has the fields of both kinds of webhook: event subscriptions (type,
// detail) and triggers with the body that Handoff installs (ticket_id,
// external_id).
type hookBody struct {
	ID     string   `json:"id"`
	Type   string   `json:"type"`
	Time   string   `json:"time"`
	Ticket flexible `json:"ticket_id"`
	Ext    flexible `json:"external_id"`
	Detail struct {
		ID         flexible `json:"id"`
		ExternalID flexible `json:"external_id"`
	} `json:"detail"`
}

// DecodeWebhook reads the body of a verified webhook. Events that are not about
// tickets give no hint; a body without a ticket is ErrMalformed.
func DecodeWebhook(body []byte) ([]Hint, error) {
	var b hookBody
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if b.Type != "" && !strings.HasPrefix(b.Type, "zen:event-type:ticket.") {
		return nil, nil
	}
	hint := Hint{TicketID: string(b.Ticket), ExternalID: string(b.Ext), EventID: b.ID}
	if b.Type != "" {
		hint.TicketID, hint.ExternalID = string(b.Detail.ID), string(b.Detail.ExternalID)
	}
	if !isID(hint.TicketID) {
		return nil, fmt.Errorf("%w: no ticket id at detail.id or ticket_id", ErrMalformed)
	}
	if at, err := time.Parse(time.RFC3339, b.Time); err == nil {
		hint.At = at
	}
	return []Hint{hint}, nil
}

// isID accepts what Zendesk numbers tickets with.
func isID(s string) bool {
	return s != "" && len(s) <= 20 && strings.Trim(s, "0123456789") == ""
}

// Verify checks that a webhook for the shop was signed with its secret. Errors
// other than ErrSignature mean that the secret cannot be read.
func (d *Desk) Verify(shop *settings.Shop, header http.Header, body []byte) error {
	secret, err := d.secret(shop.Desk.WebhookSecret)
	if err != nil {
		return fmt.Errorf("zendesk webhook: reading the signing secret %s: %w", shop.Desk.WebhookSecret, err)
	}
	return VerifySignature(secret, header, body)
}

// Hints turns a verified webhook into records for deliver: one TicketChanged,
// or none for tickets that are not Handoff's. The gateway stamps received_at
// and the settings version. header gives the id of a webhook that carries no
// event id of its own. A webhook that does not carry the ticket's external
// id costs one look-up; its failure is an error and the webhook should be
// answered with 503.
func (d *Desk) Hints(ctx context.Context, shop *settings.Shop, header http.Header, body []byte) ([]*handoffv1.Record, error) {
	hints, err := DecodeWebhook(body)
	if err != nil {
		return nil, err
	}
	var records []*handoffv1.Record
	for _, h := range hints {
		if h.ExternalID == "" {
			if h.ExternalID, err = d.Resolve(ctx, shop, h.TicketID); err != nil {
				return nil, fmt.Errorf("zendesk webhook: looking up ticket %s: %w", h.TicketID, err)
			}
		}
		t, err := schemas.ParseExternalID(h.ExternalID)
		if err != nil || t.Key.Shop != shop.Shop {
			continue // a ticket that Handoff did not make, or another shop's
		}
		channel, account, err := schemas.ParseConversation(t.Conversation)
		if err != nil {
			continue
		}
		r := &handoffv1.Record{
			Shop: t.Key.Shop, Address: t.Key.Address, Channel: channel, Account: account, Conversation: t.Conversation,
			Body: &handoffv1.Record_TicketChanged{TicketChanged: &handoffv1.TicketChanged{Desk: Name, TicketId: h.TicketID, Episode: t.Episode}},
		}
		event := h.EventID
		if event == "" {
			event = header.Get(InvocationHeader) + header.Get(TimestampHeader)
		}
		r.Id = schemas.SourceID(Name, shop.Shop, h.TicketID, event)
		if !h.At.IsZero() {
			r.EventTime = timestamppb.New(h.At)
		}
		records = append(records, r)
	}
	return records, nil
}
