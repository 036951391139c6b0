package twilio_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/handoff-dev/handoff/connectors/twilio"
	"github.com/handoff-dev/handoff/pipeline/ingress"
)

const formType = "application/x-www-form-urlencoded"

// vectorForm is the form of the published test vector.
func vectorForm() url.Values {
	return url.Values{
		"Digits": {"1234"}, "CallSid": {"CA1234567890ABCDE"}, "To": {"+18005551212"}, "Caller": {"+14158675309"},
		"From": {"+14158675309"}, "ReasonConferenceEnded": {"test"}, "Reason": {"Participant"},
	}
}

func signed(contentType, signature string) http.Header {
	h := http.Header{}
	h.Set("Content-Type", contentType)
	h.Set(twilio.SignatureHeader, signature)
	return h
}

func TestVerifySignature(t *testing.T) {
	const base = "https://mycompany.com/myapp.php?foo=1&bar=2"
	plain := url.Values{
		"Digits": {"1234"}, "CallSid": {"CA1234567890ABCDE"}, "To": {"+18005551212"},
		"Caller": {"+14158675309"}, "From": {"+14158675309"},
	}
	jsonBody := `{"property": "value", "boolean": true}`
	const jsonHash = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
	withPort := strings.Replace(base, ".com", ".com:1234", 1)
	cases := []struct {
		name, token, url, kind, body, signature string
		ok                                      bool
	}{
		{"published vector", "12345", base, formType, vectorForm().Encode(), "vOEb5UThFn24KEfnOFLQY2AE5FY=", true},
		{"published vector, short form", "12345", base, formType, plain.Encode(), "RSOYDt4T1cUTdK1PDd93/VVr8B8=", true},
		{"signed with the default port", "12345", base, formType, plain.Encode(), "kvajT1Ptam85bY51eRf/AJRuM3w=", true},
		{"called with a port, signed without", "12345", withPort, formType, plain.Encode(), "RSOYDt4T1cUTdK1PDd93/VVr8B8=", true},
		{"http, signed without port", "12345", strings.Replace(base, "https", "http", 1), formType, plain.Encode(), "0ZXoZLH/DfblKGATFgpif+LLRf4=", true},
		{"http, signed with its port", "12345", strings.Replace(withPort, "https", "http", 1), formType, plain.Encode(), "Zmvh+3yNM1Phv2jhDCwEM3q5ebU=", true},
		{"json, hash in the query", "12345", base + "&bodySHA256=" + jsonHash, "application/json", jsonBody, "a9nBmqA0ju/hNViExpshrM61xv4=", true},
		{"json, hash alone in the query", "12345", "https://mycompany.com/myapp.php?bodySHA256=" + jsonHash, "application/json", jsonBody, "y77kIzt2vzLz71DgmJGsen2scGs=", true},
		{"json, other body", "12345", base + "&bodySHA256=" + jsonHash, "application/json", jsonBody + " ", "a9nBmqA0ju/hNViExpshrM61xv4=", false},
		{"json without hash", "12345", base, "application/json", jsonBody, twilio.Sign("12345", base, nil), false},
		{"hash must match a form too", "12345", base + "&bodySHA256=" + jsonHash, formType, "a=b", twilio.Sign("12345", base+"&bodySHA256="+jsonHash, url.Values{"a": {"b"}}), false},
		{"other token", "54321", base, formType, vectorForm().Encode(), "vOEb5UThFn24KEfnOFLQY2AE5FY=", false},
		{"other URL", "12345", base + "&baz=3", formType, vectorForm().Encode(), "vOEb5UThFn24KEfnOFLQY2AE5FY=", false},
		{"other host", "12345", strings.Replace(base, "mycompany", "theirs", 1), formType, vectorForm().Encode(), "vOEb5UThFn24KEfnOFLQY2AE5FY=", false},
		{"one value changed", "12345", base, formType, strings.Replace(vectorForm().Encode(), "1234", "1235", 1), "vOEb5UThFn24KEfnOFLQY2AE5FY=", false},
		{"a field added", "12345", base, formType, vectorForm().Encode() + "&OptOutType=STOP", "vOEb5UThFn24KEfnOFLQY2AE5FY=", false},
		{"no signature", "12345", base, formType, vectorForm().Encode(), "", false},
		{"not base64", "12345", base, formType, vectorForm().Encode(), "%%%", false},
		{"empty token never passes", "", base, formType, vectorForm().Encode(), twilio.Sign("", base, vectorForm()), false},
		{"form sent as something else", "12345", base, "text/plain", vectorForm().Encode(), "vOEb5UThFn24KEfnOFLQY2AE5FY=", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := twilio.VerifySignature(c.token, c.url, signed(c.kind, c.signature), []byte(c.body))
			if c.ok && err != nil {
				t.Fatalf("refused: %v", err)
			}
			want := ingress.ErrForged
			if c.signature == "" {
				want = ingress.ErrUnsigned
			}
			if !c.ok && !errors.Is(err, want) {
				t.Fatalf("err = %v, want %v", err, want)
			}
		})
	}
}

