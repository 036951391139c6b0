package main

import (
	"fmt"
	"os"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/ledger"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/evidence"
)

type consentCheck struct {
	ofAddress
	File string `type:"existingfile" placeholder:"FILE" help:"An export from earlier, CSV or JSON lines: are its changes of this address what is kept?"`
}

// Help says what is compared.
func (c *consentCheck) Help() string {
	return "Tells what counts for an address now, also where its evidence was reduced to a keyed hash (C9). With --file each change of the file is held against the ledger, or all that were reduced against the hash, for which consent.ledger_key must be the key that made it. Exit code 1 where they are not the same. " + stateHelp
}

// Run reads the address's partition, and the file.
func (c *consentCheck) Run(s *session) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	var changes []evidence.Change
	if c.File != "" {
		if changes, err = c.changes(key); err != nil {
			return err
		}
	}
	var kept *ledger.Person
	if err := people(s, key.Shop, key.Address, func(p *ledger.Person) error { kept = p; return nil }); err != nil {
		return err
	}
	if kept == nil {
		return noRecord(key)
	}
	if err := kept.ShowNow(os.Stdout); err != nil || c.File == "" {
		return err
	}
	a, err := s.app()
	if err != nil {
		return err
	}
	secret, err := a.LedgerKey()
	if err != nil {
		return err
	}
	verdict, err := kept.Check(secret, changes)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	fmt.Println(verdict)
	return nil
}

// changes are those of the file that are about the address.
func (c *consentCheck) changes(key schemas.Key) ([]evidence.Change, error) {
	in, err := os.Open(c.File)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	defer func() { _ = in.Close() }() // it was only read
	format := ledger.ReadCSV
	if isJSON(c.File) {
		format = ledger.ReadJSON
	}
	all, err := format(in, key)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errUsage, c.File, err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: %s tells no change of %s", errUsage, c.File, key)
	}
	return all, nil
}
