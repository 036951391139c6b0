package bot

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
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

const (
	// maxAnswer bounds what is read of one answer.
	maxAnswer = 4 * MaxReply
	// maxReason bounds a reason, in characters.
	maxReason = 500
)

// Config of a Destination.
type Config struct {
	// Transport carries requests; nil means http.DefaultTransport.
	Transport http.RoundTripper
	// Secret resolves a reference in the settings.
	Secret func(settings.SecretRef) (string, error)
	// Now stamps signatures; nil means time.Now.
	Now func() time.Time
}

// Destination asks shops' bots. It is Idempotent: asking again is harmless. It
// is safe for concurrent use.
type Destination struct {
	http   *http.Client
	secret func(settings.SecretRef) (string, error)
	now    func() time.Time
}

var _ caller.Destination = (*Destination)(nil)

// New returns a Destination; without Secret it is an error.
func New(cfg Config) (*Destination, error) {
	if cfg.Secret == nil {
		return nil, errors.New("bot: no way to resolve secrets was given")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Destination{secret: cfg.Secret, now: cfg.Now, http: httpcall.NewClient(cfg.Transport)}, nil
}

// Retry is Idempotent for every command.
func (d *Destination) Retry(*handoffv1.Command) caller.Retry { return caller.Idempotent }

// KeyLife is 0: however late a turn is asked again, nothing happens twice.
func (d *Destination) KeyLife() time.Duration { return 0 }

// Limit is none: a conversation has one turn in flight.
func (d *Destination) Limit(*settings.Shop) caller.Limit { return caller.Limit{} }

// RequestTimeout is the shop's time-out of an answer and a moment to tell of it.
func (d *Destination) RequestTimeout(shop *settings.Shop) time.Duration {
	return shop.AutoReply.Timeout + time.Second
}

// Lookup finds nothing: a bot is asked again instead.
func (d *Destination) Lookup(context.Context, caller.Attempt) (*handoffv1.Outcome, error) {
	return nil, nil
}

// Do asks for one turn's reply, within the shop's time-out. That the bot cannot
// answer is an outcome too, with its own reason. An answer that is none of those
// the package comment names is Permanent.
func (d *Destination) Do(ctx context.Context, a caller.Attempt) (*handoffv1.Outcome, error) {
	ask := a.Command.GetAskBot()
	if ask == nil {
		return nil, &caller.Error{Kind: caller.Permanent, Meaning: "the bot only answers questions"}
	}
	if a.Shop.AutoReply.URL == "" {
		return nil, &caller.Error{Kind: caller.Permanent, Meaning: "the shop has no bot"}
	}
	if timeout := a.Shop.AutoReply.Timeout; timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	req, err := d.request(ctx, a, ask)
	if err != nil {
		return nil, err
	}
	answer, err := httpcall.Do(d.http, req, "the bot", maxAnswer)
	tooLarge := errors.Is(err, httpcall.ErrTooLarge)
	if err != nil && !tooLarge {
		return nil, unanswered(err)
	}
	if !answer.OK() {
		return nil, failure(answer)
	}
	reply, problem := read(answer.Body)
	if tooLarge {
		problem = "it is too large"
	}
	if problem != "" {
		return nil, &caller.Error{Kind: caller.Permanent, Code: strconv.Itoa(answer.Status), Meaning: "the bot's answer cannot be used: " + problem}
	}
	reply.Turn = ask.GetTurn()
	return &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE, BotReply: reply}, nil
}

// request makes the signed request of a turn: the same bytes each time, but for
// the time it is signed.
func (d *Destination) request(ctx context.Context, a caller.Attempt, ask *handoffv1.AskBot) (*http.Request, error) {
	body, err := json.Marshal(question(a.Record, ask, a.CallID))
	if err != nil {
		return nil, &caller.Error{Kind: caller.Permanent, Meaning: "the conversation cannot be written as JSON", Err: err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.Shop.AutoReply.URL, bytes.NewReader(body))
	if err != nil {
		return nil, &caller.Error{Kind: caller.Permanent, Meaning: "the bot's URL in the settings cannot be used", Err: httpcall.WithoutURL(err)}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set(TurnHeader, a.CallID)
	if ref := a.Shop.AutoReply.Secret; ref != "" {
		secret, err := d.secret(ref)
		if err != nil {
			return nil, &caller.Error{Kind: caller.Unauthorized, Meaning: "bot.secret in the shop's settings (" + string(ref) + ") cannot be read", Err: err}
		}
		httpcall.Sign(req.Header, secret, d.now(), body)
	}
	return req, nil
}

// read takes an answer; problem says why it is none.
func read(body []byte) (reply *handoffv1.BotReply, problem string) {
	var a Answer
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, "it is not the JSON object that was asked for"
	}
	text := strings.TrimSpace(a.Reply)
	switch {
	case a.CannotAnswer:
		reason := fmt.Sprintf("%.*s", maxReason, strings.TrimSpace(a.Reason))
		if reason == "" {
			reason = "the bot gave no reason"
		}
		return &handoffv1.BotReply{CannotAnswer: true, Reason: reason}, ""
	case text == "":
		return nil, "it holds neither a reply nor cannot_answer"
	case len(text) > MaxReply:
		return nil, fmt.Sprintf("its reply is longer than %d bytes", MaxReply)
	default:
		return &handoffv1.BotReply{Text: text}, ""
	}
}

// unanswered is the failure of a question that no whole answer came to. Asking
// again is harmless, whether it arrived or not.
func unanswered(err error) *caller.Error {
	cause := caller.AsError(err).Err
	if errors.Is(cause, context.DeadlineExceeded) {
		return &caller.Error{Kind: caller.Retryable, Meaning: "the bot did not answer in time", Err: cause}
	}
	return &caller.Error{Kind: caller.Retryable, Meaning: "the bot cannot be reached", Err: cause}
}

func failure(answer *httpcall.Answer) *caller.Error {
	e := &caller.Error{Code: strconv.Itoa(answer.Status)}
	switch status := answer.Status; {
	case status == http.StatusTooManyRequests:
		e.Kind, e.Meaning = caller.Limited, "the bot limits requests"
		e.RetryAfter, _ = httpcall.RetryAfter(answer.Header, time.Second)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		e.Kind, e.Meaning = caller.Unauthorized, "the bot refused the signature; check the secret on both sides"
	case status == http.StatusRequestTimeout || status >= 500:
		e.Kind, e.Meaning = caller.Retryable, "the bot failed"
	default:
		e.Kind, e.Meaning = caller.Permanent, "the bot refused the question"
	}
	return e
}
