package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/progress"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/scripts"
	"github.com/handoff-dev/handoff/pipeline/script"
)

// scriptCommand is about conversation scripts.
type scriptCommand struct {
	Run runScript `cmd:"" help:"Run conversation scripts and show where something else happens than they say; exit 1 when it does."`
}

// errDifferent ends a run of scripts in which something else happened than they say.
var errDifferent = errors.New("something else happened than the scripts say")

type runScript struct {
	Files    []string `arg:"" name:"file" type:"existingfile" help:"Conversation scripts; docs/scripts.md teaches them."`
	Settings string   `type:"existingfile" placeholder:"FILE" help:"The shop's settings (YAML) that scripts begin with, in place of those of docs/scripts.md."`
	Rules    string   `type:"existingfile" placeholder:"FILE" help:"Rules (YAML) in force from the beginning."`
	Rewrite  bool     `help:"Put what happens today into the files."`
}

// Help says what is run.
func (c *runScript) Help() string {
	return "A script says who says what when, and what the system did. It runs in memory on a simulated clock with the stages of this binary; nothing outside is asked and no configuration is read. Where a script says nothing yet, --rewrite fills in what happens today: read it, correct what is wrong, and the script fails until it is mended. Colours are left out when the output is no terminal or NO_COLOR is set."
}

// Run runs every file, and tells at the end whether one differed.
func (c *runScript) Run() error {
	opt := scripts.Options{Rewrite: c.Rewrite, Rules: c.Rules, Out: os.Stdout, Colour: progress.IsTerminal(os.Stdout) && os.Getenv("NO_COLOR") == ""}
	if c.Settings != "" {
		doc, _, err := readSettings(c.Settings)
		if err != nil {
			return err
		}
		opt.Settings = doc
	}
	if c.Rules != "" {
		if _, _, err := (ofShop{Settings: c.Settings}).readRules(c.Rules); err != nil { // it names the file's own lines
			return err
		}
	}
	different := 0
	var unread []error // a script that is none keeps no other from being run
	for _, file := range c.Files {
		same, err := scripts.RunFile(file, opt)
		var bad *script.SyntaxError
		var refused *scripts.Refused
		switch {
		case errors.As(err, &bad):
			unread = append(unread, err)
		case errors.As(err, &refused):
			return fmt.Errorf("%w: %w", errUsage, err)
		case err != nil:
			return err
		case !same:
			different++
		}
	}
	if len(unread) > 0 {
		return fmt.Errorf("%w: %w", errUsage, errors.Join(unread...))
	}
	if different > 0 {
		return fmt.Errorf("%w: %d of %d", errDifferent, different, len(c.Files))
	}
	return nil
}
