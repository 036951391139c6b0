package main

import (
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// runReport writes tables and plots of what there is.
func runReport(args []string) error {
	flags := flag.NewFlagSet("bench report", flag.ContinueOnError)
	var o common
	o.register(flags)
	name := flags.String("suite", "quick", "quick, full, runner or smoke")
	if err := flags.Parse(args); err != nil {
		return err
	}
	plan, err := suiteOf(*name)
	if err != nil {
		return err
	}
	dir := filepath.Join(o.out, *name)
	r, err := openResults(dir)
	if err != nil {
		return err
	}
	return report(os.Stdout, dir, r, plan)
}

// report writes report.md and the plots into dir, and the tables to out.
func report(out io.Writer, dir string, r *results, plan [][]experiment) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmark\n\n%s Built from %s. Medians, in brackets the lowest and the highest of all rounds; ratios are of runs of the same round.\n", machineLine(), buildsOf(r))
	for _, phase := range plan {
		for _, e := range phase {
			if !measured(r, e) {
				continue
			}
			switch e.Kind {
			case kindDrain:
				drainTable(&b, r, e)
			case kindLatency:
				latencyTable(&b, r, e)
			case kindRestore:
				restoreTable(&b, r, e)
			case kindChain:
				chainTable(&b, r, e)
			}
		}
	}
	targetTable(&b, r, plan)
	fmt.Fprint(out, b.String())
	if err := os.WriteFile(filepath.Join(dir, "report.md"), []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return plots(dir, r, plan)
}

func measured(r *results, e experiment) bool {
	for _, f := range r.all {
		if f.Experiment == e.Name {
			return true
		}
	}
	return false
}

// machineLine says what it ran on.
func machineLine() string {
	model := "an unknown processor"
	if raw, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(raw)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				model = strings.TrimSpace(strings.TrimLeft(name, "\t :"))
				break
			}
		}
	}
	return fmt.Sprintf("%d cores of %s, %s/%s; the broker runs on the same cores.", runtime.NumCPU(), model, runtime.GOOS, runtime.GOARCH)
}

// buildsOf lists the versions that the figures are of; more than one means that the file was kept over
// a change that the measured programs do not see.
func buildsOf(r *results) string {
	var all []string
	for _, f := range r.all {
		if !strings.Contains(strings.Join(all, " "), f.Build) {
			all = append(all, f.Build)
		}
	}
	return strings.Join(all, ", ")
}

// number with its spread, with as many digits as it deserves.
func number(s spread) string {
	if s.n == 0 {
		return "–"
	}
	if s.n == 1 {
		return digits(s.median)
	}
	return fmt.Sprintf("%s [%s–%s]", digits(s.median), digits(s.low), digits(s.high))
}

