package sms_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/connectors/sms"
	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func signedAt(secret string, at time.Time, body string) http.Header {
	h := http.Header{}
	sms.Sign(h, secret, at, []byte(body))
	return h
}

func TestSignatureVector(t *testing.T) {
	// printf '1772366400.{"messages":[]}' | openssl dgst -sha256 -hmac secret
	h := signedAt("secret", noon, `{"messages":[]}`)
	if h.Get(sms.TimestampHeader) != "1772366400" {
		t.Errorf("timestamp %s", h.Get(sms.TimestampHeader))
	}
	if got, want := h.Get(sms.SignatureHeader), "sha256=1f75b24c36183cf34d7b0eb290031ab0b719d45f3c2a65de17dbe15dc53e628e"; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func TestVerify(t *testing.T) {
	const body = `{"messages":[]}`
	with := func(change func(http.Header)) http.Header {
		h := signedAt("secret", noon, body)
		change(h)
		return h
	}
	unchanged := func(http.Header) {}
	cases := []struct {
		name   string
		header http.Header
		secret string
		now    time.Time
		body   string
		want   error
	}{
		{"right", with(unchanged), "secret", noon, body, nil},
		{"at the window's end", with(unchanged), "secret", noon.Add(sms.Window), body, nil},
		{"sender's clock ahead, within", with(unchanged), "secret", noon.Add(-sms.Window), body, nil},
		{"replayed", with(unchanged), "secret", noon.Add(sms.Window + time.Second), body, ingress.ErrForged},
		{"from the future", with(unchanged), "secret", noon.Add(-sms.Window - time.Second), body, ingress.ErrForged},
		{"other secret", with(unchanged), "other", noon, body, ingress.ErrForged},
		{"other body", with(unchanged), "secret", noon, body + " ", ingress.ErrForged},
		{"empty secret never passes", signedAt("", noon, body), "", noon, body, ingress.ErrForged},
		{"timestamp moved", with(func(h http.Header) { h.Set(sms.TimestampHeader, strconv.FormatInt(noon.Unix()+1, 10)) }), "secret", noon, body, ingress.ErrForged},
		{"no timestamp", with(func(h http.Header) { h.Del(sms.TimestampHeader) }), "secret", noon, body, ingress.ErrUnsigned},
		{"no signature", with(func(h http.Header) { h.Del(sms.SignatureHeader) }), "secret", noon, body, ingress.ErrUnsigned},
		{"without scheme", with(func(h http.Header) {
			h.Set(sms.SignatureHeader, strings.TrimPrefix(h.Get(sms.SignatureHeader), "sha256="))
		}), "secret", noon, body, ingress.ErrForged},
		{"not hex", with(func(h http.Header) { h.Set(sms.SignatureHeader, "sha256=zz") }), "secret", noon, body, ingress.ErrForged},
		{"cut short", with(func(h http.Header) { h.Set(sms.SignatureHeader, h.Get(sms.SignatureHeader)[:20]) }), "secret", noon, body, ingress.ErrForged},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := sms.Webhook{}.Verify(&ingress.Request{Header: c.header, Secret: c.secret, Now: c.now, Body: []byte(c.body)})
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("err = %v, want %v", err, c.want)
			}
		})
	}
}

func TestVerifyTimestampOfAnySize(t *testing.T) {
	for _, timestamp := range []string{"9223372036854775807", "-9223372036854775808", "1e9", "99999999999999999999", " 1"} {
		h := http.Header{}
		h.Set(sms.TimestampHeader, timestamp)
		h.Set(sms.SignatureHeader, "sha256=00")
		if err := sms.Verify(h, "secret", noon, nil); !errors.Is(err, ingress.ErrForged) {
			t.Errorf("%s: %v", timestamp, err)
		}
	}
}

