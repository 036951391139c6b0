package platform_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/connectors/platform"
	"github.com/handoff-dev/handoff/pipeline/caller/httpcall"
	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func TestDecode(t *testing.T) {
	events, err := platform.Webhook{}.Decode(&ingress.Request{Body: []byte(`{"sends": [
		{"id": "1", "account": "+15557770000", "to": "+14155550123", "text": "Sale?", "campaign": "Spring", "asks": true,
		 "asks_until": "2026-03-03T12:00:00Z", "sent_at": "2026-03-01T12:00:00Z"},
		{"id": "2", "channel": "messenger", "account": "page1", "to": "psid1", "media": [{"url": "https://x/y.png"}], "asks_until": "2026-03-03T12:00:00Z"}]}`)})
	if err != nil || len(events) != 2 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	first, second := events[0].Record, events[1].Record
	s := first.GetPlatformSend()
	if events[0].NativeID != "1" || first.GetChannel() != handoffv1.Channel_CHANNEL_SMS || first.GetAccount() != "+15557770000" ||
		first.GetAddress() != "+14155550123" || s.GetText() != "Sale?" || s.GetCampaign() != "Spring" ||
		s.GetQuestion() != handoffv1.Question_QUESTION_OTHER || s.GetUntil().AsTime().Day() != 3 || first.GetEventTime().AsTime().Day() != 1 {
		t.Errorf("the first send is %v", first)
	}
	if m := second.GetPlatformSend(); second.GetChannel() != handoffv1.Channel_CHANNEL_MESSENGER || len(m.GetMedia()) != 1 ||
		m.GetQuestion() != handoffv1.Question_QUESTION_UNSPECIFIED || m.GetUntil() != nil || second.GetEventTime() != nil {
		t.Errorf("the second send is %v", second)
	}
}

func TestDecodeSaysWhatIsWrong(t *testing.T) {
	many := `{"sends": [` + strings.TrimSuffix(strings.Repeat(`{},`, platform.MaxSends+1), ",") + `]}`
	for body, place := range map[string]string{
		`[]`: "body", `{"sends": [{"sent_at": "yesterday"}]}`: "body", many: "sends",
		`{"sends": [{}]}`: "sends[0].id",
		`{"sends": [{"id":"1","channel":"pigeon"}]}`:              "sends[0].channel",
		`{"sends": [{"id":"1"}]}`:                                 "sends[0].account",
		`{"sends": [{"id":"1","account":"a"}]}`:                   "sends[0].to",
		`{"sends": [{"id":"1","account":"a","to":"b"}]}`:          "sends[0].text",
		`{"sends": [{"id":"1","account":"a","to":"b","text":1}]}`: "body",
	} {
		_, err := platform.Webhook{}.Decode(&ingress.Request{Body: []byte(body)})
		m, ok := errors.AsType[*ingress.Malformed](err)
		if !ok || m.Place != place || m.Reason == "" {
			t.Errorf("%.60s: %v, want what is wrong at %s", body, err, place)
		}
	}
	if events, err := (platform.Webhook{}).Decode(&ingress.Request{Body: []byte(`{}`)}); err != nil || len(events) != 0 {
		t.Errorf("an empty report: %v, %v", events, err)
	}
}

func TestVerify(t *testing.T) {
	body := []byte(`{}`)
	signed := func(secret string, at time.Time) http.Header {
		h := http.Header{}
		httpcall.Sign(h, secret, at, body)
		return h
	}
	for name, c := range map[string]struct {
		header http.Header
		secret string
		want   error
	}{
		"good":        {signed("s", noon), "s", nil},
		"unsigned":    {http.Header{}, "s", ingress.ErrUnsigned},
		"other key":   {signed("t", noon), "s", ingress.ErrForged},
		"no secret":   {signed("", noon), "", ingress.ErrForged},
		"old":         {signed("s", noon.Add(-6*time.Minute)), "s", ingress.ErrForged},
		"from future": {signed("s", noon.Add(6*time.Minute)), "s", ingress.ErrForged},
	} {
		err := platform.Webhook{}.Verify(&ingress.Request{Header: c.header, Secret: c.secret, Now: noon, Body: body})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	w := httptest.NewRecorder()
	if (platform.Webhook{}).Answer(w); w.Code != http.StatusAccepted {
		t.Errorf("answers %d", w.Code)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"sends": [{"id": "1", "account": "+15557770000", "to": "+14155550123", "text": "hi"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := platform.Webhook{}.Decode(&ingress.Request{Body: body})
		if err != nil {
			if _, ok := errors.AsType[*ingress.Malformed](err); !ok || events != nil {
				t.Fatalf("%v with %d events", err, len(events))
			}
		}
		for _, e := range events {
			if e.NativeID == "" || e.Record.GetAddress() == "" || e.Record.GetAccount() == "" {
				t.Fatalf("an event lacks what it needs: %v", e.Record)
			}
		}
	})
}
