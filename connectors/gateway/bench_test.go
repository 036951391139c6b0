package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/handoff-dev/handoff/connectors/gateway"
)

// BenchmarkWebhook is one webhook over loopback, from the request to the provider's answer, with a
// publisher that acknowledges at once.
func BenchmarkWebhook(b *testing.B) {
	w := start(b, func(c *gateway.Config) { c.ShopRate, c.ShopBurst, c.Log = 1e9, 1e9, nil })
	body := hello("1")
	b.ReportAllocs()
	for b.Loop() {
		if got := w.send(http.MethodPost, channelPath, strings.NewReader(body), "Pigeon-Signature", secretValue); got.status != http.StatusAccepted {
			b.Fatalf("%+v", got)
		}
	}
	w.publisher.forget()
}
