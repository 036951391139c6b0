// Package sim is a stand-in for Gorgias: the part of its API that Handoff uses,
// without idempotency, with its rate limit, error shapes and HTTP integrations,
// plus a console through which a person or a test acts as agent. Everything is
// in memory and on an injected clock. It is an http.Handler, so a test or the
// demo serves it on loopback.
package sim

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
)

// Config of a stand-in.
type Config struct {
	// Now is the clock; nil means the wall clock.
	Now func() time.Time
	// Email and Key are what callers must authenticate with.
	Email, Key string
	// WebhookURL gets a webhook at every trigger; empty for none. More can be
	// installed through the API.
	WebhookURL string
	// WebhookSecret goes in the integration's secret header, and signs the body
	// when Signs is set.
	WebhookSecret string
	Signs         bool
	// WebhookTimeout of one delivery, in real time; 0 means 10 s.
	WebhookTimeout time.Duration
	// WebhookWorkers is how many are delivered at once; 0 means 8. With one they
	// arrive in order.
	WebhookWorkers int
	// WebhookRetries repeats failed deliveries, WebhookRetryAfter apart in real
	// time. Reports of what Gorgias does differ: 0 to 3.
	WebhookRetries    int
	WebhookRetryAfter time.Duration
	// Requests per 20 s; 0 is unlimited, Gorgias allows API keys 40.
	Requests int
}

// VendorRequests is how many requests per 20 s Gorgias allows an API key.
const VendorRequests = 40

// Sim is one Gorgias account. Safe for concurrent use.
type Sim struct {
	// Faults injects misbehaviour into API answers.
	Faults *standin.Faults
	// Webhooks delivers events, with faults.
	Webhooks *standin.Webhooks

	cfg     Config
	handler http.Handler

	mu        sync.Mutex
	revoked   bool
	nextID    int64
	agents    []*party
	customers []*customer
	tickets   []*ticket
	hooks     []*hook
	bucket    *standin.Bucket
	creates   int
}

// New makes an empty account with its API user and one agent. Close ends it.
func New(cfg Config) *Sim {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.WebhookTimeout == 0 {
		cfg.WebhookTimeout = 10 * time.Second
	}
	s := &Sim{Faults: &standin.Faults{}, cfg: cfg, nextID: 1000, bucket: standin.NewBucket(cfg.Requests, 20*time.Second, cfg.Now)}
	if cfg.WebhookWorkers == 0 {
		cfg.WebhookWorkers = 8
	}
	s.Webhooks = standin.NewWebhooks(cfg.WebhookTimeout, cfg.WebhookWorkers, s.judge)
	s.agents = []*party{{ID: 1, Name: "Handoff", Email: cfg.Email}, {ID: 2, Name: "Alex Agent", Email: "alex@agents.example"}}
	if cfg.WebhookURL != "" {
		s.Subscribe(cfg.WebhookURL)
	}
	api := http.NewServeMux()
	s.customerRoutes(api)
	s.ticketRoutes(api)
	s.hookRoutes(api)
	root := http.NewServeMux()
	root.Handle("/api/", s.Faults.Wrap(s.guard(api), func(w http.ResponseWriter, status int) { refuse(w, status, http.StatusText(status), nil) }))
	root.HandleFunc("GET /app/ticket/{id}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/_tickets/"+r.PathValue("id"), http.StatusFound)
	})
	root.Handle("/", standin.NewConsole("Gorgias stand-in", s, s.Faults, s.Webhooks))
	s.handler = root
	return s
}

// ServeHTTP implements http.Handler.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Close ends the delivery of webhooks and waits for it.
func (s *Sim) Close() { s.Webhooks.Close() }

// Revoke refuses the key from now on, or takes it again.
func (s *Sim) Revoke(revoked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = revoked
}

// Creates counts the tickets that were ever made.
func (s *Sim) Creates() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.creates
}

// guard authenticates, limits, and holds the account's lock during a request.
func (s *Sim) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		email, key, ok := r.BasicAuth()
		if !ok || s.revoked || email != s.cfg.Email || key != s.cfg.Key {
			refuse(w, http.StatusUnauthorized, "The server could not verify that you are authorized to access the URL requested.", nil)
			return
		}
		fits, remaining, wait := s.bucket.Take()
		if size := s.bucket.Size(); size > 0 {
			w.Header().Set("X-Gorgias-Account-Api-Call-Limit", fmt.Sprintf("%d/%d", size-remaining, size))
		}
		if !fits {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
			refuse(w, http.StatusTooManyRequests, "Too many requests.", nil)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 8<<20)
		next.ServeHTTP(w, r)
	})
}

// refuse answers with an error in Gorgias' shape.
func refuse(w http.ResponseWriter, status int, msg string, data map[string][]string) {
	body := map[string]any{"msg": msg}
	if data != nil {
		body["data"] = data
	}
	standin.WriteJSON(w, status, map[string]any{"error": body})
}

// invalid is a 400 that names a field.
func invalid(w http.ResponseWriter, doing, field, why string) {
	refuse(w, http.StatusBadRequest, doing, map[string][]string{field: {why}})
}

func notFound(w http.ResponseWriter) {
	refuse(w, http.StatusNotFound, "The requested URL was not found on the server.", nil)
}

// read decodes a JSON body; what it cannot read it refuses as Gorgias does.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		refuse(w, http.StatusBadRequest, "The request body could not be parsed: "+err.Error(), nil)
		return false
	}
	return true
}

func (s *Sim) id() int64 {
	s.nextID++
	return s.nextID
}

// now is the clock as Gorgias writes it.
func (s *Sim) now() string { return stamp(s.cfg.Now()) }

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000000") }

// moment reads a stamp; the zero time for one that is none.
func moment(text string) time.Time {
	for _, layout := range []string{"2006-01-02T15:04:05.999999999", time.RFC3339Nano} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC()
		}
	}
	return time.Time{}
}

// listed answers one page of a listing, newest first when asked for, after the
// cursor (an offset here; callers treat it as opaque).
func listed[T any](w http.ResponseWriter, r *http.Request, all []T) {
	query := r.URL.Query()
	items := make([]T, 0, len(all))
	items = append(items, all...)
	if strings.HasSuffix(query.Get("order_by"), ":desc") {
		for i, j := 0, len(items)-1; i < j; i, j = i+1, j-1 {
			items[i], items[j] = items[j], items[i]
		}
	}
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil {
		limit = 30
	}
	if limit < 1 || limit > 100 {
		invalid(w, "Failed to list", "limit", "Must be between 1 and 100.")
		return
	}
	from := 0
	if cursor := query.Get("cursor"); cursor != "" {
		if from, err = strconv.Atoi(strings.TrimPrefix(cursor, "after-")); err != nil || from < 0 {
			invalid(w, "Failed to list", "cursor", "Not a valid cursor.")
			return
		}
	}
	from = min(from, len(items))
	until := min(from+limit, len(items))
	meta := map[string]any{"next_cursor": nil, "prev_cursor": nil}
	if until < len(items) {
		meta["next_cursor"] = "after-" + strconv.Itoa(until)
	}
	standin.WriteJSON(w, http.StatusOK, map[string]any{"data": items[from:until], "meta": meta})
}
