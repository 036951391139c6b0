package main

import (
	"bufio"
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
	Build      string // of this repository
	At         string // when, RFC 3339
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
)

const resultHeader = "experiment\tside\tround\tmetric\tvalue\tunit\tbuild\tat"

// results is the result file: appended to run by run, so that an interrupted suite goes on where it was.
type results struct {
	path string
	all  []figure
}

// openResults reads what is there. A last line that a killed run left half written is an error: it
// should be looked at, and removed.
func openResults(dir string) (*results, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the result directory: %w", err)
	}
	r := &results{path: filepath.Join(dir, "figures.tsv")}
	f, err := os.Open(r.path)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read earlier results: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		if n == 1 && lines.Text() == resultHeader {
			continue
		}
		g, err := parseFigure(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", r.path, n, err)
		}
		r.all = append(r.all, g)
	}
	return r, lines.Err()
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
	return figure{Experiment: f[0], Side: f[1], Round: round, Metric: f[3], Value: value, Unit: f[5], Build: f[6], At: f[7]}, nil
}

// add appends a run's figures in one write.
func (r *results) add(figures []figure) error {
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	defer f.Close()
	var b strings.Builder
	if len(r.all) == 0 {
		fmt.Fprintln(&b, resultHeader)
	}
	for _, g := range figures {
		g.At = time.Now().UTC().Format(time.RFC3339)
		fmt.Fprintf(&b, "%s\t%s\t%d\t%s\t%.6g\t%s\t%s\t%s\n", g.Experiment, g.Side, g.Round, g.Metric, g.Value, g.Unit, g.Build, g.At)
		r.all = append(r.all, g)
	}
	if _, err := f.WriteString(b.String()); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

// has tells whether a run is there.
func (r *results) has(experiment, side string, round int) bool {
	return slices.ContainsFunc(r.all, func(f figure) bool {
		return f.Experiment == experiment && f.Side == side && f.Round == round
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
