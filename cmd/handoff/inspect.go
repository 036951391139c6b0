package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/inspect"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/progress"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// topologyCommand tells what reads and writes what.
type topologyCommand struct {
	Format string `default:"table" enum:"table,json,dot,mermaid,svg" help:"table, json, dot (Graphviz), mermaid or svg."`
}

// Run prints the topology; nothing is asked of the cluster.
func (c *topologyCommand) Run(s *session) error {
	a, err := s.app()
	if err != nil {
		return err
	}
	t, err := a.Describe()
	if err != nil {
		return err
	}
	return t.Write(os.Stdout, c.Format)
}

// errBehind ends a look at the lag that found more than was allowed.
var errBehind = errors.New("stages are behind")

// lagCommand tells how far stages are behind.
type lagCommand struct {
	Stages     []string       `arg:"" optional:"" name:"stage" help:"Stages to look at; all by default."`
	Partitions bool           `help:"A line for each partition, with its owner."`
	Watch      bool           `short:"w" help:"Look again until interrupted."`
	Every      time.Duration  `default:"2s" help:"How often to look with --watch."`
	Format     string         `default:"table" enum:"table,json" help:"table, or json: a document for each stage on a line of its own."`
	FailAbove  *int64         `placeholder:"RECORDS" help:"Exit with code 4 when a stage has more unread records than this; with --watch as soon as one has."`
	FailOlder  *time.Duration `placeholder:"DURATION" help:"Exit with code 4 when a stage's oldest unread record was received longer ago than this."`
}

// Help explains the columns.
func (c *lagCommand) Help() string {
	return "It works whether stages run or not. LAG counts records between what is committed and the last stable offset; OLDEST is how long ago the oldest of them was received by Handoff. GROUP is the consumer group's state: Stable, PreparingRebalance, CompletingRebalance, Empty (nobody runs the stage) or Dead (it never ran). A reset that is not finished is told of below the table, and is above any limit of --fail-above and --fail-older: the stage processes nothing before it is."
}

// Run looks once, or until interrupted.
func (c *lagCommand) Run(s *session) error {
	if c.Every < 100*time.Millisecond || c.FailAbove != nil && *c.FailAbove < 0 || c.FailOlder != nil && *c.FailOlder < 0 {
		return fmt.Errorf("%w: --every must be at least 100ms, --fail-above and --fail-older not negative", errUsage)
	}
	names := app.StageNames()
	if len(c.Stages) > 0 {
		var err error
		if names, err = stageNames(c.Stages); err != nil {
			return err
		}
	}
	a, err := s.app()
	if err != nil {
		return err
	}
	l, err := a.Lag()
	if err != nil {
		return err
	}
	defer l.Close()
	for {
		err := c.look(s, l, names)
		if c.Watch && errors.Is(err, kafka.ErrAway) {
			fmt.Fprintln(os.Stderr, "handoff:", err) // it may come back
			err = nil
		}
		if err != nil || !c.Watch {
			return err
		}
		select {
		case <-time.After(c.Every):
		case <-s.ctx.Done():
			return nil
		}
	}
}

// look reads, shows and judges the lag once.
func (c *lagCommand) look(s *session, l *kafka.LagReader, names []string) error {
	all, err := l.Read(s.ctx, names)
	if err != nil {
		if c.Watch && s.ctx.Err() != nil {
			return nil //nolint:nilerr // It was told to end.
		}
		return err
	}
	now := time.Now()
	if err := c.show(all, now); err != nil {
		return err
	}
	if over := inspect.Behind(all, now, c.FailAbove, c.FailOlder); len(over) > 0 {
		return fmt.Errorf("%w: %s", errBehind, strings.Join(over, "; "))
	}
	return nil
}

func (c *lagCommand) show(all []kafka.StageLag, now time.Time) error {
	if c.Format == "json" {
		return inspect.WriteLagJSON(os.Stdout, all, now)
	}
	if c.Watch {
		if progress.IsTerminal(os.Stdout) {
			fmt.Print("\x1b[H\x1b[2J") // home, clear
		}
		fmt.Println(now.Format(time.DateTime))
	}
	return inspect.WriteLag(os.Stdout, all, now, c.Partitions)
}

// stateCommand shows committed state.
type stateCommand struct {
	Get  getState  `cmd:"" help:"Show what a stage keeps about one person at one shop."`
	Scan scanState `cmd:"" help:"Show what a stage keeps, key by key."`
}

const stateHelp = "State is read from the stage's changelog, committed transactions only, up to the last stable offset; whether the stage runs makes no difference, and nothing is changed. It holds personal data, texts and addresses among it, and prints them."

type getState struct {
	Stage  string `arg:"" help:"Whose state."`
	Key    string `arg:"" help:"The record key: shop|address, e.g. 'acme|+14155550100'. Quote it for the shell."`
	Name   string `arg:"" optional:"" help:"Only the entry, timer or call of this name."`
	Format string `default:"text" enum:"text,json" help:"text, or json: a document a line."`
}

// Help says what is read and printed.
func (c *getState) Help() string { return stateHelp + " One partition is read: the key's own." }

