package caller

import (
	"errors"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics of a Caller. Labels are destinations and fixed words, never shops or calls.
type metrics struct {
	registerer prometheus.Registerer
	all        []prometheus.Collector

	open     *prometheus.GaugeVec
	attempts *prometheus.CounterVec
	outcomes *prometheus.CounterVec
	failures *prometheus.CounterVec
	limited  *prometheus.CounterVec
	refusals *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	unposted prometheus.Counter
}

func newMetrics(k *Caller, r prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "handoff", Subsystem: "calls", Name: name, Help: help}, labels)
	}
	m := &metrics{
		registerer: r,
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "handoff", Subsystem: "calls", Name: "open",
			Help: "Outbox depth: stored calls that have not ended."}, []string{"destination"}),
		attempts: counter("attempts_total", "Requests and look-ups made.", "destination", "kind"),
		outcomes: counter("outcomes_total", "Calls that ended, by how.", "destination", "status"),
		failures: counter("failures_total", "Requests and look-ups that failed, by what that means.", "destination", "kind"),
		limited:  counter("limited_seconds_total", "Time for which destinations asked to be left alone.", "destination"),
		refusals: counter("gate_refusals_total", "Calls that the gate refused just before the request.", "reason"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "handoff", Subsystem: "calls", Name: "request_seconds",
			Help: "Time until an answer, by the process's clock.", Buckets: prometheus.ExponentialBuckets(0.01, 2, 12)}, []string{"destination"}),
		unposted: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "handoff", Subsystem: "calls", Name: "unposted_total",
			Help: "Times that a result was not acknowledged by the mailbox."}),
	}
	m.all = []prometheus.Collector{m.open, m.attempts, m.outcomes, m.failures, m.limited, m.refusals, m.seconds, m.unposted, &gauges{k}}
	if r == nil {
		return m, nil
	}
	var errs []error
	for _, c := range m.all {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) unregister() {
	if m.registerer == nil {
		return
	}
	for _, c := range m.all {
		m.registerer.Unregister(c)
	}
}

// gauges are read off the Caller when somebody asks.
type gauges struct{ k *Caller }

var (
	oldestDesc   = prometheus.NewDesc("handoff_calls_oldest_seconds", "Age of the oldest call that has not ended.", []string{"destination"}, nil)
	inFlightDesc = prometheus.NewDesc("handoff_calls_in_flight", "Requests that run.", []string{"destination"}, nil)
	breakersDesc = prometheus.NewDesc("handoff_calls_breakers", "Shops by the state of their destination's breaker.", []string{"destination", "state"}, nil)
	heldDesc     = prometheus.NewDesc("handoff_calls_held", "Calls in memory; the others that are open are read back from the state when their lane's turn comes.", nil, nil)
	spilledDesc  = prometheus.NewDesc("handoff_calls_spilled_lanes", "Lanes whose calls are not in memory.", nil, nil)
	limitedDesc  = prometheus.NewDesc("handoff_calls_limited_shops", "Shops whose destination asked to be left alone until later.", []string{"destination"}, nil)
)

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- oldestDesc
	ch <- heldDesc
	ch <- spilledDesc
	ch <- inFlightDesc
	ch <- breakersDesc
	ch <- limitedDesc
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	type state struct {
		oldest   time.Time
		inFlight int
		limited  int
		breakers map[circuitbreaker.State]int
	}
	states := map[string]*state{}
	of := func(destination string) *state {
		s := states[destination]
		if s == nil {
			s = &state{breakers: map[circuitbreaker.State]int{}}
			states[destination] = s
		}
		return s
	}
	k := g.k
	now := k.cfg.Now()
	k.mu.Lock()
	for name := range k.cfg.Destinations {
		of(name)
	}
	for _, p := range k.partitions {
		for _, l := range p.lanes {
			s := of(l.account.destination)
			if made := l.made(); s.oldest.IsZero() || made.Before(s.oldest) {
				s.oldest = made
			}
		}
	}
	for _, a := range k.accounts {
		s := of(a.destination)
		s.inFlight += a.inFlight
		s.breakers[a.breaker.State()]++
		if a.until.After(now) {
			s.limited++
		}
	}
	held, spilled := k.held, k.spilled
	k.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(heldDesc, prometheus.GaugeValue, float64(held))
	ch <- prometheus.MustNewConstMetric(spilledDesc, prometheus.GaugeValue, float64(spilled))
	for destination, s := range states {
		age := 0.0
		if !s.oldest.IsZero() {
			age = max(0, now.Sub(s.oldest).Seconds())
		}
		ch <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, age, destination)
		ch <- prometheus.MustNewConstMetric(inFlightDesc, prometheus.GaugeValue, float64(s.inFlight), destination)
		ch <- prometheus.MustNewConstMetric(limitedDesc, prometheus.GaugeValue, float64(s.limited), destination)
		for _, b := range []circuitbreaker.State{circuitbreaker.ClosedState, circuitbreaker.OpenState, circuitbreaker.HalfOpenState} {
			ch <- prometheus.MustNewConstMetric(breakersDesc, prometheus.GaugeValue, float64(s.breakers[b]), destination, b.String())
		}
	}
}
