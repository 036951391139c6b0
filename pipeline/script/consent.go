package script

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

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

// statuses are the consents that an import may bring.
func statuses() []string { return []string{"conversational", "pending", "subscribed", "unsubscribed"} }

// importConsent is an import by the platform: "import subscribed at=-1h source=checkout".
func (w *World) importConsent(c Command) error {
	ago, err := time.ParseDuration(c.arg("at", "0s"))
	if err != nil {
		return fmt.Errorf("at= needs a duration such as -1h: %w", err)
	}
	r := &handoffv1.Record{
		Channel: schemas.ChannelOf(c.arg("channel", "sms")), Account: c.arg("account", ""),
		Body: &handoffv1.Record_ConsentImport{ConsentImport: &handoffv1.ConsentImport{
			Status: handoffv1.ConsentStatus(handoffv1.ConsentStatus_value["CONSENT_STATUS_"+strings.ToUpper(c.word())]),
			Scope:  c.arg("scope", ""), ChangedAt: timestamppb.New(w.clock.Add(ago)),
			Source: c.arg("source", "platform"), Text: c.Input, By: c.arg("by", "Ann"), TimeZone: c.arg("zone", ""),
		}},
	}
	return w.fromOutside(c, "import", r)
}

// link asks that two addresses be one person's: "link from=+14155550001 other=+14155550002".
func (w *World) link(c Command) error {
	return w.fromOutside(c, "link", &handoffv1.Record{Body: &handoffv1.Record_LinkRequest{LinkRequest: &handoffv1.LinkRequest{
		Other: c.arg("other", "+14155550002"), By: c.arg("by", "Ann"),
	}}})
}

// unlink asks that an address be taken from its person: "unlink from=+14155550001 by=Ann".
func (w *World) unlink(c Command) error {
	return w.fromOutside(c, "unlink", &handoffv1.Record{Body: &handoffv1.Record_UnlinkRequest{UnlinkRequest: &handoffv1.UnlinkRequest{
		By: c.arg("by", "Ann"), Reason: c.arg("reason", ""),
	}}})
}
