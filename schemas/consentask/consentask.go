// Package consentask is what people and the platform ask about one address: that a possible opt-out be
// decided, that two addresses be one person's, that they be so no more. The gateway, the command line and
// conversation scripts ask in the same words, and are refused for the same reasons.
package consentask

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// Kind of an ask; also what the ids of its records begin with.
type Kind string

// The kinds.
const (
	// Decide the possible opt-outs of an address (C5).
	Decide Kind = "decision"
	// Link two addresses as one person's (W7).
	Link Kind = "link"
	// Unlink takes an address from its person (W7).
	Unlink Kind = "unlink"
)

// Decisions of a possible opt-out.
const (
	// OptOut: they want no more texts.
	OptOut = "opt-out"
	// Keep: they did not mean that.
	Keep = "keep"
)

// Ask is one thing that is asked. A field that its kind does not know stays empty.
type Ask struct {
	// Address it is about: E.164 for phones.
	Address string `json:"address"`
	// Other address of a link.
	Other string `json:"other"`
	// Decision is OptOut or Keep.
	Decision string `json:"decision"`
	// By is who asks.
	By string `json:"by"`
	// Reason in words; may be empty.
	Reason string `json:"reason"`
}

// Error is an ask that cannot be taken.
type Error struct {
	// Place is the field that is wrong.
	Place string
	// Reason in words.
	Reason string
}

// Error says both.
func (e *Error) Error() string { return e.Place + ": " + e.Reason }

// Record makes the record that asks it of the consent stage: address and body are set, the rest is for whoever
// posts it. A link is asked under the lower of the two addresses, whose consent begins it. Errors are *Error.
func (a Ask) Record(kind Kind) (*handoffv1.Record, error) {
	if err := a.check(kind); err != nil {
		return nil, err
	}
	r := &handoffv1.Record{Address: a.Address}
	switch kind {
	case Decide:
		r.Body = &handoffv1.Record_ConsentDecision{ConsentDecision: &handoffv1.ConsentDecision{OptOut: a.Decision == OptOut, By: a.By, Reason: a.Reason}}
	case Link:
		r.Address = min(a.Address, a.Other)
		r.Body = &handoffv1.Record_LinkRequest{LinkRequest: &handoffv1.LinkRequest{Other: max(a.Address, a.Other), By: a.By}}
	case Unlink:
		r.Body = &handoffv1.Record_UnlinkRequest{UnlinkRequest: &handoffv1.UnlinkRequest{By: a.By, Reason: a.Reason}}
	default:
		return nil, &Error{Place: "kind", Reason: fmt.Sprintf("%q is nothing that can be asked", kind)}
	}
	return r, nil
}

func (a Ask) check(kind Kind) error {
	unknown := func(place string) error {
		return &Error{Place: place, Reason: "a " + string(kind) + " has no such field"}
	}
	switch {
	case !ValidAddress(a.Address):
		return &Error{Place: "address", Reason: "it is missing or cannot be one"}
	case kind == Link && !ValidAddress(a.Other):
		return &Error{Place: "other", Reason: "it is missing or cannot be an address"}
	case kind == Link && a.Other == a.Address:
		return &Error{Place: "other", Reason: "an address cannot be linked with itself"}
	case kind != Link && a.Other != "":
		return unknown("other")
	case kind == Link && a.Reason != "":
		return unknown("reason")
	case kind == Decide && a.Decision != OptOut && a.Decision != Keep:
		return &Error{Place: "decision", Reason: "it is neither " + OptOut + " nor " + Keep}
	case kind != Decide && a.Decision != "":
		return unknown("decision")
	case strings.TrimSpace(a.By) == "":
		return &Error{Place: "by", Reason: "it must say who asks"}
	}
	return nil
}

// maxAddress is the longest address, in bytes: what a record key takes.
const maxAddress = 256

// ValidAddress tells whether s can stand in a record key, in files and on terminals.
func ValidAddress(s string) bool {
	return s != "" && len(s) <= maxAddress && utf8.ValidString(s) && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, unicode.IsControl)
}