func digits(x float64) string {
	switch {
	case math.Abs(x) >= 100_000:
		return fmt.Sprintf("%.0fk", x/1000)
	case math.Abs(x) >= 100:
		return fmt.Sprintf("%.0f", x)
	case math.Abs(x) >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

func heading(b *strings.Builder, r *results, e experiment) {
	n := 0
	for _, side := range e.Sides {
		for _, f := range r.all {
			if f.Experiment == e.Name && f.Side == side {
				n = max(n, f.Round)
			}
		}
	}
	fmt.Fprintf(b, "\n## %s\n\n%d partitions, %d rounds.\n\n", e.Name, e.Partitions, n)
}

func drainTable(b *strings.Builder, r *results, e experiment) {
	heading(b, r, e)
	fmt.Fprintln(b, "| side | records/s | quartiles | CPU µs/record | peak RSS MiB | handoff is × this |")
	fmt.Fprintln(b, "|---|---|---|---|---|---|")
	for _, side := range e.Sides {
		rate := r.spread(e.Name, side, metricRate)
		fmt.Fprintf(b, "| %s | %s | %s–%s | %s | %s | %s |\n", side, number(rate), digits(rate.q1), digits(rate.q3),
			number(r.spread(e.Name, side, metricCPU)), number(r.spread(e.Name, side, metricMemory)),
			number(r.ratio(e.Name, sideHandoff, side, metricRate)))
	}
	if first := r.byRound(e.Name, sideHandoff, metricFirst); len(first) > 0 {
		last := r.byRound(e.Name, sideHandoff, metricLast)
		fmt.Fprintf(b, "\nhandoff: the last million ran at %s × the rate of the first.\n", number(pairs(last, first)))
	}
}

func latencyTable(b *strings.Builder, r *results, e experiment) {
	heading(b, r, e)
	offered := r.spread(e.Name, sideStreams, metricOffered).median
	fmt.Fprintf(b, "%.0f records/s were sent, %.0f %% of what Kafka Streams drained. Milliseconds from when a record should have been sent until its output could be read, committed.\n\n",
		offered, 100*offered/r.spread(e.Capacity, sideStreams, metricRate).median)
	fmt.Fprintln(b, "| side | p50 | p99 | p99.9 | largest | CPU µs/record | handoff's p99 is × this |")
	fmt.Fprintln(b, "|---|---|---|---|---|---|---|")
	for _, side := range e.Sides {
		fmt.Fprintf(b, "| %s ", side)
		for _, m := range []string{metricP50, metricP99, metricP999, metricMax, metricCPU} {
			fmt.Fprintf(b, "| %s ", number(r.spread(e.Name, side, m)))
		}
		fmt.Fprintf(b, "| %s |\n", number(r.ratio(e.Name, sideHandoff, side, metricP99)))
	}
}

func restoreTable(b *strings.Builder, r *results, e experiment) {
	heading(b, r, e)
	fmt.Fprintln(b, "Seconds from the start of a process that was killed with -9 until the records that waited for it are committed.")
	fmt.Fprintln(b, "\n| side | state left | state wiped | first commit, state wiped | plain read of the changelog | its records | read ÷ restore |")
	fmt.Fprintln(b, "|---|---|---|---|---|---|---|")
	for _, side := range e.Sides {
		fmt.Fprintf(b, "| %s ", side)
		for _, m := range []string{metricWarm, metricWiped, metricWiped + "-first", metricRaw, metricEntries} {
			fmt.Fprintf(b, "| %s ", number(r.spread(e.Name, side, m)))
		}
		fmt.Fprintf(b, "| %s |\n", number(pairs(r.byRound(e.Name, side, metricRaw), r.byRound(e.Name, side, metricRestored))))
	}
}

// target is a ratio that the runner is held to.
type target struct {
	what  string
	got   spread
	least bool // got should be at least limit, else at most
	limit float64
}

func targetTable(b *strings.Builder, r *results, plan [][]experiment) {
	var all []target
	for _, phase := range plan {
		for _, e := range phase {
			all = append(all, targetsOf(r, e)...)
		}
	}
	shops := pairs(r.byRound("shops/1000", sideHandoff, metricRate), r.byRound("shops/1", sideHandoff, metricRate))
	all = append(all, target{"1,000 shops ÷ one", shops, true, .95})
	fmt.Fprint(b, "\n## Targets\n\n| ratio | median | spread | wanted | |\n|---|---|---|---|---|\n")
	for _, t := range all {
		if t.got.n == 0 {
			continue
		}
		sign, met := "≤", t.got.median <= t.limit
		if t.least {
			sign, met = "≥", t.got.median >= t.limit
		}
		verdict := "met"
		if !met {
			verdict = "**missed**"
		}
		fmt.Fprintf(b, "| %s | %.2f | %.2f–%.2f of %d | %s %.2f | %s |\n", t.what, t.got.median, t.got.low, t.got.high, t.got.n, sign, t.limit, verdict)
	}
}

func targetsOf(r *results, e experiment) []target {
	over := func(side string) spread { return r.ratio(e.Name, sideHandoff, side, metricRate) }
	switch {
	case e.Name == memoryName:
		// Two memtables: one that is written, one that is being flushed.
		const budget = memoryCache>>20 + 2*64 + 256
		m := r.spread(e.Name, sideHandoff, metricMemory)
		m.median, m.low, m.high = m.median/budget, m.low/budget, m.high/budget
		return []target{{e.Name + ": RSS ÷ (cache + memtables + 256 MiB)", m, false, 1}}
	case strings.HasPrefix(e.Name, "long/"):
		return []target{{e.Name + ": last million ÷ first", pairs(r.byRound(e.Name, sideHandoff, metricLast), r.byRound(e.Name, sideHandoff, metricFirst)), true, .95}}
	case e.Kind == kindDrain && len(e.Sides) > 1 && e.Machine == machineCount:
		return []target{{e.Name + ": ÷ pass-through", over(sidePass), true, .7}, {e.Name + ": ÷ Kafka Streams, cache on", over(sideStreams), true, 4},
			{e.Name + ": ÷ goka", over(sideGoka), true, 8}}
	case e.Kind == kindDrain && len(e.Sides) > 1:
		return []target{{e.Name + ": ÷ pass-through", over(sidePass), true, .45}, {e.Name + ": ÷ Kafka Streams, cache on", over(sideStreams), true, 3}}
	case e.Kind == kindLatency:
		return []target{{e.Name + ": p99 ÷ Kafka Streams'", r.ratio(e.Name, sideHandoff, sideStreams, metricP99), false, .5}}
	case e.Kind == kindRestore:
		return []target{{e.Name + ": plain read ÷ restore", pairs(r.byRound(e.Name, sideHandoff, metricRaw), r.byRound(e.Name, sideHandoff, metricRestored)), true, .5}}
	case e.Kind == kindChain:
		return chainTargets(r, e)
	}
	return nil
}
