package gateway_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/connectors/gateway"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// TestInEpisode: the platform asks whether people have a subscriber's conversations now (H13).
func TestInEpisode(t *testing.T) {
	pending := false
	w := start(t, func(c *gateway.Config) {
		c.Episodes = func(shop, address string) (*handoffv1.WithPeople, error) {
			switch {
			case pending:
				return nil, errors.New("not read yet")
			case shop != "acme" || address != customer:
				return nil, nil
			}
			return &handoffv1.WithPeople{Conversations: []*handoffv1.HeldConversation{{
				Conversation: "sms:" + shopNumber, State: handoffv1.EpisodeState_EPISODE_STATE_OPEN, Episode: 3,
				Since: timestamppb.New(noon), TicketId: "35", TicketUrl: "https://desk.example/35",
			}}}, nil
		}
	})
	ask := func(path string, header ...string) answer {
		if len(header) == 0 {
			header = []string{"Authorization", "Bearer " + token}
		}
		return w.send(http.MethodGet, path, nil, header...)
	}
	held := `{"shop":"acme","address":"+14155550001","in_episode":true,"conversations":[{"conversation":"sms:+15557770000","channel":"sms","account":"+15557770000",` +
		`"state":"open","episode":3,"since":"2026-03-02T12:00:00.123456789Z","ticket":"35","ticket_url":"https://desk.example/35"}]}`
	for _, path := range []string{
		"/shops/acme/episodes/+14155550001", "/shops/acme/episodes/%2B14155550001",
		"/shops/acme/episodes/+14155550001?conversation=sms:%2B15557770000",
	} {
		if got := ask(path); got.status != http.StatusOK || strings.TrimSpace(got.body) != held {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	for _, path := range []string{"/shops/acme/episodes/+14155550009", "/shops/acme/episodes/+14155550001?conversation=sms:%2B15557770001"} {
		if got := ask(path); got.status != http.StatusOK || got.field("in_episode") != "false" || !strings.Contains(got.body, `"conversations":[]`) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	for name, c := range map[string]struct {
		path, place string
		status      int
		error       string
	}{
		"no such shop":          {path: "/shops/nobody/episodes/+14155550001", status: 404, error: "unknown_shop"},
		"not the shop's number": {path: "/shops/acme/episodes/+14155550001?conversation=sms:%2B15550000000", status: 404, error: "unknown_account"},
		"no conversation":       {path: "/shops/acme/episodes/+14155550001?conversation=sms", status: 400, error: "malformed", place: "conversation"},
		"no such channel":       {path: "/shops/acme/episodes/+14155550001?conversation=fax:1", status: 400, error: "malformed", place: "conversation"},
		"no address":            {path: "/shops/acme/episodes/%20", status: 400, error: "malformed", place: "address"},
	} {
		if got := ask(c.path); got.status != c.status || got.field("error") != c.error || got.field("place") != c.place {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := ask("/shops/acme/episodes/+14155550001", "X-None", "1"); got.status != 401 || got.header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("without a token: %+v", got)
	}
	if got := ask("/shops/acme/episodes/+14155550001", "Authorization", "Bearer guess"); got.status != 403 {
		t.Errorf("with a wrong token: %+v", got)
	}
	pending = true
	if got := ask("/shops/acme/episodes/+14155550001"); got.status != 503 || got.field("error") != "episodes_pending" || got.header.Get("Retry-After") == "" {
		t.Errorf("while the table is read: %+v", got)
	}
	if n := w.counted("episodes", "accepted"); n != 5 {
		t.Errorf("%v answers counted", n)
	}
	if off := start(t, nil); off.send(http.MethodGet, "/shops/acme/episodes/+14155550001", nil, "Authorization", "Bearer "+token).status != 404 {
		t.Error("a gateway without the table answers")
	}
}
