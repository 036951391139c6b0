package gorgias_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/handoff-dev/handoff/connectors/desktest"
	"github.com/handoff-dev/handoff/connectors/gorgias"
	"github.com/handoff-dev/handoff/connectors/gorgias/sim"
	"github.com/handoff-dev/handoff/schemas/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is the stand-in's clock.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func secret(ref settings.SecretRef) (string, error) { return string(ref), nil }

// stand serves a stand-in and gives a shop that reaches it.
func stand(t *testing.T, cfg sim.Config) (*sim.Sim, *gorgias.Desk, *settings.Shop, *clock) {
	t.Helper()
	c := &clock{now: time.Date(2026, 11, 21, 21, 0, 0, 0, time.UTC)}
	cfg.Now, cfg.Email, cfg.Key = c.Now, "api@acme.example", "key-1"
	s := sim.New(cfg)
	server := httptest.NewServer(s)
	transport := &http.Transport{}
	desk, err := gorgias.New(gorgias.Config{HTTP: &http.Client{Transport: transport, Timeout: 5 * time.Second}, Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		transport.CloseIdleConnections()
		server.Close()
	})
	shop := &settings.Shop{Shop: "acme", Name: "Acme", Desk: settings.Desk{
		Kind: gorgias.Name, BaseURL: server.URL, User: "api@acme.example", Token: "key-1", WebhookSecret: "hook-secret",
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
