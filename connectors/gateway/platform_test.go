package gateway_test

import (
	"net/http"
	"testing"

	"github.com/handoff-dev/handoff/connectors/gateway"
	"github.com/handoff-dev/handoff/schemas"
)

// TestPlatformReports: what the messaging platform reports goes to consent, for accounts of the shop only,
// and nowhere but at its own path.
func TestPlatformReports(t *testing.T) {
	w := start(t, func(c *gateway.Config) { c.Platform = c.Channels["pigeon"] })
	report := events(carried{ID: "c1", From: customer, To: shopNumber, Text: "Sale!", Campaign: true})
	if got := w.post("/in/platform/acme", report); got.status != http.StatusAccepted {
		t.Fatalf("%+v", got)
	}
	r := w.publisher.records(t)[0]
	if w.publisher.all[0].topic != schemas.TopicConsent || r.GetAddress() != customer || r.GetConversation() != "sms:"+shopNumber ||
		r.GetPlatformSend().GetText() != "Sale!" || string(r.GetId()) != string(schemas.SourceID("platform", "acme", shopNumber, "c1")) {
		t.Errorf("posted to %s: %v", w.publisher.all[0].topic, r)
	}
	for name, c := range map[string]struct {
		path, body string
		status     int
	}{
		"another shop's number": {"/in/platform/acme", events(carried{ID: "c2", From: customer, To: "+15550000000", Text: "Sale!", Campaign: true}), http.StatusBadRequest},
		"a channel's path":      {channelPath, report, http.StatusBadRequest},
		"a customer's message":  {"/in/platform/acme", events(carried{ID: "m1", From: customer, Text: "hi"}), http.StatusBadRequest},
		"no such shop":          {"/in/platform/nobody", report, http.StatusNotFound},
	} {
		if got := w.post(c.path, c.body); got.status != c.status {
			t.Errorf("%s: %+v, want %d", name, got, c.status)
		}
	}
	off := start(t, nil)
	if got := off.post("/in/platform/acme", report); got.status != http.StatusNotFound {
		t.Errorf("where it is not served: %+v", got)
	}
}
