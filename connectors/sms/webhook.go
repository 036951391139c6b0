package sms

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// MaxMedia is how many attachments one message can have.
const MaxMedia = 10

// maxID bounds ids and codes, in bytes.
const maxID = 200

// Message is one customer's message in a webhook; the package comment says what
// is needed.
type Message struct {
	ID     string  `json:"id"`
	From   string  `json:"from"`
	To     string  `json:"to,omitempty"`
	Text   string  `json:"text"`
	Name   string  `json:"name,omitempty"`
	SentAt string  `json:"sent_at,omitempty"`
	OptOut string  `json:"opt_out,omitempty"`
	Media  []Media `json:"media,omitempty"`
}

// Media is one attachment.
type Media struct {
	URL         string `json:"url"`
	ContentType string `json:"content_type,omitempty"`
}

// Echo is a message that left the account another way: somebody wrote it in the provider's own app, or it is
// one of Handoff's texts, which is known again by its id.
type Echo struct {
	ID     string  `json:"id"`
	To     string  `json:"to"`
	Text   string  `json:"text"`
	Name   string  `json:"name,omitempty"`
	SentAt string  `json:"sent_at,omitempty"`
	Media  []Media `json:"media,omitempty"`
}

// Status is what became of a text that was sent.
type Status struct {
	ID     string `json:"id"`
	To     string `json:"to"`
	Status string `json:"status"`
	Code   string `json:"code,omitempty"`
	Reason string `json:"reason,omitempty"`
	At     string `json:"at,omitempty"`
}

// Webhook is the generic provider's side of the gateway.
type Webhook struct{}

var _ ingress.Webhook = Webhook{}

// Verify checks the signature and its time; see the function Verify.
func (Webhook) Verify(req *ingress.Request) error {
	return Verify(req.Header, req.Secret, req.Now, req.Body)
}

// Decode reads all messages, then all statuses, then all echoes. One that cannot be read refuses
// the whole request with its place, e.g. "messages[2].from". Fields it does not
// know are ignored.
func (Webhook) Decode(req *ingress.Request) ([]ingress.Event, error) {
	var body struct {
		Messages []json.RawMessage `json:"messages"`
		Statuses []json.RawMessage `json:"statuses"`
		Echoes   []json.RawMessage `json:"echoes"`
	}
	if err := decodeJSON(req.Body, &body, ""); err != nil {
		return nil, err
	}
	if body.Messages == nil && body.Statuses == nil && body.Echoes == nil {
		return nil, malformed("body", "it has neither messages nor statuses nor echoes")
	}
	events := make([]ingress.Event, 0, len(body.Messages)+len(body.Statuses)+len(body.Echoes))
	for _, of := range []struct {
		name   string
		items  []json.RawMessage
		decode func(raw json.RawMessage, place string) (ingress.Event, error)
	}{{"messages", body.Messages, decodeMessage}, {"statuses", body.Statuses, decodeStatus}, {"echoes", body.Echoes, decodeEcho}} {
		for i, raw := range of.items {
			e, err := of.decode(raw, fmt.Sprintf("%s[%d]", of.name, i))
			if err != nil {
				return nil, err
			}
			events = append(events, e)
		}
	}
	return events, nil
}

