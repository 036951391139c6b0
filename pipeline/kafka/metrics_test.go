package kafka

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestRunnerGauges: readiness and age are told while the stage runs, and change when it cannot read.
func TestRunnerGauges(t *testing.T) {
	c := newCluster(t, 2, "count")
	registry := prometheus.NewRegistry()
	store := openStore(t, t.TempDir())
	cfg := c.config(counter{"count"}, store)
	cfg.Registerer = registry
	// value adds up a metric over its series.
	value := func(name string) (sum float64, series int) {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == name {
				for _, m := range f.GetMetric() {
					sum += m.GetGauge().GetValue()
					series++
				}
			}
		}
		return sum, series
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if sum, series := value("handoff_ready"); sum != 0 || series != 1 {
		t.Errorf("before it runs: ready is %v in %d series", sum, series)
	}
	if sum, _ := value("handoff_hot_state_limit_bytes"); sum != defaultCacheBytes {
		t.Errorf("hot state may take %v bytes, want %d", sum, defaultCacheBytes)
	}
	r.cacheBytes.Store(defaultCacheBytes / 2) // it gives way
	if sum, _ := value("handoff_hot_state_limit_bytes"); sum != defaultCacheBytes/2 {
		t.Errorf("hot state that gives way may take %v bytes, want %d", sum, defaultCacheBytes/2)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	eventually(t, "it is ready and read to the end", func() bool {
		ready, _ := value("handoff_ready")
		age, series := value("handoff_lag_seconds")
		return ready == 1 && series == 2 && age == 0
	})
	c.Close() // the cluster is away
	eventually(t, "the age grows, or it is not ready any more", func() bool {
		age, _ := value("handoff_lag_seconds")
		ready, _ := value("handoff_ready")
		return age > 0 || ready == 0
	})
	stop()
	<-ended // with an error: there is nobody to commit to
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}
