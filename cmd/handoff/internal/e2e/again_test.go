package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// A process that is killed again while it is still coming back takes up its own place at once, whatever step
// of joining and restoring the second kill hits: a customer is answered soon after.
func TestKilledAgainWhileComingBack(t *testing.T) {
	h := openHouse(t)
	stages := h.start("stages", h.admin, "run", "all")
	h.start("gateway", freeAddress(t), "gateway")
	h.await("http://"+h.front+"/readyz", "http://"+h.admin+"/readyz")
	shop := h.shops()[0]
	for i, after := range []time.Duration{300 * time.Millisecond, 1200 * time.Millisecond, 2400 * time.Millisecond, 3600 * time.Millisecond} {
		stages.kill()
		<-time.After(after) // how far it has come by then is what the test varies
		stages.kill()
		killed := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		k := &talk{h: h, shop: shop, customer: customerNumber(i), marker: fmt.Sprint(880000 + i)}
		err := k.complain(ctx)
		cancel()
		if err != nil {
			t.Fatalf("killed again after %s: %v", after, err)
		}
		took := time.Since(killed)
		t.Logf("killed again after %s: answered %.1f s later", after, took.Seconds())
		if took > 15*time.Second {
			t.Errorf("killed again after %s: answered after %s", after, took)
		}
	}
}
