package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/progress"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/consentfile"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// consentCommand is about who may be texted.
type consentCommand struct {
	Import   consentImport   `cmd:"" help:"Import what the platform knows of consent, from CSV or JSON lines."`
	Export   consentExport   `cmd:"" help:"Export every change of consent, of a shop or of one address."`
	Show     consentShow     `cmd:"" help:"Tell in plain words how one address's consent came to be what it is."`
	Possible consentPossible `cmd:"" help:"List possible opt-outs that nobody has decided yet."`
	Decide   consentDecide   `cmd:"" help:"Decide the possible opt-outs of an address."`
	Link     consentLink     `cmd:"" help:"Link two addresses as one person's."`
	Unlink   consentUnlink   `cmd:"" help:"Undo a wrong link: take an address from its person."`
}

// importBatch is how many records are posted at once.
const importBatch = 500

type consentImport struct {
	File    string `arg:"" type:"existingfile" help:"CSV with a header, or .json or .jsonl with an object a line."`
	Shop    string `required:"" placeholder:"SHOP" help:"The shop that it is of."`
	SkipBad bool   `help:"Import good rows though others are bad; else nothing of such a file is."`
	DryRun  bool   `help:"Only check the file."`
	By      string `placeholder:"WHO" help:"Who imports; the user of this machine unless given."`
}

// Help describes the file.
func (c *consentImport) Help() string {
	return "Columns: " + strings.Join(consentfile.Columns(), ", ") + "; the last four may be left out. status is subscribed, unsubscribed, pending or conversational; " +
		"time is RFC 3339 and says since when it holds. The newer change wins, an opt-out wins a tie, and no import lifts a later opt-out, so a file may be imported again. See docs/consent.md."
}

// Run checks the whole file, then posts it.
func (c *consentImport) Run(s *session) error {
	if c.By == "" {
		c.By = whoAmI()
	}
	of := consentfile.For{Shop: c.Shop, By: c.By, Now: time.Now().UTC().Truncate(time.Millisecond)}
	good, bad, err := c.check(of)
	if err != nil {
		return err
	}
	if bad > 0 && !c.SkipBad {
		return fmt.Errorf("%w: %s: %d of %d rows are bad, nothing was imported; mend them, or import the others with --skip-bad", errUsage, c.File, bad, good+bad)
	}
	if c.DryRun {
		fmt.Printf("%s: %d rows would be imported, %d are bad\n", c.File, good, bad)
		return nil
	}
	a, err := s.app()
	if err != nil {
		return err
	}
	f, err := a.OpenFiling(s.ctx, c.Shop)
	if err != nil {
		return err
	}
	of.Settings = f.Version
	n, err := c.file(s, f, of, good)
	fmt.Printf("%s: %d rows imported, %d bad ones left out\n", c.File, n, bad)
	return errors.Join(err, f.Close())
}

