package gateway_test

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/connectors/gateway"
	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

const (
	channelPath = "/in/pigeon/acme/" + shopNumber
	deskPath    = "/in/loft/acme"
	traceID     = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
)

var callID = strings.Repeat("0a", 16)

func ticketOf(shop, address, conversation string, episode uint64) string {
	return schemas.Ticket{Key: schemas.Key{Shop: shop, Address: address}, Conversation: conversation, Episode: episode}.ExternalID()
}

func TestMessageBecomesRecord(t *testing.T) {
	w := start(t, nil)
	body := events(carried{ID: "m1", From: customer, Text: "where is my order?", At: noon.Add(-time.Minute).Unix()})
	got := w.post(channelPath, body, "Traceparent", traceID)
	if got.status != http.StatusAccepted || got.body != "coo" || got.header.Get("Content-Type") != "text/x-coo" {
		t.Errorf("the provider's own success answer is missing: %+v", got)
	}
	want := &handoffv1.Record{
		Id:      schemas.SourceID("pigeon", "acme", shopNumber, "m1"),
		Shop:    "acme",
		Channel: handoffv1.Channel_CHANNEL_SMS, Account: shopNumber, Address: customer, Conversation: "sms:" + shopNumber,
		EventTime:  timestamppb.New(noon.Add(-time.Minute).Truncate(time.Second)),
		ReceivedAt: timestamppb.New(noon.Truncate(time.Millisecond)), Traceparent: traceID, SettingsVersion: 7,
		Body: &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{NativeId: "m1", Text: "where is my order?"}},
	}
	if diff := cmp.Diff([]*handoffv1.Record{want}, w.publisher.records(t), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	m := w.publisher.all[0]
	if m.topic != schemas.TopicClassify || m.message.Metadata.Get("key") != "acme|"+customer {
		t.Errorf("posted to %s under %q", m.topic, m.message.Metadata.Get("key"))
	}
	if at := m.message.Metadata.Get("at"); at != "2026-03-02T12:00:00.123Z" {
		t.Errorf("Kafka's timestamp is %s, want received_at", at)
	}
	if id := m.message.Metadata.Get("correlation_id"); id != traceID[3:35] {
		t.Errorf("correlation id %q, want the trace's", id)
	}
	if w.counted("pigeon", "accepted") != 1 {
		t.Error("not counted as accepted")
	}
}

func TestRedeliveryHasTheSameID(t *testing.T) {
	w := start(t, nil)
	w.post(channelPath, events(carried{ID: "m1", From: customer, Text: "hi"}))
	w.post(channelPath, events(carried{ID: "m1", From: customer, Text: "hi"}))
	w.post(channelPath, events(carried{ID: "m2", From: customer, Text: "hi"}))
	w.post("/in/pigeon/acme/"+otherNumber, events(carried{ID: "m1", From: customer, Text: "hi"}))
	var ids []string
	for _, r := range w.publisher.records(t) {
		ids = append(ids, schemas.HexID(r.GetId()))
	}
	if len(ids) != 4 || ids[0] != ids[1] || ids[1] == ids[2] || ids[0] == ids[3] {
		t.Errorf("ids %v: want the first two alike and the others not", ids)
	}
}

func TestManyMessagesInOnePost(t *testing.T) {
	w := start(t, nil)
	var all []carried
	for i := range 50 {
		all = append(all, carried{ID: fmt.Sprint("m", i), From: customer, Text: fmt.Sprint(i)})
	}
	all = append(all, carried{ID: "s1", From: customer, State: "delivered"})
	if got := w.post(channelPath, events(all...)); got.status != http.StatusAccepted {
		t.Fatalf("%+v", got)
	}
	records := w.publisher.records(t)
	if len(records) != 51 {
		t.Fatalf("%d records, want 51", len(records))
	}
	for i, r := range records[:50] {
		if r.GetCustomerMessage().GetText() != fmt.Sprint(i) || w.publisher.all[i].call != 1 {
			t.Errorf("message %d is %q of publish %d: the order is not kept", i, r.GetCustomerMessage().GetText(), w.publisher.all[i].call)
		}
	}
	if last := w.publisher.topics()[50]; last != schemas.TopicDeliver {
		t.Errorf("the delivery state went to %s", last)
	}
	if w.hook.answered.Load() != 1 {
		t.Error("not answered once")
	}
}

