package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/demo"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/dev"
)

// errUnbalanced ends a demo whose books do not balance.
var errUnbalanced = errors.New("the books do not balance")

// devCommand runs everything on this machine.
type devCommand struct {
	Fast    bool `help:"Shorten the shops' time limits from hours to seconds."`
	Verbose bool `short:"v" help:"Log to the terminal."`
}

// Run opens the house and waits for a signal.
func (c *devCommand) Run(s *session) error {
	h, err := openHouse(s, c.Fast, c.Verbose)
	if err != nil {
		return err
	}
	printLinks(os.Stdout, h)
	return errors.Join(wait(s.ctx, h), h.Close())
}

// demoCommand plays live traffic.
type demoCommand struct {
	Once          bool          `help:"End after the summary; exit 3 when the books do not balance."`
	Conversations int           `default:"240" help:"How many conversations to play."`
	Spread        time.Duration `default:"20s" help:"The time over which they begin."`
	Seed          uint64        `default:"1" help:"The same seed plays the same conversations."`
	Verbose       bool          `short:"v" help:"Log to the terminal."`
}

// Run plays, sums up, and balances.
func (c *demoCommand) Run(s *session) (err error) {
	if c.Conversations < 1 || c.Conversations > 9999 || c.Spread < 0 {
		return fmt.Errorf("%w: --conversations must be 1 to 9999 and --spread not negative", errUsage)
	}
	h, err := openHouse(s, true, c.Verbose)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	printLinks(os.Stdout, h)
	books, err := c.play(s.ctx, h)
	if err != nil {
		return err
	}
	if !books.Balanced() {
		err = errUnbalanced
	}
	if c.Once {
		return err
	}
	printLinks(os.Stdout, h)
	fmt.Println("Everything keeps running; end it with Ctrl-C.")
	return errors.Join(err, wait(s.ctx, h))
}

func (c *demoCommand) play(ctx context.Context, h *dev.House) (*demo.Books, error) {
	fmt.Printf("\nPlaying %d conversations ...\n", c.Conversations)
	shops := demo.HouseShops(h.Outside)
	log, err := demo.Play(ctx, shops, demo.Options{
		Conversations: c.Conversations, Spread: c.Spread, Pace: 300 * time.Millisecond, Patience: 20 * time.Second, Seed: c.Seed,
		Progress: func(ended, all int) {
			if ended%20 == 0 || ended == all {
				fmt.Printf("  %d of %d conversations have ended\n", ended, all)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	books, err := demo.Balance(ctx, log, shops, h.ClickHouse, 15*time.Second)
	if err != nil {
		return nil, err
	}
	return books, demo.Summarize(ctx, os.Stdout, log, books, h.ClickHouse)
}

func openHouse(s *session, fast, verbose bool) (*dev.House, error) {
	switch own := "the house on this machine has a configuration of its own"; {
	case len(s.set) > 0:
		return nil, fmt.Errorf("%w: %s; --set is for handoff run and gateway", errUsage, own)
	case s.file != "":
		return nil, fmt.Errorf("%w: %s and would not read %s; --config is for handoff run and gateway: leave it out, and unset HANDOFF_CONFIG", errUsage, own, s.file)
	}
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelInfo
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	slog.SetDefault(log)
	fmt.Println("Starting Handoff on this machine:")
	return dev.Open(s.ctx, dev.Options{Fast: fast, Fixed: true, EngineArgs: []string{engineCommand}, Version: version, Progress: os.Stdout, Log: log})
}

func printLinks(out io.Writer, h *dev.House) {
	fmt.Fprintln(out)
	for _, l := range h.Links() {
		fmt.Fprintf(out, "  %-58s %s\n", l.Name, l.URL)
	}
	fmt.Fprintf(out, "\nOther commands look into it with --set kafka.brokers=%[1]s, for example\n  handoff lag --set kafka.brokers=%[1]s\n", h.Brokers())
}

// wait waits for a signal, or for Handoff to end by itself, which is an error.
func wait(ctx context.Context, h *dev.House) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-h.Ended():
		return fmt.Errorf("handoff ended by itself: %w", err)
	}
}
