package zendesk

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/caller/httpcall"
)

// reaction is one line of the error table: what an answer means for the call.
type reaction struct {
	status  int    // HTTP status; 0 any
	code    string // the body's "error"; "" any
	mention string // lower-case word that description or details must hold; "" any
	kind    caller.ErrorKind
	gone    bool
	meaning string
}

// reactions is read from the top; the first line that fits counts. Source:
// Zendesk API reference, "Response format" and "Rate limits"; the words for
// closed tickets and full tickets are those of the ticket endpoints.
func reactions() []reaction {
	return []reaction{
		{status: 400, code: "IdempotentRequestError", kind: caller.Permanent, meaning: "this idempotency key was used with another body"},
		{status: 400, kind: caller.Permanent, meaning: "the desk did not understand the request"},
		{status: 401, kind: caller.Unauthorized, meaning: "the desk refused the API token: renew it in the shop's settings"},
		{status: 403, kind: caller.Unauthorized, meaning: "the API token's user may not do this: give it an agent's or admin's role"},
		{status: 404, kind: caller.Permanent, gone: true, meaning: "the desk has no such ticket: it was deleted"},
		{status: 408, kind: caller.Ambiguous, meaning: "the desk timed out"},
		{status: 409, kind: caller.Retryable, meaning: "another update of the ticket came between"},
		{status: 410, kind: caller.Permanent, gone: true, meaning: "the ticket is gone"},
		{status: 413, kind: caller.Permanent, meaning: "the request is too large for the desk"},
		{status: 422, mention: "closed", kind: caller.Permanent, gone: true, meaning: "the ticket is closed for good: a follow-up is needed"},
		{status: 422, mention: "comment limit", kind: caller.Permanent, gone: true, meaning: "the ticket holds 5000 comments: a follow-up is needed"},
		{status: 422, mention: "too many comments", kind: caller.Permanent, gone: true, meaning: "the ticket holds 5000 comments: a follow-up is needed"},
		{status: 422, kind: caller.Permanent, meaning: "the desk refused a value"},
		{status: 423, kind: caller.Retryable, meaning: "the ticket is locked for the moment"},
		{status: 429, kind: caller.Limited, meaning: "too many requests to the desk"},
	}
}

// problem is Zendesk's error body. error is a string or {title, message}.
type problem struct {
	Error       json.RawMessage `json:"error"`
	Description string          `json:"description"`
	Details     json.RawMessage `json:"details"`
}

func (p problem) code() string {
	var code string
	if json.Unmarshal(p.Error, &code) == nil {
		return code
	}
	var titled struct {
		Title string `json:"title"`
	}
	_ = json.Unmarshal(p.Error, &titled) // an unknown shape has no code
	return titled.Title
}

// refused classifies an answer that is not 2xx.
func refused(doing string, a *httpcall.Answer) *caller.Error {
	status := a.Status
	var p problem
	_ = json.Unmarshal(a.Body, &p) // proxies answer in HTML: then the status alone counts
	e := &caller.Error{Kind: caller.Ambiguous, Code: p.code(), Meaning: doing + ": the desk failed"}
	if e.Code == "" {
		e.Code = strconv.Itoa(status)
	}
	said := strings.ToLower(p.Description + " " + string(p.Details))
	for _, r := range reactions() {
		if r.status != status || r.code != "" && r.code != p.code() || !strings.Contains(said, r.mention) {
			continue
		}
		e.Kind, e.TicketGone, e.Meaning = r.kind, r.gone, doing+": "+r.meaning
		break
	}
	if status >= 400 && status < 500 && e.Kind == caller.Ambiguous && status != http.StatusRequestTimeout {
		e.Kind = caller.Permanent
	}
	if e.Kind == caller.Limited {
		e.RetryAfter, _ = httpcall.RetryAfter(a.Header, time.Minute)
	}
	e.Err = &httpcall.Refusal{Answer: a}
	return e
}

// names tells whether the validation details of a refusal name one of the fields.
func names(err error, fields ...string) bool {
	refusal, ok := errors.AsType[*httpcall.Refusal](err)
	if !ok {
		return false
	}
	var said struct {
		Details map[string]json.RawMessage `json:"details"`
	}
	_ = json.Unmarshal(refusal.Body, &said) // details of another shape name nothing
	return slices.ContainsFunc(fields, func(field string) bool {
		_, ok := said.Details[field]
		return ok
	})
}
