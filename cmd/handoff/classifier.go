package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/classifier"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/progress"
	"github.com/handoff-dev/handoff/stages/classify"
	"github.com/handoff-dev/handoff/stages/classify/model"
	"github.com/handoff-dev/handoff/stages/classify/shipped"
)

// classifyCommand reads messages.
type classifyCommand struct {
	Model string `type:"existingfile" help:"A shop's own model, beside the one that ships."`
}

// Run reads standard input and writes one JSON object a line.
func (c *classifyCommand) Run() error {
	with, err := shipped.New()
	if err != nil {
		return err
	}
	if c.Model != "" {
		brand, err := readModel(c.Model)
		if err != nil {
			return err
		}
		if with, err = with.With(brand); err != nil {
			return fmt.Errorf("%w: %s: %w", errUsage, c.Model, err)
		}
	}
	stage, err := classify.New(classify.Config{Classifier: with})
	if err != nil {
		return err
	}
	bar := progress.Silent()
	switch {
	case progress.IsTerminal(os.Stdin):
		fmt.Fprintln(os.Stderr, "Write a message and press Enter; Ctrl-D ends.")
	case !progress.IsTerminal(os.Stdout) && progress.IsTerminal(os.Stderr):
		bar = progress.New(os.Stderr, "classify", "messages", 0)
	}
	err = classifier.Lines(stage, os.Stdin, os.Stdout, func(n int) { bar.Add(int64(n)) })
	bar.Done()
	return usageOf(err)
}

// readModel reads a model's file. The error says what to do.
func readModel(file string) (*model.Model, error) {
	m, err := classifier.ReadModel(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	return m, nil
}

// trainCommand trains a shop's own model, or the one that ships.
type trainCommand struct {
	Data    string `required:"" type:"existingpath" help:"Labelled messages: a label and a text a line, in either order, divided by a tab. With --shipped the directory of the public sets."`
	Out     string `required:"" help:"Where the model goes. With --shipped the directory of its package."`
	Shipped string `type:"existingdir" help:"Train the model that ships, from the grammars in this directory and the public sets."`
	Seed    uint64 `default:"1" help:"Of --shipped: the same seed makes the same model."`
}

// Run trains, reports and writes the model.
func (c *trainCommand) Run() error {
	bar := progress.New(os.Stderr, "train", "steps", 0)
	defer bar.Done()
	steps := func(n int) { bar.SetTotal(int64(n)) }
	step := func(n int) { bar.Add(int64(n)) }
	if c.Shipped != "" {
		return classifier.TrainShipped(classifier.Shipping{
			Grammar: c.Shipped, Sets: c.Data, Out: c.Out, Seed: c.Seed, Report: os.Stdout, Steps: steps, Step: step,
		})
	}
	table, err := readTable(c.Data)
	if err != nil {
		return err
	}
	if err := writable(c.Out, c.Data); err != nil { // rather now than after minutes
		return err
	}
	name := strings.TrimSuffix(filepath.Base(c.Out), filepath.Ext(c.Out)) + "/1"
	b, err := classifier.Train(table, name, os.Stdout, steps, step)
	if err != nil {
		return usageOf(fmt.Errorf("%s: %w", c.Data, err))
	}
	bar.Done()
	return writeModel(c.Out, b)
}

// writable tells whether a model can be written to a file, which must not be the one with the messages.
func writable(name, data string) error {
	if name == "" {
		return fmt.Errorf("%w: --out: name a file, such as brand.model", errUsage)
	}
	messages, _ := os.Stat(data) // it was read
	switch info, err := os.Stat(name); {
	case err != nil: // not there, or told below
	case os.SameFile(info, messages):
		return fmt.Errorf("%w: --out: %s holds the messages: name another file, such as brand.model", errUsage, name)
	case info.IsDir():
		return fmt.Errorf("%w: --out: %s is a directory: name a file in it, such as %s", errUsage, name, filepath.Join(name, "brand.model"))
	case !info.Mode().IsRegular(): // the model's file would take its place
		return fmt.Errorf("%w: --out: %s is no file: name one, such as brand.model", errUsage, name)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".handoff-*")
	if err != nil {
		return fmt.Errorf("%w: --out: %w", errUsage, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// writeModel writes a model's file whole or not at all: processes may be reading the one before it.
func writeModel(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".handoff-*")
	if err != nil {
		return fmt.Errorf("write the model: %w", err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write the model: %w", err), os.Remove(f.Name()))
	}
	return nil
}

// usageOf marks errors of the caller's files and lines.
func usageOf(err error) error {
	if errors.Is(err, classifier.ErrTable) || errors.Is(err, classifier.ErrLine) {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return err
}

func readTable(file string) (*classifier.Table, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	defer f.Close()
	t, err := classifier.ReadTable(f)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errUsage, file, err)
	}
	return t, nil
}

// evalCommand measures a model.
type evalCommand struct {
	Data    string `type:"existingpath" help:"Labelled messages: a label and a text a line, in either order, divided by a tab. With --shipped the directory of the public sets."`
	Model   string `type:"existingfile" help:"A shop's own model; without it the one that ships."`
	Shipped string `type:"existingdir" help:"The figures of the model card: leave each author of the messages in this directory out in turn, with a share of its patterns and of the natural messages, and read what was left out with a model trained on the rest."`
	Blind   string `type:"existingdir" help:"Messages of a blind set in this directory (optout.tsv, notoptout.tsv, intents.tsv): totals only, no text is shown."`
	Misses  bool   `help:"With --shipped: list the messages that are read otherwise than they are labelled, on standard error."`
}

// Run reads the messages and reports.
func (c *evalCommand) Run() error { return c.report(os.Stdout) }

func (c *evalCommand) report(out io.Writer) error {
	if c.Shipped != "" {
		return c.card(out)
	}
	if c.Blind != "" {
		if c.Data != "" || c.Model != "" {
			return fmt.Errorf("%w: eval: --blind reads a directory with what ships: leave out --data and --model", errUsage)
		}
		return usageOf(classifier.Blind(c.Blind, out))
	}
	if c.Data == "" {
		return fmt.Errorf("%w: eval: say with --data what to read", errUsage)
	}
	table, err := readTable(c.Data)
	if err != nil {
		return err
	}
	if c.Model == "" {
		return classifier.EvalShipped(table, out)
	}
	m, err := readModel(c.Model)
	if err != nil {
		return err
	}
	return classifier.EvalModel(m, table, out)
}

// card writes the figures of the model card.
func (c *evalCommand) card(out io.Writer) error {
	if c.Data == "" {
		return fmt.Errorf("%w: eval: --shipped trains: say with --data where the public sets are", errUsage)
	}
	bar := progress.Silent()
	if !c.Misses {
		bar = progress.New(os.Stderr, "train", "steps", 0)
	}
	defer bar.Done()
	s := classifier.Shipping{
		Grammar: c.Shipped, Sets: c.Data, Seed: 1, Report: out,
		Steps: func(n int) { bar.SetTotal(int64(n)) }, Step: func(n int) { bar.Add(int64(n)) },
	}
	if c.Misses {
		s.Misses = os.Stderr
	}
	return classifier.TrainShipped(s)
}
