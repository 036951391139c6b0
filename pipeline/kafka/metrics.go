package kafka

import (
	"maps"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/handoff-dev/handoff/pipeline/state"
)

// runnerMetrics of one stage. Per-record work touches none of them: they are updated per transaction
// and per second.
type runnerMetrics struct {
	registerer  prometheus.Registerer
	collectors  []prometheus.Collector
	records     prometheus.Counter
	deadLetters prometheus.Counter
	restarts    prometheus.Counter
	restored    prometheus.Counter
	standby     prometheus.Gauge
	commit      prometheus.Histogram
	restore     prometheus.Histogram
	writes      prometheus.Histogram
	writeErrors prometheus.Counter
	lag         *prometheus.GaugeVec
	calls       *prometheus.GaugeVec
}

func newRunnerMetrics(registerer prometheus.Registerer, stage string, r *Runner) (*runnerMetrics, error) {
	labels := prometheus.Labels{"stage": stage}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels})
	}
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, ConstLabels: labels, Buckets: prometheus.ExponentialBuckets(0.001, 2, 16)})
	}
	gauges := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, []string{"partition"})
	}
	m := &runnerMetrics{
		registerer:  registerer,
		records:     counter("handoff_records_total", "Records processed and committed."),
		deadLetters: counter("handoff_dead_letters_total", "Records and timers that became dead letters."),
		restarts:    counter("handoff_runner_restarts_total", "Times the runner started over from what is committed."),
		restored:    counter("handoff_restored_records_total", "Changelog records read to restore state."),
		standby: prometheus.NewGauge(prometheus.GaugeOpts{Name: "handoff_standby_partitions", ConstLabels: labels,
			Help: "Partitions of other processes whose state is kept here too."}),
		commit:      histogram("handoff_commit_seconds", "Time from the end of processing to a committed transaction."),
		restore:     histogram("handoff_restore_seconds", "Time to restore a partition."),
		writes:      histogram("handoff_sink_write_seconds", "Time of a write to the outside store."),
		writeErrors: counter("handoff_sink_write_errors_total", "Writes the outside store did not take; they are tried again."),
		lag:         gauges("handoff_lag_records", "Records in the mailbox that are not committed."),
		calls:       gauges("handoff_pending_calls", "Outside calls stored and not ended."),
	}
	m.collectors = []prometheus.Collector{m.records, m.deadLetters, m.restarts, m.restored, m.standby, m.commit, m.restore, m.writes, m.writeErrors, m.lag, m.calls, newRunnerGauges(r, labels)}
	if registerer == nil {
		return m, nil
	}
	for i, c := range m.collectors {
		if err := registerer.Register(c); err != nil {
			m.collectors = m.collectors[:i]
			m.unregister()
			return nil, err
		}
	}
	return m, nil
}

func (m *runnerMetrics) unregister() {
	if m.registerer == nil {
		return
	}
	for _, c := range m.collectors {
		m.registerer.Unregister(c)
	}
}

func (m *runnerMetrics) setLag(partition int32, records int64) {
	m.lag.WithLabelValues(label(partition)).Set(float64(records))
}

// setPending begins to count a partition's calls.
func (m *runnerMetrics) setPending(partition int32, calls int) {
	m.calls.WithLabelValues(label(partition)).Set(float64(calls))
}

// pending counts what a transaction did to the partition's calls.
func (m *runnerMetrics) pending(partition int32, c state.Changes) {
	if len(c.Stored)+len(c.Ended) == 0 {
		return
	}
	m.calls.WithLabelValues(label(partition)).Add(float64(c.More()))
}

// forget removes a partition that left.
func (m *runnerMetrics) forget(partition int32) {
	m.lag.DeleteLabelValues(label(partition))
	m.calls.DeleteLabelValues(label(partition))
}

func label(partition int32) string { return strconv.Itoa(int(partition)) }

// runnerGauges are read off the Runner when somebody asks, so that the age goes on growing while the
// loop hangs.
type runnerGauges struct {
	r               *Runner
	ready, age, hot *prometheus.Desc
}

func newRunnerGauges(r *Runner, labels prometheus.Labels) *runnerGauges {
	return &runnerGauges{
		r:     r,
		ready: prometheus.NewDesc("handoff_ready", "1 while the stage has everything it needs to process, else 0.", nil, labels),
		hot:   prometheus.NewDesc("handoff_hot_state_limit_bytes", "What hot state may take of memory now: less than configured while the heap's limit leaves too little room for garbage.", nil, labels),
		age:   prometheus.NewDesc("handoff_lag_seconds", "How old the oldest unread record can be at most; 0 when the partition is read to its end.", []string{"partition"}, labels),
	}
}

// Describe implements prometheus.Collector.
func (g *runnerGauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- g.ready
	ch <- g.hot
	ch <- g.age
}

// Collect implements prometheus.Collector.
func (g *runnerGauges) Collect(ch chan<- prometheus.Metric) {
	ready := 0.0
	if g.r.Ready() == nil {
		ready = 1
	}
	ch <- prometheus.MustNewConstMetric(g.ready, prometheus.GaugeValue, ready)
	ch <- prometheus.MustNewConstMetric(g.hot, prometheus.GaugeValue, float64(g.r.cacheBytes.Load()))
	for _, id := range g.r.reader.partitions() {
		ch <- prometheus.MustNewConstMetric(g.age, prometheus.GaugeValue, g.r.reader.Behind(id).Seconds(), label(id))
	}
}

// partitions lists what is owned.
func (v *reader) partitions() []int32 {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return slices.Collect(maps.Keys(v.owned))
}
