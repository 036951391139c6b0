package gateway

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the gateway's figures. provider is a registered connector's name, "settings", or
// "unknown", so that callers cannot make labels up.
type metrics struct {
	requests *prometheus.CounterVec
	records  *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer, p *pending) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "handoff", Subsystem: "gateway", Name: "requests_total",
			Help: "Requests by connector and how they ended.",
		}, []string{"provider", "outcome"}),
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "handoff", Subsystem: "gateway", Name: "records_total",
			Help: "Records that Kafka acknowledged, by topic.",
		}, []string{"topic"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "handoff", Subsystem: "gateway", Name: "request_seconds",
			Help:    "Time from the request's headers to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}, []string{"provider"}),
	}
	if reg == nil {
		return m, nil
	}
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "handoff", Subsystem: "gateway", Name: "pending_bytes",
		Help: "Bytes of requests that wait for Kafka's acknowledgement.",
	}, func() float64 { return float64(p.size()) })
	for _, c := range []prometheus.Collector{m.requests, m.records, m.seconds, waiting} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register the gateway's metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) ended(provider string, o outcome, took time.Duration) {
	m.requests.WithLabelValues(provider, string(o)).Inc()
	m.seconds.WithLabelValues(provider).Observe(took.Seconds())
}
