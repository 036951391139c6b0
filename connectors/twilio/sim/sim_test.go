package sim_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/handoff-dev/handoff/connectors/twilio"
	"github.com/handoff-dev/handoff/connectors/twilio/sim"
)

const (
	accountSID = "AC00000000000000000000000000000001"
	authToken  = "token"
	shopNumber = "+15557770000"
	customer   = "+14155550123"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// manualClock stands still until it is moved.
type manualClock struct {
	mu      sync.Mutex
	now     time.Time
	waiting map[chan time.Time]time.Time
	asked   chan struct{} // one for every After
}

func newClock() *manualClock {
	return &manualClock{
		now: time.Date(2026, 3, 1, 23, 59, 58, 0, time.UTC), waiting: map[chan time.Time]time.Time{},
		asked: make(chan struct{}, 100),
	}
}

func (c *manualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manualClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan time.Time, 1)
	c.waiting[ch] = c.now.Add(d)
	c.asked <- struct{}{}
	return ch
}

func (c *manualClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	for ch, at := range c.waiting {
		if !at.After(c.now) {
			ch <- c.now
			delete(c.waiting, ch)
		}
	}
}

// hook is a webhook receiver that keeps what it got.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	forms  []url.Values
	tokens []string
	answer func(n int) (status int, kind, body string)
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{answer: func(int) (int, string, string) { return http.StatusOK, "text/xml", "<Response/>" }}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := twilio.VerifySignature(authToken, h.URL+r.URL.RequestURI(), r.Header, body); err != nil {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		form, _ := twilio.ParseForm(body)
		h.mu.Lock()
		h.forms = append(h.forms, form)
		h.tokens = append(h.tokens, r.Header.Get(twilio.IdempotencyHeader))
		status, kind, text := h.answer(len(h.forms))
		h.mu.Unlock()
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) got() []url.Values {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.forms)
}

type rig struct {
	*sim.Sim
	clock *manualClock
	hook  *hook
	api   *httptest.Server
}

func newRig(t *testing.T, change func(*sim.Config)) *rig {
	t.Helper()
	r := &rig{clock: newClock(), hook: newHook(t)}
	cfg := sim.Config{
		AccountSID: accountSID, AuthToken: authToken, Clock: r.clock, StepDelay: time.Second,
		Numbers: []sim.Number{{Number: shopNumber, Webhook: r.hook.URL + "/in/twilio/acme/" + shopNumber + "?x=1"}},
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if r.Sim, err = sim.New(cfg); err != nil {
		t.Fatal(err)
	}
	r.api = httptest.NewServer(r.Sim)
	t.Cleanup(r.api.Close)
	t.Cleanup(r.Close)
	return r
}

// post sends a form to the API and returns status and answer.
func (r *rig) post(t *testing.T, path, user, token string, form url.Values) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.api.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if user != "" {
		req.SetBasicAuth(user, token)
	}
	return do(t, req)
}

func (r *rig) get(t *testing.T, path string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.api.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(accountSID, authToken)
	return do(t, req)
}

func do(t *testing.T, req *http.Request) (int, map[string]any) {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	defer res.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, answer
}

// until waits for what the Sim holds to satisfy ok, within 5 s.
func (r *rig) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.After(5 * time.Second)
	for {
		changed := r.Changed()
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("%s did not happen; messages %+v, posts %+v", what, r.Messages(), r.Posts())
		}
	}
}

// step lets one wait of the Sim end.
func (r *rig) step(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-r.clock.asked:
	case <-time.After(5 * time.Second):
		t.Fatal("the Sim waits for nothing")
	}
	r.clock.advance(d)
}

const messagesPath = "/2010-04-01/Accounts/" + accountSID + "/Messages.json"

func sendForm(change func(url.Values)) url.Values {
	form := url.Values{"To": {customer}, "From": {shopNumber}, "Body": {"hello"}}
	if change != nil {
		change(form)
	}
	return form
}