func TestDeliveryCallback(t *testing.T) {
	w := start(t, nil)
	got := w.post(channelPath+"/status/"+callID, events(carried{ID: "SM1:delivered", From: customer, State: "delivered"}))
	if got.status != http.StatusAccepted {
		t.Fatalf("%+v", got)
	}
	r := w.publisher.records(t)[0]
	if r.GetDeliveryState().GetCallId() != callID || w.publisher.topics()[0] != schemas.TopicDeliver {
		t.Errorf("call id %q to %s", r.GetDeliveryState().GetCallId(), w.publisher.topics()[0])
	}
	if got := w.post(channelPath, events(carried{ID: "SM2:delivered", From: customer, State: "delivered"})); got.status != http.StatusAccepted {
		t.Errorf("a callback without a call id is answered %+v", got)
	}
	if r := w.publisher.records(t)[1]; r.GetDeliveryState().GetCallId() != "" {
		t.Error("a call id from nowhere")
	}
}

func TestTicketHint(t *testing.T) {
	w := start(t, nil)
	external := ticketOf("acme", customer, "sms:"+shopNumber, 3)
	hint := carried{ID: "e1", Ticket: "991", External: external}
	if got := w.post(deskPath, events(hint)); got.status != http.StatusAccepted {
		t.Fatalf("%+v", got)
	}
	want := &handoffv1.Record{
		Id: schemas.SourceID("loft", "acme", shopNumber, "e1"), Shop: "acme",
		Channel: handoffv1.Channel_CHANNEL_SMS, Account: shopNumber, Address: customer, Conversation: "sms:" + shopNumber,
		EventTime: timestamppb.New(noon.Truncate(time.Millisecond)), ReceivedAt: timestamppb.New(noon.Truncate(time.Millisecond)),
		SettingsVersion: 7,
		Body:            &handoffv1.Record_TicketChanged{TicketChanged: &handoffv1.TicketChanged{Desk: "loft", TicketId: "991", Episode: 3}},
	}
	if diff := cmp.Diff(want, w.publisher.records(t)[0], protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if topic := w.publisher.topics()[0]; topic != schemas.TopicDeliver {
		t.Errorf("posted to %s", topic)
	}

	hint.ID = ""
	w.post(deskPath, events(hint, hint))
	records := w.publisher.records(t)
	if a, b := schemas.HexID(records[1].GetId()), schemas.HexID(records[2].GetId()); a == b {
		t.Error("two hints without an id have the same id: the second would be taken for seen")
	}
}

func TestForeignTicketsAreAcknowledged(t *testing.T) {
	w := start(t, nil)
	for name, external := range map[string]string{
		"none":               "",
		"another system's":   "order-4412",
		"another shop's":     ticketOf("rival", customer, "sms:"+shopNumber, 1),
		"no episode":         strings.TrimSuffix(ticketOf("acme", customer, "sms:"+shopNumber, 1), "1") + "0",
		"control characters": ticketOf("acme", "+1\x00", "sms:"+shopNumber, 1),
	} {
		if got := w.post(deskPath, events(carried{ID: name, Ticket: "5", External: external})); got.status != http.StatusAccepted {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if n := len(w.publisher.records(t)); n != 0 {
		t.Errorf("%d records posted", n)
	}
	if n := w.counted("loft", "foreign"); n != 5 {
		t.Errorf("%v counted as foreign, want 5", n)
	}
}

func TestNothingInIt(t *testing.T) {
	w := start(t, nil)
	if got := w.post(channelPath, "[]"); got.status != http.StatusAccepted {
		t.Errorf("%+v", got)
	}
	if w.counted("pigeon", "empty") != 1 || w.publisher.entered.Load() != 0 {
		t.Error("not counted as empty, or published")
	}
}

func TestEscapedAccount(t *testing.T) {
	w := start(t, nil)
	if got := w.post("/in/pigeon/acme/a%2Fb%3Fc", events(carried{ID: "1", From: "U1", Text: "hi"})); got.status != http.StatusAccepted {
		t.Fatalf("%+v", got)
	}
	if got := w.post("/in/pigeon/acme/%2B15557770000", events(carried{ID: "2", From: customer, Text: "hi"})); got.status != http.StatusAccepted {
		t.Fatalf("%+v", got)
	}
	records := w.publisher.records(t)
	if c := records[0].GetConversation(); c != "line:a/b?c" {
		t.Errorf("conversation %q", c)
	}
	if c := records[1].GetConversation(); c != "sms:"+shopNumber {
		t.Errorf("conversation %q", c)
	}
}

func TestAccountInTheBody(t *testing.T) {
	w := start(t, nil)
	if got := w.post(channelPath, events(carried{ID: "1", From: customer, To: otherNumber, Text: "hi"})); got.status != http.StatusAccepted {
		t.Fatalf("another account under the same secret: %+v", got)
	}
	if r := w.publisher.records(t)[0]; r.GetConversation() != "sms:"+otherNumber {
		t.Errorf("conversation %q", r.GetConversation())
	}
	for _, to := range []string{lockedLine, "+19998887777"} {
		got := w.post(channelPath, events(carried{ID: "2", From: customer, Text: "hi"}, carried{ID: "3", From: customer, To: to, Text: "hi"}))
		if got.status != http.StatusNotFound || got.field("error") != "unknown_account" {
			t.Errorf("to %s: %+v", to, got)
		}
	}
	if n := len(w.publisher.records(t)); n != 1 {
		t.Errorf("%d records: part of a refused request was taken", n)
	}
}

func TestRefusals(t *testing.T) {
	good := events(carried{ID: "m1", From: customer, Text: "hello there"})
	cases := []struct {
		name, path, body string
		header           []string
		status           int
		provider, error  string
		place            string
		decoded          bool
	}{
		{name: "unknown path", path: "/in/pigeon", body: good, status: 404, provider: "unknown", error: "unknown_path"},
		{name: "too deep a path", path: channelPath + "/status/" + callID + "/more", body: good, status: 404, provider: "unknown", error: "unknown_path"},
		{name: "unknown provider", path: "/in/owl/acme/" + shopNumber, body: good, status: 404, provider: "unknown", error: "unknown_provider"},
		{name: "a desk is no channel", path: "/in/loft/acme/" + shopNumber, body: good, status: 404, provider: "unknown", error: "unknown_provider"},
		{name: "unknown shop", path: "/in/pigeon/nobody/" + shopNumber, body: good, status: 404, provider: "pigeon", error: "unknown_shop"},
		{name: "unknown account", path: "/in/pigeon/acme/+10000000000", body: good, status: 404, provider: "pigeon", error: "unknown_account"},
		{name: "unknown desk", path: "/in/stable/acme", body: good, status: 404, provider: "unknown", error: "unknown_provider"},
		{name: "desk of another shop", path: "/in/barn/acme", body: good, status: 404, provider: "barn", error: "unknown_account"},
		{name: "unknown shop at a desk", path: "/in/loft/nobody", body: good, status: 404, provider: "loft", error: "unknown_shop"},
		{name: "a call id that is none", path: channelPath + "/status/xyz", body: good, status: 400, provider: "pigeon", error: "malformed", place: "path"},
		{name: "no signature", path: channelPath, body: good, header: []string{"Pigeon-Signature", ""}, status: 401, provider: "pigeon", error: "unsigned"},
		{name: "forged", path: channelPath, body: good, header: []string{"Pigeon-Signature", "guess"}, status: 403, provider: "pigeon", error: "forged"},
		{name: "forged and malformed", path: channelPath, body: "{", header: []string{"Pigeon-Signature", "guess"}, status: 403, provider: "pigeon", error: "forged"},
		{name: "an account's secret at another's", path: "/in/pigeon/acme/" + lockedLine, body: good, status: 403, provider: "pigeon", error: "forged"},
		{name: "no secret set", path: "/in/pigeon/acme/+15557770004", body: good, status: 403, provider: "pigeon", error: "forged"},
		{name: "secret cannot be read", path: "/in/pigeon/acme/+15557770003", body: good, status: 503, provider: "pigeon", error: "secret_unavailable"},
		{name: "forged at a desk", path: deskPath, body: good, header: []string{"Pigeon-Signature", "guess"}, status: 403, provider: "loft", error: "forged"},
		{name: "malformed", path: channelPath, body: "{", status: 400, provider: "pigeon", error: "malformed", place: "body", decoded: true},
		{name: "malformed without a place", path: channelPath, body: "obscure", status: 400, provider: "pigeon", error: "malformed", place: "body", decoded: true},
		{name: "empty body", path: channelPath, body: "", status: 400, provider: "pigeon", error: "malformed", place: "body", decoded: true},
		{name: "event without record", path: channelPath, body: "nil record", status: 400, provider: "pigeon", error: "malformed", place: "body", decoded: true},
		{name: "event without id", path: channelPath, body: events(carried{From: customer, Text: "hi"}), status: 400, provider: "pigeon", error: "malformed", place: "body", decoded: true},
		{name: "event with an endless id", path: channelPath, body: events(carried{ID: strings.Repeat("x", 513), From: customer}), status: 400, provider: "pigeon", error: "malformed", place: "body", decoded: true},
		{name: "event without address", path: channelPath, body: events(carried{ID: "1", Text: "hi"}), status: 400, provider: "pigeon", error: "malformed", place: "body", decoded: true},
		{name: "address with a newline", path: channelPath, body: events(carried{ID: "1", From: "+1\n2", Text: "hi"}), status: 400, provider: "pigeon", error: "malformed", place: "body", decoded: true},
		{name: "event of another kind", path: channelPath, body: events(carried{ID: "1", From: customer, Other: true}), status: 400, provider: "pigeon", error: "malformed", place: "body", decoded: true},
		{name: "message at the callback's path", path: channelPath + "/status/" + callID, body: good, status: 400, provider: "pigeon", error: "malformed", place: "body", decoded: true},
		{name: "hint at a channel", path: channelPath, body: events(carried{ID: "1", Ticket: "5", External: ticketOf("acme", customer, "sms:"+shopNumber, 1)}), status: 400, provider: "pigeon", error: "malformed", place: "body", decoded: true},
		{name: "message at a desk", path: deskPath, body: good, status: 400, provider: "loft", error: "malformed", place: "body", decoded: true},
		{name: "too large", path: channelPath, body: strings.Repeat("x", gateway.DefaultMaxBody+1), status: 413, provider: "pigeon", error: "too_large"},
		{name: "settings table fails", path: "/in/pigeon/broken/" + shopNumber, body: good, status: 500, provider: "pigeon", error: "failed"},
		{name: "panic in verify", path: channelPath, body: good, header: []string{"Pigeon-Signature", "panic"}, status: 500, provider: "pigeon", error: "failed"},
		{name: "panic in decode", path: channelPath, body: "panic", status: 500, provider: "pigeon", error: "failed", decoded: true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := start(t, nil)
			got := w.post(c.path, c.body, c.header...)
			if got.status != c.status || got.field("error") != c.error || got.field("place") != c.place || got.field("reason") == "" {
				t.Errorf("answered %d %s, want %d %s at %q", got.status, got.body, c.status, c.error, c.place)
			}
			if n := w.counted(c.provider, c.error); n != 1 {
				t.Errorf("counted %v times as %s/%s", n, c.provider, c.error)
			}
			if w.publisher.entered.Load() != 0 || w.hook.answered.Load() != 0 {
				t.Error("something was posted, or the provider's success answer given")
			}
			if got := w.hook.decoded.Load() == 1; got != c.decoded {
				t.Errorf("decoded %v, want %v", got, c.decoded)
			}
			if needs := c.status == 503; needs != (got.header.Get("Retry-After") != "") {
				t.Errorf("Retry-After %q with %d", got.header.Get("Retry-After"), got.status)
			}
			if got := w.post(channelPath, good); got.status != http.StatusAccepted {
				t.Errorf("the next good request is answered %+v", got)
			}
			checkSecrecy(t, w, "hello there")
		})
	}
}

// TestWrongMethod: a path that takes another method says which, as every refusal does.
func TestWrongMethod(t *testing.T) {
	w := start(t, nil)
	for path, want := range map[string]string{
		channelPath: http.MethodPost, deskPath: http.MethodPost, "/shops/acme/consent/links": http.MethodPost,
		"/shops/acme/episodes/" + customer: http.MethodGet, "/readyz": http.MethodGet,
	} {
		got := w.send(http.MethodDelete, path, strings.NewReader(""))
		if got.status != http.StatusMethodNotAllowed || got.field("error") != "wrong_method" || got.header.Get("Allow") != want || got.field("reason") != "this path takes "+want {
			t.Errorf("DELETE %s: %d %s, Allow %q", path, got.status, got.body, got.header.Get("Allow"))
		}
	}
	if n := w.counted("unknown", "wrong_method"); n != 5 {
		t.Errorf("counted %v times", n)
	}
}

// checkSecrecy fails when the log holds what it must not.
func checkSecrecy(t *testing.T, w *world, texts ...string) {
	t.Helper()
	for _, s := range append(texts, secretValue, "another-secret-value", token) {
		if strings.Contains(w.log.String(), s) {
			t.Errorf("the log tells %q:\n%s", s, w.log)
		}
	}
}

func TestTooLargeWithoutLength(t *testing.T) {
	w := start(t, func(c *gateway.Config) { c.MaxBody = 1000 })
	body := struct{ *strings.Reader }{strings.NewReader(strings.Repeat("x", 5000))} // hides its length
	got := w.send(http.MethodPost, channelPath, body, "Pigeon-Signature", secretValue)
	if got.status != http.StatusRequestEntityTooLarge || w.counted("pigeon", "too_large") != 1 {
		t.Errorf("%+v", got)
	}
	fits := events(carried{ID: "1", From: customer, Text: strings.Repeat("x", 1000-len(events(carried{ID: "1", From: customer, Text: "x"}))+1)})
	if len(fits) != 1000 {
		t.Fatalf("the body has %d bytes", len(fits))
	}
	if got := w.post(channelPath, fits); got.status != http.StatusAccepted {
		t.Errorf("a body of exactly the limit: %+v", got)
	}
}

// TestTextThatIsNotUTF8: a connector should repair it; one that does not is refused by the codec.
func TestTextThatIsNotUTF8(t *testing.T) {
	w := start(t, nil)
	got := w.post(channelPath, "not UTF-8")
	if got.status != http.StatusBadRequest || got.field("error") != "malformed" || w.publisher.entered.Load() != 0 {
		t.Errorf("%+v", got)
	}
}

// TestBodyEndsEarly: half a message is no message.
func TestBodyEndsEarly(t *testing.T) {
	w := start(t, nil)
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: gateway\r\nPigeon-Signature: %s\r\nContent-Length: 100\r\n\r\n[]", channelPath, secretValue)
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is counted", func() bool { return w.counted("pigeon", "unreadable") == 1 })
	if w.hook.decoded.Load() != 0 || w.publisher.entered.Load() != 0 {
		t.Error("half a body was used")
	}
}

func TestSettingsNotLoaded(t *testing.T) {
	w := start(t, nil)
	w.loaded.Store(false)
	for _, path := range []string{channelPath, deskPath, "/in/pigeon/nobody/" + shopNumber} {
		got := w.post(path, "[]")
		if got.status != http.StatusServiceUnavailable || got.field("error") != "settings_pending" || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: %+v", path, got)
		}
	}
	if got := w.send(http.MethodGet, "/readyz", nil); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "settings") {
		t.Errorf("readyz: %+v", got)
	}
	if got := w.send(http.MethodGet, "/healthz", nil); got.status != http.StatusOK {
		t.Errorf("healthz: %+v", got)
	}
	w.loaded.Store(true)
	if got := w.send(http.MethodGet, "/readyz", nil); got.status != http.StatusOK {
		t.Errorf("readyz: %+v", got)
	}
}

