package sim

import (
	"net/http"
	"strconv"
	"time"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
)

// FaultKind is one way in which the provider can fail.
type FaultKind int

const (
	// CommitNoAnswer takes the text and drops the connection unanswered.
	CommitNoAnswer FaultKind = iota + 1
	// NoAnswer drops the connection and takes nothing.
	NoAnswer
	// CommitServerError takes the text and answers 502.
	CommitServerError
	// ServerError takes nothing and answers 500.
	ServerError
	// Limited answers 429, with Retry-After where Delay is set.
	Limited
	// Slow waits Delay by the Sim's clock before it goes on as usual.
	Slow
	// Refuse answers 400 with code "bad_number".
	Refuse
	// OptedOut answers 403 and says that the customer opted out.
	OptedOut
)

// Fault is something that goes wrong with sends.
type Fault struct {
	Kind FaultKind
	// To limits it to one recipient; empty means all.
	To string
	// Times is how often it strikes; 0 means until ClearFaults.
	Times int
	Delay time.Duration
}

// Inject arms a fault. Of several that could strike one request the first
// injected does.
func (s *Sim) Inject(f Fault) { s.faults.Inject(f, f.Times, 1) }

// ClearFaults disarms all faults.
func (s *Sim) ClearFaults() { s.faults.Clear() }

// refuses plays what a fault does before the text is taken; true when that ended
// the request.
func (f *Fault) refuses(w http.ResponseWriter, wait func() bool) bool {
	switch f.Kind {
	case NoAnswer:
		panic(http.ErrAbortHandler) // net/http's way to drop a connection; it is not logged.
	case ServerError:
		standin.WriteJSON(w, http.StatusInternalServerError, map[string]any{"error": "internal error"})
	case Limited:
		if f.Delay > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(f.Delay.Seconds())))
		}
		standin.WriteJSON(w, http.StatusTooManyRequests, map[string]any{"error": "slow down"})
	case Refuse:
		standin.WriteJSON(w, http.StatusBadRequest, map[string]any{"code": "bad_number", "message": "not a mobile number"})
	case OptedOut:
		standin.WriteJSON(w, http.StatusForbidden, map[string]any{"code": 9, "message": "blocked", "opted_out": true})
	case Slow:
		return !wait()
	case CommitNoAnswer, CommitServerError:
		return false
	}
	return true
}
