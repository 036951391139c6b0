// Package sim stands in for a shop's bot: it answers what it has content for,
// says that it cannot answer the rest, and fails in the ways a bot does.
//
// It is an http.Handler: POST /ask takes a question, GET / is a page for people,
// GET /_received the same as JSON. State is in memory and grows with every turn
// until the Sim is dropped.
package sim

import (
	"crypto/hmac"
	"encoding/json"
	"html/template"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/handoff-dev/handoff/connectors/bot"
	"github.com/handoff-dev/handoff/connectors/desktest/standin"
)

// Clock is the time the Sim lives by.
type Clock = standin.Clock

// Config of a Sim.
type Config struct {
	// Secret that questions must be signed with; empty takes any.
	Secret string
	// Clock defaults to the wall clock.
	Clock Clock
	// Answer decides; nil means FromContent. It is called once for each turn.
	Answer func(bot.Question) bot.Answer
}

// Turn is one turn that the Sim was asked.
type Turn struct {
	Question bot.Question `json:"question"`
	Answer   bot.Answer   `json:"answer"`
	// Asked is how often.
	Asked int       `json:"asked"`
	At    time.Time `json:"at"`
}

// FaultKind is one way in which a bot can fail.
type FaultKind int

const (
	// Silent keeps the question for Delay by the Sim's clock, then answers.
	Silent FaultKind = iota + 1
	// Down answers 503.
	Down
	// Dropped breaks the connection off.
	Dropped
	// Malformed answers 200 with something that is no answer.
	Malformed
	// Limited answers 429.
	Limited
	// Gone answers 404.
	Gone
)

// Fault is something that goes wrong with questions.
type Fault struct {
	Kind FaultKind
	// Shop limits it to one shop; empty means all.
	Shop string
	// Times is how often it strikes; 0 means until ClearFaults.
	Times int
	Delay time.Duration
}

// Sim is the stand-in. It is safe for concurrent use.
type Sim struct {
	cfg    Config
	mux    *http.ServeMux
	life   *standin.Life
	faults standin.Armed[Fault]

	mu    sync.Mutex
	turns []*Turn
	byID  map[string]*Turn
}

// New returns a Sim.
func New(cfg Config) *Sim {
	if cfg.Answer == nil {
		cfg.Answer = FromContent
	}
	s := &Sim{cfg: cfg, mux: http.NewServeMux(), life: standin.NewLife(cfg.Clock), byID: map[string]*Turn{}}
	s.mux.HandleFunc("POST /ask", s.ask)
	s.mux.HandleFunc("GET /_received", s.received)
	s.mux.HandleFunc("GET /{$}", s.page)
	return s
}

// ServeHTTP answers questions and serves the Sim's own pages.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close ends questions that are being kept silent.
func (s *Sim) Close() { s.life.Close() }

// Inject arms a fault. Of several that could strike one question the first
// injected does.
func (s *Sim) Inject(f Fault) { s.faults.Inject(f, f.Times, 1) }

// ClearFaults disarms all faults.
func (s *Sim) ClearFaults() { s.faults.Clear() }

// Turns returns a copy of all turns, in the order they were first asked.
func (s *Sim) Turns() []Turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Turn, len(s.turns))
	for i, t := range s.turns {
		all[i] = *t
	}
	return all
}

// Changed returns a channel that is closed at the next change of what Turns
// returns. Take it before looking, then wait for it.
func (s *Sim) Changed() <-chan struct{} { return s.life.Changed() }

// content is what the bot knows: the first entry with a word of the customer's
// last message answers.
var content = [...]struct {
	words []string
	reply string
}{
	{[]string{"where", "order", "track", "shipped", "shipping", "delivery"}, "Your order left our warehouse and is on its way. It usually takes 2 to 4 days."},
	{[]string{"open", "hours", "closed"}, "We are open Monday to Saturday, 9 am to 7 pm."},
	{[]string{"size", "sizes", "fit"}, "Our sizes run true. Between two sizes, take the larger one."},
	{[]string{"hello", "hi", "hey", "hola", "bonjour"}, "Hi! How can I help you today?"},
	{[]string{"discount", "code", "coupon", "sale"}, "Use WELCOME10 for 10% off your first order."},
	{[]string{"no", "nope"}, "All right. Is there anything else I can do for you?"},
}