func TestSendAndStatusCallbacks(t *testing.T) {
	r := newRig(t, nil)
	callback := r.hook.URL + "/in/twilio/acme/" + shopNumber + "/status/abc"
	status, answer := r.post(t, messagesPath, accountSID, authToken, sendForm(func(f url.Values) { f.Set("StatusCallback", callback) }))
	if status != http.StatusCreated || answer["status"] != "queued" || answer["num_segments"] != "1" ||
		answer["date_created"] != "Sun, 01 Mar 2026 23:59:58 +0000" || answer["date_sent"] != nil || answer["direction"] != "outbound-api" {
		t.Fatalf("%d %v", status, answer)
	}
	r.until(t, "queued callback", func() bool { return len(r.hook.got()) == 1 })
	r.step(t, time.Second)
	r.until(t, "sent callback", func() bool { return len(r.hook.got()) == 2 })
	r.step(t, time.Second)
	r.until(t, "delivered callback", func() bool { return len(r.hook.got()) == 3 })
	for i, want := range []string{"queued", "sent", "delivered"} {
		form := r.hook.got()[i]
		if form.Get("MessageStatus") != want || form.Get("MessageSid") != answer["sid"] || form.Get("To") != customer {
			t.Errorf("callback %d: %v", i, form)
		}
		if _, err := twilio.DecodeStatus(form); err != nil {
			t.Errorf("callback %d cannot be decoded: %v", i, err)
		}
	}
	if m := r.Messages()[0]; m.Status != twilio.StatusDelivered || m.Sent.IsZero() {
		t.Errorf("message %+v", m)
	}
}

func TestSendRefusals(t *testing.T) {
	r := newRig(t, nil)
	cases := []struct {
		name   string
		change func(url.Values)
		code   float64
	}{
		{"no recipient", func(f url.Values) { f.Del("To") }, 21604},
		{"no sender", func(f url.Values) { f.Del("From") }, 21603},
		{"no body", func(f url.Values) { f.Del("Body") }, 21602},
		{"too long", func(f url.Values) { f.Set("Body", strings.Repeat("a", 1601)) }, 21617},
		{"no number", func(f url.Values) { f.Set("To", "4155550123") }, 21211},
		{"to itself", func(f url.Values) { f.Set("To", shopNumber) }, 21266},
		{"somebody else's sender", func(f url.Values) { f.Set("From", "+15550001111") }, 21606},
		{"unknown service", func(f url.Values) { f.Del("From"); f.Set("MessagingServiceSid", "MGx") }, 21705},
		{"callback without host", func(f url.Values) { f.Set("StatusCallback", "/status") }, 21609},
		{"media without host", func(f url.Values) { f.Set("MediaUrl", "x") }, 21620},
		{"eleven media", func(f url.Values) { f["MediaUrl"] = slices.Repeat([]string{"https://x/y"}, 11) }, 21623},
	}
	for _, c := range cases {
		status, answer := r.post(t, messagesPath, accountSID, authToken, sendForm(c.change))
		if status != http.StatusBadRequest || answer["code"] != c.code || answer["status"] != float64(400) {
			t.Errorf("%s: %d %v, want code %v", c.name, status, answer, c.code)
		}
	}
	if status, answer := r.post(t, messagesPath, accountSID, "wrong", sendForm(nil)); status != 401 || answer["code"] != float64(20003) {
		t.Errorf("wrong token: %d %v", status, answer)
	}
	if status, _ := r.post(t, messagesPath, "", "", sendForm(nil)); status != 401 {
		t.Errorf("no token: %d", status)
	}
	if status, answer := r.post(t, strings.Replace(messagesPath, accountSID, "ACother", 1), accountSID, authToken, sendForm(nil)); status != 404 {
		t.Errorf("another account: %d %v", status, answer)
	}
	if n := len(r.Messages()); n != 0 {
		t.Errorf("%d messages were taken", n)
	}
}

