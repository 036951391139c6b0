package app

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas"
)

// ErrNotRebuilt is wrapped by the error for a stage whose state must not be rebuilt.
var ErrNotRebuilt = errors.New("is not rebuilt")

// whyNotRebuilt says of stages why their state must not be rebuilt.
func whyNotRebuilt(stage string) string {
	switch stage {
	case schemas.StageDeliver:
		return "its state is what it has sent: which calls ran, what the provider answered, which texts wait. " +
			"The mailbox does not tell that again, and a rebuilt deliver would send texts twice"
	case schemas.StageAnalytics:
		return "it has no state but the range it is writing, and ClickHouse tells rows apart by partition and offset: " +
			"reading them again would change nothing. To fill tables anew, restore them from a backup of ClickHouse"
	}
	return ""
}

// whyNotEmitted says of stages why their outputs must not be produced again, and what to do instead.
func whyNotEmitted(stage string) string {
	switch stage {
	case schemas.StageClassify:
		return "consent would handle every message a second time: tickets, texts and figures would come twice. " +
			"Without --emit the mended classify reads what comes from now on"
	case schemas.StageEscalate:
		return "its ids follow from the order of what it decides, so texts that a mended version decides differently would reach customers days late, and figures would count twice. " +
			"Without --emit its state is right for what comes; \"handoff explain\" tells what was said in a conversation, and an agent can put it right"
	}
	return ""
}

// OpenReset plans a reset of a stage; what the plan says is in want, the rest is filled in here. release
// must be called.
func (a *App) OpenReset(ctx context.Context, stage string, want kafka.ResetConfig) (r *kafka.Reset, release func() error, err error) {
	if why := whyNotRebuilt(stage); why != "" && !want.KeepState {
		return nil, nil, fmt.Errorf("%s %w: %s. With --keep-state it goes on from the state it has", stage, ErrNotRebuilt, why)
	}
	if why := whyNotEmitted(stage); why != "" && want.Emit {
		return nil, nil, fmt.Errorf("with its outputs %s %w: %s", stage, ErrNotRebuilt, why)
	}
	all, err := newStages(a.cfg.Escalate, a.cfg.Classifier)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range all.list() {
		if s.Name() == stage {
			want.Stage = s
		}
	}
	want.Connection, want.Name, want.Schema, want.Dir = a.conn, stage, stateSchema, a.cfg.StateDir
	if err := os.MkdirAll(want.Dir, 0o755); err != nil {
		return nil, nil, fmt.Errorf("reset %s: %w", stage, err)
	}
	table, err := a.askSettings(ctx)
	if err != nil {
		return nil, nil, err
	}
	want.Settings = table
	r, err = kafka.OpenReset(ctx, want)
	if err != nil {
		table.Close()
		return nil, nil, err
	}
	return r, func() error {
		err := r.Close()
		table.Close()
		return err
	}, nil
}

// NeedsAllRecords tells whether a stage's state must not be rebuilt from a part of its records, and why.
func NeedsAllRecords(stage string) (why string) {
	if stage != schemas.StageConsent {
		return ""
	}
	return "what was said about consent before is forgotten: who opted out then is unknown to the new ledger, and proof of opting in is gone"
}
