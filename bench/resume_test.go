package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// twoPhases is a plan of two experiments side by side and one after them.
func twoPhases() [][]experiment {
	e := func(name string, rounds int, sides ...string) experiment {
		return experiment{Name: name, Sides: sides, Rounds: rounds}
	}
	return [][]experiment{{e("one", 3, sidePass, sideHandoff, sideGoka), e("two", 2, sideHandoff)}, {e("three", 2, sidePass, sideHandoff)}}
}

// both are measured with one program.
func both(program, broker string) origins {
	o := origin{program, broker}
	return origins{runner: o, pipeline: o}
}

var errKilled = errors.New("killed")

// runFor runs a plan from what is in dir until so many sides are measured, and returns which those were.
func runFor(t *testing.T, dir, build string, from origins, sides int) (measured []string, err error) {
	t.Helper()
	s := &suite{origins: from, build: build}
	if s.results, err = openResults(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.results.goOn(from, twoPhases()); err != nil {
		return nil, err
	}
	s.measure = func(_ context.Context, e experiment, missing []string, round int) error {
		for _, side := range missing {
			if len(measured) == sides {
				return errKilled
			}
			measured = append(measured, fmt.Sprintf("%s/%d/%s", e.Name, round, side))
			if err := s.note(e, side, round, []figure{{Metric: metricRate, Value: 1}, {Metric: metricCPU, Value: 2}}); err != nil {
				return err
			}
		}
		return nil
	}
	for _, phase := range twoPhases() {
		if err := s.phase(t.Context(), phase, 0); err != nil {
			return measured, err
		}
	}
	return measured, nil
}

// TestSuiteGoesOn: wherever a suite is interrupted, the next run measures what is missing, with the whole of
// the round that was interrupted, and in the end every run is there once.
func TestSuiteGoesOn(t *testing.T) {
	from := both("p", "kafka")
	whole, err := runFor(t, t.TempDir(), "whole", from, -1)
	if err != nil {
		t.Fatal(err)
	}
	for after := range len(whole) + 1 {
		dir := t.TempDir()
		_, err := runFor(t, dir, "first", from, after)
		if after < len(whole) && !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		if after > 0 && after%2 == 0 { // the kill may also have cut the last run's figures off
			truncate(t, filepath.Join(dir, "figures.tsv"), 25)
		}
		second, err := runFor(t, dir, "second", from, -1)
		if err != nil {
			t.Fatal(err)
		}
		if n := after + len(second) - len(whole); n < 0 || n > 3 {
			t.Errorf("after %d of %d: %d are measured, no more than one round of 3 is to be measured twice", after, len(whole), len(second))
		}
		there, err := openResults(dir)
		if err != nil {
			t.Fatal(err)
		}
		lines, by := map[string]int{}, map[string]string{}
		for _, f := range there.all {
			round := roundName(f.Experiment, f.Round)
			if lines[fmt.Sprintf("%s/%d/%s", f.Experiment, f.Round, f.Side)]++; by[round] != "" && by[round] != f.Build {
				t.Errorf("after %d: %s has sides of the first run and of the second", after, round)
			}
			by[round] = f.Build
		}
		for _, run := range whole {
			if lines[run] != 3 {
				t.Errorf("after %d: %s has %d lines, want 3", after, run, lines[run])
			}
		}
		if len(lines) != len(whole) {
			t.Errorf("after %d: there are %v", after, lines)
		}
	}
}

func truncate(t *testing.T, path string, by int64) {
	t.Helper()
	info, err := os.Stat(path)
	if err == nil {
		err = os.Truncate(path, info.Size()-by)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestNothingIsMixed: figures of another program or broker are refused, and stay.
func TestNothingIsMixed(t *testing.T) {
	dir := t.TempDir()
	if _, err := runFor(t, dir, "b", both("p", "kafka"), 4); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, "figures.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []origins{both("q", "kafka"), both("p", "kfake")} {
		if _, err := runFor(t, dir, "b", other, -1); err == nil || !strings.Contains(err.Error(), "move the file away") {
			t.Errorf("%v: %v", other, err)
		}
	}
	if after, err := os.ReadFile(filepath.Join(dir, "figures.tsv")); err != nil || string(after) != string(before) {
		t.Errorf("the figures have changed: %v", err)
	}
	aside, err := os.ReadFile(filepath.Join(dir, "interrupted.tsv"))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("set aside: %q %v", aside, err)
	}
}

// TestAnotherProductKeepsTheRunner: where only the product's program is another, figures of the runner stay and those
// of the pipeline are refused.
func TestAnotherProductKeepsTheRunner(t *testing.T) {
	drain, chain := experiment{Name: "drain", Kind: kindDrain, Sides: []string{sidePass}}, experiment{Name: "pipeline", Kind: kindChain, Sides: []string{sidePipeline}}
	was := both("p", "kafka")
	now := origins{runner: was.runner, pipeline: origin{"q", "kafka"}}
	r, err := openResults(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{origins: was, results: r}
	for _, e := range []experiment{drain, chain} {
		if err := s.note(e, e.Sides[0], 1, []figure{{Metric: metricRate, Value: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.goOn(now, [][]experiment{{drain}}); err != nil {
		t.Errorf("the runner's figures: %v", err)
	}
	if _, err := r.goOn(now, [][]experiment{{drain, chain}}); err == nil || !strings.Contains(err.Error(), "figures of pipeline") {
		t.Errorf("the pipeline's figures: %v", err)
	}
}