func TestDecode(t *testing.T) {
	callID := strings.Repeat("0a", 16)
	message := func(address string, m *handoffv1.CustomerMessage) ingress.Event {
		return ingress.Event{NativeID: "message/" + m.GetNativeId(), Record: &handoffv1.Record{
			Address: address, Body: &handoffv1.Record_CustomerMessage{CustomerMessage: m},
		}}
	}
	full := message("+14155550123", &handoffv1.CustomerMessage{
		NativeId: "m1", Text: "hi", AddressDisplayed: "+1 (415) 555-0123", SenderName: "Ann",
		ProviderOptOut: handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_STOP,
		Media:          []*handoffv1.Media{{Url: "https://x/y", ContentType: "image/png"}},
	})
	full.Record.Account, full.Record.EventTime = "+15557770000", timestamppb.New(noon)
	cases := []struct {
		name, body string
		want       []ingress.Event
		place      string
	}{
		{"smallest", `{"messages":[{"id":"m1","from":"+14155550123","text":"hi"}]}`,
			[]ingress.Event{message("+14155550123", &handoffv1.CustomerMessage{NativeId: "m1", Text: "hi", AddressDisplayed: "+14155550123"})}, ""},
		{"everything", `{"messages":[{"id":"m1","from":"+1 (415) 555-0123","to":"+1 555 777-0000","text":"hi","name":"Ann",
			"sent_at":"2026-03-01T12:00:00Z","opt_out":"stop","media":[{"url":"https://x/y","content_type":"image/png"}],"novelty":1}]}`,
			[]ingress.Event{full}, ""},
		{"several of both, in order", `{"statuses":[{"id":"p1","to":"+14155550123","status":"failed","code":"9","reason":"blocked","at":"2026-03-01T12:00:00Z"},
			{"id":"` + callID + `","to":"+14155550123","status":"delivered"}],
			"messages":[{"id":"m1","from":"262966","text":"a"},{"id":"m2","from":"+442079460000","text":"b"}]}`,
			[]ingress.Event{
				message("262966", &handoffv1.CustomerMessage{NativeId: "m1", Text: "a", AddressDisplayed: "262966"}),
				message("+442079460000", &handoffv1.CustomerMessage{NativeId: "m2", Text: "b", AddressDisplayed: "+442079460000"}),
				{NativeID: "status/p1/failed", Record: &handoffv1.Record{
					Address: "+14155550123", EventTime: timestamppb.New(noon),
					Body: &handoffv1.Record_DeliveryState{DeliveryState: &handoffv1.DeliveryState{
						ProviderId: "p1", Status: handoffv1.DeliveryStatus_DELIVERY_STATUS_FAILED, Code: "9", Meaning: "blocked",
					}},
				}},
				{NativeID: "status/" + callID + "/delivered", Record: &handoffv1.Record{
					Address: "+14155550123",
					Body: &handoffv1.Record_DeliveryState{DeliveryState: &handoffv1.DeliveryState{
						CallId: callID, Status: handoffv1.DeliveryStatus_DELIVERY_STATUS_DELIVERED,
					}},
				}},
			}, ""},
		{"nothing new", `{"messages":[]}`, []ingress.Event{}, ""},
		{"text that is not UTF-8 is repaired", "{\"messages\":[{\"id\":\"m1\",\"from\":\"+14155550123\",\"text\":\"a\xffb\"}]}",
			[]ingress.Event{message("+14155550123", &handoffv1.CustomerMessage{NativeId: "m1", Text: "a\ufffdb", AddressDisplayed: "+14155550123"})}, ""},
		{"neither", `{}`, nil, "body"},
		{"not JSON", `from=1`, nil, "body"},
		{"null", `null`, nil, "body"},
		{"an array", `[]`, nil, "body"},
		{"cut off", `{"messages":[`, nil, "body"},
		{"more after it", `{"messages":[]} {}`, nil, "body"},
		{"messages of another kind", `{"messages":"hi"}`, nil, "messages"},
		{"a message of another kind", `{"messages":[{"id":"m1","from":"+14155550123","text":"a"},7]}`, nil, "messages[1]"},
		{"a null message", `{"messages":[null]}`, nil, "messages[0]"},
		{"text of another kind", `{"messages":[{"id":"m1","from":"+14155550123","text":7}]}`, nil, "messages[0].text"},
		{"no id", `{"messages":[{"from":"+14155550123","text":"a"}]}`, nil, "messages[0].id"},
		{"id too long", `{"messages":[{"id":"` + strings.Repeat("x", 201) + `","from":"+14155550123","text":"a"}]}`, nil, "messages[0].id"},
		{"no sender", `{"messages":[{"id":"m1","text":"a"}]}`, nil, "messages[0].from"},
		{"national number", `{"messages":[{"id":"m1","from":"(415) 555-0123","text":"a"}]}`, nil, "messages[0].from"},
		{"bad recipient", `{"messages":[{"id":"m1","from":"+14155550123","to":"shop","text":"a"}]}`, nil, "messages[0].to"},
		{"no text", `{"messages":[{"id":"m1","from":"+14155550123"}]}`, nil, "messages[0].text"},
		{"bad time", `{"messages":[{"id":"m1","from":"+14155550123","text":"a","sent_at":"noon"}]}`, nil, "messages[0].sent_at"},
		{"bad opt-out", `{"messages":[{"id":"m1","from":"+14155550123","text":"a","opt_out":"STOP!"}]}`, nil, "messages[0].opt_out"},
		{"bad media", `{"messages":[{"id":"m1","from":"+14155550123","media":[{"url":"https://x/y"},{"url":"y"}]}]}`, nil, "messages[0].media[1].url"},
		{"bad status", `{"statuses":[{"id":"p1","to":"+14155550123","status":"lost"}]}`, nil, "statuses[0].status"},
		{"status without recipient", `{"statuses":[{"id":"p1","status":"sent"}]}`, nil, "statuses[0].to"},
		{"one bad one refuses all", `{"messages":[{"id":"m1","from":"+14155550123","text":"a"}],"statuses":[{"to":"+14155550123","status":"sent"}]}`, nil, "statuses[0].id"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := sms.Webhook{}.Decode(&ingress.Request{Body: []byte(c.body)})
			if c.place != "" {
				m, ok := errors.AsType[*ingress.Malformed](err)
				if !ok || m.Place != c.place || m.Reason == "" || got != nil {
					t.Fatalf("err = %v, events %v, want a Malformed at %s", err, got, c.place)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnswer(t *testing.T) {
	w := httptest.NewRecorder()
	sms.Webhook{}.Answer(w)
	if w.Code != http.StatusAccepted {
		t.Errorf("status %d", w.Code)
	}
}

// FuzzDecode holds that no body makes Decode panic, that what it refuses has a
// place, and that what it takes can stand in a record.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"messages":[{"id":"m1","from":"+14155550123","text":"hi","media":[{"url":"https://x/y"}]}]}`))
	f.Add([]byte(`{"statuses":[{"id":"p1","to":"+14155550123","status":"sent"}]}`))
	f.Add([]byte(`{"messages":[null,{}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := sms.Webhook{}.Decode(&ingress.Request{Body: body})
		if err != nil {
			if m, ok := errors.AsType[*ingress.Malformed](err); !ok || m.Place == "" || m.Reason == "" {
				t.Fatalf("refused without place: %v", err)
			}
			return
		}
		for _, e := range events {
			m := e.Record.GetCustomerMessage()
			ok := e.NativeID != "" && e.Record.GetAddress() != "" && e.Record.GetBody() != nil
			for _, s := range []string{e.NativeID, e.Record.GetAddress(), m.GetText(), m.GetSenderName(), m.GetAddressDisplayed(), e.Record.GetDeliveryState().GetMeaning()} {
				ok = ok && utf8.ValidString(s)
			}
			if !ok {
				t.Fatalf("taken: %v", e)
			}
		}
	})
}
