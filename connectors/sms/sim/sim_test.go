package sim_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/handoff-dev/handoff/connectors/sms"
	"github.com/handoff-dev/handoff/connectors/sms/sim"
	"github.com/handoff-dev/handoff/pipeline/ingress"
)

const (
	shopNumber = "+15557770000"
	customer   = "+14155550123"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hook takes webhooks as the gateway would and keeps their events.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	events []ingress.Event
	status int
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{status: http.StatusAccepted}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		req := &ingress.Request{Header: r.Header, Body: body, Secret: "secret", Now: time.Now()}
		if err := (sms.Webhook{}).Verify(req); err != nil {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		events, err := sms.Webhook{}.Decode(req)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.status < 300 {
			h.events = append(h.events, events...)
		}
		w.WriteHeader(h.status)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) ids() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ids []string
	for _, e := range h.events {
		ids = append(ids, e.NativeID)
	}
	return strings.Join(ids, " ")
}

func newSim(t *testing.T, cfg sim.Config) (*sim.Sim, *httptest.Server) {
	t.Helper()
	cfg.Secret, cfg.StepDelay = "secret", time.Millisecond
	s, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Cleanup(s.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	return s, server
}

func send(t *testing.T, target, secret, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	sms.Sign(req.Header, secret, time.Now(), []byte(body))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	said, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(said)
}

func TestSendIsTakenAndReported(t *testing.T) {
	h := newHook(t)
	s, server := newSim(t, sim.Config{Webhooks: map[string]string{shopNumber: h.URL}, Statuses: true})
	status, said := send(t, server.URL+"/send", "secret", `{"id":"c1","from":"`+shopNumber+`","to":"`+customer+`","text":"hi"}`)
	if status != http.StatusAccepted || !strings.Contains(said, `"id"`) {
		t.Fatalf("%d %s", status, said)
	}
	limit := time.After(5 * time.Second)
	for h.ids() != "status/c1/sent status/c1/delivered" {
		changed := s.Changed()
		select {
		case <-changed:
		case <-time.After(20 * time.Millisecond): // the hook is told after the change
		case <-limit:
			t.Fatalf("reported %q", h.ids())
		}
	}
}

func TestSendIsRefused(t *testing.T) {
	s, server := newSim(t, sim.Config{})
	if status, _ := send(t, server.URL+"/send", "other", `{"from":"a","to":"b","text":"c"}`); status != http.StatusUnauthorized {
		t.Errorf("forged: %d", status)
	}
	if status, _ := send(t, server.URL+"/send", "secret", `{"from":"a","to":"b"}`); status != http.StatusBadRequest {
		t.Errorf("no text: %d", status)
	}
	if status, _ := send(t, server.URL+"/send", "secret", `from=1`); status != http.StatusBadRequest {
		t.Errorf("not JSON: %d", status)
	}
	if n := len(s.Messages()); n != 0 {
		t.Errorf("%d were taken", n)
	}
}

func TestTextAndRedelivery(t *testing.T) {
	h := newHook(t)
	s, server := newSim(t, sim.Config{Webhooks: map[string]string{shopNumber: h.URL}, Duplicate: true})
	id, err := s.Text(t.Context(), customer, shopNumber, "hi")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := h.ids(), "message/"+id+" message/"+id; got != want {
		t.Errorf("events %q, want %q", got, want)
	}
	h.status = http.StatusServiceUnavailable
	late, err := s.Text(t.Context(), customer, shopNumber, "later")
	if err == nil || late == "" {
		t.Fatalf("id %q, err %v", late, err)
	}
	h.status = http.StatusAccepted
	if err := s.Redeliver(t.Context(), late); err != nil || !strings.HasSuffix(h.ids(), "message/"+late) {
		t.Errorf("err %v, events %s", err, h.ids())
	}
	if _, err := s.Text(t.Context(), customer, "+1999", "hi"); err == nil {
		t.Error("an unknown number took a text")
	}
	if last := s.MessagesFrom(1); len(last) != 1 || last[0].ID != late || len(s.MessagesFrom(9)) != 0 {
		t.Errorf("after the first: %+v", last)
	}
	for body, want := range map[string]int{
		"from=" + customer + "&to=" + url.QueryEscape(shopNumber) + "&body=hi": 200, // an unescaped plus is forgiven
		"to=" + url.QueryEscape(shopNumber) + "&body=hi":                       400,
		"from=%2B1&to=%2B1999&body=hi":                                         404,
	} {
		res, err := http.Post(server.URL+"/_text", "application/x-www-form-urlencoded", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %d, want %d", body, res.StatusCode, want)
		}
	}
}

func TestPages(t *testing.T) {
	_, server := newSim(t, sim.Config{})
	send(t, server.URL+"/send", "secret", `{"id":"c1","from":"a","to":"b","text":"<b>bold</b>"}`)
	get := func(path string) []byte {
		res, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return body
	}
	if page := get("/"); !bytes.Contains(page, []byte("&lt;b&gt;bold")) || bytes.Contains(page, []byte("<b>bold")) {
		t.Errorf("page %s", page)
	}
	var all struct{ Messages []sim.Message }
	if err := json.Unmarshal(get("/_received"), &all); err != nil || len(all.Messages) != 1 || all.Messages[0].Text != "<b>bold</b>" {
		t.Errorf("%+v, %v", all, err)
	}
}
