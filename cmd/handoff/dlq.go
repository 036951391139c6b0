package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/dlq"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/progress"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas/deadletter"
)

// dlqCommand is about records that a stage could not process.
type dlqCommand struct {
	List   dlqList   `cmd:"" help:"List dead letters."`
	Show   dlqShow   `cmd:"" help:"Show everything about one dead letter, its record decoded."`
	Replay dlqReplay `cmd:"" help:"Put dead letters back into their stage's mailbox, under the same id; texts that they shut open again."`
	Drop   dlqDrop   `cmd:"" help:"Drop dead letters for good; texts that they shut open again."`
}

// dlqFilter picks dead letters.
type dlqFilter struct {
	Stage string `placeholder:"STAGE" help:"Only of this stage."`
	Shop  string `placeholder:"SHOP" help:"Only of this shop."`
	Since string `placeholder:"TIME" help:"Only what failed since: how long ago (90m, 24h, 3d), a day or a moment (UTC)."`
}

func (f *dlqFilter) filter(open bool) (dlq.Filter, error) {
	since, err := dlq.Since(f.Since, time.Now().UTC())
	if err != nil {
		return dlq.Filter{}, fmt.Errorf("%w: --since: %w", errUsage, err)
	}
	if f.Stage != "" && !slices.Contains(app.StageNames(), f.Stage) {
		return dlq.Filter{}, fmt.Errorf("%w: --stage: there is no stage %q; the stages are %s", errUsage, f.Stage, stageList())
	}
	return dlq.Filter{Stage: f.Stage, Shop: f.Shop, Since: since, Open: open}, nil
}

type dlqList struct {
	dlqFilter
	Open   bool   `help:"Only those that were neither replayed nor dropped."`
	Limit  int    `default:"100" help:"The last so many; 0 for all."`
	Format string `default:"table" enum:"table,json" help:"table or json."`
}

// Run lists.
func (c *dlqList) Run(s *session) error {
	f, err := c.filter(c.Open)
	if err != nil {
		return err
	}
	if c.Limit < 0 {
		return fmt.Errorf("%w: --limit must not be negative", errUsage)
	}
	letters, err := readLetters(s)
	if err != nil {
		return err
	}
	picked := f.Pick(letters.All)
	last := dlq.Last(picked, c.Limit)
	if c.Format == "json" {
		return dlq.JSON(os.Stdout, last)
	}
	if len(picked) == 0 {
		fmt.Fprintln(os.Stderr, "There are no such dead letters.")
		return nil
	}
	if err := dlq.Table(os.Stdout, last); err != nil {
		return err
	}
	if n := len(picked) - len(last); n > 0 {
		fmt.Fprintf(os.Stderr, "%d earlier ones are not shown; see --limit\n", n)
	}
	return nil
}

type dlqShow struct {
	Place string `arg:"" help:"Place of the dead letter as list shows it, or its name (topic/partition/offset)."`
}

// Run shows one.
func (c *dlqShow) Run(s *session) error {
	letters, err := readLetters(s)
	if err != nil {
		return err
	}
	l, err := letters.Find(c.Place)
	if err != nil {
		return err
	}
	return dlq.Show(os.Stdout, l)
}

// readLetters reads all dead letters and tells of records that are none.
func readLetters(s *session) (*kafka.DeadLetters, error) {
	a, err := s.app()
	if err != nil {
		return nil, err
	}
	took, done := reading("read dead letters")
	defer done()
	letters, err := a.DeadLetters(s.ctx, took)
	if err != nil {
		return nil, err
	}
	for _, bad := range letters.Bad {
		fmt.Fprintln(os.Stderr, "handoff:", bad)
	}
	return letters, nil
}

// reading shows how far a read is.
func reading(what string) (took func(n, of int64), done func()) {
	bar := progress.New(os.Stderr, what, "records", 0)
	return func(n, of int64) {
		bar.SetTotal(of)
		bar.Add(n)
	}, bar.Done
}

