package twilio

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // Twilio signs with HMAC-SHA1; there is no choice.
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/handoff-dev/handoff/pipeline/ingress"
)

// SignatureHeader carries Twilio's signature of a webhook.
const SignatureHeader = "X-Twilio-Signature"

// IdempotencyHeader carries the token that Twilio repeats when it sends a
// webhook again.
const IdempotencyHeader = "I-Twilio-Idempotency-Token"

// bodyHashParameter is the query parameter in which Twilio puts the SHA-256 of a
// body that is not a form, so that the signed URL covers it.
const bodyHashParameter = "bodySHA256"

// Sign makes the signature Twilio would put on a POST of form to publicURL:
// base64 of HMAC-SHA1 over the URL and the sorted keys, each with its values
// sorted and without repetitions. A nil form signs the URL alone.
func Sign(token, publicURL string, form url.Values) string {
	return sign(token, publicURL, form, sortedUnique)
}

// VerifySignature checks that a webhook was signed with token. publicURL is the
// URL as Twilio called it, before any proxy rewrote it, with its query. The URL
// is tried as given, without its port and with the scheme's default port,
// because Twilio itself is not consistent there; a repeated key is tried with
// its values sorted and unique and as they came. A body that is not a form must
// match bodySHA256 in the query. The error is ingress.ErrUnsigned without a
// signature and else ingress.ErrForged, also for an empty token.
func VerifySignature(token, publicURL string, header http.Header, body []byte) error {
	got := header.Get(SignatureHeader)
	if got == "" {
		return ingress.ErrUnsigned
	}
	if token == "" {
		return ingress.ErrForged
	}
	hash, hasHash := bodyHash(publicURL)
	if hasHash && !sameBody(body, hash) {
		return ingress.ErrForged
	}
	var form url.Values
	switch {
	case isForm(header):
		// A form with broken escapes is judged by the pairs that can be read;
		// decoding it refuses it with the place.
		form, _ = url.ParseQuery(string(body))
	case len(body) > 0 && !hasHash:
		return ingress.ErrForged
	}
	for _, candidate := range urlVariants(publicURL) {
		for _, order := range []valueOrder{sortedUnique, asSent} {
			want := sign(token, candidate, form, order)
			if subtle.ConstantTimeCompare([]byte(want), []byte(got)) == 1 {
				return nil
			}
		}
	}
	return ingress.ErrForged
}

// valueOrder puts the values of one repeated key in the order they are signed.
type valueOrder func([]string) []string

func sortedUnique(values []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(values)))
}

func asSent(values []string) []string { return values }

func sign(token, publicURL string, form url.Values, order valueOrder) string {
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(publicURL))
	keys := make([]string, 0, len(form))
	for key := range form {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		for _, value := range order(form[key]) {
			mac.Write([]byte(key))
			mac.Write([]byte(value))
		}
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func isForm(header http.Header) bool {
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && kind == "application/x-www-form-urlencoded"
}

func bodyHash(publicURL string) (hash string, ok bool) {
	_, query, _ := strings.Cut(publicURL, "?")
	query, _, _ = strings.Cut(query, "#")
	values, _ := url.ParseQuery(query)
	hash = values.Get(bodyHashParameter)
	return hash, hash != ""
}

func sameBody(body []byte, wantHex string) bool {
	sum := sha256.Sum256(body)
	got := hex.EncodeToString(sum[:])
	return subtle.ConstantTimeCompare([]byte(got), []byte(strings.ToLower(wantHex))) == 1
}

// urlVariants lists the URL as given, without its port, and with the default
// port where it has none. It cuts the string rather than printing a parsed URL
// again, since the signature covers every byte.
func urlVariants(publicURL string) []string {
	variants := []string{publicURL}
	scheme, rest, ok := strings.Cut(publicURL, "://")
	if !ok {
		return variants
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	host, hasPort := authority, false
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') && i > strings.LastIndexByte(authority, '@') {
		host, hasPort = authority[:i], true
	}
	if hasPort {
		return append(variants, scheme+"://"+host+path)
	}
	port := ":80"
	if strings.EqualFold(scheme, "https") {
		port = ":443"
	}
	return append(variants, scheme+"://"+host+port+path)
}