// FromContent answers from a handful of shop topics and cannot answer anything
// else.
func FromContent(q bot.Question) bot.Answer {
	last := ""
	for _, m := range q.Messages {
		if m.Author == "customer" {
			last = m.Text
		}
	}
	words := strings.FieldsFunc(strings.ToLower(last), func(r rune) bool { return !('a' <= r && r <= 'z') && r < 0x80 })
	for _, topic := range content {
		if slices.ContainsFunc(topic.words, func(w string) bool { return slices.Contains(words, w) }) {
			return bot.Answer{Reply: topic.reply}
		}
	}
	return bot.Answer{CannotAnswer: true, Reason: "not in my content"}
}

// ask answers one question; a turn asked again gets the same answer.
func (s *Sim) ask(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, "the body cannot be read", http.StatusBadRequest)
		return
	}
	want := bot.Sign(s.cfg.Secret, r.Header.Get(bot.TimestampHeader), body)
	if s.cfg.Secret != "" && !hmac.Equal([]byte(want), []byte(r.Header.Get(bot.SignatureHeader))) {
		http.Error(w, "the signature does not match", http.StatusUnauthorized)
		return
	}
	var q bot.Question
	if err := json.Unmarshal(body, &q); err != nil || q.TurnID == "" || len(q.Messages) == 0 {
		http.Error(w, "not a question", http.StatusBadRequest)
		return
	}
	answer := s.decide(q)
	hits := func(f Fault) bool { return f.Shop == "" || f.Shop == q.Shop }
	if f := s.faults.Strike(hits); f != nil && s.fails(w, r, f) {
		return
	}
	standin.WriteJSON(w, http.StatusOK, answer)
}

func (s *Sim) decide(q bot.Question) bot.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.byID[q.TurnID]
	if !ok {
		t = &Turn{Question: q, Answer: s.cfg.Answer(q), At: s.life.Now().UTC()}
		s.byID[q.TurnID] = t
		s.turns = append(s.turns, t)
	}
	t.Asked++
	s.life.Change()
	return t.Answer
}

// fails plays a fault; false when the question is answered after all.
func (s *Sim) fails(w http.ResponseWriter, r *http.Request, f *Fault) bool {
	switch f.Kind {
	case Silent:
		return !s.life.Wait(r.Context(), f.Delay)
	case Down:
		http.Error(w, "unavailable", http.StatusServiceUnavailable)
	case Dropped:
		panic(http.ErrAbortHandler) // net/http's way to drop a connection; it is not logged.
	case Malformed:
		_, _ = io.WriteString(w, "<html>It works!</html>")
	case Limited:
		http.Error(w, "slow down", http.StatusTooManyRequests)
	case Gone:
		http.NotFound(w, r)
	}
	return true
}

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Bot stand-in</title>
<meta http-equiv="refresh" content="3"><meta name="viewport" content="width=device-width">
<style>
` + standin.TableStyle + `
</style></head><body>
<h1>Bot stand-in</h1>
<p>{{.Total}} turns, newest first. All as <a href="_received">JSON</a>.</p>
<table><tr><th>Time</th><th>Shop</th><th>Customer</th><th>Asked</th><th>Answer</th></tr>
{{range .Turns}}<tr><td>{{.At.Format "15:04:05"}}</td><td>{{.Question.Shop}}</td><td>{{.Question.Address}}</td>
<td class="text">{{range .Question.Messages}}{{.Author}}: {{.Text}}
{{end}}{{if gt .Asked 1}}({{.Asked}} times){{end}}</td>
<td class="text">{{if .Answer.CannotAnswer}}<em>cannot answer: {{.Answer.Reason}}</em>{{else}}{{.Answer.Reply}}{{end}}</td></tr>
{{else}}<tr><td colspan="5">Nothing yet.</td></tr>
{{end}}</table></body></html>`))

// shownTurns bounds the page for people; /_received has all.
const shownTurns = 100

func (s *Sim) page(w http.ResponseWriter, _ *http.Request) {
	all := s.Turns()
	total := len(all)
	slices.Reverse(all)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = pageTemplate.Execute(w, struct { // The reader hung up.
		Total int
		Turns []Turn
	}{total, all[:min(total, shownTurns)]})
}

func (s *Sim) received(w http.ResponseWriter, _ *http.Request) {
	standin.WriteJSON(w, http.StatusOK, map[string]any{"turns": s.Turns()})
}
