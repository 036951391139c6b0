package sim

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
	"github.com/handoff-dev/handoff/connectors/zendesk"
)

// hook is one webhook subscription.
type hook struct {
	ID       string
	Endpoint string
	Secret   string
	// outcomes of the last five minutes, for the breaker.
	outcomes []outcome
	openTill time.Time
}

type outcome struct {
	at     time.Time
	failed bool
}

// The breaker: it opens at 70 % failures of at least breakerSample deliveries,
// or at more than 1000 failures, within five minutes, and stays open for five
// seconds.
const (
	breakerWindow = 5 * time.Minute
	breakerSample = 100
	breakerMost   = 1000
	breakerPause  = 5 * time.Second
)

func (s *Sim) hookRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/v2/webhooks", s.createHook)
	mux.HandleFunc("GET /api/v2/webhooks/{id}/signing_secret", func(w http.ResponseWriter, r *http.Request) {
		for _, h := range s.hooks {
			if h.ID == r.PathValue("id") {
				standin.WriteJSON(w, http.StatusOK, map[string]any{"signing_secret": map[string]string{"algorithm": "SHA256", "secret": h.Secret}})
				return
			}
		}
		refuse(w, failures(http.StatusNotFound))
	})
	mux.HandleFunc("DELETE /api/v2/webhooks/{id}", func(w http.ResponseWriter, r *http.Request) {
		for i, h := range s.hooks {
			if h.ID == r.PathValue("id") {
				s.hooks = append(s.hooks[:i], s.hooks[i+1:]...)
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		refuse(w, failures(http.StatusNotFound))
	})
}

func (s *Sim) createHook(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Webhook struct {
			Name, Endpoint, Status string
			Subscriptions          []string
		} `json:"webhook"`
	}
	if _, ok := read(w, r, &body); !ok {
		return
	}
	if body.Webhook.Endpoint == "" {
		invalid(w, "endpoint", "Endpoint: cannot be blank")
		return
	}
	n := len(s.hooks)
	h := &hook{ID: "01HOOK" + strconv.Itoa(n), Endpoint: body.Webhook.Endpoint, Secret: s.secretOf(n)}
	s.hooks = append(s.hooks, h)
	standin.WriteJSON(w, http.StatusCreated, map[string]any{"webhook": map[string]any{
		"id": h.ID, "name": body.Webhook.Name, "endpoint": h.Endpoint, "status": "active", "subscriptions": body.Webhook.Subscriptions,
	}})
}

// announce sends one webhook per comment and status change of an audit.
func (s *Sim) announce(t *ticket, a *audit) {
	for _, e := range a.Events {
		var kind string
		what := map[string]any{}
		switch {
		case e.Type == "Comment":
			kind = "comment_added"
			author := map[string]any{"id": strconv.FormatInt(e.AuthorID, 10), "is_staff": false, "name": ""}
			if u := s.user(e.AuthorID); u != nil {
				author["is_staff"], author["name"] = u.Role != "end-user", u.Name
			}
			what["comment"] = map[string]any{"id": strconv.FormatInt(e.ID, 10), "body": e.Body, "is_public": *e.Public, "author": author}
		case e.Type == "Change" && e.FieldName == "status":
			kind = "status_changed"
			what["current"], what["previous"] = upper(e.Value), upper(e.PreviousValue)
		case e.Type == "Change" && e.FieldName == "assignee_id":
			kind = "agent_assignment_changed"
			what["current"], what["previous"] = e.Value, nil
		default:
			continue
		}
		s.sendEvent(t, kind, what, a.CreatedAt)
	}
}

func upper(v any) string {
	text, _ := v.(string)
	return strings.ToUpper(text)
}

func (s *Sim) sendEvent(t *ticket, kind string, what map[string]any, at time.Time) {
	detail := map[string]any{
		"id": strconv.FormatInt(t.ID, 10), "external_id": t.ExternalID, "status": strings.ToUpper(t.Status), "tags": t.Tags,
		"subject": t.Subject, "requester_id": strconv.FormatInt(t.RequesterID, 10), "assignee_id": nil,
		"created_at": t.CreatedAt, "updated_at": t.UpdatedAt, "via": map[string]string{"channel": "api"},
	}
	if t.AssigneeID != nil {
		detail["assignee_id"] = strconv.FormatInt(*t.AssigneeID, 10)
	}
	body, err := json.Marshal(map[string]any{
		"account_id": 1, "id": "evt-" + strconv.FormatInt(s.id(), 10), "type": "zen:event-type:ticket." + kind,
		"subject": "zen:ticket:" + strconv.FormatInt(t.ID, 10), "time": at.UTC().Format(time.RFC3339Nano),
		"zendesk_event_version": "2022-11-06", "event": what, "detail": detail,
	})
	if err != nil {
		return // every value above can be written as JSON
	}
	for _, h := range s.hooks {
		if s.cfg.Now().Before(h.openTill) {
			continue // breaker open: lost, as at Zendesk
		}
		timestamp := s.cfg.Now().UTC().Format(time.RFC3339)
		header := http.Header{"Content-Type": {"application/json"}}
		header.Set(zendesk.TimestampHeader, timestamp)
		header.Set(zendesk.SignatureHeader, zendesk.Sign(h.Secret, timestamp, body))
		header.Set("X-Zendesk-Webhook-Id", h.ID)
		header.Set(zendesk.InvocationHeader, strconv.FormatInt(s.id(), 10))
		s.Webhooks.Send(standin.Delivery{Hook: h.ID, URL: h.Endpoint, Header: header, Body: body})
	}
}

// judge counts outcomes for the breaker, and repeats failed deliveries where it
// was told to.
func (s *Sim) judge(d standin.Delivery, status, attempt int) standin.Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	for _, h := range s.hooks {
		if h.ID != d.Hook {
			continue
		}
		h.outcomes = append(h.outcomes, outcome{at: now, failed: status < 200 || status > 299})
		for len(h.outcomes) > 0 && now.Sub(h.outcomes[0].at) > breakerWindow {
			h.outcomes = h.outcomes[1:]
		}
		failed := 0
		for _, o := range h.outcomes {
			if o.failed {
				failed++
			}
		}
		if failed > breakerMost || len(h.outcomes) >= breakerSample && failed*100 >= 70*len(h.outcomes) {
			h.openTill = now.Add(breakerPause)
			h.outcomes = nil
		}
	}
	if (status < 200 || status > 299) && attempt <= s.cfg.WebhookRetries {
		return standin.Verdict{RetryAfter: max(s.cfg.WebhookRetryAfter, 1)}
	}
	return standin.Verdict{}
}
