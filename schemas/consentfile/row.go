package consentfile

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/consentask"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// longestText bounds what a row may add to the ledger, in bytes: a record must hold it.
const longestText = 64 << 10

// earliest is before any consent by text: what is older is a mistake of whoever wrote the file.
var earliest = time.Unix(0, 0)

// e164 has the numbers of +1 whole, which have ten digits behind it (North American Numbering Plan): a digit too few or
// too many would be nobody's consent.
var e164 = regexp.MustCompile(`^\+(1[0-9]{10}|[2-9][0-9]{6,14})$`)

// shortened is a number as spreadsheets show those of more than eleven digits.
var shortened = regexp.MustCompile(`^\+?[0-9]([.,][0-9]+)?[eE]\+?[0-9]+$`)

// phones tells whether a channel's addresses are phone numbers.
func phones(c handoffv1.Channel) bool {
	return c == handoffv1.Channel_CHANNEL_SMS || c == handoffv1.Channel_CHANNEL_WHATSAPP
}

// NoAddress says why an address cannot be one on a channel; "" where it can be.
func NoAddress(channel handoffv1.Channel, address string) string {
	switch {
	case phones(channel) && shortened.MatchString(address):
		return fmt.Sprintf("%q is what a spreadsheet made of a number: its digits are lost in this file. Export it anew, with the column as text", address)
	case phones(channel) && !e164.MatchString(address):
		return fmt.Sprintf("%q is no number in E.164, e.g. +14155550123", address)
	case !consentask.ValidAddress(address):
		return fmt.Sprintf("%q can be no address: it must be 1 to 256 bytes without spaces around it or control characters", address)
	}
	return ""
}

// record checks a row and makes its record.
func (p placed) record(of For) (*handoffv1.Record, error) {
	bad := func(column, reason string, args ...any) (*handoffv1.Record, error) {
		return nil, &Error{Line: p.line, Column: column, Reason: fmt.Sprintf(reason, args...)}
	}
	channel := schemas.ChannelOf(p.Channel)
	status := handoffv1.ConsentStatus(handoffv1.ConsentStatus_value["CONSENT_STATUS_"+strings.ToUpper(p.Status)])
	at, timeErr := time.Parse(time.RFC3339, p.Time)
	noAddress := NoAddress(channel, p.Address)
	switch {
	case channel == handoffv1.Channel_CHANNEL_UNSPECIFIED:
		return bad("channel", "%q is no channel, e.g. sms", p.Channel)
	case noAddress != "":
		return bad("address", "%s", noAddress)
	case status == handoffv1.ConsentStatus_CONSENT_STATUS_UNSPECIFIED:
		return bad("status", "%q is none of subscribed, unsubscribed, pending, conversational", p.Status)
	case timeErr != nil:
		return bad("time", "%q is no time like 2026-03-02T10:00:00Z", p.Time)
	case at.Before(earliest):
		return bad("time", "%s is before 1970", p.Time)
	case at.After(of.Now):
		return bad("time", "%s is in the future", p.Time)
	case !validZone(p.TimeZone):
		return bad("time_zone", "%q is no IANA time zone, e.g. America/New_York", p.TimeZone)
	case p.Source == "":
		return bad("source", "is empty: say where the consent comes from")
	case !utf8All(p.Row):
		return bad("", "it holds text that is not UTF-8")
	case len(p.Text)+len(p.Source)+len(p.Account) > longestText:
		return bad("text", "text, source and account are longer than %d bytes together", longestText)
	}
	scope, ok := p.scope(channel)
	if !ok {
		return bad("scope", "%q is none of account (with an account), channel, shop", p.Scope)
	}
	if column, reason := NotOf(of.Accounts, channel, p.Account, scope); reason != "" {
		return bad(column, "%s", reason)
	}
	r := &handoffv1.Record{
		Id:   schemas.SourceID("consent-import", of.Shop, p.Address, strings.Join([]string{scope, p.Status, at.UTC().Format(time.RFC3339Nano), p.Source, p.Text, p.TimeZone}, "\n")),
		Shop: of.Shop, Channel: channel, Account: p.Account, Address: p.Address, SettingsVersion: of.Settings,
		EventTime: timestamppb.New(at), ReceivedAt: timestamppb.New(of.Now),
		Body: &handoffv1.Record_ConsentImport{ConsentImport: &handoffv1.ConsentImport{
			Status: status, Scope: scope, ChangedAt: timestamppb.New(at), Source: p.Source, Text: p.Text, By: of.By, TimeZone: p.TimeZone,
		}},
	}
	return r, nil
}

// scope returns the row's scope as the ledger names it.
func (p placed) scope(channel handoffv1.Channel) (string, bool) {
	switch {
	case p.Scope == "shop":
		return "shop", true
	case p.Scope == "channel", p.Scope == "" && p.Account == "":
		return "channel:" + schemas.ChannelName(channel), true
	case p.Account != "" && (p.Scope == "account" || p.Scope == ""):
		return "account:" + schemas.Conversation(channel, p.Account), true
	}
	return "", false
}

// NotOf says why a consent cannot be about an account, or a channel, of a shop with these accounts, and in which
// column: a consent for what the shop does not have would never count, and an opt-out with a digit wrong would be
// lost without anybody knowing. The reason is empty where it can be, or where the accounts are nil: not known.
func NotOf(accounts []settings.Account, channel handoffv1.Channel, account, scope string) (column, reason string) {
	if accounts == nil {
		return "", ""
	}
	var there []string
	for _, a := range accounts {
		switch {
		case schemas.ChannelOf(a.Channel) != channel:
		case a.Account == account:
			return "", ""
		default:
			there = append(there, a.Account)
		}
	}
	switch {
	case account == "" && (len(there) > 0 || scope == "shop"):
		return "", ""
	case len(there) > 0:
		return "account", fmt.Sprintf("the shop has no account %q on %s, but %s: name one of those, leave the account out for all of the channel, or add it to the shop's settings first",
			account, schemas.ChannelName(channel), strings.Join(there, ", "))
	case account != "":
		return "account", fmt.Sprintf("the shop has no account %q, and none on %s: add it to the shop's settings first", account, schemas.ChannelName(channel))
	}
	return "channel", fmt.Sprintf("the shop has no account on %s: add one to its settings first, or give the scope shop for what holds everywhere", schemas.ChannelName(channel))
}
