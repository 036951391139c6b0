package script

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/consentask"
	"github.com/handoff-dev/handoff/schemas/consentfile"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// askAbout asks something about an address, as the gateway and the command line do: "decide opt-out by=Ann",
// "unlink from=+14155550001".
func askAbout(kind consentask.Kind) func(*World, Command) error {
	return func(w *World, c Command) error {
		r, err := consentask.Ask{
			Address: c.arg("from", "+14155550001"), Decision: c.word(), By: c.arg("by", "Ann"), Reason: c.arg("reason", ""),
		}.Record(kind)
		if err != nil {
			return err
		}
		return w.fromOutside(c, string(kind), r)
	}
}

// fromOutside posts a record about an address as a whole.
func (w *World) fromOutside(c Command, what string, r *handoffv1.Record) error {
	w.serial++
	r.Id = schemas.SourceID(what, w.shop, c.arg("from", "+14155550001"), c.arg("id", fmt.Sprint(w.serial)))
	return w.post(schemas.TopicConsent, r)
}

// statuses are the consents that an import may bring.
func statuses() []string { return []string{"conversational", "pending", "subscribed", "unsubscribed"} }

// importConsent is an import by the platform: "import subscribed at=-1h source=checkout".
func (w *World) importConsent(c Command) error {
	ago, err := time.ParseDuration(c.arg("at", "0s"))
	if err != nil {
		return fmt.Errorf("at=%s is not a duration; write it like -90s, -30m or -24h", c.arg("at", ""))
	}
	if c.word() == "" {
		return fmt.Errorf("say what is imported: %s", strings.Join(statuses(), ", "))
	}
	channel, err := channelOf(c.arg("channel", "sms"))
	if err != nil {
		return err
	}
	if why := consentfile.NoAddress(channel, c.arg("from", "+14155550001")); why != "" {
		return fmt.Errorf("from=: %s", why)
	}
	if zone := c.arg("zone", ""); zone != "" {
		if _, err := time.LoadLocation(zone); err != nil {
			return fmt.Errorf("zone=%s is no IANA time zone, e.g. America/New_York", zone)
		}
	}
	scope, err := w.scope(c, channel)
	if err != nil {
		return err
	}
	about := c.arg("account", "")
	shop, _, err := w.Current(w.shop)
	if err != nil {
		return err
	}
	if column, why := consentfile.NotOf(shop.Accounts, channel, about, scope); why != "" {
		w.say("refused: %s: %s", column, why)
		return nil
	}
	r := &handoffv1.Record{
		Address: c.arg("from", "+14155550001"), Channel: channel, Account: about,
		Body: &handoffv1.Record_ConsentImport{ConsentImport: &handoffv1.ConsentImport{
			Status: handoffv1.ConsentStatus(handoffv1.ConsentStatus_value["CONSENT_STATUS_"+strings.ToUpper(c.word())]),
			Scope:  scope, ChangedAt: timestamppb.New(w.clock.Add(ago)),
			Source: c.arg("source", "platform"), Text: c.Input, By: c.arg("by", "Ann"), TimeZone: c.arg("zone", ""),
		}},
	}
	return w.fromOutside(c, "import", r)
}

// scope is an import's, as files write it (account, channel, shop) or as the ledger does.
func (w *World) scope(c Command, channel handoffv1.Channel) (string, error) {
	scope := c.arg("scope", "")
	switch {
	case scope == "account":
		return "account:" + schemas.Conversation(channel, c.arg("account", w.account().Account)), nil
	case scope == "channel":
		return "channel:" + schemas.ChannelName(channel), nil
	case scope == "", scope == "shop", strings.Contains(scope, ":"):
		return scope, nil
	}
	return "", fmt.Errorf("scope=%s is none of account, channel, shop", scope)
}

// channelOf is the channel of a name.
func channelOf(name string) (handoffv1.Channel, error) {
	channel := schemas.ChannelOf(name)
	if channel == handoffv1.Channel_CHANNEL_UNSPECIFIED {
		return channel, fmt.Errorf("%q is no channel, e.g. sms", name)
	}
	return channel, nil
}

// link asks that two addresses be one person's: "link from=+14155550001 other=+14155550002". It is asked under
// from=, also where that is the higher of the two or both are one: consent has to cope with it.
func (w *World) link(c Command) error {
	return w.fromOutside(c, string(consentask.Link), &handoffv1.Record{
		Address: c.arg("from", "+14155550001"),
		Body: &handoffv1.Record_LinkRequest{LinkRequest: &handoffv1.LinkRequest{
			Other: c.arg("other", "+14155550002"), By: c.arg("by", "Ann"),
		}},
	})
}
