package torture

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Places at which a trap can lie.
const (
	placeWire   = "wire"   // a request of a client
	placeDisk   = "disk"   // a write of the state store
	placeStage  = "stage"  // Process of a record
	placeTimer  = "timer"  // Process of a timer
	placeSink   = "sink"   // Write
	placeCaller = "caller" // Assigned, Committed or Revoked
)

// Moments of what lies at a place.
const (
	before = "before" // nothing has happened yet
	during = "during" // half of it has: half a file's write, half a batch of rows
	after  = "after"  // it has happened, and whoever asked for it has not been told: a request is sent
	answer = "answer" // of a request: it is applied, its answer has come and is not read
)

// What happens to whoever steps into a trap.
const (
	actKill  = "kill"  // the process dies by kill -9
	actStop  = "stop"  // the process freezes until the parent lets it go on
	actError = "error" // it fails: a connection is cut, a write returns an error
	actStall = "stall" // it takes Stall longer
)

// trap is a fault laid in a member from outside the product's code, and springs once.
type trap struct {
	ID    int
	Place string
	// What is, of the wire, the request's name; of the disk, a part of the file's name; of the caller,
	// the method. Empty: anything there.
	What string
	// Client, of the wire, is how the client's id begins.
	Client string
	Moment string
	// Skip is how many times it is passed before it springs.
	Skip  int
	Act   string
	Stall time.Duration
}

func (t trap) String() string {
	words := []string{t.Act, t.Moment, t.Place, t.What}
	if strings.HasPrefix(t.Client, restoring) {
		words = append(words, "of a restore")
	}
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

// traps are those laid in this process.
type traps struct {
	tell func(format string, args ...any) // the parent
	hit  func()                           // called after it is told

	mu   sync.Mutex
	laid []*trap // guarded by mu
}

func (ts *traps) lay(t trap) {
	ts.mu.Lock()
	ts.laid = append(ts.laid, &t)
	ts.mu.Unlock()
}

// clear takes away what has not sprung.
func (ts *traps) clear() {
	ts.mu.Lock()
	ts.laid = nil
	ts.mu.Unlock()
}

// errTrap is what a sprung trap makes fail.
type errTrap struct{ trap }

func (e errTrap) Error() string { return "trap: " + e.trap.String() }

// step returns an error when a trap springs there that says so. A kill does not return.
func (ts *traps) step(place, what, client, moment string) error {
	t := ts.sprung(place, what, client, moment)
	if t == nil {
		return nil
	}
	ts.tell("hit %d", t.ID)
	ts.hit()
	switch t.Act {
	case actKill:
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
		select {}
	case actStop:
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGSTOP)
	case actStall:
		<-time.After(t.Stall)
	case actError:
		return errTrap{*t}
	}
	return nil
}

func (ts *traps) sprung(place, what, client, moment string) *trap {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for i, t := range ts.laid {
		if t.Place != place || t.Moment != moment || !strings.Contains(what, t.What) || !strings.HasPrefix(client, t.Client) {
			continue
		}
		if t.Skip > 0 {
			t.Skip--
			continue
		}
		ts.laid = append(ts.laid[:i:i], ts.laid[i+1:]...)
		return t
	}
	return nil
}

// lineWriter writes whole lines, one at a time.
type lineWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lineWriter) tell(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, format+"\n", args...)
}
