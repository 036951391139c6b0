// Package ingress is the contract between the gateway, which owns HTTP, keys, ids and Kafka, and the
// connectors, which know how one outside system signs and writes its webhooks. A connector satisfies
// Webhook without knowing the gateway; the gateway serves whatever Webhooks it is given.
//
// The order is fixed: the body is read whole and bounded, Verify proves who sent it, only then Decode
// reads it, the gateway completes and posts the records, and Answer is called after Kafka
// acknowledged all of them.
package ingress

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// Webhook is the inbound side of a connector. Its methods are called concurrently and keep nothing
// between calls.
type Webhook interface {
	// Verify proves that the request comes from the provider; nothing of it has been decoded before. It
	// refuses an empty Secret. An error that is ErrUnsigned is answered 401, any other 403.
	Verify(req *Request) error
	// Decode reads a verified request into events, in the order of the body. What it cannot read is a
	// *Malformed, and then nothing of the request is taken. No event at all is no error: there was
	// nothing in it for Handoff.
	Decode(req *Request) ([]Event, error)
	// Answer writes the provider's own success answer: status, headers and body.
	Answer(w http.ResponseWriter)
}

// Request is one webhook as it came. The connector must not keep or change it.
type Request struct {
	// Method is the HTTP method: POST, unless the gateway was told otherwise.
	Method string
	// URL is the public one that the provider called, with its query, as it stood before any proxy.
	URL string
	// Header as it came.
	Header http.Header
	// Body, whole.
	Body []byte
	// Shop is the tenant's current settings.
	Shop *settings.Shop
	// Account that the path names; nil for a help desk.
	Account *settings.Account
	// Secret that the shop shares with the provider, resolved: Account.Secret for a channel,
	// Desk.WebhookSecret for a desk. Empty when the shop has set none.
	Secret string
	// CallID is the id, hex, of the call a delivery callback is about; empty on every other path.
	CallID string
	// Now is when the gateway took the request; what a signed time is compared with.
	Now time.Time
}

// Event is one thing that happened outside. The connector fills in what the provider said, the gateway
// the rest.
type Event struct {
	// NativeID is the provider's id of the event: the same when it is delivered again, and of no other
	// event of this account. The record's id is derived from it. For a TicketChanged, which is only a
	// hint, it may be empty: the gateway then makes one that never repeats, so that no change is taken
	// for one seen before.
	NativeID string
	// ExternalID is the ticket's external id as the desk knows it, for a TicketChanged. The gateway
	// keys the hint by it, and fills in the episode; one that is not ours is acknowledged and dropped.
	ExternalID string
	// Record holds the body (CustomerMessage, DeliveryState or TicketChanged) and, for a channel, the
	// address, normalised; event_time where the provider tells it; account only where the body names
	// it. Channel is the path's account's unless it is set. The gateway fills in id, shop, account,
	// conversation, received_at, settings_version, traceparent and a DeliveryState's call_id.
	Record *handoffv1.Record
}

// ErrUnsigned is returned by Verify for a request that carries no signature at all.
var ErrUnsigned = errors.New("the request carries no signature")

// ErrForged is returned by Verify for a signature that does not match, is too old, or cannot be
// checked because the shop has set no secret.
var ErrForged = errors.New("the signature does not match")

// Malformed is a verified request that cannot be read. It is shown to the caller, so it never quotes
// what the request holds.
type Malformed struct {
	// Place names where: a form field, a JSON path, a header, or "body".
	Place string
	// Reason says what is wrong there.
	Reason string
}

// Error returns place and reason.
func (m *Malformed) Error() string { return fmt.Sprintf("%s: %s", m.Place, m.Reason) }
