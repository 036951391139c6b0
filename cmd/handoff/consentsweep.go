package main

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/ledger"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/stages/consent"
)

type consentSweep struct {
	Shop   string `arg:"" help:"The shop."`
	DryRun bool   `help:"Only count them."`
}

// Help says which ledgers it is for.
func (c *consentSweep) Help() string {
	return "Since there is a time after which evidence is reduced (C9), each change of a ledger sets a timer that looks at it. A ledger that was written before and never changed since has none: this gives it one, and it may be given again. " + stateHelp
}

// Run posts a word for each ledger that nothing looks at.
func (c *consentSweep) Run(s *session) error {
	var unwatched []schemas.Key
	all := 0
	err := people(s, c.Shop, "", func(p *ledger.Person) error {
		if len(p.Lines) > 0 {
			all++
			if !p.Watched {
				unwatched = append(unwatched, p.Key)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if c.DryRun || len(unwatched) == 0 {
		fmt.Printf("%s: of %d ledgers %d have no timer\n", c.Shop, all, len(unwatched))
		return nil
	}
	f, err := s.filing(c.Shop)
	if err != nil {
		return err
	}
	err = errors.Join(sweep(f, unwatched), f.Close())
	if err == nil {
		fmt.Printf("%s: of %d ledgers %d had no timer; they get theirs\n", c.Shop, all, len(unwatched))
	}
	return err
}

// sweep has the timer of each ledger fire now, unless it was set meanwhile: it then looks at the evidence, and sets
// itself for the next look.
func sweep(f *app.Filing, keys []schemas.Key) error {
	at := timestamppb.New(time.Now().UTC().Truncate(time.Millisecond))
	for len(keys) > 0 {
		n := min(len(keys), importBatch)
		batch := make([]*handoffv1.Record, n)
		for i, key := range keys[:n] {
			batch[i] = &handoffv1.Record{
				Id:   schemas.SourceID("sweep", key.Shop, key.Address, at.AsTime().Format(time.RFC3339Nano)),
				Shop: key.Shop, Address: key.Address, SettingsVersion: f.Version, EventTime: at, ReceivedAt: at,
				Body: &handoffv1.Record_FireTimer{FireTimer: &handoffv1.FireTimer{Name: consent.RetainTimer, At: at}},
			}
		}
		if err := f.File(batch...); err != nil {
			return fmt.Errorf("%w; give the command again for the rest", err)
		}
		keys = keys[n:]
	}
	return nil
}
