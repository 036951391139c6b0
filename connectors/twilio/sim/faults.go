package sim

import (
	"net/http"
	"strconv"
	"time"
)

// FaultKind is one way in which Twilio can fail.
type FaultKind int

const (
	// CommitNoAnswer takes the message and drops the connection unanswered.
	CommitNoAnswer FaultKind = iota + 1
	// NoAnswer drops the connection and takes nothing.
	NoAnswer
	// CommitServerError takes the message and answers Status (default 500).
	CommitServerError
	// ServerError takes nothing and answers Status (default 503).
	ServerError
	// Limited answers 429 with code 20429, and Retry-After where Delay is set.
	Limited
	// Slow waits Delay by the Sim's clock before it goes on as usual.
	Slow
	// Refuse answers 400 with Code.
	Refuse
	// Undelivered takes the message, which ends undelivered with Code.
	Undelivered
)

// Fault is something that goes wrong with requests to the API.
type Fault struct {
	Kind FaultKind
	// To limits it to one recipient; empty means all.
	To string
	// OnList makes it hit listings rather than sends.
	OnList bool
	// Times is how often it strikes; 0 means until ClearFaults.
	Times int
	// Every lets it strike only each n-th request it could; 0 and 1 mean each.
	Every  int
	Delay  time.Duration
	Status int
	Code   int
}

type operation bool

const (
	onSend operation = false
	onList operation = true
)

// Inject arms a fault. Of several that could strike one request the first
// injected does.
func (s *Sim) Inject(f Fault) { s.faults.Inject(f, f.Times, f.Every) }

// ClearFaults disarms all faults.
func (s *Sim) ClearFaults() { s.faults.Clear() }

// fault picks the one that strikes this request, or nil.
func (s *Sim) fault(on operation, to string) *Fault {
	return s.faults.Strike(func(f Fault) bool { return operation(f.OnList) == on && (f.To == "" || f.To == to) })
}

// before plays what a fault does before the request has any effect; false when
// that ended the request.
func (s *Sim) before(w http.ResponseWriter, r *http.Request, f *Fault) bool {
	if f == nil {
		return true
	}
	switch f.Kind {
	case NoAnswer:
		panic(http.ErrAbortHandler) // net/http's way to drop a connection; it is not logged.
	case ServerError:
		refuse(w, orStatus(f.Status, http.StatusServiceUnavailable), 20503, "Service unavailable")
		return false
	case Limited:
		if f.Delay > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(f.Delay.Seconds())))
		}
		refuse(w, http.StatusTooManyRequests, 20429, "Too Many Requests")
		return false
	case Refuse:
		refuse(w, http.StatusBadRequest, f.Code, "Refused")
		return false
	case Slow:
		return s.life.Wait(r.Context(), f.Delay)
	case CommitNoAnswer, CommitServerError, Undelivered:
		return true
	default:
		return true
	}
}

// after answers a message that was taken, unless a fault keeps the answer back.
func (s *Sim) after(w http.ResponseWriter, f *Fault, wire map[string]any) {
	switch {
	case f != nil && f.Kind == CommitNoAnswer:
		panic(http.ErrAbortHandler)
	case f != nil && f.Kind == CommitServerError:
		refuse(w, orStatus(f.Status, http.StatusInternalServerError), 20500, "Internal server error")
	default:
		writeJSON(w, http.StatusCreated, wire)
	}
}

func orStatus(status, otherwise int) int {
	if status == 0 {
		return otherwise
	}
	return status
}
