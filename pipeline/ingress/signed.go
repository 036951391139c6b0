package ingress

import (
	"crypto/hmac"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/pipeline/caller/httpcall"
)

// SignedWindow is how far the time of a signed request may be from ours: an older one may be a replay.
const SignedWindow = 5 * time.Minute

// VerifySigned checks the signature that httpcall.Sign makes, for callers who sign as Handoff does. The
// error is ErrUnsigned where a header is missing, else ErrForged, also for an empty secret and for a time
// more than SignedWindow away from now.
func VerifySigned(header http.Header, secret string, now time.Time, body []byte) error {
	timestamp, signature := header.Get(httpcall.TimestampHeader), header.Get(httpcall.SignatureHeader)
	if timestamp == "" || signature == "" {
		return ErrUnsigned
	}
	digits, ok := strings.CutPrefix(signature, httpcall.SignatureScheme)
	got := httpcall.SignatureScheme + strings.ToLower(digits)
	if secret == "" || !ok || !hmac.Equal([]byte(got), []byte(httpcall.Signature(secret, timestamp, body))) {
		return ErrForged
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return ErrForged
	}
	// Compared as numbers: a time.Time of any int64 would overflow.
	if at := now.Unix(); seconds < at-int64(SignedWindow/time.Second) || seconds > at+int64(SignedWindow/time.Second) {
		return fmt.Errorf("%w: its time is more than %s off", ErrForged, SignedWindow)
	}
	return nil
}
