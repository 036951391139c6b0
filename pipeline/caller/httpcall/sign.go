package httpcall

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"
)

// Headers of a request that Handoff signs, or that is signed for Handoff in the same way.
const (
	// TimestampHeader is the Unix time of signing in seconds.
	TimestampHeader = "X-Handoff-Timestamp"
	// SignatureHeader is what Signature gives.
	SignatureHeader = "X-Handoff-Signature"
)

// SignatureScheme begins a signature.
const SignatureScheme = "sha256="

// Signature gives SignatureScheme and the hex HMAC-SHA256, keyed by secret, of timestamp, a full stop and
// body.
func Signature(secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return SignatureScheme + hex.EncodeToString(mac.Sum(nil))
}

// Sign sets the headers that prove body was sent now by who knows secret.
func Sign(header http.Header, secret string, now time.Time, body []byte) {
	timestamp := strconv.FormatInt(now.Unix(), 10)
	header.Set(TimestampHeader, timestamp)
	header.Set(SignatureHeader, Signature(secret, timestamp, body))
}