func TestThrottlePerShop(t *testing.T) {
	w := start(t, func(c *gateway.Config) {
		c.ShopRate, c.ShopBurst, c.AckTimeout = 0.001, 2, time.Second
	})
	var statuses []int
	for i := range 3 {
		got := w.post(channelPath, events(carried{ID: fmt.Sprint(i), From: customer, Text: "hi"}))
		statuses = append(statuses, got.status)
		if got.status == http.StatusTooManyRequests && got.header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
	}
	if !slices.Equal(statuses, []int{202, 202, 429}) {
		t.Errorf("answered %v", statuses)
	}
	if n := len(w.publisher.records(t)); n != 2 || w.counted("pigeon", "throttled") != 1 {
		t.Errorf("%d records", n)
	}
	for range 3 {
		if got := w.post(channelPath, "[]", "Pigeon-Signature", "guess"); got.status != http.StatusForbidden {
			t.Errorf("a forgery is answered %d: it must not use the shop's bucket up", got.status)
		}
	}
}

func TestPublicURL(t *testing.T) {
	path := channelPath + "?a=1&b=%2F"
	for _, c := range []struct {
		name, public string
		trust        bool
		header       []string
		want         string
	}{
		{name: "as it came", want: "http://HOST" + path},
		{name: "forwarded but not trusted", header: []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "evil.example"}, want: "http://HOST" + path},
		{name: "forwarded and trusted", trust: true, header: []string{"X-Forwarded-Proto", "https, http", "X-Forwarded-Host", "In.example.com, proxy"}, want: "https://In.example.com" + path},
		{name: "trusted, nothing forwarded", trust: true, want: "http://HOST" + path},
		{name: "trusted, nonsense", trust: true, header: []string{"X-Forwarded-Proto", "gopher"}, want: "http://HOST" + path},
		{name: "configured", public: "https://in.example.com/hooks/", trust: true, header: []string{"X-Forwarded-Host", "other"}, want: "https://in.example.com/hooks" + path},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := start(t, func(cfg *gateway.Config) { cfg.PublicURL, cfg.TrustForwarded = c.public, c.trust })
			w.post(path, "[]", c.header...)
			want := strings.Replace(c.want, "HOST", strings.TrimPrefix(w.url, "http://"), 1)
			if _, ok := w.hook.urls.Load(want); !ok {
				w.hook.urls.Range(func(k, _ any) bool { t.Errorf("verified against %v, want %s", k, want); return true })
			}
		})
	}
}

