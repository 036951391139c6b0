package bot_test

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
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/connectors/bot"
	"github.com/handoff-dev/handoff/connectors/bot/sim"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newDestination(t *testing.T) *bot.Destination {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	d, err := bot.New(bot.Config{
		Transport: transport, Now: func() time.Time { return noon },
		Secret: func(ref settings.SecretRef) (string, error) {
			if ref != "env:BOT" {
				return "", fmt.Errorf("no secret %s", ref)
			}
			return "secret", nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func attempt(target, text string) caller.Attempt {
	return caller.Attempt{
		CallID: "t1", Number: 1,
		Shop: &settings.Shop{Shop: "acme", AutoReply: settings.Bot{URL: target, Secret: "env:BOT", Timeout: 5 * time.Second}},
		Record: &handoffv1.Record{
			Shop: "acme", Channel: handoffv1.Channel_CHANNEL_SMS, Account: "+15557770000", Address: "+14155550123", Conversation: "sms:+15557770000",
		},
		Command: &handoffv1.Command{Action: &handoffv1.Command_AskBot{AskBot: &handoffv1.AskBot{
			Turn: 3, Language: "en", Intent: "order_status", Messages: []*handoffv1.ThreadMessage{
				{Id: "m0", Author: handoffv1.AuthorKind_AUTHOR_KIND_BOT, At: timestamppb.New(noon.Add(-time.Minute)), Text: "Hi!"},
				{
					Id: "m1", Author: handoffv1.AuthorKind_AUTHOR_KIND_CUSTOMER, Name: "Ann", At: timestamppb.New(noon), Text: text,
					Media: []*handoffv1.Media{{Url: "https://x/y", ContentType: "image/png"}},
				},
			},
		}}},
	}
}

// newRig returns a Sim over HTTP and the URL that takes questions.
func newRig(t *testing.T, cfg sim.Config) (*sim.Sim, string) {
	t.Helper()
	cfg.Secret = "secret"
	s := sim.New(cfg)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Cleanup(s.Close)
	return s, server.URL + "/ask"
}

func kindOf(t *testing.T, err error) *caller.Error {
	t.Helper()
	e, ok := errors.AsType[*caller.Error](err)
	if !ok {
		t.Fatalf("err = %v, want a *caller.Error", err)
	}
	return e
}

func TestAskAndAnswer(t *testing.T) {
	s, target := newRig(t, sim.Config{})
	d := newDestination(t)
	out, err := d.Do(t.Context(), attempt(target, "Where is my order?"))
	if err != nil {
		t.Fatal(err)
	}
	if out.GetStatus() != handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE || out.GetBotReply().GetTurn() != 3 ||
		!strings.Contains(out.GetBotReply().GetText(), "on its way") || out.GetBotReply().GetCannotAnswer() {
		t.Errorf("outcome %v", out)
	}
	want := bot.Question{
		Shop: "acme", Conversation: "sms:+15557770000", Channel: "sms", Address: "+14155550123",
		Turn: 3, TurnID: "t1", Locale: "en", Intent: "order_status", Messages: []bot.Message{
			{ID: "m0", Author: "bot", Time: noon.Add(-time.Minute), Text: "Hi!"},
			{
				ID: "m1", Author: "customer", Name: "Ann", Time: noon, Text: "Where is my order?",
				Media: []bot.Media{{URL: "https://x/y", ContentType: "image/png"}},
			},
		},
	}
	if diff := cmp.Diff(want, s.Turns()[0].Question); diff != "" {
		t.Error(diff)
	}
	if d.Retry(nil) != caller.Idempotent {
		t.Error("not idempotent")
	}
}

func TestAskingAgainIsHarmless(t *testing.T) {
	answers := 0
	s, target := newRig(t, sim.Config{Answer: func(bot.Question) bot.Answer {
		answers++
		return bot.Answer{Reply: fmt.Sprintf("answer %d", answers)}
	}})
	d := newDestination(t)
	for _, f := range []sim.FaultKind{sim.Dropped, sim.Down} {
		s.Inject(sim.Fault{Kind: f, Times: 1})
		if _, err := d.Do(t.Context(), attempt(target, "hi")); err == nil {
			t.Fatal("no error")
		}
	}
	for range 2 {
		out, err := d.Do(t.Context(), attempt(target, "hi"))
		if err != nil || out.GetBotReply().GetText() != "answer 1" {
			t.Errorf("outcome %v, %v", out, err)
		}
	}
	if all := s.Turns(); len(all) != 1 || all[0].Asked != 4 {
		t.Errorf("turns %+v", all)
	}
}

func TestCannotAnswer(t *testing.T) {
	_, target := newRig(t, sim.Config{})
	out, err := newDestination(t).Do(t.Context(), attempt(target, "My parcel exploded"))
	if err != nil {
		t.Fatal(err)
	}
	want := &handoffv1.BotReply{Turn: 3, CannotAnswer: true, Reason: "not in my content"}
	if diff := cmp.Diff(want, out.GetBotReply(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestFaults(t *testing.T) {
	cases := []struct {
		name  string
		fault sim.Fault
		kind  caller.ErrorKind
	}{
		{"down", sim.Fault{Kind: sim.Down}, caller.Retryable},
		{"dropped", sim.Fault{Kind: sim.Dropped}, caller.Retryable},
		{"malformed", sim.Fault{Kind: sim.Malformed}, caller.Permanent},
		{"limited", sim.Fault{Kind: sim.Limited}, caller.Limited},
		{"gone", sim.Fault{Kind: sim.Gone}, caller.Permanent},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, target := newRig(t, sim.Config{})
			s.Inject(c.fault)
			_, err := newDestination(t).Do(t.Context(), attempt(target, "hi"))
			if e := kindOf(t, err); e.Kind != c.kind || e.Meaning == "" || (c.kind == caller.Limited && e.RetryAfter <= 0) {
				t.Errorf("error %+v", e)
			}
		})
	}
}

func TestSilenceEndsAtTheTimeout(t *testing.T) {
	s, target := newRig(t, sim.Config{})
	s.Inject(sim.Fault{Kind: sim.Silent, Delay: time.Hour})
	a := attempt(target, "hi")
	a.Shop.AutoReply.Timeout = 50 * time.Millisecond
	_, err := newDestination(t).Do(t.Context(), a)
	if e := kindOf(t, err); e.Kind != caller.Retryable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %+v", e)
	}
}

func TestSlowAnswerWithinTheTimeout(t *testing.T) {
	s, target := newRig(t, sim.Config{})
	s.Inject(sim.Fault{Kind: sim.Silent, Delay: 10 * time.Millisecond, Times: 1})
	if _, err := newDestination(t).Do(t.Context(), attempt(target, "hi")); err != nil {
		t.Error(err)
	}
}

func TestWithoutRightSettings(t *testing.T) {
	_, target := newRig(t, sim.Config{})
	note := attempt(target, "hi")
	note.Command = &handoffv1.Command{Action: &handoffv1.Command_AddNote{AddNote: &handoffv1.AddNote{}}}
	secret := attempt(target, "hi")
	secret.Shop.AutoReply.Secret = "env:GONE"
	unsigned := attempt(target, "hi")
	unsigned.Shop.AutoReply.Secret = ""
	for name, c := range map[string]struct {
		attempt caller.Attempt
		kind    caller.ErrorKind
	}{
		"no bot":                     {attempt("", "hi"), caller.Permanent},
		"not a question":             {note, caller.Permanent},
		"secret unreadable":          {secret, caller.Unauthorized},
		"the bot wants it signed":    {unsigned, caller.Unauthorized},
		"nobody there":               {attempt("http://127.0.0.1:1/?token=hush", "hi"), caller.Retryable},
		"redirects are not followed": {attempt(redirectTo(t, target), "hi"), caller.Permanent},
	} {
		_, err := newDestination(t).Do(t.Context(), c.attempt)
		if e := kindOf(t, err); e.Kind != c.kind || strings.Contains(e.Error(), "hush") {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if _, err := bot.New(bot.Config{}); err == nil {
		t.Error("no secret resolver was taken")
	}
}

func redirectTo(t *testing.T, target string) string {
	t.Helper()
	server := httptest.NewServer(http.RedirectHandler(target, http.StatusTemporaryRedirect))
	t.Cleanup(server.Close)
	return server.URL
}

func TestSignature(t *testing.T) {
	// printf '1772366400.{}' | openssl dgst -sha256 -hmac secret
	if got, want := bot.Sign("secret", "1772366400", []byte("{}")), "sha256=b0c2c5e288833b007355aa343b97fd4bb8f9825725b0961e7aaa0f867a720061"; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

// fixed answers every request with the same body.
type fixed []byte

func (f fixed) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(f)))}, nil
}

// FuzzAnswer holds that whatever a bot answers is either a reply, a "cannot
// answer" with a reason, or refused with a meaning; and fits a record.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"reply":"hi"}`, `{"cannot_answer":true}`, `{"cannot_answer":true,"reason":"x","reply":"y"}`, `{}`, `[]`, `null`,
		`{"reply":7}`, `{"reply":"  "}`, "{\"reply\":\"\xff\"}", ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := bot.New(bot.Config{Transport: fixed(body), Secret: func(settings.SecretRef) (string, error) { return "s", nil }})
		if err != nil {
			t.Fatal(err)
		}
		out, err := d.Do(t.Context(), attempt("http://bot.example/", "hi"))
		if err != nil {
			if e := kindOf(t, err); e.Kind != caller.Permanent || e.Meaning == "" {
				t.Fatalf("error %+v", e)
			}
			return
		}
		r := out.GetBotReply()
		if !utf8.ValidString(r.GetText()) || !utf8.ValidString(r.GetReason()) || len(r.GetText()) > bot.MaxReply ||
			r.GetCannotAnswer() == (r.GetReason() == "") || r.GetCannotAnswer() == (r.GetText() != "") {
			t.Fatalf("taken: %v", r)
		}
	})
}

func TestAnswerTooLarge(t *testing.T) {
	for _, n := range []int{bot.MaxReply + 1, 5 * bot.MaxReply} {
		d, err := bot.New(bot.Config{
			Transport: fixed(`{"reply":"` + strings.Repeat("a", n) + `"}`),
			Secret:    func(settings.SecretRef) (string, error) { return "s", nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Do(t.Context(), attempt("http://bot.example/", "hi")); kindOf(t, err).Kind != caller.Permanent {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
