package consentask_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/handoff-dev/handoff/schemas/consentask"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// TestRecord: each ask makes the record of its kind, filed under the address it is about.
func TestRecord(t *testing.T) {
	for kind, c := range map[consentask.Kind]struct {
		ask  consentask.Ask
		want *handoffv1.Record
	}{
		consentask.Decide: {consentask.Ask{Address: "+1", Decision: consentask.OptOut, By: "Ann", Reason: "said so"}, &handoffv1.Record{
			Address: "+1", Body: &handoffv1.Record_ConsentDecision{ConsentDecision: &handoffv1.ConsentDecision{OptOut: true, By: "Ann", Reason: "said so"}},
		}},
		consentask.Link: {consentask.Ask{Address: "+2", Other: "+1", By: "Ann"}, &handoffv1.Record{
			Address: "+1", Body: &handoffv1.Record_LinkRequest{LinkRequest: &handoffv1.LinkRequest{Other: "+2", By: "Ann"}},
		}},
		consentask.Unlink: {consentask.Ask{Address: "+2", By: "Ann"}, &handoffv1.Record{
			Address: "+2", Body: &handoffv1.Record_UnlinkRequest{UnlinkRequest: &handoffv1.UnlinkRequest{By: "Ann"}},
		}},
	} {
		if r, err := c.ask.Record(kind); err != nil || !proto.Equal(r, c.want) {
			t.Errorf("%s: %v, %v; want %v", kind, r, err, c.want)
		}
	}
}

// TestRefused: what cannot be taken says which field is wrong.
func TestRefused(t *testing.T) {
	good := consentask.Ask{Address: "+1", By: "Ann"}
	with := func(change func(*consentask.Ask)) consentask.Ask {
		a := good
		change(&a)
		return a
	}
	for name, c := range map[string]struct {
		kind  consentask.Kind
		ask   consentask.Ask
		place string
	}{
		"no address":           {consentask.Unlink, with(func(a *consentask.Ask) { a.Address = "" }), "address"},
		"spaces":               {consentask.Unlink, with(func(a *consentask.Ask) { a.Address = " +1" }), "address"},
		"control characters":   {consentask.Unlink, with(func(a *consentask.Ask) { a.Address = "+1\x00" }), "address"},
		"8-bit":                {consentask.Unlink, with(func(a *consentask.Ask) { a.Address = "caf\xe9" }), "address"},
		"too long":             {consentask.Unlink, with(func(a *consentask.Ask) { a.Address = strings.Repeat("1", 257) }), "address"},
		"by nobody":            {consentask.Unlink, with(func(a *consentask.Ask) { a.By = " " }), "by"},
		"with nobody":          {consentask.Link, good, "other"},
		"with itself":          {consentask.Link, with(func(a *consentask.Ask) { a.Other = "+1" }), "other"},
		"a link with reason":   {consentask.Link, with(func(a *consentask.Ask) { a.Other, a.Reason = "+2", "x" }), "reason"},
		"an unlink of two":     {consentask.Unlink, with(func(a *consentask.Ask) { a.Other = "+2" }), "other"},
		"undecided":            {consentask.Decide, with(func(a *consentask.Ask) { a.Decision = "maybe" }), "decision"},
		"an unlink's decision": {consentask.Unlink, with(func(a *consentask.Ask) { a.Decision = consentask.Keep }), "decision"},
		"nothing known":        {"dance", good, "kind"},
	} {
		_, err := c.ask.Record(c.kind)
		bad, ok := errors.AsType[*consentask.Error](err)
		if !ok || bad.Place != c.place || bad.Reason == "" {
			t.Errorf("%s: %v, want what is wrong with %s", name, err, c.place)
		}
	}
}