func TestTraceContext(t *testing.T) {
	w := start(t, nil)
	for _, bad := range []string{"", "x", traceID + "-more", strings.Replace(traceID, "00-", "ff-", 1),
		"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", strings.ToUpper(traceID)} {
		w.post(channelPath, events(carried{ID: bad, From: customer, Text: "hi"}, carried{ID: "x", From: customer}), "Traceparent", bad)
	}
	for _, r := range w.publisher.records(t) {
		if r.GetTraceparent() != "" {
			t.Errorf("took %q over", r.GetTraceparent())
		}
	}
}

func TestConfig(t *testing.T) {
	good := gateway.Config{
		Channels: map[string]ingress.Webhook{"pigeon": &pigeon{}}, Settings: shops{}, SettingsLoaded: func() bool { return true },
		Secret: resolve, Publisher: newPublisher(), Message: newMessage,
	}
	if _, err := gateway.New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*gateway.Config){
		"Settings":       func(c *gateway.Config) { c.Settings = nil },
		"SettingsLoaded": func(c *gateway.Config) { c.SettingsLoaded = nil },
		"Secret":         func(c *gateway.Config) { c.Secret = nil },
		"Publisher":      func(c *gateway.Config) { c.Publisher = nil },
		"Message":        func(c *gateway.Config) { c.Message = nil },
		"channel":        func(c *gateway.Config) { c.Channels = nil },
		"MaxBody":        func(c *gateway.Config) { c.MaxBody = schemas.MaxRecordBytes },
		"MaxPending":     func(c *gateway.Config) { c.MaxPending = 1 },
		"AckTimeout":     func(c *gateway.Config) { c.AckTimeout = -1 },
		"ShopRate":       func(c *gateway.Config) { c.ShopRate = -1 },
		"PublicURL":      func(c *gateway.Config) { c.PublicURL = "in.example.com" },
	} {
		bad := good
		change(&bad)
		if _, err := gateway.New(bad); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
