package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/handoff-dev/handoff/pipeline/ingress"
)

// outcome is how a request ended: a metric's label, and the error in a refusal's body.
type outcome string

// Outcomes. The first three are answered with the provider's own success answer.
const (
	accepted        outcome = "accepted"
	empty           outcome = "empty"   // there was nothing in it for Handoff
	foreign         outcome = "foreign" // about tickets that are not ours
	unknownPath     outcome = "unknown_path"
	wrongMethod     outcome = "wrong_method"
	unknownProvider outcome = "unknown_provider"
	unknownShop     outcome = "unknown_shop"
	unknownAccount  outcome = "unknown_account"
	tooLarge        outcome = "too_large"
	unreadable      outcome = "unreadable"
	unsigned        outcome = "unsigned"
	forged          outcome = "forged"
	malformed       outcome = "malformed"
	throttled       outcome = "throttled"
	busy            outcome = "busy"
	unacknowledged  outcome = "unacknowledged"
	settingsPending outcome = "settings_pending"
	episodesPending outcome = "episodes_pending"
	noSecret        outcome = "secret_unavailable"
	refusedSettings outcome = "settings_refused"
	refusedRows     outcome = "rows_refused"
	failed          outcome = "failed"
)

// statuses are the HTTP statuses of refusals.
func (o outcome) status() int {
	switch o {
	case unknownPath, unknownProvider, unknownShop, unknownAccount:
		return http.StatusNotFound
	case wrongMethod:
		return http.StatusMethodNotAllowed
	case tooLarge:
		return http.StatusRequestEntityTooLarge
	case unsigned:
		return http.StatusUnauthorized
	case forged:
		return http.StatusForbidden
	case unreadable, malformed:
		return http.StatusBadRequest
	case refusedSettings, refusedRows:
		return http.StatusUnprocessableEntity
	case throttled:
		return http.StatusTooManyRequests
	case busy, unacknowledged, settingsPending, episodesPending, noSecret:
		return http.StatusServiceUnavailable
	case accepted, empty, foreign:
		return http.StatusOK
	case failed:
	}
	return http.StatusInternalServerError
}

// retryAfter is how long a caller should wait where trying again helps; 0 where it does not.
func (o outcome) retryAfter() time.Duration {
	switch o {
	case throttled:
		return time.Second
	case busy, unacknowledged, settingsPending, episodesPending:
		return 5 * time.Second
	case noSecret:
		return 30 * time.Second
	default:
		return 0
	}
}

// refusal is why a request was not taken. reason and place are shown to the caller and hold nothing of
// the request; cause is for the log.
type refusal struct {
	outcome outcome
	place   string
	reason  string
	cause   error
}

// Error says outcome, place, reason and cause.
func (r *refusal) Error() string {
	s := string(r.outcome)
	if r.place != "" {
		s += " at " + r.place
	}
	s += ": " + r.reason
	if r.cause != nil {
		s += ": " + r.cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (r *refusal) Unwrap() error { return r.cause }

func refuse(o outcome, format string, args ...any) *refusal {
	return &refusal{outcome: o, reason: fmt.Sprintf(format, args...)}
}

// refusalOf makes a refusal of any error that ended a request.
func refusalOf(err error) *refusal {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	if m, ok := errors.AsType[*ingress.Malformed](err); ok {
		return &refusal{outcome: malformed, place: m.Place, reason: m.Reason}
	}
	return &refusal{outcome: failed, reason: "the gateway failed to handle this request", cause: err}
}

// problem is one thing wrong with a settings document.
type problem struct {
	Line   int    `json:"line,omitempty"`
	Path   string `json:"path,omitempty"`
	Reason string `json:"reason"`
}

// refusalBody is the JSON of a refusal.
type refusalBody struct {
	Error    outcome   `json:"error"`
	Place    string    `json:"place,omitempty"`
	Reason   string    `json:"reason"`
	Problems []problem `json:"problems,omitempty"`
}

// write answers with the refusal.
func (r *refusal) write(w http.ResponseWriter) {
	if d := r.outcome.retryAfter(); d > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(d.Seconds()))))
	}
	if r.outcome == unsigned && w.Header().Get("WWW-Authenticate") == "" {
		w.Header().Set("WWW-Authenticate", "Signature")
	}
	writeJSON(w, r.outcome.status(), refusalBody{Error: r.outcome, Place: r.place, Reason: r.reason})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone: nobody is left to tell
}
