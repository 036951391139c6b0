package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/progress"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas/consentfile"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// consentCommand is about who may be texted.
type consentCommand struct {
	Import   consentImport   `cmd:"" help:"Import what the platform knows of consent, from CSV or JSON lines."`
	Export   consentExport   `cmd:"" help:"Export every change of consent, of a shop or of one address."`
	Show     consentShow     `cmd:"" help:"Tell in plain words how one address's consent came to be what it is."`
	Check    consentCheck    `cmd:"" help:"Tell what counts for an address, and whether an earlier export is what is kept of it."`
	Possible consentPossible `cmd:"" help:"List possible opt-outs that nobody has decided yet."`
	Decide   consentDecide   `cmd:"" help:"Decide the possible opt-outs of an address."`
	Link     consentLink     `cmd:"" help:"Link two addresses as one person's."`
	Unlink   consentUnlink   `cmd:"" help:"Undo a wrong link: take an address from its person."`
	Sweep    consentSweep    `cmd:"" help:"Give ledgers from before evidence had a time the timer that looks at it."`
}

// importBatch is how many records are posted at once.
const importBatch = 500

type consentImport struct {
	File    string `arg:"" type:"existingfile" help:"CSV with a header, or .json or .jsonl with an object a line."`
	Shop    string `required:"" placeholder:"SHOP" help:"The shop that it is of."`
	SkipBad bool   `help:"Import good rows though others are bad; else nothing of such a file is."`
	DryRun  bool   `help:"Only check the file; its accounts and channels too, where Kafka can be asked for the shop's."`
	By      string `placeholder:"WHO" help:"Who imports; the user of this machine unless given."`

	// told are the lines whose mistake was told.
	told map[int]bool
}

// settingsWithin is how long a dry run waits for the shop's settings.
const settingsWithin = 3 * time.Second

// Help describes the file.
func (c *consentImport) Help() string {
	return "Columns: " + strings.Join(consentfile.Columns(), ", ") + "; the last four may be left out. status is subscribed, unsubscribed, pending or conversational; " +
		"time is RFC 3339 and says since when it holds. The newer change wins, an opt-out wins a tie, and no import lifts a later opt-out, so a file may be imported again. See docs/consent.md."
}

// Run checks the whole file, first for what it says by itself, then for whether the shop has what it is about, and
// posts it.
func (c *consentImport) Run(s *session) (err error) {
	if c.By == "" {
		c.By = whoAmI()
	}
	c.told = map[int]bool{}
	of := consentfile.For{Shop: c.Shop, By: c.By, Now: time.Now().UTC().Truncate(time.Millisecond)}
	good, bad, err := c.check(of)
	if err != nil {
		return err
	}
	f, err := c.filing(s)
	if f != nil {
		defer func() { err = errors.Join(err, f.Close()) }()
	}
	switch {
	case c.DryRun && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, kafka.ErrAway)):
		fmt.Fprintf(os.Stderr, "%s: its accounts and channels were not checked: %v\n", c.File, err)
	case err != nil:
		return err
	default:
		of.Settings, of.Accounts = f.Version, f.Accounts
		if good, bad, err = c.check(of); err != nil {
			return err
		}
	}
	if c.DryRun {
		fmt.Printf("%s: %d rows would be imported, %d are bad\n", c.File, good, bad)
		return nil
	}
	n, err := c.file(s, f, of, good)
	fmt.Printf("%s: %d rows imported, %d bad ones left out\n", c.File, n, bad)
	return err
}

// filing opens what posts the rows. A dry run does not wait for a Kafka that is away.
func (c *consentImport) filing(s *session) (*app.Filing, error) {
	if !c.DryRun {
		return s.filing(c.Shop)
	}
	a, err := s.app()
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithTimeout(s.ctx, settingsWithin)
	defer end()
	return a.OpenFiling(ctx, c.Shop)
}

// format is told by the file's name.
func (c *consentImport) format() string {
	if isJSON(c.File) {
		return consentfile.JSON
	}
	return consentfile.CSV
}

// isJSON tells by a file's name whether it has an object a line.
func isJSON(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".json", ".jsonl", ".ndjson":
		return true
	}
	return false
}

// rows calls each with every row.
func (c *consentImport) rows(of consentfile.For, each func(*handoffv1.Record, error) error) error {
	in, err := os.Open(c.File)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	defer func() { _ = in.Close() }() // it was only read
	for r, err := range consentfile.Read(in, c.format(), of) {
		if err := each(r, err); err != nil {
			return err
		}
	}
	return nil
}

// check counts good and bad rows, and says once what is wrong with each. Bad ones are an error unless they are left
// out.
func (c *consentImport) check(of consentfile.For) (good, bad int, err error) {
	err = c.rows(of, func(_ *handoffv1.Record, err error) error {
		var row *consentfile.Error
		switch {
		case err == nil:
			good++
		case errors.As(err, &row):
			bad++
			if !c.told[row.Line] {
				c.told[row.Line] = true
				fmt.Fprintf(os.Stderr, "%s: %v\n", c.File, row)
			}
		default:
			return fmt.Errorf("%w: %s: %w", errUsage, c.File, err)
		}
		return nil
	})
	if err == nil && bad > 0 && !c.SkipBad {
		err = fmt.Errorf("%w: %s: %d of %d rows are bad, nothing was imported; mend them, or import the others with --skip-bad", errUsage, c.File, bad, good+bad)
	}
	return good, bad, err
}

// file posts the good rows and returns how many Kafka has.
func (c *consentImport) file(s *session, f *app.Filing, of consentfile.For, good int) (n int, err error) {
	bar := progress.New(os.Stderr, "import consent", "rows", int64(good))
	defer bar.Done()
	var batch []*handoffv1.Record
	post := func() error {
		if err := errors.Join(s.ctx.Err(), f.File(batch...)); err != nil {
			return fmt.Errorf("%w; what was imported stays: import the file again for the rest", err)
		}
		n += len(batch)
		bar.Add(int64(len(batch)))
		batch = batch[:0]
		return nil
	}
	err = c.rows(of, func(r *handoffv1.Record, err error) error {
		if err != nil {
			return nil //nolint:nilerr // It was told before, and --skip-bad leaves it out.
		}
		if batch = append(batch, r); len(batch) < importBatch {
			return nil
		}
		return post()
	})
	if err == nil {
		err = post()
	}
	return n, err
}