func TestListByRecipientAndDate(t *testing.T) {
	r := newRig(t, nil)
	if _, err := r.Text(t.Context(), sim.Text{From: customer, To: shopNumber, Body: "yesterday"}); err != nil {
		t.Fatal(err)
	}
	r.clock.advance(time.Minute) // into the next day
	if _, err := r.Text(t.Context(), sim.Text{From: customer, To: shopNumber, Body: "today"}); err != nil {
		t.Fatal(err)
	}
	r.post(t, messagesPath, accountSID, authToken, sendForm(nil)) // stays queued: the clock stands still
	for query, want := range map[string]string{
		"":                                   "hello,today,yesterday",
		"?To=" + url.QueryEscape(customer):   "hello",
		"?From=" + url.QueryEscape(customer): "today,yesterday",
		"?DateSent%3E=2026-03-02":            "today",
		"?DateSent%3C=2026-03-01":            "yesterday",
		"?DateSent=2026-03-02":               "today",
		"?DateSent%3E=2026-03-03":            "",
	} {
		_, answer := r.get(t, messagesPath+query)
		var bodies []string
		for _, m := range answer["messages"].([]any) {
			bodies = append(bodies, m.(map[string]any)["body"].(string))
		}
		if got := strings.Join(bodies, ","); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if status, answer := r.get(t, messagesPath+"?DateSent=yesterday"); status != 400 || answer["code"] != float64(20001) {
		t.Errorf("bad date: %d %v", status, answer)
	}
	_, page := r.get(t, messagesPath+"?PageSize=2")
	next, _ := page["next_page_uri"].(string)
	if len(page["messages"].([]any)) != 2 || next == "" {
		t.Fatalf("first page %v", page)
	}
	_, page = r.get(t, next)
	if len(page["messages"].([]any)) != 1 || page["next_page_uri"] != nil {
		t.Errorf("last page %v", page)
	}
}

func TestTextIsRetriedWithTheSameToken(t *testing.T) {
	r := newRig(t, nil)
	r.hook.answer = func(n int) (int, string, string) {
		if n == 1 {
			return http.StatusServiceUnavailable, "text/plain", "later"
		}
		return http.StatusOK, "text/xml", "<Response/>"
	}
	done := make(chan error, 1)
	go func() {
		_, err := r.Text(context.Background(), sim.Text{From: customer, To: shopNumber, Body: "hi", Media: []twilio.Media{{URL: "https://x/y", ContentType: "image/png"}}})
		done <- err
	}()
	r.step(t, time.Second)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	got := r.hook.got()
	if len(got) != 2 || got[0].Encode() != got[1].Encode() || r.hook.tokens[0] == "" || r.hook.tokens[0] != r.hook.tokens[1] {
		t.Fatalf("forms %v, tokens %v", got, r.hook.tokens)
	}
	in, err := twilio.DecodeInbound(got[0], http.Header{})
	if err != nil || in.Body != "hi" || len(in.Media) != 1 || in.From != customer {
		t.Errorf("%+v, %v", in, err)
	}
	if posts := r.Posts(); len(posts) != 2 || posts[0].Code != 503 || posts[0].Problem == "" || posts[1].Problem != "" {
		t.Errorf("posts %+v", posts)
	}
}

func TestTextThatIsNotTaken(t *testing.T) {
	r := newRig(t, func(c *sim.Config) { c.WebhookRetries = -1 })
	r.hook.answer = func(int) (int, string, string) { return http.StatusInternalServerError, "text/plain", "broken" }
	sid, err := r.Text(t.Context(), sim.Text{From: customer, To: shopNumber, Body: "hi"})
	if err == nil || sid == "" || len(r.hook.got()) != 1 {
		t.Fatalf("sid %q, err %v, %d webhooks", sid, err, len(r.hook.got()))
	}
	r.hook.answer = func(int) (int, string, string) { return http.StatusOK, "text/plain", "not TwiML" }
	if err := r.Redeliver(t.Context(), sid); err == nil || !strings.Contains(err.Error(), "12300") {
		t.Errorf("err %v", err)
	}
	r.hook.answer = func(int) (int, string, string) { return http.StatusOK, "text/xml", "<Response/>" }
	if err := r.Redeliver(t.Context(), sid); err != nil || r.hook.got()[2].Get("MessageSid") != sid {
		t.Errorf("err %v", err)
	}
	if _, err := r.Text(t.Context(), sim.Text{From: customer, To: "+15550000000", Body: "hi"}); !errors.Is(err, sim.ErrNumber) {
		t.Errorf("unknown number: %v", err)
	}
}

func TestDuplicatesAndSwappedStatuses(t *testing.T) {
	r := newRig(t, func(c *sim.Config) { c.DuplicateWebhooks, c.StatusesSwapped = true, true })
	if _, err := r.Text(t.Context(), sim.Text{From: customer, To: shopNumber, Body: "hi"}); err != nil {
		t.Fatal(err)
	}
	if got := r.hook.got(); len(got) != 2 || got[0].Encode() != got[1].Encode() || r.hook.tokens[0] != r.hook.tokens[1] {
		t.Fatalf("webhooks %v", got)
	}
	r.post(t, messagesPath, accountSID, authToken, sendForm(func(f url.Values) { f.Set("StatusCallback", r.hook.URL+"/s") }))
	r.step(t, time.Second)
	r.step(t, time.Second)
	r.until(t, "all callbacks", func() bool { return len(r.hook.got()) == 8 })
	var order []string
	for _, f := range r.hook.got()[2:] {
		order = append(order, f.Get("MessageStatus"))
	}
	if got := strings.Join(order, " "); got != "queued queued delivered delivered sent sent" {
		t.Errorf("order %s", got)
	}
}

func TestKeywords(t *testing.T) {
	type step struct {
		body    string
		optOut  twilio.OptOut
		blocked bool
		reply   bool
	}
	cases := map[string]struct {
		mode  sim.OptOutMode
		steps []step
	}{
		"off": {sim.OptOutOff, []step{{"STOP", "", false, false}, {"HELP", "", false, false}}},
		"default": {sim.OptOutDefault, []step{
			{"stop", "", true, true}, {"STOP", "", true, false}, {"start", "", false, true},
		}},
		"advanced": {sim.OptOutAdvanced, []step{
			{"yes", "", false, false}, {"please stop", "", false, false},
			{" Stop ", twilio.OptOutStop, true, true}, {"stopall", twilio.OptOutStop, true, false},
			{"help", twilio.OptOutHelp, true, true}, {"YES", twilio.OptOutStart, false, true},
			{"START", twilio.OptOutStart, false, false},
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(cfg *sim.Config) { cfg.OptOut = c.mode })
			for i, s := range c.steps {
				before := len(r.Messages())
				if _, err := r.Text(t.Context(), sim.Text{From: customer, To: shopNumber, Body: s.body}); err != nil {
					t.Fatal(err)
				}
				all := r.Messages()
				if got := twilio.OptOut(r.hook.got()[i].Get("OptOutType")); got != s.optOut {
					t.Errorf("%q: OptOutType %q, want %q", s.body, got, s.optOut)
				}
				if replied := len(all) == before+2; replied != s.reply || r.Blocked(customer, shopNumber) != s.blocked {
					t.Errorf("%q: replied %v, blocked %v", s.body, replied, r.Blocked(customer, shopNumber))
				}
				status, answer := r.post(t, messagesPath, accountSID, authToken, sendForm(nil))
				if s.blocked && (status != 400 || answer["code"] != float64(21610)) || !s.blocked && status != 201 {
					t.Errorf("%q: then a send gives %d %v", s.body, status, answer)
				}
			}
		})
	}
}

