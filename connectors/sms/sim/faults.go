package sim

import (
	"net/http"
	"strconv"
	"time"
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

	struck int
}

// Inject arms a fault. Of several that could strike one request the first
// injected does.
func (s *Sim) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.struck = 0
	s.faults = append(s.faults, &f)
}

// ClearFaults disarms all faults.
func (s *Sim) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// fault picks the one that strikes this request, or nil.
func (s *Sim) fault(to string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if (f.To != "" && f.To != to) || (f.Times > 0 && f.struck >= f.Times) {
			continue
		}
		f.struck++
		strike := *f
		return &strike
	}
	return nil
}

// refuses plays what a fault does before the text is taken; true when that ended
// the request.
func (f *Fault) refuses(w http.ResponseWriter, wait func() bool) bool {
	switch f.Kind {
	case NoAnswer:
		panic(http.ErrAbortHandler) // net/http's way to drop a connection; it is not logged.
	case ServerError:
		answer(w, http.StatusInternalServerError, map[string]any{"error": "internal error"})
	case Limited:
		if f.Delay > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(f.Delay.Seconds())))
		}
		answer(w, http.StatusTooManyRequests, map[string]any{"error": "slow down"})
	case Refuse:
		answer(w, http.StatusBadRequest, map[string]any{"code": "bad_number", "message": "not a mobile number"})
	case OptedOut:
		answer(w, http.StatusForbidden, map[string]any{"code": 9, "message": "blocked", "opted_out": true})
	case Slow:
		return !wait()
	case CommitNoAnswer, CommitServerError:
		return false
	}
	return true
}
