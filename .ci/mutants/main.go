// Command mutants breaks the runner on purpose, one promise at a time, and runs the tests that are there
// to notice. A mutant that no test kills, or whose place in the code is no longer found, is a failure.
//
// Nothing in the tree is touched: every mutant is compiled with an overlay.
//
//	go run ./.ci/mutants             all of them
//	go run ./.ci/mutants -only sink  those whose name or invariant has that in it
//	go run ./.ci/mutants -check      only whether the places in the code are still there
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// Bounds of one mutant's tests. A mutant often shows as a wait in vain, so the tests wait less than they
// do by themselves.
const (
	testPatience = 12 * time.Second
	testTimeout  = 75 * time.Second
	// compileTimeout is for a machine that does much else.
	compileTimeout = 10 * time.Minute
)

func main() {
	only := flag.String("only", "", "run the mutants whose name or invariant contains this")
	jobs := flag.Int("j", 2, "mutants at once")
	check := flag.Bool("check", false, "only check that the code still has what mutants replace")
	flag.Parse()
	var err error
	if *check {
		err = upToDate()
	} else {
		err = run(*only, *jobs)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// upToDate names every mutant whose text is not in the code any more.
func upToDate() error {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var all []error
	for _, m := range mutants() {
		if _, err := m.write(dir); err != nil {
			all = append(all, fmt.Errorf("%s: %w", m.name, err))
		}
	}
	return errors.Join(all...)
}

// outcome of one mutant.
type outcome struct {
	verdict string
	bad     bool
	took    time.Duration
}

func run(only string, jobs int) error {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var chosen []mutant
	for _, m := range mutants() {
		if strings.Contains(m.name, only) || strings.Contains(m.invariant, only) {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) == 0 {
		return errors.New("no mutant has that name")
	}
	fmt.Fprintf(os.Stderr, "%d mutants, %d at a time: about %d minutes on two cores with nothing else to do\n", len(chosen), max(jobs, 1), minutes(len(chosen), jobs))
	if err := baseline(dir, chosen); err != nil {
		return err
	}
	outcomes := make([]outcome, len(chosen))
	var wait sync.WaitGroup
	slots := make(chan struct{}, max(jobs, 1))
	for i := range chosen {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			began := time.Now()
			outcomes[i] = try(filepath.Join(dir, fmt.Sprint(i)), chosen[i])
			outcomes[i].took = time.Since(began)
			fmt.Fprintf(os.Stderr, "%3d/%d %s: %s\n", i+1, len(chosen), chosen[i].name, outcomes[i].verdict)
		})
	}
	wait.Wait()
	return report(chosen, outcomes)
}

// minutes that so many mutants take, about: a compilation and its tests are twenty seconds.
func minutes(mutants, jobs int) int { return (mutants*20/max(jobs, 1) + 59) / 60 }

func report(chosen []mutant, outcomes []outcome) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\ninvariant\tmutant\toutcome\ts")
	bad := 0
	for i, o := range outcomes {
		fmt.Fprintf(table, "%s\t%s\t%s\t%.0f\n", chosen[i].invariant, chosen[i].name, o.verdict, o.took.Seconds())
		if o.bad {
			bad++
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Printf("%d mutants, %d killed\n", len(chosen), len(chosen)-bad)
	if bad > 0 {
		return fmt.Errorf("%d mutants survived or are out of date", bad)
	}
	return nil
}

// baseline runs the tests of all chosen mutants on the code as it is: tests that fail anyway kill nothing.
func baseline(dir string, chosen []mutant) error {
	tests := map[string]map[string]bool{}
	for _, m := range chosen {
		if tests[m.pkg] == nil {
			tests[m.pkg] = map[string]bool{}
		}
		tests[m.pkg][m.tests] = true
	}
	for pkg, names := range tests {
		var all []string
		for name := range names {
			all = append(all, name)
		}
		fmt.Fprintf(os.Stderr, "without any mutant: %s\n", pkg)
		binary := filepath.Join(dir, "baseline-"+filepath.Base(pkg))
		if out, err := compile(binary, "", pkg); err != nil {
			return fmt.Errorf("%s does not build:\n%s", pkg, out)
		}
		for _, name := range all {
			if out, err := runTests(binary, pkg, name); err != nil {
				return fmt.Errorf("%s fails without any mutant:\n%s", name, tail(out))
			}
		}
	}
	return nil
}

// try compiles a mutant and runs its tests.
func try(dir string, m mutant) outcome {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return outcome{verdict: err.Error(), bad: true}
	}
	overlay, err := m.write(dir)
	if err != nil {
		return outcome{verdict: "OUT OF DATE: " + err.Error(), bad: true}
	}
	binary := filepath.Join(dir, "test")
	if out, err := compile(binary, overlay, m.pkg); err != nil {
		return outcome{verdict: "DOES NOT BUILD: " + tail(out), bad: true}
	}
	defer func() { _ = os.Remove(binary) }()
	out, err := runTests(binary, m.pkg, m.tests)
	if err == nil {
		return outcome{verdict: "SURVIVED " + m.tests, bad: true}
	}
	return outcome{verdict: "killed by " + firstFailure(out)}
}

// write makes the mutated files and the overlay that names them.
func (m mutant) write(dir string) (overlay string, err error) {
	replace := map[string]string{}
	for i, e := range m.edits {
		path, err := filepath.Abs(e.file)
		if err != nil {
			return "", err
		}
		from := path
		if done, ok := replace[path]; ok {
			from = done
		}
		source, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		if n := strings.Count(string(source), e.old); n != max(e.times, 1) {
			return "", fmt.Errorf("%s has %q %d times, want %d", e.file, e.old, n, max(e.times, 1))
		}
		mutated := filepath.Join(dir, fmt.Sprintf("%d.go", i))
		if err := os.WriteFile(mutated, []byte(strings.ReplaceAll(string(source), e.old, e.now)), 0o600); err != nil {
			return "", err
		}
		replace[path] = mutated
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, raw, 0o600)
}

func compile(binary, overlay, pkg string) (string, error) {
	args := []string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", binary}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	return command(compileTimeout, "", "go", append(args, pkg)...)
}

func runTests(binary, pkg, tests string) (string, error) {
	args := []string{"-test.run", tests, "-test.failfast", "-test.timeout", testTimeout.String()}
	if strings.HasSuffix(pkg, "/kafka") {
		args = append(args, "-patience", testPatience.String())
	}
	return command(testTimeout+30*time.Second, pkg, binary, args...)
}

func command(limit time.Duration, dir, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "CGO_ENABLED=0") // linked by Go itself, which is most of the time
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	if ctx.Err() != nil {
		fmt.Fprintf(&out, "not done within %s", limit)
	}
	return out.String(), err
}

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// firstFailure names the test that failed, the innermost of the first.
func firstFailure(out string) string {
	found := ""
	for _, m := range failure.FindAllStringSubmatch(out, -1) {
		if found != "" && !strings.HasPrefix(m[1], found+"/") {
			break
		}
		found = m[1]
	}
	switch {
	case found != "":
		return found
	case strings.Contains(out, "test timed out"):
		return "a test that never ended"
	case strings.Contains(out, "panic:"):
		return "a panic"
	}
	return "its exit: " + tail(out)
}

// tail of an output, enough to see why.
func tail(out string) string {
	const most = 1500
	out = strings.TrimSpace(out)
	if len(out) > most {
		out = "…" + out[len(out)-most:]
	}
	return out
}
