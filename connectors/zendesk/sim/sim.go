// Package sim is a stand-in for Zendesk Support: the part of its API that
// Handoff uses, with its two-hour idempotency cache, rate limits, error shapes
// and signed webhooks, plus a console through which a person or a test acts as
// agent. Everything is in memory and on an injected clock. It is an
// http.Handler, so a test or the demo serves it on loopback.
package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
)

// Limits of the account; a zero field is unlimited.
type Limits struct {
	// Requests per minute of the account.
	Requests int
	// Updates per minute of the account.
	Updates int
	// TicketUpdates per 10 minutes, by one user on one ticket.
	TicketUpdates int
}

// VendorLimits are those of Zendesk's smallest plan.
func VendorLimits() Limits { return Limits{Requests: 200, Updates: 100, TicketUpdates: 30} }

// Config of a stand-in.
type Config struct {
	// Now is the clock; nil means the wall clock.
	Now func() time.Time
	// Email and Token are what callers must authenticate with.
	Email, Token string
	// WebhookURL gets every ticket event; empty for none. More can be
	// subscribed through the API.
	WebhookURL string
	// WebhookSecret signs them; empty means one of the stand-in's own.
	WebhookSecret string
	// WebhookTimeout of one delivery, in real time; 0 means Zendesk's 12 s.
	WebhookTimeout time.Duration
	// WebhookWorkers is how many are delivered at once; 0 means 8. With one they
	// arrive in order.
	WebhookWorkers int
	// WebhookRetries repeats failed deliveries, WebhookRetryAfter apart in real
	// time; 0, as documented, means that a failed webhook is lost.
	WebhookRetries    int
	WebhookRetryAfter time.Duration
	Limits            Limits
}

// Sim is one Zendesk account. Safe for concurrent use.
type Sim struct {
	// Faults injects misbehaviour into API answers.
	Faults *standin.Faults
	// Webhooks delivers events, with faults.
	Webhooks *standin.Webhooks

	cfg     Config
	handler http.Handler

	mu       sync.Mutex
	revoked  bool
	nextID   int64
	users    []*user
	tickets  []*ticket
	cached   map[string]cached
	hooks    []*hook
	account  *standin.Bucket
	updates  *standin.Bucket
	byTicket map[string]*standin.Bucket
	creates  int
}

// cached is an answer kept for its idempotency key.
type cached struct {
	request string
	answer  []byte
	at      time.Time
}

// idempotencyLife is how long keys are kept.
const idempotencyLife = 2 * time.Hour

// New makes an empty account with its API user and one agent. Close ends it.
func New(cfg Config) *Sim {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.WebhookTimeout == 0 {
		cfg.WebhookTimeout = 12 * time.Second
	}
	s := &Sim{
		Faults: &standin.Faults{}, cfg: cfg, nextID: 1000, cached: map[string]cached{}, byTicket: map[string]*standin.Bucket{},
		account: standin.NewBucket(cfg.Limits.Requests, time.Minute, cfg.Now),
		updates: standin.NewBucket(cfg.Limits.Updates, time.Minute, cfg.Now),
	}
	if cfg.WebhookWorkers == 0 {
		cfg.WebhookWorkers = 8
	}
	s.Webhooks = standin.NewWebhooks(cfg.WebhookTimeout, cfg.WebhookWorkers, s.judge)
	s.users = []*user{
		{ID: 1, Name: "Handoff", Email: cfg.Email, Role: "admin", Active: true},
		{ID: 2, Name: "Alex Agent", Email: "alex@agents.example", Role: "agent", Active: true},
	}
	if cfg.WebhookURL != "" {
		s.hooks = append(s.hooks, &hook{ID: "01HOOK0", Endpoint: cfg.WebhookURL, Secret: s.secretOf(0)})
	}
	api := http.NewServeMux()
	s.userRoutes(api)
	s.ticketRoutes(api)
	s.hookRoutes(api)
	root := http.NewServeMux()
	root.Handle("/api/v2/", s.Faults.Wrap(s.guard(api), func(w http.ResponseWriter, status int) { refuse(w, failures(status)) }))
	root.HandleFunc("GET /agent/tickets/{id}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/_tickets/"+r.PathValue("id"), http.StatusFound)
	})
	root.Handle("/", standin.NewConsole("Zendesk stand-in", s, s.Faults, s.Webhooks))
	s.handler = root
	return s
}

