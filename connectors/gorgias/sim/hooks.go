package sim

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
	"github.com/handoff-dev/handoff/connectors/gorgias"
)

// hook is one HTTP integration.
type hook struct {
	ID       int64
	URL      string
	Headers  map[string]string
	HMAC     string
	Form     map[string]string
	Triggers map[string]bool
	failures int
	disabled bool
}

// failuresAllowed is how many failed deliveries in a row disable an integration.
const failuresAllowed = 100

// Subscribe installs an HTTP integration as Handoff does: ids only, the secret
// in a header, signed where the stand-in was told to.
func (s *Sim) Subscribe(url string) {
	h := &hook{
		ID: int64(len(s.hooks) + 1), URL: url, Form: gorgias.Form(), Headers: map[string]string{gorgias.SecretHeader: s.cfg.WebhookSecret},
		Triggers: map[string]bool{"ticket-created": true, "ticket-updated": true, "ticket-message-created": true, "ticket-status-updated": true, "ticket-assignment-updated": true},
	}
	if s.cfg.Signs {
		h.HMAC = s.cfg.WebhookSecret
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks, h)
}

func (s *Sim) hookRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/integrations", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Name, Type string
			HTTP       struct {
				URL      string
				Headers  map[string]string
				HMAC     string `json:"hmac_secret"`
				Form     map[string]string
				Triggers map[string]bool
			} `json:"http"`
		}
		if !read(w, r, &body) {
			return
		}
		if body.Type != "http" || body.HTTP.URL == "" {
			invalid(w, "Failed to create integration", "http", "Missing data for required field.")
			return
		}
		h := &hook{
			ID: int64(len(s.hooks) + 1), URL: body.HTTP.URL, Headers: body.HTTP.Headers, HMAC: body.HTTP.HMAC,
			Form: body.HTTP.Form, Triggers: body.HTTP.Triggers,
		}
		s.hooks = append(s.hooks, h)
		standin.WriteJSON(w, http.StatusCreated, map[string]any{"id": h.ID, "name": body.Name, "type": "http"})
	})
	mux.HandleFunc("DELETE /api/integrations/{id}", func(w http.ResponseWriter, r *http.Request) {
		for i, h := range s.hooks {
			if strconv.FormatInt(h.ID, 10) == r.PathValue("id") {
				s.hooks = append(s.hooks[:i], s.hooks[i+1:]...)
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		notFound(w)
	})
}

// tell fires a trigger.
func (s *Sim) tell(t *ticket, trigger string, m *message) {
	values := map[string]string{"ticket.id": strconv.FormatInt(t.ID, 10), "ticket.external_id": "None", "ticket.status": t.Status}
	if t.ExternalID != nil {
		values["ticket.external_id"] = *t.ExternalID
	}
	if m != nil {
		values["message.id"] = strconv.FormatInt(m.ID, 10)
		values["message.from_agent"] = map[bool]string{true: "True", false: "False"}[*m.FromAgent]
	}
	for _, h := range s.hooks {
		if h.disabled || !h.Triggers[trigger] {
			continue
		}
		filled := map[string]string{}
		for name, template := range h.Form {
			filled[name] = fill(template, values)
		}
		body, err := json.Marshal(filled)
		if err != nil {
			continue // strings can always be written as JSON
		}
		header := http.Header{"Content-Type": {"application/json"}}
		for name, value := range h.Headers {
			header.Set(name, value)
		}
		if h.HMAC != "" {
			header.Set(gorgias.SignatureHeader, gorgias.Sign(h.HMAC, body))
		}
		s.Webhooks.Send(standin.Delivery{Hook: strconv.FormatInt(h.ID, 10), URL: h.URL, Header: header, Body: body})
	}
}

// fill replaces {{name}} as Jinja does; an unknown name is empty.
func fill(template string, values map[string]string) string {
	name, ok := strings.CutPrefix(template, "{{")
	if !ok {
		return template
	}
	return values[strings.TrimSpace(strings.TrimSuffix(name, "}}"))]
}

// judge repeats failed deliveries as configured, and disables an integration
// after too many failures in a row.
func (s *Sim) judge(d standin.Delivery, status, attempt int) standin.Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	failed := status < 200 || status > 299
	for _, h := range s.hooks {
		if strconv.FormatInt(h.ID, 10) != d.Hook {
			continue
		}
		if !failed {
			h.failures = 0
			return standin.Verdict{}
		}
		h.failures++
		h.disabled = h.failures >= failuresAllowed
		if !h.disabled && attempt <= s.cfg.WebhookRetries {
			return standin.Verdict{RetryAfter: max(s.cfg.WebhookRetryAfter, 1)}
		}
	}
	return standin.Verdict{}
}