// Run reads the key's partition.
func (c *getState) Run(s *session) error {
	if _, err := schemas.ParseKey([]byte(c.Key)); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	p, a, err := statePrinter(s, c.Stage, c.Format)
	if err != nil {
		return err
	}
	count, err := a.StatePartitions(s.ctx, c.Stage)
	if err != nil {
		return err
	}
	partition := schemas.Partition([]byte(c.Key), count)
	fold := state.NewFold(state.Memory(), func(_ state.ItemKind, key []byte, name string) bool {
		return string(key) == c.Key && (c.Name == "" || name == c.Name)
	})
	if err := readState(s, a, c.Stage, partition, fold); err != nil {
		return err
	}
	n, err := printState(p, partition, fold, 0)
	if err == nil && n == 0 {
		err = fmt.Errorf("%s keeps nothing under %s", c.Stage, strings.TrimSpace(c.Key+" "+c.Name))
	}
	return err
}

type scanState struct {
	Stage     string `arg:"" help:"Whose state."`
	KeyPrefix string `help:"Only keys that begin so, e.g. 'acme|'." placeholder:"PREFIX"`
	Partition int32  `default:"-1" help:"Only this partition." placeholder:"N"`
	Kind      string `help:"Only entries, timers or calls: entry, timer or call." placeholder:"KIND"`
	Limit     int    `default:"100" help:"End after so many; 0 for no limit."`
	Format    string `default:"text" enum:"text,json" help:"text, or json: a document a line."`
}

// Help says what is read and printed.
func (c *scanState) Help() string {
	return stateHelp + " Partitions are read one after another, each whole before anything of it is printed: what is looked for is collected in a temporary directory, which is removed at the end."
}

// Run reads partitions until there is enough.
func (c *scanState) Run(s *session) (err error) {
	if c.Limit < 0 || c.Partition < -1 {
		return fmt.Errorf("%w: --limit and --partition must not be negative", errUsage)
	}
	if kinds := []string{"", "entry", "timer", "call"}; !slices.Contains(kinds, c.Kind) {
		return fmt.Errorf("%w: --kind: there is no kind %q; the kinds are %s", errUsage, c.Kind, strings.Join(kinds[1:], ", "))
	}
	p, a, err := statePrinter(s, c.Stage, c.Format)
	if err != nil {
		return err
	}
	from, to := c.Partition, c.Partition+1
	if c.Partition < 0 {
		count, err := a.StatePartitions(s.ctx, c.Stage)
		if err != nil {
			return err
		}
		from, to = 0, int32(count)
	}
	store, closeStore, err := scratchStore()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	found := 0
	for partition, left := from, c.Limit; partition < to; partition++ {
		fold := state.NewFold(store.Backing(c.Stage, partition), func(kind state.ItemKind, key []byte, _ string) bool {
			return strings.HasPrefix(string(key), c.KeyPrefix) && (c.Kind == "" || string(kind) == c.Kind)
		})
		if err := readState(s, a, c.Stage, partition, fold); err != nil {
			return err
		}
		n, err := printState(p, partition, fold, left)
		if err != nil {
			return err
		}
		found += n
		if left -= n; c.Limit > 0 && left <= 0 {
			fmt.Fprintf(os.Stderr, "The limit of %d is reached; there may be more (--limit, --key-prefix, --partition).\n", c.Limit)
			return nil
		}
	}
	if found == 0 {
		fmt.Fprintf(os.Stderr, "%s keeps nothing like that.\n", c.Stage)
	}
	return nil
}

// scratchStore opens a store in a temporary directory. closeStore removes both.
func scratchStore() (store *state.Store, closeStore func() error, err error) {
	tidyEnd()
	dir, err := os.MkdirTemp("", "handoff-state-")
	if err != nil {
		return nil, nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	if store, err = state.OpenStore(state.StoreConfig{Dir: dir}); err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return store, func() error { return errors.Join(store.Close(), os.RemoveAll(dir)) }, nil
}

// statePrinter checks the stage's name and prepares for printing its state.
func statePrinter(s *session, stage, format string) (*inspect.StatePrinter, *app.App, error) {
	if _, err := stageNames([]string{stage}); err != nil || stage == "all" {
		return nil, nil, fmt.Errorf("%w: there is no stage %q; the stages are %s", errUsage, stage, stageList())
	}
	contracts, err := app.Contracts()
	if err != nil {
		return nil, nil, err
	}
	p := &inspect.StatePrinter{Out: os.Stdout, JSON: format == "json", Stage: stage}
	if c, ok := contracts[stage]; ok {
		p.Contract = &c
	}
	a, err := s.app()
	return p, a, err
}

// readState folds a partition, with a bar when it takes long.
func readState(s *session, a *app.App, stage string, partition int32, fold *state.Fold) error {
	bar := progress.New(os.Stderr, fmt.Sprintf("read %s/%d", schemas.Changelog(stage), partition), "records", 0)
	defer bar.Done()
	return a.FoldState(s.ctx, stage, partition, fold, func(n, of int64) {
		bar.SetTotal(of)
		bar.Add(n)
	})
}

// printState prints where a partition stands and its items, limit at most (0: all), and returns how many.
func printState(p *inspect.StatePrinter, partition int32, fold *state.Fold, limit int) (n int, err error) {
	if err := p.Position(partition, fold.Position()); err != nil {
		return 0, err
	}
	var bad error
	err = fold.Each(func(item state.Item) bool {
		bad = p.Item(partition, item)
		n++
		return bad == nil && n != limit
	})
	return n, errors.Join(bad, err)
}
