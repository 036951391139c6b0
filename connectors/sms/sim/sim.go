// Package sim stands in for an SMS provider behind the generic webhook: it takes
// signed sends, reports what becomes of them, brings customers' texts, and fails
// in the ways such a provider does. It cannot be asked what it took, so what it
// holds is only for its page and for tests.
//
// It is an http.Handler: POST /send takes a text, GET / is a page for people,
// GET /_received the same as JSON, POST /_text (form: from, to, body) texts a
// shop. State is in memory and grows with every message until the Sim is
// dropped.
package sim

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
	"github.com/handoff-dev/handoff/connectors/sms"
)

// Clock is the time the Sim lives by.
type Clock = standin.Clock

// Config of a Sim.
type Config struct {
	// Secret signs both directions.
	Secret string
	// Webhooks takes what customers text and what becomes of sends, by number.
	Webhooks map[string]string
	// Clock defaults to the wall clock.
	Clock Clock
	// StepDelay is how long a text stays queued and then sent; default 20 ms.
	StepDelay time.Duration
	// Statuses reports what becomes of texts to the number's webhook.
	Statuses bool
	// Duplicate sends every webhook twice.
	Duplicate bool
}

// Message is one text, in or out, as the Sim holds it.
type Message struct {
	// ID as the sender named it; ProviderID is the Sim's own for what it took.
	ID         string    `json:"id"`
	ProviderID string    `json:"provider_id,omitempty"`
	Inbound    bool      `json:"inbound"`
	From       string    `json:"from"`
	To         string    `json:"to"`
	Text       string    `json:"text"`
	Media      []string  `json:"media,omitempty"`
	Status     string    `json:"status"`
	At         time.Time `json:"at"`
}

// Sim is the stand-in. It is safe for concurrent use.
type Sim struct {
	cfg    Config
	mux    *http.ServeMux
	out    *http.Client
	seed   string
	life   *standin.Life
	faults standin.Armed[Fault]

	mu       sync.Mutex
	webhooks map[string]string
	messages []*Message
}

// New returns a Sim; without a secret it is an error.
func New(cfg Config) (*Sim, error) {
	if cfg.Secret == "" {
		return nil, errors.New("sms sim: a secret is required")
	}
	if cfg.StepDelay == 0 {
		cfg.StepDelay = 20 * time.Millisecond
	}
	s := &Sim{
		cfg: cfg, life: standin.NewLife(cfg.Clock), seed: rand.Text()[:8], webhooks: map[string]string{},
		out: &http.Client{Transport: &http.Transport{IdleConnTimeout: 30 * time.Second}, Timeout: 15 * time.Second},
		mux: http.NewServeMux(),
	}
	for number, hook := range cfg.Webhooks {
		s.webhooks[number] = hook
	}
	s.mux.HandleFunc("POST /send", s.send)
	s.mux.HandleFunc("POST /_text", s.text)
	s.mux.HandleFunc("GET /_received", s.received)
	s.mux.HandleFunc("GET /{$}", s.page)
	return s, nil
}

// ServeHTTP takes sends and serves the Sim's own pages.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close ends what is under way and waits for it. What was received can still be
// read.
func (s *Sim) Close() {
	s.life.Close()
	s.out.CloseIdleConnections()
}

// SetWebhook changes where what concerns a number goes.
func (s *Sim) SetWebhook(number, hook string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.webhooks[number] = hook
}

// Messages returns a copy of all messages, in and out, in order of arrival.
func (s *Sim) Messages() []Message { return s.MessagesFrom(0) }

// MessagesFrom returns a copy of the messages after the first n, for those who
// follow a Sim with many.
func (s *Sim) MessagesFrom(n int) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := s.messages[min(max(n, 0), len(s.messages)):]
	all := make([]Message, len(rest))
	for i, m := range rest {
		all[i] = *m
	}
	return all
}

// Changed returns a channel that is closed at the next change of what Messages
// returns. Take it before looking, then wait for it.
func (s *Sim) Changed() <-chan struct{} { return s.life.Changed() }

// add files a message; s.mu is held.
func (s *Sim) add(m *Message) {
	m.At = s.life.Now().UTC()
	if !m.Inbound {
		m.ProviderID = fmt.Sprintf("%s-%d", s.seed, len(s.messages)+1)
	}
	s.messages = append(s.messages, m)
	s.life.Change()
}