// format is told by the file's name.
func (c *consentImport) format() string {
	switch filepath.Ext(c.File) {
	case ".json", ".jsonl", ".ndjson":
		return consentfile.JSON
	}
	return consentfile.CSV
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

// check counts good and bad rows, and says what is wrong with each.
func (c *consentImport) check(of consentfile.For) (good, bad int, err error) {
	err = c.rows(of, func(_ *handoffv1.Record, err error) error {
		var row *consentfile.Error
		switch {
		case err == nil:
			good++
		case errors.As(err, &row):
			bad++
			fmt.Fprintf(os.Stderr, "%s: %v\n", c.File, row)
		default:
			return fmt.Errorf("%w: %s: %w", errUsage, c.File, err)
		}
		return nil
	})
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

type consentDecide struct {
	Shop     string `arg:"" help:"The shop."`
	Address  string `arg:"" help:"The address, e.g. +14155550123."`
	Decision string `arg:"" enum:"opt-out,keep" help:"opt-out: they want no more texts. keep: they did not mean that."`
	By       string `placeholder:"WHO" help:"Who decides; the user of this machine unless given."`
	Reason   string `placeholder:"TEXT" help:"Why, for the record."`
}

// Run posts the decision.
func (c *consentDecide) Run(s *session) error {
	key, err := schemas.ParseKey([]byte(c.Shop + "|" + c.Address))
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if c.By == "" {
		c.By = whoAmI()
	}
	err = fileOne(s, key, "decision", &handoffv1.Record{Body: &handoffv1.Record_ConsentDecision{ConsentDecision: &handoffv1.ConsentDecision{
		OptOut: c.Decision == "opt-out", By: c.By, Reason: c.Reason,
	}}})
	if err == nil {
		fmt.Printf("%s: %s is posted; handoff consent show tells what came of it\n", key, c.Decision)
	}
	return err
}

type consentLink struct {
	Shop    string `arg:"" help:"The shop."`
	Address string `arg:"" help:"One address, e.g. +14155550123."`
	Other   string `arg:"" help:"The other."`
	By      string `placeholder:"WHO" help:"Who links them; the user of this machine unless given."`
}

// Run posts the request to the lower of the two keys.
func (c *consentLink) Run(s *session) error {
	low, err := schemas.ParseKey([]byte(c.Shop + "|" + min(c.Address, c.Other)))
	if err == nil {
		_, err = schemas.ParseKey([]byte(c.Shop + "|" + max(c.Address, c.Other)))
	}
	if err == nil && c.Address == c.Other {
		err = errors.New("an address cannot be linked with itself")
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if c.By == "" {
		c.By = whoAmI()
	}
	err = fileOne(s, low, "link", &handoffv1.Record{Body: &handoffv1.Record_LinkRequest{LinkRequest: &handoffv1.LinkRequest{
		Other: max(c.Address, c.Other), By: c.By,
	}}})
	if err == nil {
		fmt.Printf("%s and %s: the link is posted; handoff consent show tells what came of it\n", c.Address, c.Other)
	}
	return err
}

type consentUnlink struct {
	Shop    string `arg:"" help:"The shop."`
	Address string `arg:"" help:"The address that is another person's, e.g. +14155550123."`
	By      string `placeholder:"WHO" help:"Who undoes it; the user of this machine unless given."`
	Reason  string `placeholder:"TEXT" help:"Why, for the record."`
}

// Help says what stays.
func (c *consentUnlink) Help() string {
	return "The person's other addresses stay linked. Conversations, tickets and ledgers never moved, so nothing moves back. An opt-out from everything of the shop that the link spread stays, until the person lifts it by START or an import says so. See docs/consent.md."
}

// Run posts the request.
func (c *consentUnlink) Run(s *session) error {
	key, err := schemas.ParseKey([]byte(c.Shop + "|" + c.Address))
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if c.By == "" {
		c.By = whoAmI()
	}
	err = fileOne(s, key, "unlink", &handoffv1.Record{Body: &handoffv1.Record_UnlinkRequest{UnlinkRequest: &handoffv1.UnlinkRequest{By: c.By, Reason: c.Reason}}})
	if err == nil {
		fmt.Printf("%s: that it is another person's is posted; handoff consent show tells what came of it\n", key)
	}
	return err
}

// fileOne completes a record about an address and posts it.
func fileOne(s *session, key schemas.Key, what string, r *handoffv1.Record) error {
	a, err := s.app()
	if err != nil {
		return err
	}
	f, err := a.OpenFiling(s.ctx, key.Shop)
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	r.Id = schemas.SourceID(what, key.Shop, key.Address, now.Format(time.RFC3339Nano))
	r.Shop, r.Address, r.SettingsVersion = key.Shop, key.Address, f.Version
	r.EventTime, r.ReceivedAt = timestamppb.New(now), timestamppb.New(now)
	return errors.Join(f.File(r), f.Close())
}
