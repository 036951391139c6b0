package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/dlq"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/progress"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/reset"
	"github.com/handoff-dev/handoff/pipeline/kafka"
)

// resetCommand rebuilds a stage's state, or sets where it goes on.
type resetCommand struct {
	Stage         string        `arg:"" help:"classify, consent or escalate; with --keep-state also deliver and analytics."`
	ToEarliest    bool          `xor:"start" help:"Process every record that is there again. This is what is done when nothing else is said and no reset is unfinished."`
	ToOffset      []string      `xor:"start" placeholder:"P:O" help:"Process partition P again from offset O; may be repeated. Other partitions are left alone."`
	ToTime        string        `xor:"start" placeholder:"TIME" help:"Process again what was received since: how long ago (90m, 24h, 3d), a day or a moment (UTC)."`
	KeepState     bool          `help:"Throw nothing away: set the group to where the state stands, or to the first record that is there."`
	Partition     []int32       `placeholder:"N" help:"Only these partitions; may be repeated."`
	Emit          bool          `help:"Tell deliver of every change of consent again (only consent); otherwise outputs are discarded."`
	AllowFailures int           `placeholder:"N" help:"Let so many records become dead letters that cannot be processed now; otherwise the reset stops at the first."`
	AcceptLoss    bool          `help:"Rebuild consent though not all of its records are there."`
	Wait          time.Duration `placeholder:"DURATION" help:"Wait so long for the stage's processes to be gone from their group."`
	DryRun        bool          `xor:"do" help:"Only tell what would be done; so does leaving out --yes."`
	Yes           bool          `xor:"do" help:"Do it."`
}

// Help explains what happens.
func (c *resetCommand) Help() string {
	return "Stop the stage's processes first. Without --yes nothing is changed: the plan is printed. A reset that was interrupted is finished by \"handoff reset <stage> --yes\"; until then the stage waits."
}

// Run does it once, and again where a plan no longer holds when it is to be carried out.
func (c *resetCommand) Run(s *session) error {
	tidyEnd() // a reset works in a directory of its own
	want, err := c.want()
	if err != nil {
		return err
	}
	a, err := s.app()
	if err != nil {
		return err
	}
	want.Progress = func(what, unit string, total int64) (func(int64), func()) {
		bar := progress.New(os.Stderr, what, unit, total)
		return bar.Add, bar.Done
	}
	for again := 0; ; again++ {
		err = c.once(s, a, want)
		if !errors.Is(err, kafka.ErrMoved) || again == resetPlans {
			return err
		}
		fmt.Fprintf(os.Stderr, "%s went on meanwhile, or another reset of it did. Planning again ...\n", c.Stage)
	}
}

// resetPlans is how often a plan is made anew that no longer held when it was to be carried out.
const resetPlans = 3

// once plans, prints the plan, and carries it out if asked to.
func (c *resetCommand) once(s *session, a *app.App, want kafka.ResetConfig) error {
	r, release, err := a.OpenReset(s.ctx, c.Stage, want)
	if errors.Is(err, app.ErrNotRebuilt) {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if err != nil {
		return err
	}
	waited, err := c.await(s, r)
	if waited && err == nil {
		// The stage may have gone on until it ended: plan again.
		if err = release(); err != nil {
			return err
		}
		if r, release, err = a.OpenReset(s.ctx, c.Stage, want); err != nil {
			return err
		}
	}
	if err == nil {
		err = c.carryOut(s, r)
	}
	return errors.Join(err, release())
}

// want reads the flags.
func (c *resetCommand) want() (kafka.ResetConfig, error) {
	want := kafka.ResetConfig{Emit: c.Emit, KeepState: c.KeepState, AllowFailures: c.AllowFailures, Partitions: c.Partition, WillRun: c.Yes}
	names := app.StageNames()
	if !slices.Contains(names, c.Stage) {
		return want, fmt.Errorf("%w: there is no stage %q; the stages are %s", errUsage, c.Stage, stageList())
	}
	starts := c.ToEarliest || len(c.ToOffset) > 0 || c.ToTime != ""
	switch {
	case c.KeepState && (starts || c.Emit || c.AllowFailures > 0):
		return want, fmt.Errorf("%w: --keep-state processes nothing again, so it goes with none of --to-earliest, --to-offset, --to-time, --emit, --allow-failures", errUsage)
	case c.AllowFailures < 0 || c.Wait < 0:
		return want, fmt.Errorf("%w: --allow-failures and --wait must not be negative", errUsage)
	}
	var err error
	want.Start.Earliest = c.ToEarliest
	if want.Start.Offsets, err = reset.Offsets(c.ToOffset); err != nil {
		return want, fmt.Errorf("%w: --to-offset: %w", errUsage, err)
	}
	if want.Start.Time, err = dlq.Since(c.ToTime, time.Now().UTC()); err != nil {
		return want, fmt.Errorf("%w: --to-time: %w", errUsage, err)
	}
	if named := want.Start.Offsets; named != nil {
		for _, p := range c.Partition {
			if _, ok := named[p]; !ok {
				return want, fmt.Errorf("%w: --to-offset names no offset for partition %d", errUsage, p)
			}
		}
		if want.Partitions == nil {
			want.Partitions = slices.Sorted(maps.Keys(named))
		}
	}
	return want, nil
}

func (c *resetCommand) carryOut(s *session, r *kafka.Reset) error {
	plan := reset.Plan{Stage: c.Stage, Parts: r.Plan()}
	if err := plan.Write(os.Stdout); err != nil {
		return err
	}
	if why := app.NeedsAllRecords(c.Stage); why != "" && plan.Partial() && !c.AcceptLoss {
		return fmt.Errorf("%s is not rebuilt from a part of its records: %s. --keep-state goes on from the state it has; --accept-loss rebuilds it all the same", c.Stage, why)
	}
	if !c.Yes {
		members, err := r.Members(s.ctx)
		if err != nil {
			return err
		}
		if len(members) > 0 && !begun(r) {
			fmt.Printf("The stage is running (%s): stop it first.\n", strings.Join(members, ", "))
		}
		fmt.Println("Nothing was changed. Say --yes to do it.")
		return nil
	}
	result, err := r.Run(s.ctx)
	if err != nil {
		return err
	}
	fmt.Printf("Done: %d records processed again, %d outputs produced.\n", result.Processed, result.Emitted)
	if result.Skipped > 0 {
		fmt.Printf("%d records and timers were passed over: they are dead letters (handoff dlq list --stage %s).\n", result.Skipped, c.Stage)
	}
	for _, f := range result.Failed {
		fmt.Printf("Now a dead letter: %s\n", f)
	}
	fmt.Printf("Start %s again, unless it waits already.\n", c.Stage)
	return nil
}

// begun tells whether an unfinished reset is gone on with: who runs the stage waits for its end.
func begun(r *kafka.Reset) bool {
	return slices.ContainsFunc(r.Plan(), func(p *kafka.PartitionReset) bool { return !p.Continues.IsZero() })
}

// await waits until the group has no members, as long as it was told to; waited tells whether it had any.
func (c *resetCommand) await(s *session, r *kafka.Reset) (waited bool, err error) {
	if !c.Yes || begun(r) {
		return false, nil
	}
	for end := time.Now().Add(c.Wait); time.Now().Before(end); waited = true {
		members, err := r.Members(s.ctx)
		if err != nil || len(members) == 0 {
			return waited, err
		}
		if !waited {
			fmt.Fprintf(os.Stderr, "Waiting for %s to be gone ...\n", strings.Join(members, ", "))
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-s.ctx.Done():
			return waited, s.ctx.Err()
		}
	}
	return waited, nil
}