func TestFaultsStrikeWhenTold(t *testing.T) {
	r := newRig(t, nil)
	r.Inject(sim.Fault{Kind: sim.Refuse, Code: 30007, To: "+14155550199"})
	r.Inject(sim.Fault{Kind: sim.Limited, Every: 3, Times: 2, Delay: 9 * time.Second})
	var got []int
	for range 8 {
		status, _ := r.post(t, messagesPath, accountSID, authToken, sendForm(nil))
		got = append(got, status)
	}
	if want := []int{201, 201, 429, 201, 201, 429, 201, 201}; !slices.Equal(got, want) {
		t.Errorf("statuses %v, want %v", got, want)
	}
	if status, answer := r.post(t, messagesPath, accountSID, authToken, sendForm(func(f url.Values) { f.Set("To", "+14155550199") })); status != 400 || answer["code"] != float64(30007) {
		t.Errorf("%d %v", status, answer)
	}
	r.ClearFaults()
	if status, _ := r.post(t, messagesPath, accountSID, authToken, sendForm(func(f url.Values) { f.Set("To", "+14155550199") })); status != 201 {
		t.Errorf("after clearing: %d", status)
	}
}

func TestUndeliveredEndsWithCode(t *testing.T) {
	r := newRig(t, nil)
	r.Inject(sim.Fault{Kind: sim.Undelivered, Code: 30003, Times: 1})
	r.post(t, messagesPath, accountSID, authToken, sendForm(func(f url.Values) { f.Set("StatusCallback", r.hook.URL+"/s") }))
	r.step(t, time.Second)
	r.step(t, time.Second)
	r.until(t, "all callbacks", func() bool { return len(r.hook.got()) == 3 })
	last, err := twilio.DecodeStatus(r.hook.got()[2])
	if err != nil || last.Status != twilio.StatusUndelivered || last.ErrorCode != 30003 {
		t.Errorf("%+v, %v", last, err)
	}
}

