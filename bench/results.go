package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// figure is one number that one run of one side gave: a line of the result file.
type figure struct {
	Experiment string
	Side       string
	Round      int
	Metric     string
	Value      float64
	Unit       string
	origin
	Build string // of this repository
	At    string // when, RFC 3339
}

// origin is what a figure was measured with. Figures of different ones do not stand in one comparison.
type origin struct {
	Program string // a fingerprint of everything that is measured
	Broker  string // its kind and version, and the compression
}

// Metrics of the result file.
const (
	metricRate     = "rate"
	metricCPU      = "cpu"
	metricMemory   = "memory"
	metricFirst    = "rate-first-million"
	metricLast     = "rate-last-million"
	metricOffered  = "offered"
	metricP50      = "p50"
	metricP99      = "p99"
	metricP999     = "p99.9"
	metricMax      = "max"
	metricGrowth   = "backlog-growth"
	metricWarm     = "restart"
	metricWiped    = "restart-wiped"
	metricRestored = "restore"
	metricRaw      = "raw-read"
	metricEntries  = "changelog-records"
	// metricComplete is how many figures the run gave; it stands last, so that one without was cut off.
	metricComplete = "complete"
)

const resultHeader = "experiment\tside\tround\tmetric\tvalue\tunit\tprogram\tbroker\tbuild\tat"

// results is the result file: appended to run by run, so that an interrupted suite goes on where it was.
type results struct {
	path string
	all  []figure
}

// openResults reads what is there. A last line without its end is left out: it was being written when the
// suite was killed.
func openResults(dir string) (*results, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the result directory: %w", err)
	}
	r := &results{path: filepath.Join(dir, "figures.tsv")}
	raw, err := os.ReadFile(r.path)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read earlier results: %w", err)
	}
	n := 0
	for line := range strings.Lines(string(raw)) {
		line, whole := strings.CutSuffix(line, "\n")
		if n++; !whole || n == 1 && line == resultHeader {
			continue
		}
		g, err := parseFigure(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w; move the file away to start over", r.path, n, err)
		}
		r.all = append(r.all, g)
	}
	return r, nil
}

func parseFigure(line string) (figure, error) {
	f := strings.Split(line, "\t")
	if len(f) != strings.Count(resultHeader, "\t")+1 {
		return figure{}, fmt.Errorf("%d fields, want %s", len(f), resultHeader)
	}
	round, err := strconv.Atoi(f[2])
	if err != nil {
		return figure{}, fmt.Errorf("round: %w", err)
	}
	value, err := strconv.ParseFloat(f[4], 64)
	if err != nil {
		return figure{}, fmt.Errorf("value: %w", err)
	}
	return figure{Experiment: f[0], Side: f[1], Round: round, Metric: f[3], Value: value, Unit: f[5],
		origin: origin{Program: f[6], Broker: f[7]}, Build: f[8], At: f[9]}, nil
}

// line is the figure as the result file has it.
func (g *figure) line() string {
	return fmt.Sprintf("%s\t%s\t%d\t%s\t%.6g\t%s\t%s\t%s\t%s\t%s\n", g.Experiment, g.Side, g.Round, g.Metric, g.Value, g.Unit, g.Program, g.Broker, g.Build, g.At)
}

// add appends a run's figures in one write.
func (r *results) add(figures []figure) error {
	if len(figures) == 0 {
		return nil
	}
	last := figures[0]
	last.Metric, last.Value, last.Unit = metricComplete, float64(len(figures)), "figures"
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	defer f.Close()
	var b strings.Builder
	if len(r.all) == 0 {
		fmt.Fprintln(&b, resultHeader)
	}
	for _, g := range append(slices.Clone(figures), last) {
		g.At = time.Now().UTC().Format(time.RFC3339)
		b.WriteString(g.line())
		r.all = append(r.all, g)
	}
	if _, err := f.WriteString(b.String()); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

// has tells whether a run is there, whole.
func (r *results) has(experiment, side string, round int) bool {
	return slices.ContainsFunc(r.all, func(f figure) bool {
		return f.Experiment == experiment && f.Side == side && f.Round == round && f.Metric == metricComplete
	})
}

// byRound returns a metric's values by round.
func (r *results) byRound(experiment, side, metric string) map[int]float64 {
	all := map[int]float64{}
	for _, f := range r.all {
		if f.Experiment == experiment && f.Side == side && f.Metric == metric {
			all[f.Round] = f.Value
		}
	}
	return all
}

// spread of a metric over all rounds.
func (r *results) spread(experiment, side, metric string) spread {
	var v []float64
	for _, x := range r.byRound(experiment, side, metric) {
		v = append(v, x)
	}
	return spreadOf(v)
}

// ratio of one side's metric to another's, round by round.
func (r *results) ratio(experiment, side, over, metric string) spread {
	return pairs(r.byRound(experiment, side, metric), r.byRound(experiment, over, metric))
}

// pairs divides what the same rounds gave.
func pairs(a, b map[int]float64) spread {
	var v []float64
	for round, x := range a {
		if y := b[round]; y != 0 {
			v = append(v, x/y)
		}
	}
	return spreadOf(v)
}
