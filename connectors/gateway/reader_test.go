package gateway_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/handoff-dev/handoff/connectors/gateway"
	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// oracle is a shop's classifier that knows one text.
type oracle struct{}

// Read reads it.
func (oracle) Read(_ context.Context, shop *settings.Shop, text string) *handoffv1.OutsideReading {
	if text == "slow" {
		return &handoffv1.OutsideReading{Classifier: shop.Shop, Failed: "timeout"}
	}
	return &handoffv1.OutsideReading{Classifier: shop.Shop, Intent: "about " + text, Confidence: 1}
}

// asking is the table with a classifier of acme's own.
type asking struct{ shops }

// Current adds it.
func (a asking) Current(shop string) (*settings.Shop, uint64, error) {
	s, version, err := a.shops.Current(shop)
	if s != nil {
		s.Classifier.Endpoint.URL = "http://oracle.test/"
	}
	return s, version, err
}

var _ pipeline.Settings = asking{}

func TestOutsideReadings(t *testing.T) {
	body := events(carried{ID: "m1", From: customer, Text: "boots"}, carried{ID: "m2", From: customer}, carried{ID: "m3", From: customer, Text: "slow"})
	for name, c := range map[string]struct {
		table pipeline.Settings
		want  []string
	}{
		"a shop with a classifier": {table: asking{}, want: []string{"about boots", "", "timeout"}},
		"a shop without one":       {table: shops{}, want: []string{"", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, func(cfg *gateway.Config) { cfg.Settings, cfg.Reader = c.table, oracle{} })
			if got := w.post(channelPath, body); got.status != http.StatusAccepted {
				t.Fatalf("answered %+v", got)
			}
			for i, r := range w.publisher.records(t) {
				o := r.GetCustomerMessage().GetOutsideReading()
				if got := o.GetIntent() + o.GetFailed(); got != c.want[i] {
					t.Errorf("message %d carries %q, want %q", i, got, c.want[i])
				}
			}
		})
	}
}
