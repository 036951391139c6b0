package script

import (
	"fmt"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// fromOutside posts a record about an address as a whole, as the gateway and the command line do.
func (w *World) fromOutside(c Command, what string, body *handoffv1.Record) error {
	w.serial++
	body.Id = schemas.SourceID(what, w.shop, c.arg("from", "+14155550001"), c.arg("id", fmt.Sprint(w.serial)))
	body.Address = c.arg("from", "+14155550001")
	return w.post(schemas.TopicConsent, body)
}

// decide is a person's decision on possible opt-outs: "decide opt-out by=Ann", "decide keep by=Ann".
func (w *World) decide(c Command) error {
	word := c.word()
	if word != "opt-out" && word != "keep" {
		return fmt.Errorf("%q is no decision; use opt-out or keep", word)
	}
	return w.fromOutside(c, "decision", &handoffv1.Record{Body: &handoffv1.Record_ConsentDecision{ConsentDecision: &handoffv1.ConsentDecision{
		OptOut: word == "opt-out", By: c.arg("by", "Ann"), Reason: c.arg("reason", ""),
	}}})
}
