package twilio

import (
	"io"
	"net/http"
	"strings"

	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// Webhook is Twilio's side of the gateway: customers' messages and status
// callbacks, at the same URL or at the callback's own.
type Webhook struct{}

var _ ingress.Webhook = Webhook{}

// Verify checks the signature with the account's auth token; see
// VerifySignature.
func (Webhook) Verify(req *ingress.Request) error {
	return VerifySignature(req.Secret, req.URL, req.Header, req.Body)
}

// Decode makes a CustomerMessage of an inbound message, its account the number
// that was written to, and a DeliveryState of a status callback, whose account is
// the path's, as a messaging service sends from a number of its own choice.
func (Webhook) Decode(req *ingress.Request) ([]ingress.Event, error) {
	form, err := ParseForm(req.Body)
	if err != nil {
		return nil, err
	}
	if req.CallID != "" || IsStatus(form) {
		status, err := DecodeStatus(form)
		if err != nil {
			return nil, err
		}
		event, err := status.event()
		return []ingress.Event{event}, err
	}
	in, err := DecodeInbound(form, req.Header)
	if err != nil {
		return nil, err
	}
	event, err := in.event()
	return []ingress.Event{event}, err
}

// Answer is empty TwiML: Twilio sends nothing back to the customer.
func (Webhook) Answer(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	_, _ = io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?><Response/>`) // Twilio hung up: it will come again.
}

func (in *Inbound) event() (ingress.Event, error) {
	if err := phone("From", in.From); err != nil {
		return ingress.Event{}, err
	}
	message := &handoffv1.CustomerMessage{
		NativeId: in.MessageSID, Text: in.Body, AddressDisplayed: in.From, ProviderOptOut: in.OptOutType.record(),
	}
	for _, m := range in.Media {
		message.Media = append(message.Media, &handoffv1.Media{Url: m.URL, ContentType: m.ContentType})
	}
	return ingress.Event{NativeID: in.MessageSID, Record: &handoffv1.Record{
		Address: in.From, Account: in.To,
		Body: &handoffv1.Record_CustomerMessage{CustomerMessage: message},
	}}, nil
}

func (s *Status) event() (ingress.Event, error) {
	if s.To == "" {
		return ingress.Event{}, &ingress.Malformed{Place: "To", Reason: "it is missing"}
	}
	if err := phone("To", s.To); err != nil {
		return ingress.Event{}, err
	}
	known, _ := LookupCode(s.ErrorCode)
	return ingress.Event{NativeID: s.MessageSID + "/" + string(s.Status), Record: &handoffv1.Record{
		Address: s.To,
		Body: &handoffv1.Record_DeliveryState{DeliveryState: &handoffv1.DeliveryState{
			ProviderId: s.MessageSID, Status: s.Status.record(), Code: codeText(s.ErrorCode), Meaning: Meaning(s.ErrorCode),
			ProviderOptedOut: known.OptedOut,
		}},
	}}, nil
}

// phone refuses addresses of Twilio's other channels ("whatsapp:+1…"), which
// have rules of their own.
func phone(field, address string) error {
	if strings.Contains(address, ":") {
		return &ingress.Malformed{Place: field, Reason: "it is of a channel other than SMS, which is not served through Twilio"}
	}
	return nil
}

func (o OptOut) record() handoffv1.ProviderOptOut {
	switch o {
	case OptOutStop:
		return handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_STOP
	case OptOutStart:
		return handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_START
	case OptOutHelp:
		return handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_HELP
	case OptOutNone:
	}
	return handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_UNSPECIFIED
}

// record is the status as Handoff tells it: sent to the channel and received by
// the person are different facts. A partly delivered message is sent.
func (s MessageStatus) record() handoffv1.DeliveryStatus {
	switch s {
	case StatusAccepted, StatusScheduled, StatusQueued, StatusSending:
		return handoffv1.DeliveryStatus_DELIVERY_STATUS_QUEUED
	case StatusSent, StatusPartiallyDelivered:
		return handoffv1.DeliveryStatus_DELIVERY_STATUS_SENT
	case StatusDelivered:
		return handoffv1.DeliveryStatus_DELIVERY_STATUS_DELIVERED
	case StatusRead:
		return handoffv1.DeliveryStatus_DELIVERY_STATUS_READ
	case StatusUndelivered, StatusFailed, StatusCanceled:
		return handoffv1.DeliveryStatus_DELIVERY_STATUS_FAILED
	case StatusReceiving, StatusReceived:
	}
	return handoffv1.DeliveryStatus_DELIVERY_STATUS_UNSPECIFIED
}