// ServeHTTP implements http.Handler.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Close ends the delivery of webhooks and waits for it.
func (s *Sim) Close() { s.Webhooks.Close() }

// Revoke refuses the token from now on, or takes it again.
func (s *Sim) Revoke(revoked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = revoked
}

// WebhookSecret is the signing secret of the configured webhook.
func (s *Sim) WebhookSecret() string { return s.secretOf(0) }

func (s *Sim) secretOf(n int) string {
	if s.cfg.WebhookSecret != "" {
		return s.cfg.WebhookSecret
	}
	return fmt.Sprintf("stand-in-signing-secret-%d==", n)
}

// Subscribe sends all further ticket events to a URL, signed with WebhookSecret.
func (s *Sim) Subscribe(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks, &hook{ID: "01HOOK" + strconv.Itoa(len(s.hooks)), Endpoint: url, Secret: s.secretOf(0)})
}

// guard authenticates, limits, and holds the account's lock during a request.
func (s *Sim) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		email, token, ok := r.BasicAuth()
		if !ok || s.revoked || email != s.cfg.Email+"/token" || token != s.cfg.Token {
			refuse(w, failures(http.StatusUnauthorized))
			return
		}
		fits, remaining, wait := s.account.Take()
		if s.account.Size() > 0 {
			w.Header().Set("X-Rate-Limit", strconv.Itoa(s.account.Size()))
			w.Header().Set("X-Rate-Limit-Remaining", strconv.Itoa(remaining))
		}
		if !fits {
			limited(w, wait)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 8<<20)
		next.ServeHTTP(w, r)
	})
}

func limited(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	refuse(w, failures(http.StatusTooManyRequests))
}

// failure is an error answer in Zendesk's shape.
type failure struct {
	Status      int            `json:"-"`
	Error       string         `json:"error"`
	Description string         `json:"description,omitempty"`
	Details     map[string]any `json:"details,omitempty"`
}

func failures(status int) failure {
	switch status {
	case http.StatusUnauthorized:
		return failure{Status: status, Error: "Couldn't authenticate you"}
	case http.StatusForbidden:
		return failure{Status: status, Error: "Forbidden", Description: "You do not have access to this page."}
	case http.StatusNotFound:
		return failure{Status: status, Error: "RecordNotFound", Description: "Not found"}
	case http.StatusTooManyRequests:
		return failure{Status: status, Error: "APIRateLimitExceeded", Description: "Number of allowed API requests per minute exceeded"}
	case http.StatusConflict:
		return failure{Status: status, Error: "UpdateConflict", Description: "Safe Update prevented the update due to outdated ticket data."}
	case http.StatusServiceUnavailable:
		return failure{Status: status, Error: "DatabaseError", Description: "Temporarily unavailable"}
	}
	return failure{Status: status, Error: http.StatusText(status)}
}

func refuse(w http.ResponseWriter, f failure) { standin.WriteJSON(w, f.Status, f) }

// invalid is a 422 that names a field.
func invalid(w http.ResponseWriter, field, description string) {
	refuse(w, failure{
		Status: http.StatusUnprocessableEntity, Error: "RecordInvalid", Description: "Record validation errors",
		Details: map[string]any{field: []map[string]string{{"description": description}}},
	})
}

// read decodes a JSON body; what it cannot read it refuses as Zendesk does.
func read(w http.ResponseWriter, r *http.Request, into any) ([]byte, bool) {
	raw, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		refuse(w, failure{Status: http.StatusBadRequest, Error: "InvalidJSON", Description: err.Error()})
		return nil, false
	}
	return raw, true
}

func (s *Sim) id() int64 {
	s.nextID++
	return s.nextID
}

// pathID reads the numeric id of a path, or answers 404.
func pathID(w http.ResponseWriter, r *http.Request) (int64, bool) {
	id, err := strconv.ParseInt(strings.TrimSuffix(r.PathValue("id"), ".json"), 10, 64)
	if err != nil {
		refuse(w, failures(http.StatusNotFound))
	}
	return id, err == nil
}
