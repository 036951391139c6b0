package gorgias_test

import (
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"github.com/handoff-dev/handoff/connectors/desktest"
	"github.com/handoff-dev/handoff/connectors/gorgias"
	"github.com/handoff-dev/handoff/connectors/gorgias/sim"
	"github.com/handoff-dev/handoff/schemas/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stand serves a stand-in and gives a shop that reaches it.
func stand(t *testing.T, cfg sim.Config) (*sim.Sim, *gorgias.Desk, *settings.Shop, *desktest.Clock) {
	t.Helper()
	c := desktest.NewClock()
	cfg.Now, cfg.Email, cfg.Key = c.Now, "api@acme.example", "key-1"
	s := sim.New(cfg)
	url, client := desktest.Serve(t, s)
	desk, err := gorgias.New(gorgias.Config{HTTP: client, Secret: desktest.Secret})
	if err != nil {
		t.Fatal(err)
	}
	shop := &settings.Shop{Shop: "acme", Name: "Acme", Desk: settings.Desk{
		Kind: gorgias.Name, BaseURL: url, User: "api@acme.example", Token: "key-1", WebhookSecret: "hook-secret",
	}}
	return s, desk, shop, c
}

func TestConformance(t *testing.T) {
	desktest.Run(t, func(t *testing.T) *desktest.Desk {
		s, desk, shop, c := stand(t, sim.Config{})
		return &desktest.Desk{
			Destination: desk, Stand: s, Faults: s.Faults, Shop: shop, Advance: c.Advance, Now: c.Now,
			CreateMethod: http.MethodPost, CreatePath: "/api/tickets", UpdateMethod: http.MethodPost, UpdatePath: "/messages",
			Closed: "closed",
		}
	})
}
