package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/handoff-dev/handoff/connectors/gateway"
	"github.com/handoff-dev/handoff/schemas/settings"
)

const document = `shop: acme
name: Acme Outdoors
support_contact: help@acme.example
accounts:
  - channel: sms
    account: "+15557770000"
    provider: twilio
    user: AC1
    secret: env:TWILIO
`

// apply is a settings table that can fail.
type apply struct {
	err     error
	applied []string
}

func (a *apply) apply(_ context.Context, shop string, document []byte) (uint64, error) {
	if a.err != nil {
		return 0, a.err
	}
	a.applied = append(a.applied, shop+"\n"+string(document))
	return uint64(len(a.applied)), nil
}

func TestApplySettings(t *testing.T) {
	a := &apply{}
	w := start(t, func(c *gateway.Config) { c.Apply = a.apply })
	got := w.post("/shops/acme/settings", document, "Authorization", "Bearer "+token)
	if got.status != http.StatusOK || got.field("shop") != "acme" || got.field("version") != "1" {
		t.Fatalf("%+v", got)
	}
	if len(a.applied) != 1 || a.applied[0] != "acme\n"+document {
		t.Errorf("applied %q", a.applied)
	}
	checkSecrecy(t, w, "help@acme.example")
}

func TestSettingsRefused(t *testing.T) {
	for _, c := range []struct {
		name, path, body, authorization string
		err                             error
		status                          int
		error                           string
	}{
		{name: "no token", body: document, status: 401, error: "unsigned"},
		{name: "not a bearer token", body: document, authorization: "Basic " + token, status: 401, error: "unsigned"},
		{name: "wrong token", body: document, authorization: "Bearer guess", status: 403, error: "forged"},
		{name: "wrong token and a bad document", body: "shop: [", authorization: "Bearer guess", status: 403, error: "forged"},
		{name: "unknown key", body: document + "colour: red\n", authorization: "Bearer " + token, status: 422, error: "settings_refused"},
		{name: "not YAML", body: "shop: [", authorization: "Bearer " + token, status: 422, error: "settings_refused"},
		{name: "empty", authorization: "Bearer " + token, status: 422, error: "settings_refused"},
		{name: "another shop's", path: "/shops/other/settings", body: document, authorization: "Bearer " + token, status: 422, error: "settings_refused"},
		{name: "refused by the table", body: document, authorization: "bearer " + token, status: 422, error: "settings_refused",
			err: &settings.Error{Problems: []settings.Problem{{Line: 1, Reason: "the shop is closed"}}}},
		{name: "too large", body: strings.Repeat("#", gateway.DefaultMaxBody+1), authorization: "Bearer " + token, status: 413, error: "too_large"},
		{name: "Kafka away", body: document, authorization: "Bearer " + token, status: 503, error: "unacknowledged", err: errors.New("no leader")},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &apply{err: c.err}
			w := start(t, func(cfg *gateway.Config) { cfg.Apply = a.apply })
			path := c.path
			if path == "" {
				path = "/shops/acme/settings"
			}
			got := w.post(path, c.body, "Authorization", c.authorization)
			if got.status != c.status || got.field("error") != c.error || got.field("reason") == "" {
				t.Errorf("answered %d %s, want %d %s", got.status, got.body, c.status, c.error)
			}
			if len(a.applied) != 0 || w.counted("settings", c.error) != 1 {
				t.Errorf("applied %d, counted %v", len(a.applied), w.counted("settings", c.error))
			}
			if c.status == http.StatusUnprocessableEntity && !strings.Contains(got.body, `"problems":[{`) {
				t.Errorf("no problems in %s", got.body)
			}
		})
	}
}

func TestSettingsProblemsHaveLines(t *testing.T) {
	a := &apply{}
	w := start(t, func(c *gateway.Config) { c.Apply = a.apply })
	bad := strings.Replace(document, "channel: sms", "channel: fax", 1)
	got := w.post("/shops/acme/settings", bad, "Authorization", "Bearer "+token)
	var body struct {
		Problems []struct {
			Line         int
			Path, Reason string
		}
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || len(body.Problems) == 0 {
		t.Fatalf("%v in %s", err, got.body)
	}
	if p := body.Problems[0]; p.Line != 5 || p.Path != "accounts[0].channel" || p.Reason == "" {
		t.Errorf("%+v", p)
	}
}

func TestSettingsAreClosed(t *testing.T) {
	w := start(t, nil)
	if got := w.post("/shops/acme/settings", document, "Authorization", "Bearer "+token); got.status != http.StatusNotFound {
		t.Errorf("without Apply: %+v", got)
	}
	a := &apply{}
	w = start(t, func(c *gateway.Config) { c.Apply, c.OperatorToken = a.apply, "" })
	for _, authorization := range []string{"Bearer ", "Bearer x", "Bearer"} {
		if got := w.post("/shops/acme/settings", document, "Authorization", authorization); got.status != 401 && got.status != 403 {
			t.Errorf("without an operator token, %q: %+v", authorization, got)
		}
	}
	if len(a.applied) != 0 {
		t.Error("applied without a token")
	}
}
