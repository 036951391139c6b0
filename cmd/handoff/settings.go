package main

import (
	"fmt"

	"github.com/handoff-dev/handoff/schemas/settings"
)

// printSchema shows the schema of settings.
type printSchema struct{}

// Run prints it.
func (c *printSchema) Run() error {
	fmt.Print(settings.Schema())
	return nil
}

// diffSettings compares two documents by what they say.
type diffSettings struct {
	File string `arg:"" type:"existingfile" help:"The shop's settings (YAML)."`
	New  string `arg:"" optional:"" type:"existingfile" help:"What they become; without it, FILE is compared with the version in force."`
}

// Run prints a line for each key that differs.
func (c *diffSettings) Run(s *session) error {
	_, old, err := readSettings(c.File)
	if err != nil {
		return err
	}
	now := old
	if c.New != "" {
		if _, now, err = readSettings(c.New); err != nil {
			return err
		}
	} else {
		a, err := s.app()
		if err != nil {
			return err
		}
		if old, err = a.CurrentSettings(s.ctx, now.Shop); err != nil {
			return err
		}
	}
	changes := settings.Changes(old, now)
	for _, change := range changes {
		fmt.Println(change)
	}
	if len(changes) == 0 {
		fmt.Println("no difference")
	}
	return nil
}
