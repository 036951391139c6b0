// Package sms serves any SMS provider that speaks plain HTTP: a signed webhook
// in, a templated call out.
//
// In, the provider (or a few lines of glue before it) posts JSON to
// /in/sms/<shop>/<account>:
//
//	{"messages": [{"id": "m1", "from": "+14155550123", "to": "+15557770000", "text": "hi",
//	               "name": "Ann", "sent_at": "2026-03-01T12:00:00Z", "opt_out": "stop",
//	               "media": [{"url": "https://…", "content_type": "image/png"}]}],
//	 "statuses": [{"id": "…", "to": "+14155550123", "status": "delivered",
//	               "code": "30003", "reason": "unreachable", "at": "2026-03-01T12:00:01Z"}],
//	 "echoes": [{"id": "e1", "to": "+14155550123", "text": "It's Kim, I'll see to it.",
//	             "name": "Kim", "sent_at": "2026-03-01T12:00:02Z"}]}
//
// One body holds any number of each. Of a message id, from, and text or media are
// needed, the rest is optional; opt_out says that the provider handled a keyword
// itself: stop, start or help. A status names the text by the id it was sent
// with ({{id}}) or by the provider's own, and is one of queued, sent, delivered,
// read, failed. An echo is a message that left the account another way, e.g. written
// by an agent in the provider's own app; Handoff's own texts may be among them.
//
// Both directions are signed: X-Handoff-Timestamp is the Unix time in seconds,
// X-Handoff-Signature is "sha256=" and the hex HMAC-SHA256, keyed by the account's
// secret, of the timestamp, a full stop and the raw body. A webhook whose time is
// more than Window off is refused. From a shell:
//
//	t=$(date +%s)
//	sig=$(printf '%s.%s' "$t" "$body" | openssl dgst -sha256 -hmac "$secret" | awk '{print $NF}')
//	curl -H "X-Handoff-Timestamp: $t" -H "X-Handoff-Signature: sha256=$sig" -d "$body" \
//	     http://localhost:8080/in/sms/acme/+15557770000
//
// Out, a text becomes one HTTP request made from the account's template. Such a
// provider cannot be asked what it took, so the destination is blind: a request
// without an answer is never repeated.
package sms

import (
	"net/http"
	"time"

	"github.com/handoff-dev/handoff/pipeline/caller/httpcall"
	"github.com/handoff-dev/handoff/pipeline/ingress"
)

// Name of the connector: in settings, in webhook paths and as a destination.
const Name = "sms"

// Headers of a signed request, in both directions.
const (
	TimestampHeader = httpcall.TimestampHeader
	SignatureHeader = httpcall.SignatureHeader
	// IDHeader carries the id of a text that goes out: the same text always has
	// the same.
	IDHeader = "X-Handoff-Id"
)

// Window is how far a webhook's time may be from ours: an older one may be a
// replay.
const Window = ingress.SignedWindow

// Sign sets the headers that prove body was sent now by who knows secret.
func Sign(header http.Header, secret string, now time.Time, body []byte) {
	httpcall.Sign(header, secret, now, body)
}

// Verify checks what Sign made. The error is ingress.ErrUnsigned where a header
// is missing, else ingress.ErrForged, also for an empty secret and for a time
// more than Window away from now.
func Verify(header http.Header, secret string, now time.Time, body []byte) error {
	return ingress.VerifySigned(header, secret, now, body)
}
