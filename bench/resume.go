package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// goOn prepares what is there for more of a plan. Figures of another program or broker are refused. A round
// that was interrupted is measured anew as a whole, since ratios compare the sides of one round, side by
// side on one broker: what there is of it goes to a file of its own. It returns how many rounds that were.
func (r *results) goOn(now origins, plan [][]experiment) (int, error) {
	interrupted := map[string]bool{}
	for _, phase := range plan {
		for _, e := range phase {
			if err := r.onlyOf(now.of(e), e); err != nil {
				return 0, err
			}
			for _, round := range r.begun(e) {
				if slices.ContainsFunc(e.Sides, func(side string) bool { return !r.has(e.Name, side, round) }) {
					interrupted[roundName(e.Name, round)] = true
				}
			}
		}
	}
	if len(interrupted) == 0 {
		return 0, r.rewrite(r.all) // without what was half written
	}
	keep, aside := []figure{}, ""
	for _, f := range r.all {
		if interrupted[roundName(f.Experiment, f.Round)] {
			aside += f.line()
		} else {
			keep = append(keep, f)
		}
	}
	if err := appendTo(filepath.Join(filepath.Dir(r.path), "interrupted.tsv"), aside); err != nil {
		return 0, err
	}
	return len(interrupted), r.rewrite(keep)
}

// onlyOf refuses figures of an experiment that another program or broker gave.
func (r *results) onlyOf(now origin, e experiment) error {
	for _, f := range r.all {
		if f.Experiment == e.Name && f.origin != now {
			return fmt.Errorf("%s has figures of %s of program %s (build %s) on %s; this is program %s on %s: they must not stand in one comparison; move the file away to start over, or go on with what it was begun with",
				r.path, e.Name, f.Program, f.Build, f.Broker, now.Program, now.Broker)
		}
	}
	return nil
}

func roundName(experiment string, round int) string {
	return fmt.Sprintf("%s, round %d", experiment, round)
}

// begun are the rounds of which there is anything.
func (r *results) begun(e experiment) []int {
	var all []int
	for _, f := range r.all {
		if f.Experiment == e.Name && !slices.Contains(all, f.Round) {
			all = append(all, f.Round)
		}
	}
	return all
}

// rewrite replaces the file by these figures, all at once.
func (r *results) rewrite(all []figure) error {
	if r.all = all; len(all) == 0 {
		if err := os.Remove(r.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("begin the results anew: %w", err)
		}
		return nil
	}
	var b strings.Builder
	fmt.Fprintln(&b, resultHeader)
	for i := range all {
		b.WriteString(all[i].line())
	}
	next := r.path + ".next"
	if err := os.WriteFile(next, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	if err := os.Rename(next, r.path); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("set an interrupted round aside: %w", err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("set an interrupted round aside: %w", err)
	}
	return nil
}

// origins are what a suite is measured with: the product's program is part of the pipeline's runs alone.
type origins struct{ runner, pipeline origin }

func (o origins) of(e experiment) origin {
	if e.Kind == kindChain {
		return o.pipeline
	}
	return o.runner
}

// originsOf the programs of now. The same sources make the same programs, whatever commit they stand in: a
// changed document is no reason to measure again, and a changed stage none to measure the runner again.
func originsOf(ctx context.Context, o common) (all origins, err error) {
	self, err := os.Executable()
	if err != nil {
		return all, fmt.Errorf("find this program: %w", err)
	}
	product := os.Getenv("BENCH_HANDOFF")
	if product == "" {
		dir, err := os.MkdirTemp("", "handoff-bench")
		if err != nil {
			return all, fmt.Errorf("make a directory: %w", err)
		}
		defer func() { _ = os.RemoveAll(dir) }() // a temporary one
		product = filepath.Join(dir, "handoff")
		if err := buildHandoff(ctx, product); err != nil {
			return all, err
		}
	}
	java, err := streamsSources()
	if err != nil {
		return all, err
	}
	sum := sha256.New()
	fmt.Fprint(sum, java)
	if err := hashFile(sum, self); err != nil {
		return all, err
	}
	broker := o.broker
	if broker == "kafka" {
		broker += " " + brokerVersion
	}
	broker += ", compression " + o.compression
	fingerprint := func() string { return hex.EncodeToString(sum.Sum(nil))[:12] }
	all.runner = origin{Program: fingerprint(), Broker: broker}
	if err := hashFile(sum, product); err != nil {
		return all, err
	}
	all.pipeline = origin{Program: fingerprint(), Broker: broker}
	return all, nil
}

func hashFile(sum io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read a program that is measured: %w", err)
	}
	defer f.Close()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("read a program that is measured: %w", err)
	}
	return nil
}

// buildHandoff compiles this tree's program.
func buildHandoff(ctx context.Context, to string) error {
	build := exec.CommandContext(ctx, "go", "-C", "..", "build", "-buildvcs=false", "-o", to, "./cmd/handoff")
	if raw, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build handoff: %w\n%s", err, raw)
	}
	return nil
}
