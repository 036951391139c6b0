package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/ledger"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/stages/consent"
)

type consentShow struct {
	ofAddress
	Format string `default:"text" enum:"text,json" help:"text, or json: a change a line."`
}

// Help says what is read.
func (c *consentShow) Help() string {
	return "Of addresses that are linked as one person all are shown, the one that was asked for first. " + stateHelp
}

// Run reads the address's partition.
func (c *consentShow) Run(s *session) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	shown, others := false, []string(nil)
	show := func(p *ledger.Person) error {
		if shown && c.Format == "text" {
			fmt.Println()
		}
		shown = true
		if p.Key == key {
			others = p.Linked
		}
		if c.Format == "json" {
			return p.JSON(os.Stdout)
		}
		return p.Show(os.Stdout)
	}
	if err := people(s, key.Shop, key.Address, show); err != nil {
		return err
	}
	if !shown {
		return noRecord(key)
	}
	for _, address := range others { // one person's history is one (W7)
		if address == key.Address {
			continue
		}
		if err := people(s, key.Shop, address, show); err != nil {
			return err
		}
	}
	return nil
}

type consentExport struct {
	Shop    string `arg:"" help:"The shop."`
	Address string `arg:"" optional:"" help:"Only this address."`
	Format  string `default:"csv" enum:"csv,json" help:"csv, or json: a change a line."`
}

// Help says what is read.
func (c *consentExport) Help() string { return stateHelp }

// Run writes every change, address by address.
func (c *consentExport) Run(s *session) error {
	out := csv.NewWriter(os.Stdout)
	found := 0
	each := func(p *ledger.Person) error {
		found++
		return p.JSON(os.Stdout)
	}
	if c.Format == "csv" {
		if err := ledger.CSVHeader(out); err != nil {
			return err
		}
		each = func(p *ledger.Person) error {
			found++
			return p.CSV(out)
		}
	}
	err := people(s, c.Shop, c.Address, each)
	out.Flush()
	if err = errors.Join(err, out.Error()); err == nil && found == 0 {
		fmt.Fprintf(os.Stderr, "There is no consent record of %s.\n", strings.TrimSuffix(c.Shop+"|"+c.Address, "|"))
	}
	return err
}

type consentPossible struct {
	Shop string `arg:"" help:"The shop."`
}

// Help says what is read.
func (c *consentPossible) Help() string { return stateHelp }

// Run lists them.
func (c *consentPossible) Run(s *session) error {
	waiting := 0
	err := people(s, c.Shop, "", func(p *ledger.Person) error {
		waiting += len(p.Possible)
		return p.ShowPossible(os.Stdout)
	})
	if err == nil && waiting == 0 {
		fmt.Fprintf(os.Stderr, "No possible opt-out of %s waits to be decided.\n", c.Shop)
	}
	return err
}

// people reads what is committed of a shop's people, or of one address, and calls each with every person
// of whom there is a consent record.
func people(s *session, shop, address string, each func(*ledger.Person) error) (err error) {
	a, err := s.app()
	if err != nil {
		return err
	}
	count, err := a.StatePartitions(s.ctx, schemas.StageConsent)
	if err != nil {
		return err
	}
	if address != "" {
		key := shop + "|" + address
		partition := schemas.Partition([]byte(key), count)
		fold := state.NewFold(state.Memory(), func(_ state.ItemKind, k []byte, _ string) bool { return string(k) == key })
		return peopleIn(s, a, partition, fold, each)
	}
	store, closeStore, err := scratchStore()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	for partition := range int32(count) {
		fold := state.NewFold(store.Backing(schemas.StageConsent, partition), func(_ state.ItemKind, k []byte, _ string) bool {
			return strings.HasPrefix(string(k), shop+"|")
		})
		if err := peopleIn(s, a, partition, fold, each); err != nil {
			return err
		}
	}
	return nil
}

// peopleIn reads one partition. Items come key by key.
func peopleIn(s *session, a *app.App, partition int32, fold *state.Fold, each func(*ledger.Person) error) error {
	contracts, err := app.Contracts()
	if err != nil {
		return err
	}
	contract := contracts[schemas.StageConsent]
	if err := readState(s, a, schemas.StageConsent, partition, fold); err != nil {
		return err
	}
	var p *ledger.Person
	var bad error
	done := func() {
		if p != nil && !p.Empty() && bad == nil {
			bad = each(p)
		}
	}
	err = fold.Each(func(item state.Item) bool {
		if item.Kind == state.Call {
			return true
		}
		if p == nil || p.Key.String() != string(item.Key) {
			done()
			key, err := schemas.ParseKey(item.Key)
			if bad = errors.Join(bad, err); bad != nil {
				return false
			}
			p = ledger.NewPerson(key)
		}
		if item.Kind == state.Timer {
			p.Watched = p.Watched || item.Name == consent.RetainTimer
			return true
		}
		bad = errors.Join(bad, p.Take(&contract, item.Name, item.Value))
		return bad == nil
	})
	done()
	return errors.Join(bad, err)
}

// noRecord says that nothing is known of an address, and of digits alone what is missing.
func noRecord(key schemas.Key) error {
	if strings.Trim(key.Address, "0123456789 ()-.") == "" {
		return fmt.Errorf("there is no consent record of %s; phone numbers are written in E.164, e.g. +14155550123", key)
	}
	return fmt.Errorf("there is no consent record of %s", key)
}