// send takes one text in the default format, JSON or form.
func (s *Sim) send(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		standin.WriteJSON(w, http.StatusBadRequest, map[string]any{"error": "the body cannot be read"})
		return
	}
	if err := sms.Verify(r.Header, s.cfg.Secret, s.life.Now(), body); err != nil {
		standin.WriteJSON(w, http.StatusUnauthorized, map[string]any{"error": err.Error()})
		return
	}
	m, err := parse(r.Header.Get("Content-Type"), body)
	if err != nil {
		standin.WriteJSON(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
		return
	}
	f := s.faults.Strike(func(f Fault) bool { return f.To == "" || f.To == m.To })
	if f != nil && f.refuses(w, func() bool { return s.life.Wait(r.Context(), f.Delay) }) {
		return
	}
	s.mu.Lock()
	s.add(m)
	s.life.Go(func(ctx context.Context) { s.progress(ctx, m) })
	s.mu.Unlock()
	switch {
	case f != nil && f.Kind == CommitNoAnswer:
		panic(http.ErrAbortHandler)
	case f != nil && f.Kind == CommitServerError:
		standin.WriteJSON(w, http.StatusBadGateway, map[string]any{"error": "bad gateway"})
	default:
		standin.WriteJSON(w, http.StatusAccepted, map[string]any{"id": m.ProviderID})
	}
}

func parse(contentType string, body []byte) (*Message, error) {
	m := &Message{Status: "queued"}
	if kind, _, _ := mime.ParseMediaType(contentType); kind == "application/x-www-form-urlencoded" {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, fmt.Errorf("not a form: %w", err)
		}
		m.ID, m.From, m.To, m.Text, m.Media = form.Get("id"), form.Get("from"), form.Get("to"), form.Get("text"), form["media"]
	} else {
		var in struct {
			ID, From, To, Text string
			Media              []string
		}
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, fmt.Errorf("not JSON: %w", err)
		}
		m.ID, m.From, m.To, m.Text, m.Media = in.ID, in.From, in.To, in.Text, in.Media
	}
	if m.From == "" || m.To == "" || (m.Text == "" && len(m.Media) == 0) {
		return nil, errors.New("from, to and text are needed")
	}
	return m, nil
}

// progress moves a text on and reports it where Config.Statuses asks for it.
func (s *Sim) progress(ctx context.Context, m *Message) {
	for _, status := range []string{"sent", "delivered"} {
		if !s.life.Wait(ctx, s.cfg.StepDelay) {
			return
		}
		s.mu.Lock()
		m.Status = status
		hook := s.webhooks[m.From]
		report := sms.Status{ID: m.ID, To: m.To, Status: status, At: s.life.Now().UTC().Format(time.RFC3339)}
		s.life.Change()
		s.mu.Unlock()
		if s.cfg.Statuses && hook != "" {
			// Nobody to tell when it is not taken: such providers report once.
			_ = s.post(ctx, hook, map[string]any{"statuses": []sms.Status{report}})
		}
	}
}

// Text lets a customer text a shop. The id is valid also with an error, which
// says that the webhook did not take it; Redeliver brings it again.
func (s *Sim) Text(ctx context.Context, from, to, text string) (id string, err error) {
	s.mu.Lock()
	if _, ok := s.webhooks[to]; !ok || s.life.Closed() {
		s.mu.Unlock()
		return "", fmt.Errorf("sms sim: no such number: %s", to)
	}
	m := &Message{Inbound: true, From: from, To: to, Text: text, Status: "received"}
	m.ID = "in-" + s.seed + "-" + strconv.Itoa(len(s.messages)+1)
	s.add(m)
	s.mu.Unlock()
	return m.ID, s.Redeliver(ctx, m.ID)
}

// Redeliver brings an inbound message to its webhook again.
func (s *Sim) Redeliver(ctx context.Context, id string) error {
	s.mu.Lock()
	var in *sms.Message
	hook := ""
	for _, m := range s.messages {
		if m.Inbound && m.ID == id {
			in = &sms.Message{ID: m.ID, From: m.From, To: m.To, Text: m.Text, SentAt: m.At.Format(time.RFC3339)}
			hook = s.webhooks[m.To]
		}
	}
	s.mu.Unlock()
	if in == nil {
		return fmt.Errorf("sms sim: no inbound message %s", id)
	}
	return s.post(ctx, hook, map[string]any{"messages": []*sms.Message{in}})
}

// post makes one signed webhook request, twice where Config.Duplicate is set.
func (s *Sim) post(ctx context.Context, hook string, payload any) error {
	body, err := json.Marshal(payload)
	if err != nil {
		return fmt.Errorf("sms sim: encoding a webhook: %w", err)
	}
	times := 1
	if s.cfg.Duplicate {
		times = 2
	}
	for range times {
		if err := s.postOnce(ctx, hook, body); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sim) postOnce(ctx context.Context, hook string, body []byte) error {
	ctx, cancel := s.life.Within(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, hook, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("sms sim: making a webhook: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	sms.Sign(req.Header, s.cfg.Secret, s.life.Now(), body)
	res, err := s.out.Do(req)
	if err != nil {
		return fmt.Errorf("sms sim: the webhook cannot be reached: %w", err)
	}
	defer res.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("sms sim: the webhook answered %s: %.200s", res.Status, said)
	}
	return nil
}