// dlqResolve is what replay and drop have in common.
type dlqResolve struct {
	Places []string `arg:"" optional:"" name:"place" help:"Places as list shows them, or names (topic/partition/offset)."`
	dlqFilter
	All    bool   `help:"All that are open, of --stage, --shop and --since."`
	DryRun bool   `help:"Only tell what would be done."`
	By     string `placeholder:"WHO" help:"Who does it; the user of this machine unless given."`
}

type dlqReplay struct {
	dlqResolve
	Reason string `placeholder:"TEXT" help:"Why, for the record."`
}

// Run replays.
func (c *dlqReplay) Run(s *session) error { return c.run(s, deadletter.Replayed, c.Reason) }

type dlqDrop struct {
	dlqResolve
	Reason string `required:"" placeholder:"TEXT" help:"Why; list and show tell it later."`
}

// Run drops.
func (c *dlqDrop) Run(s *session) error {
	if strings.TrimSpace(c.Reason) == "" {
		return fmt.Errorf("%w: --reason must say why", errUsage)
	}
	return c.run(s, deadletter.Dropped, c.Reason)
}

// run resolves what is asked for, or nothing when any of it cannot be.
func (c *dlqResolve) run(s *session, how, why string) error {
	f, err := c.filter(true)
	switch {
	case err != nil:
		return err
	case c.All == (len(c.Places) > 0):
		return fmt.Errorf("%w: give places, or --all", errUsage)
	case !c.All && c.dlqFilter != (dlqFilter{}):
		return fmt.Errorf("%w: --stage, --shop and --since go with --all", errUsage)
	case c.All && c.Stage == "":
		return fmt.Errorf("%w: --all needs --stage", errUsage)
	}
	a, err := s.app()
	if err != nil {
		return err
	}
	if c.By == "" {
		c.By = whoAmI()
	}
	took, done := reading("read dead letters")
	r, release, err := a.Resolver(s.ctx, c.By, c.DryRun, took)
	done()
	if err != nil {
		return err
	}
	defer release()
	letters := f.Pick(r.Letters().All)
	if !c.All {
		if letters, err = c.named(r, how); err != nil {
			return err
		}
	}
	return c.resolve(s, r, letters, how, why)
}

// named returns the letters of the places given, each once, without those that were resolved that way
// before.
func (c *dlqResolve) named(r *kafka.Resolver, how string) ([]*kafka.DeadLetter, error) {
	var letters []*kafka.DeadLetter
	var bad []error
	for _, place := range c.Places {
		l, err := r.Letters().Find(place)
		if err == nil && l.Resolution != nil && l.Resolution.How == how {
			fmt.Printf("%s: %v; nothing to do\n", place, r.Check(l, how))
			continue
		}
		if err == nil {
			err = r.Check(l, how)
		}
		if err != nil {
			bad = append(bad, err)
		} else if !slices.Contains(letters, l) {
			letters = append(letters, l)
		}
	}
	if len(bad) > 0 {
		return nil, fmt.Errorf("nothing was done: %w", errors.Join(bad...))
	}
	return letters, nil
}

func (c *dlqResolve) resolve(s *session, r *kafka.Resolver, letters []*kafka.DeadLetter, how, why string) error {
	if c.DryRun && len(letters) == 0 {
		fmt.Printf("Nothing would be %s.\n", how)
		return nil
	}
	if c.DryRun {
		fmt.Printf("Would be %s:\n", how)
		return dlq.Table(os.Stdout, letters)
	}
	bar := progress.New(os.Stderr, how, "dead letters", int64(len(letters)))
	defer bar.Done()
	finished := 0
	err := r.Resolve(s.ctx, letters, how, why, func(n int) {
		finished += n
		bar.Add(int64(n))
	})
	fmt.Printf("%s: %d\n", how, finished)
	return err
}

// whoAmI names the user of this machine.
func whoAmI() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}
