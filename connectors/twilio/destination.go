package twilio

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// Name of the connector: in settings, in webhook paths and as a destination.
const Name = "twilio"

// clockSkew is how far Twilio's clock may be behind ours when a message is
// looked up by time; its dates have whole seconds.
const clockSkew = time.Minute

// trialPrefix is what Twilio puts before the texts of a trial account.
const trialPrefix = "Sent from your Twilio trial account - "

// defaultRequests a second where no account sets a limit. Twilio takes sends
// faster than a number may text and queues them at the number's own pace; what
// it limits is how many requests are open at once.
const defaultRequests = 50

// Config of a Destination.
type Config struct {
	// Transport carries requests; nil means http.DefaultTransport.
	Transport http.RoundTripper
	// PublicURL is the gateway as Twilio reaches it, e.g. "https://in.example.com".
	// Status callbacks go below it; empty asks for none.
	PublicURL string
	// Secret resolves a reference in the settings.
	Secret func(settings.SecretRef) (string, error)
}

// Destination sends deliver's texts through Twilio. It is Queryable: Twilio
// takes no idempotency key, but its messages can be listed by recipient and
// time. It is safe for concurrent use.
type Destination struct {
	client    *Client
	publicURL string
	secret    func(settings.SecretRef) (string, error)
}

var _ caller.Destination = (*Destination)(nil)

// New returns a Destination; a malformed PublicURL or no Secret is an error.
func New(cfg Config) (*Destination, error) {
	if cfg.Secret == nil {
		return nil, fmt.Errorf("twilio: no way to resolve secrets was given")
	}
	if cfg.PublicURL != "" {
		if u, err := url.Parse(cfg.PublicURL); err != nil || u.Host == "" {
			return nil, fmt.Errorf("twilio: public URL %q is not a URL", cfg.PublicURL)
		}
	}
	return &Destination{
		client:    NewClient(cfg.Transport),
		publicURL: strings.TrimRight(cfg.PublicURL, "/"),
		secret:    cfg.Secret,
	}, nil
}

// Retry is Queryable for every command.
func (d *Destination) Retry(*handoffv1.Command) caller.Retry { return caller.Queryable }

// KeyLife is 0: there are no keys that could age.
func (d *Destination) KeyLife() time.Duration { return 0 }

// Limit is what the shop's slowest Twilio account is set to, else 50 requests a
// second.
func (d *Destination) Limit(shop *settings.Shop) caller.Limit {
	return caller.AccountLimit(shop, Name, caller.Limit{Requests: defaultRequests, Window: time.Second, Burst: defaultRequests})
}

// Do sends the text once. The outcome holds the message's SID and its segments.
func (d *Destination) Do(ctx context.Context, a caller.Attempt) (*handoffv1.Outcome, error) {
	send := a.Command.GetSendText()
	if send == nil {
		return nil, &caller.Error{Kind: caller.Permanent, Meaning: "Twilio only sends texts"}
	}
	own, account, err := d.account(a)
	if err != nil {
		return nil, err
	}
	out := Outbound{
		To: a.Record.GetAddress(), From: own.Account, Body: send.GetText(),
		StatusCallback: d.StatusCallback(a.Record.GetShop(), own.Account, a.CallID),
	}
	if own.MessagingService != "" {
		out.From, out.MessagingServiceSID = "", own.MessagingService
	}
	for _, m := range send.GetMedia() {
		out.MediaURLs = append(out.MediaURLs, m.GetUrl())
	}
	m, err := d.client.Send(ctx, account, out)
	if err != nil {
		return nil, err
	}
	if m.Status == StatusFailed || m.Status == StatusUndelivered || m.Status == StatusCanceled {
		known, _ := LookupCode(m.ErrorCode)
		return nil, &caller.Error{
			Kind: caller.Permanent, Code: codeText(m.ErrorCode), Meaning: meaningOf(m), OptedOut: known.OptedOut,
		}
	}
	return outcome(m, send), nil
}

