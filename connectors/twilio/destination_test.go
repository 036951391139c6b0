package twilio_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/handoff-dev/handoff/connectors/twilio"
	"github.com/handoff-dev/handoff/connectors/twilio/sim"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

const (
	accountSID = "AC00000000000000000000000000000001"
	authToken  = "token"
	shopNumber = "+15557770000"
	customer   = "+14155550123"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a Destination in front of a Sim, over HTTP.
type rig struct {
	*sim.Sim
	server *httptest.Server
	dest   *twilio.Destination
	shop   *settings.Shop
}

func newRig(t *testing.T, change func(*sim.Config)) *rig {
	t.Helper()
	cfg := sim.Config{
		AccountSID: accountSID, AuthToken: authToken, StepDelay: time.Millisecond,
		Numbers:  []sim.Number{{Number: shopNumber}},
		Services: map[string]string{"MG1": shopNumber},
	}
	if change != nil {
		change(&cfg)
	}
	s, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		s.Close()
		transport.CloseIdleConnections()
		server.Close()
	})
	dest, err := twilio.New(twilio.Config{
		Transport: transport, PublicURL: "http://127.0.0.1:1/",
		Secret: func(ref settings.SecretRef) (string, error) {
			if ref != "env:TOKEN" {
				return "", fmt.Errorf("no secret %s", ref)
			}
			return authToken, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{Sim: s, server: server, dest: dest, shop: &settings.Shop{Shop: "acme", Accounts: []settings.Account{{
		Channel: "sms", Account: shopNumber, Provider: "twilio", BaseURL: server.URL, User: accountSID, Secret: "env:TOKEN",
	}}}}
}

// attempt is one try of a call that sends text.
func (r *rig) attempt(id, text string) caller.Attempt {
	cmd := &handoffv1.Command{Action: &handoffv1.Command_SendText{SendText: &handoffv1.SendText{Text: text}}}
	return caller.Attempt{
		CallID: id, Number: 1, Created: time.Now(), Command: cmd, Shop: r.shop,
		Record: &handoffv1.Record{
			Shop: "acme", Channel: handoffv1.Channel_CHANNEL_SMS, Account: shopNumber, Address: customer,
			Body: &handoffv1.Record_Command{Command: cmd},
		},
	}
}

// sent counts what the Sim took for the customer.
func (r *rig) sent() int {
	n := 0
	for _, m := range r.Messages() {
		if !m.Inbound() {
			n++
		}
	}
	return n
}

func kindOf(t *testing.T, err error) *caller.Error {
	t.Helper()
	var e *caller.Error
	if !errors.As(err, &e) {
		t.Fatalf("err = %v, want a *caller.Error", err)
	}
	return e
}

func TestDoSendsOnce(t *testing.T) {
	r := newRig(t, nil)
	out, err := r.dest.Do(t.Context(), r.attempt("c0ffee", strings.Repeat("я", 71)))
	if err != nil {
		t.Fatal(err)
	}
	all := r.Messages()
	if len(all) != 1 {
		t.Fatalf("%d messages", len(all))
	}
	m := all[0]
	if out.GetStatus() != handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE || out.GetProviderId() != m.SID || out.GetSegments() != 2 || out.GetFound() {
		t.Errorf("outcome %v", out)
	}
	if m.To != customer || m.From != shopNumber || m.StatusCallback != "http://127.0.0.1:1/in/twilio/acme/+15557770000/status/c0ffee" {
		t.Errorf("message %+v", m)
	}
}

func TestDoSendsMediaAndFromService(t *testing.T) {
	r := newRig(t, nil)
	r.shop.Accounts[0].MessagingService = "MG1"
	a := r.attempt("c1", "look")
	a.Command.GetSendText().Media = []*handoffv1.Media{{Url: "https://example.com/a.png"}, {Url: "https://example.com/b.png"}}
	out, err := r.dest.Do(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	m := r.Messages()[0]
	if m.MessagingServiceSID != "MG1" || len(m.Media) != 2 || !strings.HasPrefix(m.SID, "MM") || out.GetSegments() != 1 {
		t.Errorf("message %+v, outcome %v", m, out)
	}
}

func TestDoFaults(t *testing.T) {
	cases := []struct {
		name  string
		fault sim.Fault
		kind  caller.ErrorKind
		taken int
		check func(*testing.T, *caller.Error)
	}{
		{"committed but no answer", sim.Fault{Kind: sim.CommitNoAnswer}, caller.Ambiguous, 1, nil},
		{"no answer", sim.Fault{Kind: sim.NoAnswer}, caller.Ambiguous, 0, nil},
		{"committed, answered 500", sim.Fault{Kind: sim.CommitServerError}, caller.Ambiguous, 1, nil},
		{"503", sim.Fault{Kind: sim.ServerError}, caller.Ambiguous, 0, nil},
		{"502", sim.Fault{Kind: sim.ServerError, Status: 502}, caller.Ambiguous, 0, nil},
		{"429", sim.Fault{Kind: sim.Limited, Delay: 4 * time.Second}, caller.Limited, 0, func(t *testing.T, e *caller.Error) {
			if e.RetryAfter != 4*time.Second || e.Code != "20429" {
				t.Errorf("error %+v", e)
			}
		}},
		{"refused number", sim.Fault{Kind: sim.Refuse, Code: 21614}, caller.Permanent, 0, nil},
		{"opted out there", sim.Fault{Kind: sim.Refuse, Code: 21610}, caller.Permanent, 0, func(t *testing.T, e *caller.Error) {
			if !e.OptedOut || e.Code != "21610" {
				t.Errorf("error %+v", e)
			}
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			c.fault.Times = 1
			r.Inject(c.fault)
			_, err := r.dest.Do(t.Context(), r.attempt("c1", "hi"))
			e := kindOf(t, err)
			if e.Kind != c.kind || e.Meaning == "" {
				t.Errorf("error %+v, want kind %d", e, c.kind)
			}
			if c.check != nil {
				c.check(t, e)
			}
			if n := r.sent(); n != c.taken {
				t.Errorf("the provider took %d texts, want %d", n, c.taken)
			}
			found, err := r.dest.Lookup(t.Context(), r.attempt("c1", "hi"))
			if err != nil {
				t.Fatal(err)
			}
			if (found != nil) != (c.taken == 1) {
				t.Errorf("look-up found %v", found)
			}
		})
	}
}

func TestDoTimesOut(t *testing.T) {
	r := newRig(t, nil)
	r.Inject(sim.Fault{Kind: sim.Slow, Delay: time.Hour, Times: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := r.dest.Do(ctx, r.attempt("c1", "hi"))
	if e := kindOf(t, err); e.Kind != caller.Ambiguous {
		t.Errorf("error %+v", e)
	}
}

func TestDoUnreachableIsSafeToRepeat(t *testing.T) {
	r := newRig(t, nil)
	r.shop.Accounts[0].BaseURL = "http://127.0.0.1:1"
	_, err := r.dest.Do(t.Context(), r.attempt("c1", "hi"))
	if e := kindOf(t, err); e.Kind != caller.Retryable || strings.Contains(e.Error(), accountSID) {
		t.Errorf("error %v", e)
	}
}

func TestDoRefusesToFollowElsewhere(t *testing.T) {
	r := newRig(t, nil)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, r.server.URL+req.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer elsewhere.Close()
	r.shop.Accounts[0].BaseURL = elsewhere.URL
	_, err := r.dest.Do(t.Context(), r.attempt("c1", "hi"))
	if e := kindOf(t, err); e.Kind != caller.Permanent || r.sent() != 0 {
		t.Errorf("error %+v, %d sent", e, r.sent())
	}
}

func TestDoWithoutRightSettings(t *testing.T) {
	cases := map[string]struct {
		change func(*rig, *caller.Attempt)
		kind   caller.ErrorKind
	}{
		"account gone":      {func(r *rig, _ *caller.Attempt) { r.shop.Accounts = nil }, caller.Permanent},
		"other provider":    {func(r *rig, _ *caller.Attempt) { r.shop.Accounts[0].Provider = "sms" }, caller.Permanent},
		"secret unreadable": {func(r *rig, _ *caller.Attempt) { r.shop.Accounts[0].Secret = "env:GONE" }, caller.Unauthorized},
		"wrong account SID": {func(r *rig, _ *caller.Attempt) { r.shop.Accounts[0].User = "ACother" }, caller.Unauthorized},
		"not a text": {func(_ *rig, a *caller.Attempt) {
			a.Command = &handoffv1.Command{Action: &handoffv1.Command_AddNote{AddNote: &handoffv1.AddNote{Text: "x"}}}
		}, caller.Permanent},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			a := r.attempt("c1", "hi")
			c.change(r, &a)
			_, err := r.dest.Do(t.Context(), a)
			if e := kindOf(t, err); e.Kind != c.kind || r.sent() != 0 {
				t.Errorf("error %+v, %d sent", e, r.sent())
			}
		})
	}
}

func TestDoOptedOutAtTheProvider(t *testing.T) {
	r := newRig(t, func(c *sim.Config) { c.OptOut = sim.OptOutAdvanced })
	if _, err := r.Text(t.Context(), sim.Text{From: customer, To: shopNumber, Body: "Stop"}); err != nil {
		t.Fatal(err)
	}
	_, err := r.dest.Do(t.Context(), r.attempt("c1", "hi"))
	if e := kindOf(t, err); e.Kind != caller.Permanent || !e.OptedOut || e.Code != "21610" {
		t.Errorf("error %+v", e)
	}
}

func TestLookupFindsWhatIsStillQueued(t *testing.T) {
	r := newRig(t, func(c *sim.Config) { c.StepDelay = time.Hour })
	r.Inject(sim.Fault{Kind: sim.CommitNoAnswer, Times: 1})
	a := r.attempt("c1", "hi")
	if _, err := r.dest.Do(t.Context(), a); err == nil {
		t.Fatal("no error")
	}
	found, err := r.dest.Lookup(t.Context(), a)
	if err != nil || found == nil || !found.GetFound() || found.GetProviderId() != r.Messages()[0].SID {
		t.Fatalf("found %v, %v", found, err)
	}
}

func TestLookupTakesNoOthers(t *testing.T) {
	r := newRig(t, nil)
	first, err := r.dest.Do(t.Context(), r.attempt("c1", "Got it!"))
	if err != nil {
		t.Fatal(err)
	}
	same := r.attempt("c2", "Got it!")
	same.OtherIDs = []string{first.GetProviderId()}
	other := r.attempt("c3", "Got it?")
	elsewhere := r.attempt("c4", "Got it!")
	elsewhere.Record.Address = "+14155550124"
	later := r.attempt("c5", "Got it!")
	later.Created = time.Now().Add(time.Hour)
	for name, a := range map[string]caller.Attempt{
		"same text of another call": same, "another text": other, "another person": elsewhere, "sent before the call was made": later,
	} {
		if found, err := r.dest.Lookup(t.Context(), a); err != nil || found != nil {
			t.Errorf("%s: found %v, %v", name, found, err)
		}
	}
	if _, err := r.Text(t.Context(), sim.Text{From: customer, To: shopNumber, Body: "Got it, too"}); err != nil {
		t.Fatal(err)
	}
	if found, err := r.dest.Lookup(t.Context(), r.attempt("c6", "Got it, too")); err != nil || found != nil {
		t.Errorf("a customer's text was taken for ours: %v, %v", found, err)
	}
	if found, err := r.dest.Lookup(t.Context(), r.attempt("c1", "Got it!")); err != nil || found.GetProviderId() != first.GetProviderId() {
		t.Errorf("own text: %v, %v", found, err)
	}
}

func TestLookupThroughService(t *testing.T) {
	r := newRig(t, func(c *sim.Config) { c.StepDelay = time.Hour })
	r.shop.Accounts[0].MessagingService = "MG1"
	r.Inject(sim.Fault{Kind: sim.CommitNoAnswer, Times: 1})
	a := r.attempt("c1", "hi")
	_, _ = r.dest.Do(t.Context(), a)
	if found, err := r.dest.Lookup(t.Context(), a); err != nil || found == nil || found.GetSegments() != 1 {
		t.Fatalf("found %v, %v", found, err)
	}
}

func TestLookupFailureIsNotAnAbsence(t *testing.T) {
	r := newRig(t, nil)
	for _, f := range []sim.Fault{{Kind: sim.NoAnswer}, {Kind: sim.ServerError}, {Kind: sim.Limited}} {
		f.OnList, f.Times = true, 1
		r.Inject(f)
		if found, err := r.dest.Lookup(t.Context(), r.attempt("c1", "hi")); err == nil || found != nil {
			t.Errorf("fault %d: found %v, err %v", f.Kind, found, err)
		}
	}
}

func TestLimit(t *testing.T) {
	r := newRig(t, nil)
	if l := r.dest.Limit(r.shop); l.Requests != 50 || l.Window != time.Second {
		t.Errorf("default %+v", l)
	}
	r.shop.Accounts = append(r.shop.Accounts,
		settings.Account{Provider: "twilio", Limit: settings.Rate{Requests: 3, Per: time.Second}},
		settings.Account{Provider: "twilio", Limit: settings.Rate{Requests: 60, Per: time.Minute}},
		settings.Account{Provider: "sms", Limit: settings.Rate{Requests: 1, Per: time.Hour}})
	if l := r.dest.Limit(r.shop); l.Requests != 60 || l.Window != time.Minute {
		t.Errorf("slowest of the shop's %+v", l)
	}
}

func TestListPages(t *testing.T) {
	s, err := sim.New(sim.Config{AccountSID: accountSID, AuthToken: authToken, Numbers: []sim.Number{{Number: shopNumber}}})
	if err != nil {
		t.Fatal(err)
	}
	// Pages of two, whatever the client asks for.
	server := httptest.NewServer(http.StripPrefix("/api", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		q.Set("PageSize", "2")
		r.URL.RawQuery = q.Encode()
		s.ServeHTTP(w, r)
	})))
	defer server.Close()
	defer s.Close()
	for i := range 5 {
		if _, err := s.Text(t.Context(), sim.Text{From: customer, To: shopNumber, Body: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	account := twilio.Account{BaseURL: server.URL + "/api/", SID: accountSID, AuthToken: authToken}
	var bodies []string
	for m, err := range twilio.NewClient(transport).List(t.Context(), account, twilio.Query{From: customer}) {
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, m.Body)
	}
	if got := strings.Join(bodies, ""); got != "43210" {
		t.Errorf("listed %s, want newest first, all of them, once", got)
	}
}

func TestListRefusesAnotherServersPages(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"messages":[],"next_page_uri":"//evil.example/steal"}`))
	}))
	defer server.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for _, err := range twilio.NewClient(transport).List(t.Context(), twilio.Account{BaseURL: server.URL}, twilio.Query{}) {
		if err == nil {
			t.Fatal("went on")
		}
		return
	}
	t.Fatal("no error")
}

func TestNewRefuses(t *testing.T) {
	secret := func(settings.SecretRef) (string, error) { return "", nil }
	if _, err := twilio.New(twilio.Config{}); err == nil {
		t.Error("no secret resolver was taken")
	}
	if _, err := twilio.New(twilio.Config{Secret: secret, PublicURL: "nowhere"}); err == nil {
		t.Error("a public URL without host was taken")
	}
	if d, err := twilio.New(twilio.Config{Secret: secret}); err != nil || d.StatusCallback("s", "a", "c") != "" {
		t.Errorf("without public URL: %v", err)
	}
}
