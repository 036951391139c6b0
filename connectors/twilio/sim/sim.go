// Package sim stands in for Twilio's messaging: the REST API that takes and
// lists messages, the webhooks that bring customers' texts and status changes,
// Twilio's own handling of STOP, and what goes wrong with all of them.
//
// It is an http.Handler. State is in memory and grows with every message until
// the Sim is dropped. GET / is a page for people, GET /_received the same as
// JSON, and POST /_text (form: from, to, body, media) texts a shop.
package sim

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
	"github.com/handoff-dev/handoff/connectors/twilio"
)

// Clock is the time the Sim lives by.
type Clock = standin.Clock

// OptOutMode says what the Sim does about keywords by itself.
type OptOutMode int

const (
	// OptOutOff leaves keywords to the receiver of the webhook.
	OptOutOff OptOutMode = iota
	// OptOutDefault blocks and answers, and says nothing of it in the webhook.
	OptOutDefault
	// OptOutAdvanced blocks, answers and tells with OptOutType.
	OptOutAdvanced
)

// Number is one number of the account.
type Number struct {
	// Number in E.164.
	Number string
	// Webhook takes what customers text to it; empty: nobody does.
	Webhook string
}

// Config of a Sim.
type Config struct {
	// AccountSID and AuthToken must be shown by every request to the API, and
	// the token signs webhooks.
	AccountSID, AuthToken string
	Numbers               []Number
	// Services maps a MessagingServiceSid to the number it sends from.
	Services map[string]string
	// Clock defaults to the wall clock.
	Clock  Clock
	OptOut OptOutMode
	// StepDelay is how long a message stays queued and then sent; default 20 ms.
	StepDelay time.Duration
	// WebhookRetries is how often a webhook that was not taken is sent again;
	// Twilio's default is 1. Negative: never.
	WebhookRetries int
	// WebhookRetryDelay is the pause before; default 1 s.
	WebhookRetryDelay time.Duration
	// WebhookTimeout bounds one webhook request; default and Twilio's 15 s.
	WebhookTimeout time.Duration
	// DuplicateWebhooks sends every webhook twice, with the same token.
	DuplicateWebhooks bool
	// StatusesSwapped reports delivered before sent.
	StatusesSwapped bool
}

// Sim is the stand-in. It is safe for concurrent use.
type Sim struct {
	cfg    Config
	prefix string
	mux    *http.ServeMux
	out    *http.Client
	life   *standin.Life
	faults standin.Armed[Fault]

	mu       sync.Mutex
	webhooks map[string]string // by number
	messages []*message        // in order of creation
	bySID    map[string]*message
	blocked  map[pair]bool
	posts    []Post
}

// pair is a customer and a number of the account.
type pair struct{ customer, number string }

// New returns a Sim; the account and its token are required.
func New(cfg Config) (*Sim, error) {
	if cfg.AccountSID == "" || cfg.AuthToken == "" {
		return nil, fmt.Errorf("twilio sim: account SID and auth token are required")
	}
	setDefault(&cfg.StepDelay, 20*time.Millisecond)
	setDefault(&cfg.WebhookRetryDelay, time.Second)
	setDefault(&cfg.WebhookTimeout, 15*time.Second)
	if cfg.WebhookRetries == 0 {
		cfg.WebhookRetries = 1
	}
	var seed [8]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, fmt.Errorf("twilio sim: drawing SIDs: %w", err)
	}
	s := &Sim{
		cfg: cfg, life: standin.NewLife(cfg.Clock), prefix: hex.EncodeToString(seed[:]),
		out:      &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8, IdleConnTimeout: 30 * time.Second}},
		webhooks: map[string]string{}, bySID: map[string]*message{}, blocked: map[pair]bool{},
	}
	for _, n := range cfg.Numbers {
		s.webhooks[n.Number] = n.Webhook
	}
	s.routes()
	return s, nil
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

func (s *Sim) routes() {
	s.mux = http.NewServeMux()
	s.mux.HandleFunc("POST /2010-04-01/Accounts/{account}/Messages.json", s.api(s.send))
	s.mux.HandleFunc("GET /2010-04-01/Accounts/{account}/Messages.json", s.api(s.list))
	s.mux.HandleFunc("GET /2010-04-01/Accounts/{account}/Messages/{sid}", s.api(s.fetch))
	s.mux.HandleFunc("POST /_text", s.text)
	s.mux.HandleFunc("GET /_received", s.received)
	s.mux.HandleFunc("GET /{$}", s.page)
}

// ServeHTTP answers as Twilio does, and serves the Sim's own pages.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close ends what is under way, waits for it and drops idle connections. The
// Sim takes no messages after it; what it received can still be read.
func (s *Sim) Close() {
	s.life.Close()
	s.out.CloseIdleConnections()
}

// SetWebhook changes where texts to a number go, and adds the number where it is
// new.
func (s *Sim) SetWebhook(number, webhook string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.webhooks[number] = webhook
}

// Messages returns a copy of all messages, in and out, in order of creation.
func (s *Sim) Messages() []Message { return s.MessagesFrom(0) }

// MessagesFrom returns a copy of the messages after the first n, for those who
// follow a Sim with many.
func (s *Sim) MessagesFrom(n int) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := s.messages[min(max(n, 0), len(s.messages)):]
	all := make([]Message, len(rest))
	for i, m := range rest {
		all[i] = m.copy()
	}
	return all
}

// Posts returns a copy of all webhook requests made, in the order they ended.
func (s *Sim) Posts() []Post {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Post(nil), s.posts...)
}

// Changed returns a channel that is closed at the next change of what Messages
// or Posts return. Take it before looking, then wait for it.
func (s *Sim) Changed() <-chan struct{} { return s.life.Changed() }

// Message is one message as the Sim holds it.
type Message struct {
	twilio.Message
	Media          []twilio.Media
	StatusCallback string
	OptOutType     twilio.OptOut
	// History of statuses, first to last.
	History []twilio.MessageStatus
}

type message struct {
	Message
	token   string // idempotency token of its webhook
	failure int    // error code it will end with; 0 for delivery
}

func (m *message) copy() Message {
	c := m.Message
	c.Media = append([]twilio.Media(nil), m.Media...)
	c.History = append([]twilio.MessageStatus(nil), m.History...)
	return c
}

// add files a new message and gives it its SID; s.mu is held.
func (s *Sim) add(m *message) {
	kind := "SM"
	if len(m.Media) > 0 {
		kind = "MM"
	}
	m.SID = fmt.Sprintf("%s%s%016x", kind, s.prefix, len(s.messages)+1)
	m.AccountSID = s.cfg.AccountSID
	m.Created = s.life.Now().UTC().Truncate(time.Second)
	m.NumMedia = len(m.Media)
	m.History = append(m.History, m.Status)
	s.messages = append(s.messages, m)
	s.bySID[m.SID] = m
	s.life.Change()
}

// setStatus moves a message on; s.mu is held.
func (s *Sim) setStatus(m *message, status twilio.MessageStatus) {
	m.Status = status
	m.History = append(m.History, status)
	if m.Sent.IsZero() && status != twilio.StatusQueued {
		m.Sent = s.life.Now().UTC().Truncate(time.Second)
	}
	s.life.Change()
}
