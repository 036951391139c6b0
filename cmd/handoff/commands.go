package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// runCommand runs stages in one process.
type runCommand struct {
	Stages []string `arg:"" name:"stage" help:"classify, consent, escalate, deliver, analytics, or all."`
}

// Run runs until a signal, then drains.
func (c *runCommand) Run(s *session) error {
	names, err := stageNames(c.Stages)
	if err != nil {
		return err
	}
	a, err := s.app()
	if err != nil {
		return err
	}
	return a.RunStages(s.ctx, names)
}

func stageNames(args []string) ([]string, error) {
	all := app.StageNames()
	var names []string
	for _, arg := range args {
		switch {
		case arg == "all":
			names = append(names, all...)
		case slices.Contains(all, arg):
			names = append(names, arg)
		default:
			return nil, fmt.Errorf("%w: there is no stage %q; the stages are %s, or all", errUsage, arg, stageList())
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// stageList names the stages for people.
func stageList() string { return strings.Join(app.StageNames(), ", ") }

// gatewayCommand serves webhooks.
type gatewayCommand struct{}

// Run serves until a signal, then drains.
func (c *gatewayCommand) Run(s *session) error {
	a, err := s.app()
	if err != nil {
		return err
	}
	return a.RunGateway(s.ctx)
}

// topicsCommand is about the topic catalogue.
type topicsCommand struct {
	Apply applyTopics `cmd:"" help:"Create the topics that are missing; refuse where a partition count differs."`
	Print printTopics `cmd:"" help:"Print the topic catalogue."`
}

type applyTopics struct{}

// Run creates what is missing.
func (c *applyTopics) Run(s *session) error {
	a, err := s.app()
	if err != nil {
		return err
	}
	return a.ApplyTopics(s.ctx, os.Stdout)
}

type printTopics struct{}

// Run prints the catalogue for the configured partition count.
func (c *printTopics) Run(s *session) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "TOPIC\tPARTITIONS\tCLEANUP\tRETENTION\tKEY\tHOLDS")
	for _, t := range schemas.Topics(cfg.Kafka.Partitions) {
		keep := days(t.Retention)
		if t.Cleanup == schemas.CleanupCompact {
			keep = "tombstones " + days(t.Tombstones)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", t.Name, t.Partitions, t.Cleanup, keep, t.Key, t.Holds)
	}
	return w.Flush()
}

func days(d time.Duration) string { return fmt.Sprintf("%d days", int(d.Hours()/24)) }

// settingsCommand is about shops' settings.
type settingsCommand struct {
	Apply applySettings `cmd:"" help:"Check a shop's settings and publish them as its next version."`
	Check checkSettings `cmd:"" help:"Check a shop's settings."`
	Diff  diffSettings  `cmd:"" help:"Show what a shop's settings change: two files, or a file against the version in force."`
	// Schema is printed without a configuration.
	Schema printSchema `cmd:"" help:"Print the JSON Schema of a shop's settings, for editors."`
}

type applySettings struct {
	File string `short:"f" required:"" type:"existingfile" help:"The shop's settings (YAML)."`
}

// Run publishes the document.
func (c *applySettings) Run(s *session) error {
	doc, shop, err := readSettings(c.File)
	if err != nil {
		return err
	}
	a, err := s.app()
	if err != nil {
		return err
	}
	n, err := a.ApplySettings(s.ctx, shop.Shop, doc)
	if err != nil {
		return refusedSettings(c.File, err)
	}
	fmt.Printf("%s: version %d is in force\n", shop.Shop, n)
	return nil
}

type checkSettings struct {
	File string `arg:"" type:"existingfile" help:"The shop's settings (YAML)."`
}

// Run checks the document, as apply does. Whether the shop's own model is there is known only where there is a
// directory of models.
func (c *checkSettings) Run(s *session) error {
	doc, shop, err := readSettings(c.File)
	if err != nil {
		return err
	}
	cfg, err := s.load()
	if err != nil {
		return err
	}
	if model := shop.Classifier.Model; model != "" && cfg.Classifier.Models == "" {
		fmt.Printf("%s: in order, but whether there is a model %q was not checked: classifier.models is not set here\n", shop.Shop, model)
		return nil
	}
	if err := app.CheckModel(cfg.Classifier.Models, doc, shop); err != nil {
		return refusedSettings(c.File, err)
	}
	fmt.Printf("%s: in order\n", shop.Shop)
	return nil
}

func readSettings(file string) ([]byte, *settings.Shop, error) {
	doc, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: settings: %w", errUsage, err)
	}
	shop, err := app.CheckSettings(doc)
	return doc, shop, refusedSettings(file, err)
}

// configCommand is about the configuration.
type configCommand struct {
	Print printConfig `cmd:"" help:"Print the configuration as it is in force, secrets masked."`
}

type printConfig struct{}

// Run prints the configuration.
func (c *printConfig) Run(s *session) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	return cfg.Print(os.Stdout)
}

// versionCommand shows the version.
type versionCommand struct{}

// Run prints it.
func (c *versionCommand) Run() error {
	fmt.Println("handoff", version)
	return nil
}
