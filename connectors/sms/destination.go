package sms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/caller/httpcall"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

const (
	// defaultRequests a second where the account sets no limit.
	defaultRequests = 10
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 64 << 10
)

// Config of a Destination.
type Config struct {
	// Transport carries requests; nil means http.DefaultTransport. Connections
	// are not reused, since one that the provider closed meanwhile would leave a
	// text unknown.
	Transport http.RoundTripper
	// Secret resolves a reference in the settings.
	Secret func(settings.SecretRef) (string, error)
	// Now stamps signatures; nil means time.Now.
	Now func() time.Time
}

// Destination sends deliver's texts through a generic provider. It is Blind:
// nothing can be asked of the provider. It is safe for concurrent use.
type Destination struct {
	http   *http.Client
	secret func(settings.SecretRef) (string, error)
	now    func() time.Time
}

var _ caller.Destination = (*Destination)(nil)

// New returns a Destination; without Secret it is an error.
func New(cfg Config) (*Destination, error) {
	if cfg.Secret == nil {
		return nil, errors.New("sms: no way to resolve secrets was given")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Destination{secret: cfg.Secret, now: cfg.Now, http: httpcall.NewClient(cfg.Transport)}, nil
}

// Retry is Blind for every command.
func (d *Destination) Retry(*handoffv1.Command) caller.Retry { return caller.Blind }

// KeyLife is 0: the provider keeps no keys.
func (d *Destination) KeyLife() time.Duration { return 0 }

// Limit is what the shop's slowest account is set to, else 10 requests a second.
func (d *Destination) Limit(shop *settings.Shop) caller.Limit {
	return caller.AccountLimit(shop, Name, caller.Limit{Requests: defaultRequests, Window: time.Second, Burst: defaultRequests})
}

// Lookup cannot be done; it is never called for a Blind command.
func (d *Destination) Lookup(context.Context, caller.Attempt) (*handoffv1.Outcome, error) {
	return nil, &caller.Error{Kind: caller.Permanent, Meaning: "the provider cannot be asked what it took"}
}

// Do makes the request of the account's template once. Any 2xx is done; an "id"
// in a JSON answer is the provider's id, else the call's own is. What was
// neither taken nor refused for certain is Ambiguous: a time-out, a broken
// connection, 408 and 5xx.
func (d *Destination) Do(ctx context.Context, a caller.Attempt) (*handoffv1.Outcome, error) {
	draft, err := d.draft(a)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, draft.method, draft.url, bytes.NewReader(draft.body))
	if err != nil {
		return nil, &caller.Error{Kind: caller.Permanent, Meaning: "the request template makes no valid request", Err: httpcall.WithoutURL(err)}
	}
	req.Close = true
	req.Header = draft.header
	answer, err := httpcall.Do(d.http, req, "the SMS provider", maxAnswer)
	if answer == nil {
		return nil, err
	}
	// A success whose body breaks off is one all the same; only its id is lost.
	if !answer.OK() {
		return nil, failure(answer.Status, answer.Header, answer.Body)
	}
	text := a.Command.GetSendText().GetText()
	segments, _ := schemas.Segments(text)
	return &handoffv1.Outcome{
		Status:     handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE,
		ProviderId: providerID(answer.Body, a.CallID),
		Segments:   uint32(max(segments, 1)),
	}, nil
}

// draft makes the signed request of an attempt.
func (d *Destination) draft(a caller.Attempt) (*draft, error) {
	send := a.Command.GetSendText()
	if send == nil {
		return nil, &caller.Error{Kind: caller.Permanent, Meaning: "the provider only sends texts"}
	}
	own := a.Shop.Account(a.Record.GetChannel(), a.Record.GetAccount())
	if own == nil || own.Provider != Name {
		return nil, &caller.Error{
			Kind:    caller.Permanent,
			Meaning: fmt.Sprintf("the shop has no account %s at a generic provider any more", a.Record.GetAccount()),
		}
	}
	secret, err := d.secret(own.Secret)
	if err != nil {
		return nil, &caller.Error{Kind: caller.Unauthorized, Meaning: fmt.Sprintf("the secret of account %s in the shop's settings (%s) cannot be read", own.Account, own.Secret), Err: err}
	}
	v := values{id: a.CallID, from: own.Account, to: a.Record.GetAddress(), text: send.GetText(), secret: secret}
	v.template, v.language = send.GetTemplate().GetName(), send.GetTemplate().GetLanguage()
	if send.GetHumanAgent() {
		v.tag = "human_agent"
	}
	for _, m := range send.GetMedia() {
		v.media = append(v.media, m.GetUrl())
	}
	draft, err := render(own, v)
	if err != nil {
		return nil, &caller.Error{Kind: caller.Permanent, Meaning: "the account's request template is wrong: " + err.Error()}
	}
	draft.header.Set("Content-Type", draft.contentType)
	draft.header.Set(IDHeader, a.CallID)
	Sign(draft.header, secret, d.now(), draft.body)
	return draft, nil
}

// failure judges an answer that is no success. The body may be JSON with code,
// message (or error) and opted_out.
func failure(status int, header http.Header, body []byte) *caller.Error {
	var said struct {
		Code     json.RawMessage `json:"code"`
		Message  string          `json:"message"`
		Error    string          `json:"error"`
		OptedOut bool            `json:"opted_out"`
	}
	_ = json.Unmarshal(body, &said) // A body of another kind says nothing.
	e := &caller.Error{Code: strings.Trim(string(said.Code), `"`), OptedOut: said.OptedOut}
	if e.Code == "" || e.Code == "null" || !printable(e.Code) {
		e.Code = strconv.Itoa(status)
	}
	after, told := httpcall.RetryAfter(header, time.Second)
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable && told:
		e.Kind, e.RetryAfter, e.Meaning = caller.Limited, after, "the SMS provider limits requests; the text waits"
	case status == http.StatusRequestTimeout || status >= 500:
		e.Kind, e.Meaning = caller.Ambiguous, "the SMS provider failed; whether it took the text is not known"
	case status == http.StatusUnauthorized || status == http.StatusForbidden && !said.OptedOut:
		e.Kind, e.Meaning = caller.Unauthorized, "the SMS provider refused the credentials; check the account's secret and template"
	case said.OptedOut:
		e.Kind, e.Meaning = caller.Permanent, "the customer opted out at the provider"
	default:
		e.Kind, e.Meaning = caller.Permanent, "the SMS provider refused the text"
	}
	if said.Message == "" {
		said.Message = said.Error
	}
	if said.Message != "" {
		e.Meaning += ": " + fmt.Sprintf("%.200s", said.Message)
	}
	return e
}

// providerID reads the id of a JSON answer, a string or a number.
func providerID(body []byte, otherwise string) string {
	var said struct {
		ID any `json:"id"`
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if dec.Decode(&said) != nil {
		return otherwise
	}
	switch id := said.ID.(type) {
	case string:
		if id != "" && printable(id) {
			return id
		}
	case json.Number:
		return id.String()
	}
	return otherwise
}
