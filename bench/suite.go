package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// suite is a run of a plan: what the result file has is skipped.
type suite struct {
	*bench
	results *results
	origins origins
	build   string
	only    string
	own     string // which broker runs get that need one of their own
	// measure runs sides of a round; a field for tests.
	measure func(ctx context.Context, e experiment, sides []string, round int) error
}

// runSuite measures what is missing and reports.
func runSuite(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("bench run", flag.ContinueOnError)
	var o common
	o.register(flags)
	name := flags.String("suite", "quick", "quick, full, runner or smoke")
	only := flags.String("only", "", "run experiments whose name has this in it")
	rounds := flags.Int("rounds", 0, "repetitions; default what the suite has")
	build := flags.String("build", "unknown", "version of this repository, noted with every figure")
	if err := flags.Parse(args); err != nil {
		return err
	}
	plan, err := suiteOf(*name)
	if err != nil {
		return err
	}
	s := &suite{build: *build, only: *only, own: o.broker}
	s.measure = s.round
	if s.results, err = openResults(filepath.Join(o.out, *name)); err != nil {
		return err
	}
	if s.origins, err = originsOf(ctx, o); err != nil {
		return err
	}
	again, err := s.results.goOn(s.origins, plan)
	if err != nil {
		return err
	}
	if n := len(s.results.all); n > 0 {
		fmt.Fprintf(os.Stderr, "going on where it was: %d figures are there; rounds that were interrupted and are measured anew: %d\n", n, again)
	}
	if s.bench, err = openBench(ctx, o); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := buildStreams(ctx); err != nil { // so that no run has to wait for it
		return err
	}
	for _, phase := range plan {
		if err := s.phase(ctx, phase, *rounds); err != nil {
			return err
		}
	}
	return report(os.Stdout, filepath.Join(o.out, *name), s.results, plan)
}

// phase goes through all experiments round by round.
func (s *suite) phase(ctx context.Context, experiments []experiment, rounds int) error {
	last := 0
	for i := range experiments {
		if rounds > 0 {
			experiments[i].Rounds = rounds
		}
		last = max(last, experiments[i].Rounds)
	}
	for round := 1; round <= last; round++ {
		for _, e := range experiments {
			if round > e.Rounds || !strings.Contains(e.Name, s.only) {
				continue
			}
			missing := slices.DeleteFunc(rotated(e.Sides, round), func(side string) bool { return s.results.has(e.Name, side, round) })
			if len(missing) == 0 {
				continue
			}
			if err := s.measure(ctx, e, missing, round); err != nil {
				return fmt.Errorf("%s, round %d: %w", e.Name, round, err)
			}
		}
	}
	return nil
}

// round runs an experiment's sides one after the other.
func (s *suite) round(ctx context.Context, e experiment, sides []string, round int) error {
	switch e.Kind {
	case kindDrain:
		return s.drainRound(ctx, e, sides, round)
	case kindLatency:
		return s.latencyRound(ctx, e, sides, round)
	case kindRestore:
		return s.restoreRound(ctx, e, sides, round)
	case kindChain:
		return s.chainRound(ctx, e, sides, round)
	}
	return fmt.Errorf("no kind %q of experiments", e.Kind)
}

// note writes a run's figures down and prints them.
func (s *suite) note(e experiment, side string, round int, figures []figure) error {
	line := fmt.Sprintf("%s  round %d  %-16s", e.Name, round, side)
	for i := range figures {
		f := &figures[i]
		f.Experiment, f.Side, f.Round, f.origin, f.Build = e.Name, side, round, s.origins.of(e), s.build
		line += fmt.Sprintf("  %s %.5g %s", f.Metric, f.Value, f.Unit)
	}
	fmt.Fprintln(os.Stderr, time.Now().UTC().Format(time.TimeOnly), line)
	return s.results.add(figures)
}

// drainRound fills an input for the sides that get all records and one for each that gets fewer, and drains them side
// by side.
func (s *suite) drainRound(ctx context.Context, e experiment, sides []string, round int) (err error) {
	inputs := map[workload]input{}
	defer func() {
		for _, in := range inputs {
			err = errors.Join(err, s.cluster.remove(ctx, in.name))
		}
	}()
	for _, side := range sides {
		w := e.of(side)
		in, ok := inputs[w]
		if !ok {
			in, err = s.fillInput(ctx, w)
			inputs[w] = in
			if err != nil {
				return err
			}
		}
		spec, err := s.spec(ctx, in, side)
		if err != nil {
			return err
		}
		if e.Cache > 0 {
			spec.CacheBytes = e.Cache
		}
		d, err := s.drain(ctx, in, spec, e.Limit)
		if err != nil {
			return err
		}
		if err := s.note(e, side, round, d.figures(w)); err != nil {
			return err
		}
	}
	return nil
}

// figures of a drained input. Long ones tell whether the rate falls as state grows.
func (d *drained) figures(w workload) []figure {
	all := []figure{
		{Metric: metricRate, Value: d.rate, Unit: "records/s"},
		{Metric: metricCPU, Value: d.cpu, Unit: "us/record"},
		{Metric: metricMemory, Value: float64(d.memory) / (1 << 20), Unit: "MiB"},
	}
	const million = 1_000_000
	if w.Records < 10*million {
		return all
	}
	first, _ := d.between(int64(w.Warm), int64(w.Warm)+million)
	last, _ := d.between(int64(w.Records)-million, int64(w.Records))
	return append(all, figure{Metric: metricFirst, Value: first, Unit: "records/s"}, figure{Metric: metricLast, Value: last, Unit: "records/s"})
}
