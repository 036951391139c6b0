package gateway

import (
	"crypto/rand"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/consentask"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// maxNativeID bounds what becomes part of a record's id, in bytes. Real ones are far shorter.
const maxNativeID = 512

// decodeError makes any error of Decode a malformed request.
func decodeError(err error) error {
	if _, ok := errors.AsType[*ingress.Malformed](err); ok {
		return err
	}
	return &refusal{outcome: malformed, place: "body", reason: "it cannot be read", cause: err}
}

// unencodable is a record that is no valid protobuf: text that is not UTF-8.
func unencodable(err error) error {
	return &refusal{outcome: malformed, place: "body", reason: "it holds text that is not UTF-8", cause: err}
}

// postings completes a request's events, in order. The outcome is accepted when there is at least one
// record, foreign when all events were about others' tickets, empty when there was none.
func (x *exchange) postings(events []ingress.Event) ([]posting, outcome, error) {
	var all []posting
	for i := range events {
		p, ours, err := x.complete(&events[i])
		if err != nil {
			return nil, "", err
		}
		if ours {
			all = append(all, p)
		}
	}
	switch {
	case len(all) > 0:
		return all, accepted, nil
	case len(events) > 0:
		return nil, foreign, nil
	}
	return nil, empty, nil
}

// complete makes a whole record of an event. ours is false for a hint about a ticket that Handoff did
// not make for this shop.
func (x *exchange) complete(e *ingress.Event) (p posting, ours bool, err error) {
	if e.Record == nil || len(e.NativeID) > maxNativeID {
		return posting{}, false, &ingress.Malformed{Place: "body", Reason: "an event has no record or an id too long"}
	}
	r := proto.CloneOf(e.Record)
	switch body := r.GetBody().(type) {
	case *handoffv1.Record_CustomerMessage:
		if x.req.CallID != "" {
			return posting{}, false, &ingress.Malformed{Place: "body", Reason: "a message came to the path of delivery callbacks"}
		}
		body.CustomerMessage.Classification, body.CustomerMessage.OutsideReading = nil, nil // others' to fill in
		if body.CustomerMessage.GetNativeId() == "" {
			body.CustomerMessage.NativeId = e.NativeID
		}
		p, err = x.fromChannel(r, e, schemas.TopicClassify)
	case *handoffv1.Record_DeliveryState:
		if x.req.CallID != "" {
			body.DeliveryState.CallId = x.req.CallID
		}
		p, err = x.fromChannel(r, e, schemas.TopicDeliver)
	case *handoffv1.Record_ChannelEcho:
		if x.req.CallID != "" {
			return posting{}, false, &ingress.Malformed{Place: "body", Reason: "an echo came to the path of delivery callbacks"}
		}
		p, err = x.fromChannel(r, e, schemas.TopicDeliver)
	case *handoffv1.Record_PlatformSend:
		p, err = x.fromPlatform(r, e)
	case *handoffv1.Record_TicketChanged:
		return x.fromDesk(r, e, body.TicketChanged)
	default:
		err = &ingress.Malformed{Place: "body", Reason: "an event is of a kind that webhooks do not bring"}
	}
	return p, err == nil, err
}

// fromChannel completes a record of a channel.
func (x *exchange) fromChannel(r *handoffv1.Record, e *ingress.Event, topic string) (posting, error) {
	if x.req.Account == nil {
		return posting{}, &ingress.Malformed{Place: "body", Reason: "a help desk's webhook brought a channel's event"}
	}
	if e.NativeID == "" {
		return posting{}, &ingress.Malformed{Place: "body", Reason: "an event has no id"}
	}
	if !consentask.ValidAddress(r.GetAddress()) {
		return posting{}, &ingress.Malformed{Place: "body", Reason: "an event has no valid sender address"}
	}
	account, err := x.account(r)
	if err != nil {
		return posting{}, err
	}
	if r.GetChannel() == handoffv1.Channel_CHANNEL_UNSPECIFIED {
		r.Channel = schemas.ChannelOf(account.Channel)
	}
	r.Account = account.Account
	r.Conversation = schemas.Conversation(r.GetChannel(), r.GetAccount())
	x.stamp(r, e.NativeID)
	return posting{topic: topic, record: r}, nil
}

// fromPlatform completes what the messaging platform reports: each event names the account it is about.
func (x *exchange) fromPlatform(r *handoffv1.Record, e *ingress.Event) (posting, error) {
	account := x.req.Shop.Account(r.GetChannel(), r.GetAccount())
	switch {
	case !x.platform:
		return posting{}, &ingress.Malformed{Place: "body", Reason: "the platform's report came to another's path"}
	case e.NativeID == "":
		return posting{}, &ingress.Malformed{Place: "body", Reason: "an event has no id"}
	case account == nil:
		return posting{}, &ingress.Malformed{Place: "body", Reason: "an event names an account that the shop does not have"}
	case !consentask.ValidAddress(r.GetAddress()):
		return posting{}, &ingress.Malformed{Place: "body", Reason: "an event has no valid address"}
	}
	r.Conversation = schemas.Conversation(r.GetChannel(), r.GetAccount())
	x.stamp(r, e.NativeID)
	return posting{topic: schemas.TopicConsent, record: r}, nil
}

// account returns the account that an event is about: the path's, or another one that the body names
// if it is the shop's, at the same provider, under the same secret. So one URL can serve all numbers
// of a provider's account, and a secret is good for nothing but what it was given for.
func (x *exchange) account(r *handoffv1.Record) (*settings.Account, error) {
	of := x.req.Account
	if r.GetAccount() == "" || r.GetAccount() == of.Account {
		return of, nil
	}
	if a := accountOf(x.req.Shop, x.provider, r.GetAccount()); a != nil && a.Secret == of.Secret {
		return a, nil
	}
	return nil, refuse(unknownAccount, "the event is for an account that this webhook does not serve")
}

// fromDesk keys a hint by its ticket's external id.
func (x *exchange) fromDesk(r *handoffv1.Record, e *ingress.Event, hint *handoffv1.TicketChanged) (posting, bool, error) {
	if x.req.Account != nil {
		return posting{}, false, &ingress.Malformed{Place: "body", Reason: "a channel's webhook brought a help desk's event"}
	}
	ticket, ours := x.ticket(e.ExternalID)
	if !ours {
		return posting{}, false, nil
	}
	channel, account, err := schemas.ParseConversation(ticket.Conversation)
	if err != nil {
		return posting{}, false, fmt.Errorf("read the conversation of a ticket: %w", err)
	}
	r.Channel, r.Account, r.Address, r.Conversation = channel, account, ticket.Key.Address, ticket.Conversation
	hint.Desk = x.provider
	hint.Episode = ticket.Episode
	native := e.NativeID
	if native == "" {
		native = rand.Text()
	}
	x.stamp(r, native)
	return posting{topic: schemas.TopicDeliver, record: r}, true, nil
}

// ticket reads an external id. ours is false where Handoff did not make it, or made it for another
// shop: a desk's secret is good for its own shop's people only.
func (x *exchange) ticket(externalID string) (t schemas.Ticket, ours bool) {
	t, err := schemas.ParseExternalID(externalID)
	return t, err == nil && t.Key.Shop == x.req.Shop.Shop && consentask.ValidAddress(t.Key.Address)
}

// stamp fills in what the gateway alone knows.
func (x *exchange) stamp(r *handoffv1.Record, nativeID string) {
	r.Shop = x.req.Shop.Shop
	r.Id = schemas.SourceID(x.provider, r.GetShop(), r.GetAccount(), nativeID)
	r.ReceivedAt = timestamppb.New(x.req.Now)
	if !r.GetEventTime().IsValid() {
		r.EventTime = r.GetReceivedAt()
	}
	r.Traceparent = x.traceparent
	r.SettingsVersion = x.version
	r.Consent = nil
}
