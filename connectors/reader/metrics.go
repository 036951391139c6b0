package reader

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the figures of all shops' classifiers together.
type metrics struct {
	questions *prometheus.CounterVec
	seconds   prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		questions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "handoff", Subsystem: "reader", Name: "questions_total",
			Help: "Messages that shops' own classifiers were to be asked about, by how it ended.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "handoff", Subsystem: "reader", Name: "question_seconds",
			Help:    "Time until a shop's own classifier answered, or was given up.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 10),
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.questions, m.seconds} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register the reader's metrics: %w", err)
		}
	}
	return m, nil
}

// ended counts one message; failed is "" for one that was read, took is 0 where it was not asked.
func (m *metrics) ended(failed string, took time.Duration) {
	if failed == "" {
		failed = "read"
	}
	m.questions.WithLabelValues(failed).Inc()
	if took > 0 {
		m.seconds.Observe(took.Seconds())
	}
}