func TestPagesAndTextByHand(t *testing.T) {
	r := newRig(t, nil)
	form := url.Values{"from": {customer}, "to": {shopNumber}, "body": {"<script>alert(1)</script>"}}
	if status, answer := r.post(t, "/_text", "", "", form); status != 200 || answer["sid"] == "" {
		t.Fatalf("%d %v", status, answer)
	}
	// curl -d from=+1415… sends the plus sign unescaped.
	form.Set("from", " 14155550123")
	if status, _ := r.post(t, "/_text", "", "", form); status != 200 || r.Messages()[1].From != customer {
		t.Errorf("%d %+v", status, r.Messages()[1])
	}
	if status, _ := r.post(t, "/_text", "", "", url.Values{"to": {shopNumber}, "body": {"x"}}); status != 400 {
		t.Errorf("without sender: %d", status)
	}
	if status, _ := r.post(t, "/_text", "", "", url.Values{"from": {customer}, "to": {"+1999"}, "body": {"x"}}); status != 404 {
		t.Errorf("unknown number: %d", status)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, r.api.URL+"/", nil)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, _ := io.ReadAll(res.Body)
	if !strings.Contains(string(page), "&#43;14155550123") || !strings.Contains(string(page), "&lt;script&gt;") || strings.Contains(string(page), "<script>") {
		t.Errorf("page %s", page)
	}
	if last := r.MessagesFrom(1); len(last) != 1 || last[0].SID != r.Messages()[1].SID || len(r.MessagesFrom(9)) != 0 {
		t.Errorf("after the first: %+v", last)
	}
	_, all := r.get(t, "/_received")
	if n := len(all["messages"].([]any)); n != 2 {
		t.Errorf("%d messages as JSON", n)
	}
	if n := len(all["webhooks"].([]any)); n != 2 {
		t.Errorf("%d webhooks as JSON", n)
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	r := newRig(t, nil)
	r.hook.answer = func(int) (int, string, string) { return http.StatusServiceUnavailable, "text/plain", "later" }
	r.post(t, messagesPath, accountSID, authToken, sendForm(func(f url.Values) { f.Set("StatusCallback", r.hook.URL+"/s") }))
	r.until(t, "first callback", func() bool { return len(r.Posts()) == 1 })
	closed := make(chan struct{})
	go func() { r.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
		t.Fatal("Close waits for ever")
	}
	if _, err := r.Text(t.Context(), sim.Text{From: customer, To: shopNumber, Body: "late"}); err == nil {
		t.Error("a closed Sim took a text")
	}
}
