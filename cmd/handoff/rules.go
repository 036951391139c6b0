package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/scripts"
	"github.com/handoff-dev/handoff/pipeline/script"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// rulesCommand is about shops' own rules.
type rulesCommand struct {
	Check checkRules `cmd:"" help:"Check a file of rules, or a shop's settings with its rules."`
	Test  testRules  `cmd:"" help:"Play a conversation script and show which rules matched, which did not and why, and what they did."`
}

type checkRules struct {
	File string `short:"f" required:"" type:"existingfile" help:"Rules (YAML): a document with rules, or a shop's settings. docs/rules.md is their page."`
	ofShop
}

// ofShop names the shop whose rules are looked at.
type ofShop struct {
	Settings string `type:"existingfile" placeholder:"FILE" help:"Settings (YAML) of the shop that the rules are for: its texts, the intents of its own model. The shop of docs/scripts.md unless given."`
}

// Run checks the file.
func (c *checkRules) Run() error {
	_, shop, err := c.readRules(c.File)
	if err != nil {
		return err
	}
	fmt.Printf("%s: in order (%d rules)\n", c.File, len(shop.Rules))
	return nil
}

type testRules struct {
	File string `short:"f" required:"" type:"existingfile" help:"Rules (YAML): a document with rules, or a shop's settings."`
	ofShop
	Script string `arg:"" type:"existingfile" help:"Conversation script; docs/scripts.md teaches them."`
}

// Run plays the script.
func (c *testRules) Run() error {
	document, _, err := c.readRules(c.File)
	if err != nil {
		return err
	}
	err = scripts.ShowRules(c.Script, document, os.Stdout)
	var bad *script.SyntaxError
	if errors.As(err, &bad) {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return err
}

// readRules reads a file of rules as the settings of the shop that has them.
func (of ofShop) readRules(file string) ([]byte, *settings.Shop, error) {
	doc, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: rules: %w", errUsage, err)
	}
	if empty(doc) {
		return nil, nil, fmt.Errorf("%w: %s holds neither rules nor settings; docs/rules.md shows some", errUsage, file)
	}
	var base []byte
	if of.Settings != "" {
		if base, err = os.ReadFile(of.Settings); err != nil {
			return nil, nil, fmt.Errorf("%w: settings: %w", errUsage, err)
		}
		if _, err := app.CheckSettings(base); err != nil {
			return nil, nil, refusedSettings(of.Settings, err)
		}
	}
	whole, err := app.CompleteRules(doc, base)
	if err != nil {
		return nil, nil, refusedSettings(file, err)
	}
	shop, err := app.CheckSettings(whole)
	return whole, shop, refusedSettings(file, err)
}

// empty tells whether a document holds nothing but remarks.
func empty(doc []byte) bool {
	for line := range bytes.Lines(doc) {
		if line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\ufeff"))); len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("---")) {
			return false
		}
	}
	return true
}

// refusedSettings says where a document is wrong as "file:line:column: path: reason".
func refusedSettings(file string, err error) error {
	var bad *settings.Error
	if !errors.As(err, &bad) {
		return err
	}
	return &refused{file: file, bad: bad}
}

// refused is a document that is refused.
type refused struct {
	file string
	bad  *settings.Error
}

// Error lists what is wrong, a line each.
func (r *refused) Error() string { return r.file + " is refused:\n" + r.bad.In(r.file) }

// Unwrap returns what is wrong.
func (r *refused) Unwrap() error { return r.bad }