// Lookup lists what was sent to the address since the call was made and takes
// the message with the same text that belongs to no other call. Messages still
// in Twilio's queue have no date of sending, so a second listing without it
// follows, which ends at the first message older than the call.
func (d *Destination) Lookup(ctx context.Context, a caller.Attempt) (*handoffv1.Outcome, error) {
	send := a.Command.GetSendText()
	if send == nil {
		return nil, &caller.Error{Kind: caller.Permanent, Meaning: "Twilio only sends texts"}
	}
	own, account, err := d.account(a)
	if err != nil {
		return nil, err
	}
	q := Query{To: a.Record.GetAddress(), From: own.Account}
	if own.MessagingService != "" {
		q.From = "" // Twilio chose the sender, or has not yet.
	}
	since := a.Created.Add(-clockSkew).Truncate(time.Second)
	dated := q
	dated.SentSince = since
	for _, q := range []Query{dated, q} {
		for m, err := range d.client.List(ctx, account, q) {
			if err != nil {
				return nil, err
			}
			if m.Created.Before(since) {
				if q.SentSince.IsZero() {
					break
				}
				continue
			}
			if ownMessage(m, a, send) {
				found := outcome(m, send)
				found.Found = true
				return found, nil
			}
		}
	}
	return nil, nil
}

// ownMessage tells whether a listed message can be the call's.
func ownMessage(m *Message, a caller.Attempt, send *handoffv1.SendText) bool {
	if m.Inbound() || slices.Contains(a.OtherIDs, m.SID) || m.To != a.Record.GetAddress() {
		return false
	}
	if m.NumMedia != len(send.GetMedia()) && len(send.GetMedia()) > 0 {
		return false
	}
	body := strings.TrimPrefix(m.Body, trialPrefix)
	return strings.TrimSpace(body) == strings.TrimSpace(send.GetText())
}

// outcome of a message that Twilio holds. One that failed meanwhile is still
// done: what became of it is its delivery state.
func outcome(m *Message, send *handoffv1.SendText) *handoffv1.Outcome {
	segments := m.NumSegments
	if segments == 0 {
		segments, _ = schemas.Segments(send.GetText())
	}
	known, _ := LookupCode(m.ErrorCode)
	return &handoffv1.Outcome{
		Status:           handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE,
		ProviderId:       m.SID,
		Segments:         uint32(max(segments, 0)),
		ProviderOptedOut: known.OptedOut,
	}
}

// account finds the settings and credentials of the attempt's account.
func (d *Destination) account(a caller.Attempt) (*settings.Account, Account, error) {
	own := a.Shop.Account(a.Record.GetChannel(), a.Record.GetAccount())
	if own == nil || own.Provider != Name {
		return nil, Account{}, &caller.Error{
			Kind:    caller.Permanent,
			Meaning: fmt.Sprintf("the shop has no Twilio account %s any more", a.Record.GetAccount()),
		}
	}
	token, err := d.secret(own.Secret)
	if err != nil {
		return nil, Account{}, &caller.Error{Kind: caller.Unauthorized, Meaning: fmt.Sprintf("the Twilio auth token, secret of account %s in the shop's settings (%s), cannot be read", own.Account, own.Secret), Err: err}
	}
	return own, Account{BaseURL: own.BaseURL, SID: own.User, AuthToken: token}, nil
}

// StatusCallback is where Twilio reports on the message of a call:
// PublicURL/in/twilio/<shop>/<account>/status/<call>. Empty without a public URL.
func (d *Destination) StatusCallback(shop, account, callID string) string {
	if d.publicURL == "" {
		return ""
	}
	return d.publicURL + "/in/" + Name + "/" + url.PathEscape(shop) + "/" + url.PathEscape(account) +
		"/status/" + url.PathEscape(callID)
}

func codeText(code int) string {
	if code == 0 {
		return ""
	}
	return strconv.Itoa(code)
}

// meaningOf a failed message: the table's word, else Twilio's own.
func meaningOf(m *Message) string {
	if _, ok := LookupCode(m.ErrorCode); !ok && m.ErrorMessage != "" {
		return "Twilio could not deliver the text: " + m.ErrorMessage
	}
	if m.ErrorCode == 0 {
		return "Twilio could not deliver the text"
	}
	return Meaning(m.ErrorCode)
}
