package e2e

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/dev"
)

// gate stands in front of a stand-in of the outside. It holds chosen requests at a chosen moment, so
// that a process can be killed exactly there, or lets them go wrong at random.
type gate struct {
	next   http.Handler
	server *httptest.Server

	mu      sync.Mutex
	windows []*window
	luck    *rand.Rand // nil: nothing goes wrong by itself
	// struck counts what went wrong by itself, by its name.
	struck map[string]int
}

// moment says how far a held request has come.
type moment int

const (
	// arrived: the outside has the request and has done nothing of it.
	arrived moment = iota
	// taken: the outside has done what was asked, and has not answered.
	taken
	// answered: the answer is on its way back when the kill comes.
	answered
)

func (m moment) String() string { return [...]string{"arrived", "taken", "answered"}[m] }

// window is one request that is held.
type window struct {
	match func(r *http.Request, body []byte) bool
	at    moment
	// held is closed when the request is where it shall be; release lets an answered one go, sent is
	// closed when its answer has left.
	held, release, sent chan struct{}
	struck              bool
}

// behindGates puts gates before all stand-ins, by the names of dev.Outside.URL, and points the shops'
// settings at them. With fast the shops' time limits are seconds.
func (h *house) behindGates(fast bool) map[string]*gate {
	h.t.Helper()
	o := h.outside
	gates := map[string]*gate{}
	for name, next := range map[string]http.Handler{
		"twilio": o.Twilio, "sms": o.SMS, "bot": o.Bot, "zendesk": o.Zendesk, "gorgias": o.Gorgias, "zendesk2": o.Zendesk2,
	} {
		g := &gate{next: next, struck: map[string]int{}}
		g.server = httptest.NewServer(g)
		h.t.Cleanup(g.server.Close)
		gates[name] = g
	}
	for _, shop := range dev.ShopNames() {
		doc, err := o.ShopDocument(shop, fast)
		if err != nil {
			h.t.Fatal(err)
		}
		for name, g := range gates {
			doc = bytes.ReplaceAll(doc, []byte(o.URL(name)), []byte(g.server.URL))
		}
		file := filepath.Join(h.dir, shop+"-gated.yaml")
		if err := os.WriteFile(file, doc, 0o600); err != nil {
			h.t.Fatal(err)
		}
		h.run("settings", "apply", "-f", file)
	}
	return gates
}

// hold holds the next request that matches.
func (g *gate) hold(at moment, match func(r *http.Request, body []byte) bool) *window {
	w := &window{match: match, at: at, held: make(chan struct{}), release: make(chan struct{}), sent: make(chan struct{})}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.windows = append(g.windows, w)
	return w
}

// misbehave lets requests go wrong at random from now on; nil ends it.
func (g *gate) misbehave(luck *rand.Rand) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.luck = luck
}

// ServeHTTP passes a request on, unless it is held or has bad luck.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the client has gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if held := g.taken(r, body); held != nil {
		held.serve(g.next, w, r)
		return
	}
	g.try(w, r)
}

func (g *gate) taken(r *http.Request, body []byte) *window {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, w := range g.windows {
		if !w.struck && w.match(r, body) {
			w.struck = true
			return w
		}
	}
	return nil
}

// serve brings a held request to its moment and keeps it there until its client is killed or, when it
// shall be answered, until release.
func (h *window) serve(next http.Handler, w http.ResponseWriter, r *http.Request) {
	kept := httptest.NewRecorder()
	if h.at != arrived {
		next.ServeHTTP(kept, r)
	}
	close(h.held)
	if h.at == answered {
		select {
		case <-h.release:
			answer(w, kept)
			close(h.sent)
			return
		case <-r.Context().Done():
			close(h.sent)
		}
	}
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

func answer(w http.ResponseWriter, kept *httptest.ResponseRecorder) {
	for name, values := range kept.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(kept.Code)
	_, _ = w.Write(kept.Body.Bytes()) // the client may have gone
	_ = http.NewResponseController(w).Flush()
}

// try passes a request on, and what comes back; about one in six goes wrong in one of the ways in
// which real systems do.
func (g *gate) try(w http.ResponseWriter, r *http.Request) {
	const oneIn = 36
	switch name := g.strike(oneIn); name {
	case "dropped before":
		panic(http.ErrAbortHandler)
	case "taken, not answered":
		g.next.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case "taken, answered 502":
		g.next.ServeHTTP(httptest.NewRecorder(), r)
		http.Error(w, "bad gateway", http.StatusBadGateway)
	case "not taken, 503":
		http.Error(w, "unavailable", http.StatusServiceUnavailable)
	case "limited":
		w.Header().Set("Retry-After", "1")
		http.Error(w, "slow down", http.StatusTooManyRequests)
	case "taken, answered late":
		kept := httptest.NewRecorder()
		g.next.ServeHTTP(kept, r)
		select {
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		case <-time.After(1500 * time.Millisecond): // longer than the house's request time-out
		}
		answer(w, kept)
	default:
		g.next.ServeHTTP(w, r)
	}
}

func (g *gate) strike(oneIn int) string {
	ways := [...]string{"dropped before", "taken, not answered", "taken, answered 502", "not taken, 503", "limited", "taken, answered late"}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.luck == nil {
		return ""
	}
	n := g.luck.IntN(oneIn)
	if n >= len(ways) {
		return ""
	}
	g.struck[ways[n]]++
	return ways[n]
}

// strikes tells what went wrong, for the log.
func strikes(t *testing.T, gates map[string]*gate) {
	t.Helper()
	for name, g := range gates {
		g.mu.Lock()
		t.Logf("%s: %v", name, g.struck)
		g.mu.Unlock()
	}
}
