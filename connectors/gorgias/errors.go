package gorgias

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/caller/httpcall"
)

// reaction is one line of the error table: what a status means for the call.
type reaction struct {
	status  int
	kind    caller.ErrorKind
	gone    bool
	meaning string
}

// reactions is the error table. Source: Gorgias' REST reference, "Errors" and
// "Rate limits".
func reactions() []reaction {
	return []reaction{
		{status: 301, kind: caller.Permanent, gone: true, meaning: "the ticket was merged into another one"},
		{status: 400, kind: caller.Permanent, meaning: "the desk refused a value"},
		{status: 401, kind: caller.Unauthorized, meaning: "the desk refused the API key: renew it in the shop's settings"},
		{status: 403, kind: caller.Unauthorized, meaning: "the API key's user may not do this: give it an agent's or admin's role"},
		{status: 404, kind: caller.Permanent, gone: true, meaning: "the desk has no such ticket: it was deleted"},
		{status: 405, kind: caller.Permanent, meaning: "the desk does not do this"},
		{status: 408, kind: caller.Ambiguous, meaning: "the desk timed out"},
		{status: 409, kind: caller.Retryable, meaning: "it conflicts with another change"},
		{status: 410, kind: caller.Permanent, gone: true, meaning: "the ticket is gone"},
		{status: 413, kind: caller.Permanent, meaning: "the request is too large for the desk"},
		{status: 422, kind: caller.Permanent, meaning: "the desk refused a value"},
		{status: 429, kind: caller.Limited, meaning: "too many requests to the desk"},
	}
}

// refused classifies an answer that is not 2xx. All of 5xx may have been
// carried out.
func refused(doing string, a *httpcall.Answer) *caller.Error {
	status := a.Status
	var said struct {
		Error struct {
			Msg  string          `json:"msg"`
			Data json.RawMessage `json:"data"`
		} `json:"error"`
	}
	_ = json.Unmarshal(a.Body, &said) // proxies answer in HTML: then the status alone counts
	e := &caller.Error{Kind: caller.Ambiguous, Code: strconv.Itoa(status), Meaning: doing + ": the desk failed"}
	if status >= 400 && status < 500 {
		e.Kind, e.Meaning = caller.Permanent, doing+": the desk refused"
	}
	for _, r := range reactions() {
		if r.status == status {
			e.Kind, e.TicketGone, e.Meaning = r.kind, r.gone, doing+": "+r.meaning
		}
	}
	if said.Error.Msg != "" {
		e.Meaning += ": " + said.Error.Msg
	}
	if e.Kind == caller.Limited {
		e.RetryAfter, _ = httpcall.RetryAfter(a.Header, 20*time.Second)
	}
	e.Err = &httpcall.Refusal{Answer: a}
	return e
}

// notThere tells whether the desk said that a record does not exist.
func notThere(err error) bool {
	status := httpcall.StatusOf(err)
	return status == http.StatusNotFound || status == http.StatusGone
}
