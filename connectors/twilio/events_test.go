package twilio_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/handoff-dev/handoff/connectors/twilio"
	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

func TestWebhookDecode(t *testing.T) {
	message := func(m *handoffv1.CustomerMessage) []ingress.Event {
		m.NativeId, m.AddressDisplayed = "SM1", customer
		return []ingress.Event{{NativeID: "SM1", Record: &handoffv1.Record{
			Address: customer, Account: shopNumber, Body: &handoffv1.Record_CustomerMessage{CustomerMessage: m},
		}}}
	}
	state := func(status string, s *handoffv1.DeliveryState) []ingress.Event {
		s.ProviderId = "SM1"
		return []ingress.Event{{NativeID: "SM1/" + status, Record: &handoffv1.Record{
			Address: customer, Body: &handoffv1.Record_DeliveryState{DeliveryState: s},
		}}}
	}
	status := func(status, code string) url.Values {
		f := url.Values{"MessageSid": {"SM1"}, "MessageStatus": {status}, "SmsStatus": {status}, "From": {"+15550009999"}, "To": {customer}}
		if code != "" {
			f.Set("ErrorCode", code)
		}
		return f
	}
	cases := []struct {
		name, callID string
		form         url.Values
		want         []ingress.Event
		field        string
	}{
		{"message", "", inboundForm(nil), message(&handoffv1.CustomerMessage{Text: "hello"}), ""},
		{"media", "", inboundForm(func(f url.Values) {
			f.Set("NumMedia", "1")
			f.Set("MediaUrl0", "https://x/y")
			f.Set("MediaContentType0", "image/png")
		}), message(&handoffv1.CustomerMessage{Text: "hello", Media: []*handoffv1.Media{{Url: "https://x/y", ContentType: "image/png"}}}), ""},
		{"stop handled by the provider", "", inboundForm(func(f url.Values) { f.Set("Body", "STOP"); f.Set("OptOutType", "STOP") }),
			message(&handoffv1.CustomerMessage{Text: "STOP", ProviderOptOut: handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_STOP}), ""},
		{"start handled by the provider", "", inboundForm(func(f url.Values) { f.Set("OptOutType", "START") }),
			message(&handoffv1.CustomerMessage{Text: "hello", ProviderOptOut: handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_START}), ""},
		{"help handled by the provider", "", inboundForm(func(f url.Values) { f.Set("OptOutType", "HELP") }),
			message(&handoffv1.CustomerMessage{Text: "hello", ProviderOptOut: handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_HELP}), ""},
		{"queued", "abc", status("queued", ""), state("queued", &handoffv1.DeliveryState{Status: handoffv1.DeliveryStatus_DELIVERY_STATUS_QUEUED}), ""},
		{"sending", "abc", status("sending", ""), state("sending", &handoffv1.DeliveryState{Status: handoffv1.DeliveryStatus_DELIVERY_STATUS_QUEUED}), ""},
		{"sent", "abc", status("sent", ""), state("sent", &handoffv1.DeliveryState{Status: handoffv1.DeliveryStatus_DELIVERY_STATUS_SENT}), ""},
		{"delivered", "", status("delivered", ""), state("delivered", &handoffv1.DeliveryState{Status: handoffv1.DeliveryStatus_DELIVERY_STATUS_DELIVERED}), ""},
		{"read", "", status("read", ""), state("read", &handoffv1.DeliveryState{Status: handoffv1.DeliveryStatus_DELIVERY_STATUS_READ}), ""},
		{"undelivered", "", status("undelivered", "30006"), state("undelivered", &handoffv1.DeliveryState{
			Status: handoffv1.DeliveryStatus_DELIVERY_STATUS_FAILED, Code: "30006", Meaning: twilio.Meaning(30006),
		}), ""},
		{"failed, unknown code", "", status("failed", "39999"), state("failed", &handoffv1.DeliveryState{
			Status: handoffv1.DeliveryStatus_DELIVERY_STATUS_FAILED, Code: "39999", Meaning: twilio.Meaning(39999),
		}), ""},
		{"opted out at the provider", "", status("undelivered", "21610"), state("undelivered", &handoffv1.DeliveryState{
			Status: handoffv1.DeliveryStatus_DELIVERY_STATUS_FAILED, Code: "21610", Meaning: twilio.Meaning(21610), ProviderOptedOut: true,
		}), ""},
		{"message at a callback's path", "abc", inboundForm(nil), nil, "MessageStatus"},
		{"status without recipient", "abc", url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"sent"}}, nil, "To"},
		{"another channel", "", inboundForm(func(f url.Values) { f.Set("From", "whatsapp:+14155550123") }), nil, "From"},
		{"nothing", "", url.Values{}, nil, "MessageSid"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := twilio.Webhook{}.Decode(&ingress.Request{Header: http.Header{}, Body: []byte(c.form.Encode()), CallID: c.callID})
			checkField(t, err, c.field)
			if c.field != "" {
				return
			}
			if diff := cmp.Diff(c.want, got, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := (twilio.Webhook{}).Decode(&ingress.Request{Body: []byte("%zz")}); err == nil {
		t.Error("a body that is no form was taken")
	}
}

func TestWebhookAnswer(t *testing.T) {
	w := httptest.NewRecorder()
	twilio.Webhook{}.Answer(w)
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/xml") || !strings.HasSuffix(w.Body.String(), "<Response/>") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}