func TestVerifySignatureRepeatedKeys(t *testing.T) {
	const target = "https://example.com/in"
	body := "MediaUrl=b&MediaUrl=a&MediaUrl=b&From=%2B1"
	sortedUnique := twilio.Sign("token", target+"From+1MediaUrlaMediaUrlb", nil)
	asSent := twilio.Sign("token", target+"From+1MediaUrlbMediaUrlaMediaUrlb", nil)
	onlyFirst := twilio.Sign("token", target+"From+1MediaUrlb", nil)
	for name, c := range map[string]struct {
		signature string
		ok        bool
	}{"sorted and unique": {sortedUnique, true}, "as sent": {asSent, true}, "only the first": {onlyFirst, false}} {
		if err := twilio.VerifySignature("token", target, signed(formType, c.signature), []byte(body)); (err == nil) != c.ok {
			t.Errorf("%s: err = %v, want ok %v", name, err, c.ok)
		}
	}
}

func TestVerifySignatureIPv6AndUserinfo(t *testing.T) {
	for _, pair := range [][2]string{
		{"https://[2001:db8::1]/in", "https://[2001:db8::1]:443/in"},
		{"https://[2001:db8::1]:8443/in?x=1", "https://[2001:db8::1]/in?x=1"},
		{"https://user:pass@example.com/in", "https://user:pass@example.com:443/in"},
		{"http://example.com", "http://example.com:80"},
	} {
		err := twilio.VerifySignature("t", pair[0], signed(formType, twilio.Sign("t", pair[1], nil)), nil)
		if err != nil {
			t.Errorf("called as %s, signed as %s: %v", pair[0], pair[1], err)
		}
	}
}

// FuzzVerifySignature holds that what Sign signs is taken and that any other
// body is not.
func FuzzVerifySignature(f *testing.F) {
	f.Add("token", "https://example.com/in?a=b", "From=%2B1&Body=hi", "x")
	f.Add("t", "not a url", "a=1&a=2&a=1", "")
	f.Fuzz(func(t *testing.T, token, target, body, more string) {
		if token == "" {
			token = "t"
		}
		form, err := url.ParseQuery(body)
		if _, bad := url.Parse(target); err != nil || bad != nil || strings.Contains(target, "bodySHA256") {
			t.Skip()
		}
		header := signed(formType, twilio.Sign(token, target, form))
		if err := twilio.VerifySignature(token, target, header, []byte(body)); err != nil {
			t.Fatalf("own signature refused: %v", err)
		}
		if err := twilio.VerifySignature(token, target, header, []byte(body+"&Added="+url.QueryEscape(more+"1"))); err == nil {
			t.Fatal("a changed body was taken")
		}
		sum := sha256.Sum256([]byte(body))
		hashed := "https://example.com/?bodySHA256=" + hex.EncodeToString(sum[:])
		header = signed("application/json", twilio.Sign(token, hashed, nil))
		if err := twilio.VerifySignature(token, hashed, header, []byte(body)); err != nil {
			t.Fatalf("own hash refused: %v", err)
		}
	})
}
