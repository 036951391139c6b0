package script

import (
	"fmt"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/evidence"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// ledger shows what is committed of an address's consent: every change, what they were reduced to when their
// time was over, and what counts now.
func (w *World) ledger(c Command) error {
	for _, m := range w.stages {
		stage, ok := m.stage.(interface{ Contract() turn.Contract })
		if !ok || m.stage.Name() != schemas.StageConsent {
			continue
		}
		contract, key := stage.Contract(), schemas.Key{Shop: w.shop, Address: c.arg("from", "+14155550001")}
		var bad error
		err := committed{m}.Scan(0, key.Bytes(), "", func(name string, value []byte) bool {
			entry, err := contract.Decode(name, value)
			if bad = err; bad != nil {
				return false
			}
			switch e := entry.(type) {
			case *statev1.LedgerLine:
				w.sayChange(evidence.Of(key, e))
			case *statev1.ReducedLedger:
				w.say("reduced on %s: changes up to %d, hmac-sha256 %x… by key %s", e.GetAt().AsTime().Format("2006-01-02"), e.GetThrough(), e.GetHash()[:4], e.GetKey())
			case *statev1.ScopeConsent:
				w.say("now: %s since %s (%s, change %d)", evidence.Status(e.GetStatus()), e.GetSince().AsTime().Format("2006-01-02 15:04:05"), name[len("now/"):], e.GetVersion())
			}
			return true
		})
		if err == nil {
			err = bad
		}
		return err
	}
	return fmt.Errorf("there is no consent stage here")
}

func (w *World) sayChange(c evidence.Change) {
	line := fmt.Sprintf("%d: %s, %s -> %s (%s, %s", c.Change, c.At.Format("2006-01-02 15:04:05"), c.Prior, c.Status, c.Source, c.Scope)
	if c.Keyword != "" {
		line += ", " + c.Keyword
	}
	if c.By != "" {
		line += ", by " + c.By
	}
	if !c.Since.Equal(c.At) {
		line += ", since " + c.Since.Format("2006-01-02 15:04:05")
	}
	line += ")"
	if c.Text != "" {
		line += ": " + c.Text
	}
	w.say("%s", line)
}