// Answer is 202: what was posted is stored.
func (Webhook) Answer(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"accepted":true}`+"\n") // The provider hung up: it will come again.
}

func malformed(place, reason string) error { return &ingress.Malformed{Place: place, Reason: reason} }

// decodeJSON reads one whole JSON object; problems are told with their place.
func decodeJSON(raw []byte, into any, place string) error {
	err := json.Unmarshal(raw, into)
	if err == nil && !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		err = errors.New("not an object")
	}
	if err == nil {
		return nil
	}
	if place == "" {
		place = "body"
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		if place == "body" {
			place = wrong.Field
		} else {
			place += "." + wrong.Field
		}
		return malformed(place, "it is a JSON "+wrong.Value+", not what belongs there")
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return malformed(place, fmt.Sprintf("it is not JSON from byte %d on", syntax.Offset))
	}
	return malformed(place, "it is not a JSON object")
}

func decodeMessage(raw json.RawMessage, place string) (ingress.Event, error) {
	var m Message
	if err := decodeJSON(raw, &m, place); err != nil {
		return ingress.Event{}, err
	}
	address, err := checkIdentity(place, "from", m.ID, m.From)
	if err != nil {
		return ingress.Event{}, err
	}
	at, err := eventTime(place+".sent_at", m.SentAt)
	if err != nil {
		return ingress.Event{}, err
	}
	optOut, ok := optOuts(m.OptOut)
	if !ok {
		return ingress.Event{}, malformed(place+".opt_out", "it is none of stop, start, help")
	}
	record := &handoffv1.CustomerMessage{
		NativeId: m.ID, Text: m.Text, AddressDisplayed: m.From, SenderName: m.Name, ProviderOptOut: optOut,
	}
	if record.Media, err = checkWords(place, m.Text, m.Media); err != nil {
		return ingress.Event{}, err
	}
	account := ""
	if m.To != "" {
		if account, ok = Phone(m.To); !ok {
			return ingress.Event{}, malformed(place+".to", "it is not an E.164 number")
		}
	}
	return ingress.Event{NativeID: "message/" + m.ID, Record: &handoffv1.Record{
		Address: address, Account: account, EventTime: at,
		Body: &handoffv1.Record_CustomerMessage{CustomerMessage: record},
	}}, nil
}

// checkWords checks text and attachments, of which there must be one, and returns the attachments.
func checkWords(place, text string, media []Media) ([]*handoffv1.Media, error) {
	if len(media) > MaxMedia {
		return nil, malformed(place+".media", fmt.Sprintf("it holds more than %d", MaxMedia))
	}
	if text == "" && len(media) == 0 {
		return nil, malformed(place+".text", "it is missing, and there is no media either")
	}
	var all []*handoffv1.Media
	for i, m := range media {
		if u, err := url.Parse(m.URL); err != nil || u.Host == "" {
			return nil, malformed(fmt.Sprintf("%s.media[%d].url", place, i), "it is not a URL")
		}
		all = append(all, &handoffv1.Media{Url: m.URL, ContentType: m.ContentType})
	}
	return all, nil
}

func decodeEcho(raw json.RawMessage, place string) (ingress.Event, error) {
	var m Echo
	if err := decodeJSON(raw, &m, place); err != nil {
		return ingress.Event{}, err
	}
	address, err := checkIdentity(place, "to", m.ID, m.To)
	if err != nil {
		return ingress.Event{}, err
	}
	at, err := eventTime(place+".sent_at", m.SentAt)
	if err != nil {
		return ingress.Event{}, err
	}
	echo := &handoffv1.ChannelEcho{NativeId: m.ID, Text: m.Text, Author: m.Name}
	if echo.Media, err = checkWords(place, m.Text, m.Media); err != nil {
		return ingress.Event{}, err
	}
	if isCallID(m.ID) {
		echo.CallId = m.ID
	}
	return ingress.Event{NativeID: "echo/" + m.ID, Record: &handoffv1.Record{
		Address: address, EventTime: at, Body: &handoffv1.Record_ChannelEcho{ChannelEcho: echo},
	}}, nil
}

func decodeStatus(raw json.RawMessage, place string) (ingress.Event, error) {
	var s Status
	if err := decodeJSON(raw, &s, place); err != nil {
		return ingress.Event{}, err
	}
	address, err := checkIdentity(place, "to", s.ID, s.To)
	if err != nil {
		return ingress.Event{}, err
	}
	at, err := eventTime(place+".at", s.At)
	if err != nil {
		return ingress.Event{}, err
	}
	status, ok := statuses(s.Status)
	if !ok {
		return ingress.Event{}, malformed(place+".status", "it is none of queued, sent, delivered, read, failed")
	}
	if !printable(s.Code) {
		return ingress.Event{}, malformed(place+".code", "it is too long or holds control characters")
	}
	state := &handoffv1.DeliveryState{ProviderId: s.ID, Status: status, Code: s.Code, Meaning: s.Reason}
	if isCallID(s.ID) {
		state.ProviderId, state.CallId = "", s.ID
	}
	return ingress.Event{NativeID: "status/" + s.ID + "/" + s.Status, Record: &handoffv1.Record{
		Address: address, EventTime: at, Body: &handoffv1.Record_DeliveryState{DeliveryState: state},
	}}, nil
}

// checkIdentity checks an item's id and the customer's number, and returns the
// number normalised.
func checkIdentity(place, field, id, number string) (address string, err error) {
	if id == "" {
		return "", malformed(place+".id", "it is missing")
	}
	if !printable(id) {
		return "", malformed(place+".id", "it is too long or holds control characters")
	}
	if number == "" {
		return "", malformed(place+"."+field, "it is missing")
	}
	address, ok := Phone(number)
	if !ok {
		return "", malformed(place+"."+field, "it is not an E.164 number")
	}
	return address, nil
}

func printable(s string) bool {
	return len(s) <= maxID && !strings.ContainsFunc(s, unicode.IsControl)
}

func eventTime(place, s string) (*timestamppb.Timestamp, error) {
	if s == "" {
		return nil, nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return nil, malformed(place, "it is not a time like 2026-03-01T12:00:00Z")
	}
	return timestamppb.New(at), nil
}

var phoneForm = regexp.MustCompile(`^(\+[1-9][0-9]{6,14}|[0-9]{3,8})$`)

// Phone normalises a number to E.164, dropping the spaces, brackets, dots and
// hyphens it is written with. A short code of 3 to 8 digits stays as it is; a
// number without its country is none.
func Phone(s string) (e164 string, ok bool) {
	e164 = strings.Map(func(r rune) rune {
		if strings.ContainsRune(" ()-.\u00a0\u2011", r) {
			return -1
		}
		return r
	}, s)
	return e164, phoneForm.MatchString(e164)
}

func isCallID(s string) bool {
	return len(s) == 2*schemas.IDSize && strings.Trim(s, "0123456789abcdef") == ""
}

func optOuts(s string) (handoffv1.ProviderOptOut, bool) {
	switch s {
	case "":
		return handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_UNSPECIFIED, true
	case "stop":
		return handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_STOP, true
	case "start":
		return handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_START, true
	case "help":
		return handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_HELP, true
	default:
		return 0, false
	}
}

func statuses(s string) (handoffv1.DeliveryStatus, bool) {
	switch s {
	case "queued":
		return handoffv1.DeliveryStatus_DELIVERY_STATUS_QUEUED, true
	case "sent":
		return handoffv1.DeliveryStatus_DELIVERY_STATUS_SENT, true
	case "delivered":
		return handoffv1.DeliveryStatus_DELIVERY_STATUS_DELIVERED, true
	case "read":
		return handoffv1.DeliveryStatus_DELIVERY_STATUS_READ, true
	case "failed":
		return handoffv1.DeliveryStatus_DELIVERY_STATUS_FAILED, true
	default:
		return 0, false
	}
}
