package sms_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/connectors/sms"
	"github.com/handoff-dev/handoff/connectors/sms/sim"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

const (
	shopNumber = "+15557770000"
	customer   = "+14155550123"
)

// rig is a Destination in front of a Sim, over HTTP.
type rig struct {
	*sim.Sim
	dest *sms.Destination
	shop *settings.Shop
}

func newDestination(t *testing.T) *sms.Destination {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	dest, err := sms.New(sms.Config{Transport: transport, Secret: func(ref settings.SecretRef) (string, error) {
		if ref != "env:SECRET" {
			return "", fmt.Errorf("no secret %s", ref)
		}
		return "secret", nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return dest
}

func newRig(t *testing.T) *rig {
	t.Helper()
	s, err := sim.New(sim.Config{Secret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Cleanup(s.Close)
	return &rig{Sim: s, dest: newDestination(t), shop: shopAt(server.URL + "/send")}
}

func shopAt(target string) *settings.Shop {
	return &settings.Shop{Shop: "acme", Accounts: []settings.Account{{
		Channel: "sms", Account: shopNumber, Provider: "sms", BaseURL: target, Secret: "env:SECRET",
	}}}
}

func attempt(shop *settings.Shop, text string) caller.Attempt {
	return caller.Attempt{
		CallID: "c1", Number: 1, Created: time.Now(), Shop: shop,
		Command: &handoffv1.Command{Action: &handoffv1.Command_SendText{SendText: &handoffv1.SendText{Text: text}}},
		Record:  &handoffv1.Record{Shop: "acme", Channel: handoffv1.Channel_CHANNEL_SMS, Account: shopNumber, Address: customer},
	}
}

func kindOf(t *testing.T, err error) *caller.Error {
	t.Helper()
	e, ok := errors.AsType[*caller.Error](err)
	if !ok {
		t.Fatalf("err = %v, want a *caller.Error", err)
	}
	return e
}

func TestDoSends(t *testing.T) {
	r := newRig(t)
	out, err := r.dest.Do(t.Context(), attempt(r.shop, "hello \"you\"\n€"))
	if err != nil {
		t.Fatal(err)
	}
	all := r.Messages()
	if len(all) != 1 || all[0].Text != "hello \"you\"\n€" || all[0].To != customer || all[0].From != shopNumber || all[0].ID != "c1" {
		t.Fatalf("messages %+v", all)
	}
	if out.GetStatus() != handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE || out.GetProviderId() != all[0].ProviderID || out.GetSegments() != 1 {
		t.Errorf("outcome %v", out)
	}
	if r.dest.Retry(nil) != caller.Blind {
		t.Error("not blind")
	}
}

func TestDoFaults(t *testing.T) {
	cases := []struct {
		name  string
		fault sim.Fault
		kind  caller.ErrorKind
		taken int
		check func(*caller.Error) bool
	}{
		{"committed but no answer", sim.Fault{Kind: sim.CommitNoAnswer}, caller.Ambiguous, 1, nil},
		{"no answer", sim.Fault{Kind: sim.NoAnswer}, caller.Ambiguous, 0, nil},
		{"committed, answered 502", sim.Fault{Kind: sim.CommitServerError}, caller.Ambiguous, 1, nil},
		{"500", sim.Fault{Kind: sim.ServerError}, caller.Ambiguous, 0, nil},
		{"429", sim.Fault{Kind: sim.Limited, Delay: 3 * time.Second}, caller.Limited, 0, func(e *caller.Error) bool { return e.RetryAfter == 3*time.Second }},
		{"refused", sim.Fault{Kind: sim.Refuse}, caller.Permanent, 0, func(e *caller.Error) bool { return e.Code == "bad_number" && !e.OptedOut }},
		{"opted out there", sim.Fault{Kind: sim.OptedOut}, caller.Permanent, 0, func(e *caller.Error) bool { return e.Code == "9" && e.OptedOut }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			c.fault.Times = 1
			r.Inject(c.fault)
			_, err := r.dest.Do(t.Context(), attempt(r.shop, "hi"))
			e := kindOf(t, err)
			if e.Kind != c.kind || e.Meaning == "" || (c.check != nil && !c.check(e)) {
				t.Errorf("error %+v", e)
			}
			if n := len(r.Messages()); n != c.taken {
				t.Errorf("the provider took %d texts, want %d", n, c.taken)
			}
		})
	}
}

func TestDoTimesOut(t *testing.T) {
	r := newRig(t)
	r.Inject(sim.Fault{Kind: sim.Slow, Delay: time.Hour, Times: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := r.dest.Do(ctx, attempt(r.shop, "hi"))
	if e := kindOf(t, err); e.Kind != caller.Ambiguous {
		t.Errorf("error %+v", e)
	}
}

func TestDoUnreachableIsSafeToRepeat(t *testing.T) {
	_, err := newDestination(t).Do(t.Context(), attempt(shopAt("http://127.0.0.1:1/send?key={{secret}}&t={{text}}"), "hi"))
	if e := kindOf(t, err); e.Kind != caller.Retryable || strings.Contains(e.Error(), "secret") || strings.Contains(e.Error(), "t=hi") {
		t.Errorf("error %v", e)
	}
}

func TestDoAnswers(t *testing.T) {
	cases := []struct {
		name   string
		status int
		header map[string]string
		body   string
		want   any // provider id, or error kind
	}{
		{"no id", 200, nil, "ok", "c1"},
		{"empty", 204, nil, "", "c1"},
		{"number as id", 200, nil, `{"id": 12345678901234567890}`, "12345678901234567890"},
		{"id of another kind", 200, nil, `{"id": {"a":1}}`, "c1"},
		{"id with a line break", 200, nil, `{"id": "a\nb"}`, "c1"},
		{"redirect is not followed", 307, map[string]string{"Location": "http://127.0.0.1:1/"}, "", caller.Permanent},
		{"401", 401, nil, "", caller.Unauthorized},
		{"403", 403, nil, "", caller.Unauthorized},
		{"404", 404, nil, "", caller.Permanent},
		{"408", 408, nil, "", caller.Ambiguous},
		{"503", 503, nil, "", caller.Ambiguous},
		{"503 that says when", 503, map[string]string{"Retry-After": "2"}, "", caller.Limited},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			requests := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests++
				body, _ := io.ReadAll(r.Body)
				if err := sms.Verify(r.Header, "secret", time.Now(), body); err != nil || r.Header.Get(sms.IDHeader) != "c1" {
					t.Errorf("the request is not signed: %v", err)
				}
				for k, v := range c.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer server.Close()
			out, err := newDestination(t).Do(t.Context(), attempt(shopAt(server.URL), "hi"))
			if kind, bad := c.want.(caller.ErrorKind); bad {
				if e := kindOf(t, err); e.Kind != kind {
					t.Errorf("error %+v", e)
				}
			} else if err != nil || out.GetProviderId() != c.want {
				t.Errorf("outcome %v, %v", out, err)
			}
			if requests != 1 {
				t.Errorf("%d requests", requests)
			}
		})
	}
}

func TestDoWithoutRightSettings(t *testing.T) {
	note := attempt(shopAt("http://127.0.0.1:1"), "hi")
	note.Command = &handoffv1.Command{Action: &handoffv1.Command_AddNote{AddNote: &handoffv1.AddNote{}}}
	gone := shopAt("http://127.0.0.1:1")
	gone.Accounts = nil
	secret := shopAt("http://127.0.0.1:1")
	secret.Accounts[0].Secret = "env:GONE"
	template := shopAt("http://127.0.0.1:1")
	template.Accounts[0].Request.Body = "{{nonsense}}"
	for name, c := range map[string]struct {
		attempt caller.Attempt
		kind    caller.ErrorKind
	}{
		"not a text":        {note, caller.Permanent},
		"account gone":      {attempt(gone, "hi"), caller.Permanent},
		"secret unreadable": {attempt(secret, "hi"), caller.Unauthorized},
		"template wrong":    {attempt(template, "hi"), caller.Permanent},
	} {
		_, err := newDestination(t).Do(t.Context(), c.attempt)
		if e := kindOf(t, err); e.Kind != c.kind {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if _, err := sms.New(sms.Config{}); err == nil {
		t.Error("no secret resolver was taken")
	}
}
