package twilio

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/pipeline/ingress"
)

// MaxMedia is how many attachments one message can have.
const MaxMedia = 10

// maxIDLength bounds what is taken as a SID, a number or a token; real ones have
// at most 40 bytes.
const maxIDLength = 128

// OptOut is what Twilio's own keyword handling did about an inbound message.
type OptOut string

// Values of OptOutType; the empty one means that Twilio did nothing.
const (
	OptOutNone  OptOut = ""
	OptOutStop  OptOut = "STOP"
	OptOutStart OptOut = "START"
	OptOutHelp  OptOut = "HELP"
)

// Media is one attachment of an inbound message; fetching it needs the account's
// credentials.
type Media struct {
	URL         string
	ContentType string
}

// Inbound is a customer's message as Twilio posts it.
type Inbound struct {
	MessageSID          string
	AccountSID          string
	MessagingServiceSID string
	// From is the customer and To the shop's number, both as Twilio writes
	// them: E.164, a short code, or a channel address such as "whatsapp:+1…".
	From, To string
	// FromCountry is the ISO 3166 country of From where Twilio knows it.
	FromCountry string
	// Body is valid UTF-8; empty where there is only media.
	Body  string
	Media []Media
	// NumSegments as Twilio counts them; 0 where it does not say.
	NumSegments int
	OptOutType  OptOut
	// IdempotencyToken is the same on a repetition of the webhook; may be empty.
	IdempotencyToken string
}

// Status is what Twilio reports of a message it accepted earlier.
type Status struct {
	MessageSID string
	AccountSID string
	// From is the shop's number and To the customer; either may be empty.
	From, To string
	Status   MessageStatus
	// ErrorCode is 0 where there is none; its meaning is in Meaning.
	ErrorCode int
}

// ParseForm reads a webhook's body. A broken escape is a *ingress.Malformed.
func ParseForm(body []byte) (url.Values, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, &ingress.Malformed{Place: "body", Reason: "it is not a form: an escape in it is broken"}
	}
	return form, nil
}

// IsStatus tells whether a form is a status callback rather than a message: an
// inbound message has SmsStatus "received" and no MessageStatus.
func IsStatus(form url.Values) bool {
	return form.Get("MessageStatus") != "" && form.Get("MessageStatus") != string(StatusReceived)
}

// DecodeInbound reads the form of an inbound message. Text that is not UTF-8 is
// repaired with U+FFFD; anything else that is missing or malformed is a
// *ingress.Malformed. Fields it does not know are ignored: Twilio adds some without
// notice.
func DecodeInbound(form url.Values, header http.Header) (Inbound, error) {
	r := formReader{form: form}
	in := Inbound{
		MessageSID:          r.id("MessageSid", "SmsMessageSid"),
		AccountSID:          r.optionalID("AccountSid"),
		MessagingServiceSID: r.optionalID("MessagingServiceSid"),
		From:                r.id("From"),
		To:                  r.id("To"),
		FromCountry:         r.optionalID("FromCountry"),
		Body:                strings.ToValidUTF8(form.Get("Body"), string(utf8.RuneError)),
		NumSegments:         r.number("NumSegments", 1000),
		OptOutType:          r.optOut(),
		Media:               r.media(),
		IdempotencyToken:    header.Get(IdempotencyHeader),
	}
	if r.err == nil && !form.Has("Body") && len(in.Media) == 0 {
		r.fail("Body", "it is missing, and there is no media either")
	}
	if r.err != nil {
		return Inbound{}, r.err
	}
	return in, nil
}

// DecodeStatus reads the form of a status callback. What is missing or malformed
// is a *ingress.Malformed.
func DecodeStatus(form url.Values) (Status, error) {
	r := formReader{form: form}
	status := Status{
		MessageSID: r.id("MessageSid", "SmsSid"),
		AccountSID: r.optionalID("AccountSid"),
		From:       r.optionalID("From"),
		To:         r.optionalID("To"),
		Status:     MessageStatus(r.id("MessageStatus", "SmsStatus")),
		ErrorCode:  r.number("ErrorCode", 1_000_000),
	}
	if r.err == nil && !status.Status.outbound() {
		r.fail("MessageStatus", "it is no status of a sent message")
	}
	if r.err != nil {
		return Status{}, r.err
	}
	return status, nil
}

// formReader reads fields and keeps the first problem.
type formReader struct {
	form url.Values
	err  error
}

func (r *formReader) fail(field, problem string) {
	if r.err == nil {
		r.err = &ingress.Malformed{Place: field, Reason: problem}
	}
}

// id reads the first field of the names that is there; none is a problem.
func (r *formReader) id(names ...string) string {
	for _, name := range names {
		if v := r.optionalID(name); v != "" {
			return v
		}
	}
	r.fail(names[0], "it is missing")
	return ""
}

func (r *formReader) optionalID(name string) string {
	v := strings.TrimSpace(r.form.Get(name))
	switch {
	case len(v) > maxIDLength:
		r.fail(name, fmt.Sprintf("it is longer than %d bytes", maxIDLength))
	case strings.ContainsFunc(v, func(c rune) bool { return c < ' ' || c == utf8.RuneError || c == 0x7f }):
		r.fail(name, "it holds characters that cannot be")
	default:
		return v
	}
	return ""
}

func (r *formReader) number(name string, limit int) int {
	v := r.form.Get(name)
	if v == "" {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > limit {
		r.fail(name, fmt.Sprintf("it is not a number from 0 to %d", limit))
		return 0
	}
	return n
}

func (r *formReader) optOut() OptOut {
	switch v := OptOut(strings.ToUpper(strings.TrimSpace(r.form.Get("OptOutType")))); v {
	case OptOutNone, OptOutStop, OptOutStart, OptOutHelp:
		return v
	default:
		r.fail("OptOutType", "it is none of STOP, START, HELP")
		return OptOutNone
	}
}

func (r *formReader) media() []Media {
	var media []Media
	for i := range r.number("NumMedia", MaxMedia) {
		name := "MediaUrl" + strconv.Itoa(i)
		u := strings.ToValidUTF8(r.form.Get(name), string(utf8.RuneError))
		if parsed, err := url.Parse(u); err != nil || parsed.Host == "" {
			r.fail(name, "it is missing or no URL although NumMedia counts it")
			return nil
		}
		kind := strings.ToValidUTF8(r.form.Get("MediaContentType"+strconv.Itoa(i)), string(utf8.RuneError))
		media = append(media, Media{URL: u, ContentType: kind})
	}
	return media
}
