package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestResultsSurviveAndAreSkipped(t *testing.T) {
	dir := t.TempDir()
	r, err := openResults(dir)
	if err != nil {
		t.Fatal(err)
	}
	for round, value := range []float64{1, 2, 4} {
		for side, factor := range map[string]float64{sideHandoff: 3, sidePass: 4} {
			if err := r.add([]figure{{Experiment: "e", Side: side, Round: round + 1, Metric: metricRate, Value: value * factor, Unit: "records/s", Build: "b"}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	again, err := openResults(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !again.has("e", sidePass, 3) || again.has("e", sidePass, 4) || again.has("e", sideGoka, 1) {
		t.Error("what is there is not told from what is missing")
	}
	if got := again.ratio("e", sideHandoff, sidePass, metricRate); got.n != 3 || got.median != .75 || got.low != .75 {
		t.Errorf("ratio %+v, want 0.75 in 3 rounds", got)
	}
	f, err := os.OpenFile(filepath.Join(dir, "figures.tsv"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("e\tpass\t9\tra"); err != nil {
		t.Fatal(err)
	}
	if again, err = openResults(dir); err != nil || again.has("e", sidePass, 9) || len(again.all) != 12 {
		t.Errorf("half a line at the end: %v, %d figures, want the 12 whole ones", err, len(again.all))
	}
	if _, err := f.WriteString("te\n"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := openResults(dir); err == nil || !strings.Contains(err.Error(), "figures.tsv:14") {
		t.Errorf("a line that is not a figure: %v, want its place", err)
	}
}

func TestSpread(t *testing.T) {
	got := spreadOf([]float64{5, 1, 3, 2, 4})
	if want := (spread{n: 5, median: 3, low: 1, high: 5, q1: 2, q3: 4}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestHistogramIsExactToOnePercent(t *testing.T) {
	var h histogram
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{.5: 500 * time.Millisecond, .99: 990 * time.Millisecond, 1: time.Second} {
		if got := h.at(q); got < want || float64(got) > float64(want)*1.0101 {
			t.Errorf("quantile %g is %s, want %s", q, got, want)
		}
	}
}

func TestBetweenMoments(t *testing.T) {
	at := time.Now()
	d := drained{curve: []moment{
		{at, 0, 0}, {at.Add(time.Second), 1000, time.Second}, {at.Add(2 * time.Second), 3000, 2 * time.Second}, {at.Add(4 * time.Second), 9000, 5 * time.Second},
	}}
	rate, cpu := d.between(500, 9000) // from the first moment that has at least 500
	if want := 8000.0 / 3; rate != want || cpu != 500 {
		t.Errorf("%g records/s, %g us, want %g and 500", rate, cpu, want)
	}
}

// TestReport: every kind of table and the plots are written from what a result file has, and a missed
// target is called so.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	r, err := openResults(dir)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := suiteOf("full")
	if err != nil {
		t.Fatal(err)
	}
	for _, phase := range plan {
		for _, e := range phase {
			for _, side := range e.Sides {
				value := 100.0
				if side == sideHandoff {
					value = 60
				}
				for round := 1; round <= 2; round++ {
					var all []figure
					for _, m := range []string{metricRate, metricCPU, metricMemory, metricFirst, metricLast, metricOffered, metricP50, metricP99, metricP999, metricMax,
						metricWarm, metricWiped, metricRaw, metricRestored, metricEntries} {
						all = append(all, figure{Experiment: e.Name, Side: side, Round: round, Metric: m, Value: value, Build: "b"})
					}
					if err := r.add(all); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	if err := report(io.Discard, dir, r, plan); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| drain/count/100k keys/200 B: ÷ pass-through | 0.60 | 0.60–0.60 of 2 | ≥ 0.70 | **missed** |",
		"| drain/dedupe/100k keys/200 B: ÷ pass-through | 0.60 | 0.60–0.60 of 2 | ≥ 0.45 | met |",
		"| 1,000 shops ÷ one | 1.00 | 1.00–1.00 of 2 | ≥ 0.95 | met |",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the report has no line %q", want)
		}
	}
	for _, name := range []string{"throughput.svg", "throughput.png", "cpu.svg", "cpu.png", "latency.svg", "latency.png"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() < 1000 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
