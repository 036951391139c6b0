package zendesk_test

import (
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"github.com/handoff-dev/handoff/connectors/desktest"
	"github.com/handoff-dev/handoff/connectors/zendesk"
	"github.com/handoff-dev/handoff/connectors/zendesk/sim"
	"github.com/handoff-dev/handoff/schemas/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stand serves a stand-in and gives a shop that reaches it.
func stand(t *testing.T, cfg sim.Config) (*sim.Sim, *zendesk.Desk, *settings.Shop, *desktest.Clock) {
	t.Helper()
	c := desktest.NewClock()
	cfg.Now, cfg.Email, cfg.Token = c.Now, "api@acme.example", "token-1"
	s := sim.New(cfg)
	url, client := desktest.Serve(t, s)
	desk, err := zendesk.New(zendesk.Config{HTTP: client, Secret: desktest.Secret})
	if err != nil {
		t.Fatal(err)
	}
	shop := &settings.Shop{Shop: "acme", Name: "Acme", Desk: settings.Desk{
		Kind: zendesk.Name, BaseURL: url, User: "api@acme.example", Token: "token-1", WebhookSecret: "hook-secret",
	}}
	return s, desk, shop, c
}

func TestConformance(t *testing.T) {
	desktest.Run(t, func(t *testing.T) *desktest.Desk {
		s, desk, shop, c := stand(t, sim.Config{})
		return &desktest.Desk{
			Destination: desk, Stand: s, Faults: s.Faults, Shop: shop, Advance: c.Advance, Now: c.Now,
			CreateMethod: http.MethodPost, CreatePath: "/api/v2/tickets", UpdateMethod: http.MethodPut, UpdatePath: "/api/v2/tickets/",
			TerminalClose: true, Closed: "solved",
		}
	})
}
