package script

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/evidence"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// Names of the consent stage's entries, as its contract has them.
const (
	lineEntry    = "line/"
	scopeEntry   = "now/"
	reducedEntry = "reduced"
)

// ledger shows what is committed of an address's consent: every change, what they were reduced to when their
// time was over, and what counts now.
func (w *World) ledger(c Command) error {
	key := schemas.Key{Shop: w.shop, Address: c.arg("from", "+14155550001")}
	var bad error
	err := w.state(schemas.StageConsent, key.Bytes(), func(name string, value []byte) bool {
		bad = w.sayEntry(key, name, value)
		return bad == nil
	})
	return errors.Join(err, bad)
}

// state gives what a stage has committed under a key.
func (w *World) state(stage string, key []byte, fn func(name string, value []byte) bool) error {
	if w.plant != nil {
		return w.plant.State(stage, key, fn)
	}
	for _, m := range w.stages {
		if m.stage.Name() == stage {
			return committed{m}.Scan(0, key, "", fn)
		}
	}
	return fmt.Errorf("there is no stage %s here", stage)
}

func (w *World) sayEntry(key schemas.Key, name string, value []byte) error {
	if scope, ok := strings.CutPrefix(name, scopeEntry); ok {
		e := &statev1.ScopeConsent{}
		err := schemas.Unmarshal(bytes.Clone(value), e)
		w.say("now: %s since %s (%s, change %d)", evidence.Status(e.GetStatus()), e.GetSince().AsTime().Format(time.DateTime), scope, e.GetVersion())
		return err
	}
	switch {
	case strings.HasPrefix(name, lineEntry):
		e := &statev1.LedgerLine{}
		err := schemas.Unmarshal(bytes.Clone(value), e)
		w.sayChange(evidence.Of(key, e))
		return err
	case name == reducedEntry:
		e := &statev1.ReducedLedger{}
		err := schemas.Unmarshal(bytes.Clone(value), e)
		w.say("reduced on %s: changes up to %d, hmac-sha256 %.4x… by key %s", e.GetAt().AsTime().Format(time.DateOnly), e.GetThrough(), e.GetHash(), e.GetKey())
		return err
	}
	return nil
}

func (w *World) sayChange(c evidence.Change) {
	line := fmt.Sprintf("%d: %s, %s -> %s (%s, %s", c.Change, c.At.Format(time.DateTime), c.Prior, c.Status, c.Source, c.Scope)
	if c.Keyword != "" {
		line += ", " + c.Keyword
	}
	if c.By != "" {
		line += ", by " + c.By
	}
	if !c.Since.Equal(c.At) {
		line += ", since " + c.Since.Format(time.DateTime)
	}
	line += ")"
	if c.Text != "" {
		line += ": " + c.Text
	}
	w.say("%s", line)
}
