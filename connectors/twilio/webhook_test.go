package twilio_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-dev/handoff/connectors/twilio"
	"github.com/handoff-dev/handoff/pipeline/ingress"
)

func inboundForm(change func(url.Values)) url.Values {
	form := url.Values{
		"MessageSid": {"SM1"}, "AccountSid": {"AC1"}, "From": {"+14155550123"}, "To": {"+15557770000"},
		"Body": {"hello"}, "NumMedia": {"0"}, "NumSegments": {"1"}, "FromCountry": {"US"}, "SmsStatus": {"received"},
	}
	if change != nil {
		change(form)
	}
	return form
}

func TestDecodeInbound(t *testing.T) {
	plain := twilio.Inbound{
		MessageSID: "SM1", AccountSID: "AC1", From: "+14155550123", To: "+15557770000", FromCountry: "US",
		Body: "hello", NumSegments: 1, IdempotencyToken: "tok",
	}
	with := func(change func(*twilio.Inbound)) twilio.Inbound {
		in := plain
		change(&in)
		return in
	}
	cases := []struct {
		name   string
		change func(url.Values)
		want   twilio.Inbound
		field  string // of the error; empty for none
	}{
		{"plain", nil, plain, ""},
		{"unknown fields are ignored", func(f url.Values) { f.Set("Novelty", "x") }, plain, ""},
		{"media", func(f url.Values) {
			f.Set("NumMedia", "2")
			f.Set("MediaUrl0", "https://api.twilio.com/a")
			f.Set("MediaContentType0", "image/png")
			f.Set("MediaUrl1", "https://api.twilio.com/b")
		}, with(func(in *twilio.Inbound) {
			in.Media = []twilio.Media{{URL: "https://api.twilio.com/a", ContentType: "image/png"}, {URL: "https://api.twilio.com/b"}}
		}), ""},
		{"stop handled by the provider", func(f url.Values) { f.Set("OptOutType", "STOP") },
			with(func(in *twilio.Inbound) { in.OptOutType = twilio.OptOutStop }), ""},
		{"help, lower case", func(f url.Values) { f.Set("OptOutType", "help") },
			with(func(in *twilio.Inbound) { in.OptOutType = twilio.OptOutHelp }), ""},
		{"empty body with field", func(f url.Values) { f.Set("Body", "") },
			with(func(in *twilio.Inbound) { in.Body = "" }), ""},
		{"body that is not UTF-8 is repaired", func(f url.Values) { f.Set("Body", "a\xffb") },
			with(func(in *twilio.Inbound) { in.Body = "a\ufffdb" }), ""},
		{"messaging service", func(f url.Values) { f.Set("MessagingServiceSid", "MG1") },
			with(func(in *twilio.Inbound) { in.MessagingServiceSID = "MG1" }), ""},
		{"older name of the id", func(f url.Values) { f.Del("MessageSid"); f.Set("SmsMessageSid", "SM1") }, plain, ""},
		{"no id", func(f url.Values) { f.Del("MessageSid") }, twilio.Inbound{}, "MessageSid"},
		{"no sender", func(f url.Values) { f.Del("From") }, twilio.Inbound{}, "From"},
		{"no recipient", func(f url.Values) { f.Set("To", " ") }, twilio.Inbound{}, "To"},
		{"no body and no media", func(f url.Values) { f.Del("Body") }, twilio.Inbound{}, "Body"},
		{"line break in a number", func(f url.Values) { f.Set("From", "+1\n2") }, twilio.Inbound{}, "From"},
		{"number that is not UTF-8", func(f url.Values) { f.Set("To", "+1\xff") }, twilio.Inbound{}, "To"},
		{"count that is none", func(f url.Values) { f.Set("NumSegments", "many") }, twilio.Inbound{}, "NumSegments"},
		{"more media than can be", func(f url.Values) { f.Set("NumMedia", "11") }, twilio.Inbound{}, "NumMedia"},
		{"negative media", func(f url.Values) { f.Set("NumMedia", "-1") }, twilio.Inbound{}, "NumMedia"},
		{"media counted but missing", func(f url.Values) { f.Set("NumMedia", "1") }, twilio.Inbound{}, "MediaUrl0"},
		{"unknown opt-out", func(f url.Values) { f.Set("OptOutType", "MAYBE") }, twilio.Inbound{}, "OptOutType"},
	}
	header := http.Header{}
	header.Set(twilio.IdempotencyHeader, "tok")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := twilio.DecodeInbound(inboundForm(c.change), header)
			checkField(t, err, c.field)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeStatus(t *testing.T) {
	form := func(change func(url.Values)) url.Values {
		f := url.Values{
			"MessageSid": {"SM1"}, "AccountSid": {"AC1"}, "MessageStatus": {"delivered"}, "SmsStatus": {"delivered"},
			"From": {"+15557770000"}, "To": {"+14155550123"},
		}
		if change != nil {
			change(f)
		}
		return f
	}
	plain := twilio.Status{MessageSID: "SM1", AccountSID: "AC1", From: "+15557770000", To: "+14155550123", Status: twilio.StatusDelivered}
	failed := plain
	failed.Status, failed.ErrorCode = twilio.StatusUndelivered, 30003
	cases := []struct {
		name   string
		change func(url.Values)
		want   twilio.Status
		field  string
	}{
		{"delivered", nil, plain, ""},
		{"undelivered", func(f url.Values) { f.Set("MessageStatus", "undelivered"); f.Set("ErrorCode", "30003") }, failed, ""},
		{"older name of the status", func(f url.Values) { f.Del("MessageStatus") }, plain, ""},
		{"no id", func(f url.Values) { f.Del("MessageSid") }, twilio.Status{}, "MessageSid"},
		{"no status", func(f url.Values) { f.Del("MessageStatus"); f.Del("SmsStatus") }, twilio.Status{}, "MessageStatus"},
		{"status of a received message", func(f url.Values) { f.Set("MessageStatus", "received") }, twilio.Status{}, "MessageStatus"},
		{"unknown status", func(f url.Values) { f.Set("MessageStatus", "teleported") }, twilio.Status{}, "MessageStatus"},
		{"code that is none", func(f url.Values) { f.Set("ErrorCode", "x") }, twilio.Status{}, "ErrorCode"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := twilio.DecodeStatus(form(c.change))
			checkField(t, err, c.field)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func checkField(t *testing.T, err error, field string) {
	t.Helper()
	var fe *ingress.Malformed
	switch {
	case field == "" && err != nil:
		t.Fatalf("err = %v, want none", err)
	case field != "" && (!errors.As(err, &fe) || fe.Place != field):
		t.Fatalf("err = %v, want an ingress.Malformed about %s", err, field)
	}
}

func TestParseFormSaysWhatIsWrong(t *testing.T) {
	if _, err := twilio.ParseForm([]byte("a=%zz")); err == nil {
		t.Fatal("a broken escape was taken")
	} else {
		checkField(t, err, "body")
	}
}

// FuzzDecode holds that no form makes the decoders panic, and that what they
// take can stand in a record: ids present, text in UTF-8, media counted.
func FuzzDecode(f *testing.F) {
	f.Add(inboundForm(nil).Encode())
	f.Add("MessageSid=SM1&MessageStatus=sent&To=%2B1")
	f.Add("MessageSid=SM1&From=a&To=b&NumMedia=1&MediaUrl0=https://x/y&Body=%ff")
	f.Fuzz(func(t *testing.T, body string) {
		form, err := twilio.ParseForm([]byte(body))
		if err != nil {
			return
		}
		if in, err := twilio.DecodeInbound(form, http.Header{}); err == nil {
			ok := in.MessageSID != "" && in.From != "" && in.To != "" && len(in.Media) <= twilio.MaxMedia
			for _, s := range []string{in.MessageSID, in.AccountSID, in.From, in.To, in.Body, in.FromCountry} {
				ok = ok && utf8.ValidString(s)
			}
			for _, m := range in.Media {
				ok = ok && m.URL != "" && utf8.ValidString(m.URL) && utf8.ValidString(m.ContentType)
			}
			if !ok {
				t.Fatalf("taken: %+v", in)
			}
		}
		if st, err := twilio.DecodeStatus(form); err == nil && (st.MessageSID == "" || st.Status == "" || !utf8.ValidString(st.To)) {
			t.Fatalf("taken: %+v", st)
		}
		_ = twilio.IsStatus(form)
	})
}
