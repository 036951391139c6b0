package sim

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
)

type ticket struct {
	ID          int64     `json:"id"`
	URL         string    `json:"url"`
	ExternalID  *string   `json:"external_id"`
	Subject     string    `json:"subject"`
	Description string    `json:"description"`
	Status      string    `json:"status"`
	RequesterID int64     `json:"requester_id"`
	AssigneeID  *int64    `json:"assignee_id"`
	GroupID     *int64    `json:"group_id"`
	Priority    *string   `json:"priority"`
	Tags        []string  `json:"tags"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	Followup    int64     `json:"-"`
	Gone        bool      `json:"-"`
	Audits      []*audit  `json:"-"`
}

type audit struct {
	ID        int64          `json:"id"`
	TicketID  int64          `json:"ticket_id"`
	AuthorID  int64          `json:"author_id"`
	CreatedAt time.Time      `json:"created_at"`
	Via       map[string]any `json:"via"`
	Metadata  map[string]any `json:"metadata"`
	Events    []*event       `json:"events"`
}

type event struct {
	ID            int64  `json:"id"`
	Type          string `json:"type"`
	AuthorID      int64  `json:"author_id,omitempty"`
	Body          string `json:"body,omitempty"`
	HTMLBody      string `json:"html_body,omitempty"`
	PlainBody     string `json:"plain_body,omitempty"`
	Public        *bool  `json:"public,omitempty"`
	FieldName     string `json:"field_name,omitempty"`
	Value         any    `json:"value,omitempty"`
	PreviousValue any    `json:"previous_value,omitempty"`
	Attachments   []any  `json:"attachments,omitempty"`
}

type comment struct {
	Body     string `json:"body"`
	HTMLBody string `json:"html_body"`
	Public   *bool  `json:"public"`
	AuthorID int64  `json:"author_id"`
}

// change is what a caller may set on a ticket.
type change struct {
	Subject        *string        `json:"subject"`
	ExternalID     *string        `json:"external_id"`
	RequesterID    int64          `json:"requester_id"`
	Status         string         `json:"status"`
	Comment        *comment       `json:"comment"`
	Tags           []string       `json:"tags"`
	AdditionalTags []string       `json:"additional_tags"`
	AssigneeID     *int64         `json:"assignee_id"`
	AssigneeEmail  string         `json:"assignee_email"`
	GroupID        *int64         `json:"group_id"`
	Priority       *string        `json:"priority"`
	Followup       int64          `json:"via_followup_source_id"`
	Metadata       map[string]any `json:"metadata"`
	SafeUpdate     bool           `json:"safe_update"`
	UpdatedStamp   time.Time      `json:"updated_stamp"`
}

type ticketRequest struct {
	Ticket change `json:"ticket"`
}

// commentLimit is how many comments a ticket takes.
const commentLimit = 5000

func (s *Sim) ticketRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/v2/tickets", s.createTicket)
	mux.HandleFunc("GET /api/v2/tickets", s.listTickets)
	mux.HandleFunc("GET /api/v2/tickets/{id}", s.withTicket(func(w http.ResponseWriter, _ *http.Request, t *ticket) {
		standin.WriteJSON(w, http.StatusOK, map[string]any{"ticket": t})
	}))
	mux.HandleFunc("PUT /api/v2/tickets/{id}", s.withTicket(s.updateTicket))
	mux.HandleFunc("DELETE /api/v2/tickets/{id}", s.withTicket(func(w http.ResponseWriter, _ *http.Request, t *ticket) {
		t.Gone = true
		w.WriteHeader(http.StatusNoContent)
	}))
	mux.HandleFunc("DELETE /api/v2/tickets/{id}/tags", s.withTicket(s.removeTags))
	mux.HandleFunc("GET /api/v2/groups", s.listGroups)
	mux.HandleFunc("GET /api/v2/tickets/{id}/audits", s.withTicket(s.listAudits))
	mux.HandleFunc("GET /api/v2/tickets/{id}/comments", s.withTicket(s.listComments))
}

func (s *Sim) withTicket(next func(http.ResponseWriter, *http.Request, *ticket)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, ok := pathID(w, r)
		if !ok {
			return
		}
		t := s.ticket(id)
		if t == nil {
			refuse(w, failures(http.StatusNotFound))
			return
		}
		next(w, r, t)
	}
}

func (s *Sim) ticket(id int64) *ticket {
	if id < 1 || id > int64(len(s.tickets)) || s.tickets[id-1].Gone {
		return nil
	}
	return s.tickets[id-1]
}

func (s *Sim) listTickets(w http.ResponseWriter, r *http.Request) {
	found := []*ticket{}
	external := r.URL.Query().Get("external_id")
	for _, t := range s.tickets {
		if !t.Gone && (external == "" || t.ExternalID != nil && *t.ExternalID == external) {
			found = append(found, t)
		}
	}
	standin.WriteJSON(w, http.StatusOK, map[string]any{"tickets": found, "count": len(found), "next_page": nil})
}

// createTicket makes a ticket, once per idempotency key and two hours.
func (s *Sim) createTicket(w http.ResponseWriter, r *http.Request) {
	var body ticketRequest
	raw, ok := read(w, r, &body)
	if !ok {
		return
	}
	key := r.Header.Get("Idempotency-Key")
	if len(key) > 255 {
		refuse(w, failure{Status: http.StatusBadRequest, Error: "IdempotentRequestError", Description: "Idempotency key is longer than 255 characters"})
		return
	}
	if kept, ok := s.cached[key]; ok && key != "" && s.cfg.Now().Sub(kept.at) < idempotencyLife {
		if kept.request != string(raw) {
			refuse(w, failure{Status: http.StatusBadRequest, Error: "IdempotentRequestError", Description: "Request parameters do not match those of the first request with this key"})
			return
		}
		w.Header().Set("X-Idempotency-Lookup", "hit")
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(kept.answer) // the caller may have gone: nobody to tell
		return
	}
	t, problem := s.newTicket(body.Ticket)
	if problem != nil {
		invalid(w, problem.field, problem.text)
		return
	}
	answer, err := json.Marshal(map[string]any{"ticket": t, "audit": t.Audits[0]})
	if err != nil {
		refuse(w, failures(http.StatusInternalServerError))
		return
	}
	if key != "" {
		s.cached[key] = cached{request: string(raw), answer: answer, at: s.cfg.Now()}
		w.Header().Set("X-Idempotency-Lookup", "miss")
	}
	w.Header().Set("Location", t.URL)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(answer) // the caller may have gone: nobody to tell
}

type problem struct{ field, text string }

func (s *Sim) newTicket(c change) (*ticket, *problem) {
	if c.Comment == nil || strings.TrimSpace(c.Comment.Body+c.Comment.HTMLBody) == "" {
		return nil, &problem{"base", "Description: cannot be blank"}
	}
	requester := s.users[0]
	if c.RequesterID != 0 {
		if requester = s.user(c.RequesterID); requester == nil {
			return nil, &problem{"requester", "Requester: is invalid"}
		}
	}
	if c.Comment.AuthorID != 0 && s.user(c.Comment.AuthorID) == nil {
		return nil, &problem{"author", "Author: is invalid"}
	}
	if c.Followup != 0 {
		if old := s.ticket(c.Followup); old == nil || old.Status != "closed" {
			return nil, &problem{"via_followup_source_id", "Followup source: is not a closed ticket"}
		}
	}
	if c.Status == "" {
		c.Status = "new"
	}
	if !validStatus(c.Status) {
		return nil, &problem{"status", "Status: is not valid"}
	}
	s.creates++
	now := s.cfg.Now().UTC()
	t := &ticket{
		ID: int64(len(s.tickets) + 1), ExternalID: c.ExternalID, Status: c.Status, RequesterID: requester.ID,
		Description: c.Comment.Body, Tags: splitTags(c.Tags), CreatedAt: now, UpdatedAt: now, Followup: c.Followup,
	}
	t.URL = fmt.Sprintf("/api/v2/tickets/%d.json", t.ID)
	if c.Subject != nil {
		t.Subject = *c.Subject
	}
	s.tickets = append(s.tickets, t)
	a := s.newAudit(t, 1, "api", c.Metadata)
	a.Events = append(a.Events, s.comment(c.Comment, requester.ID))
	for _, field := range []event{
		{FieldName: "subject", Value: t.Subject}, {FieldName: "status", Value: t.Status}, {FieldName: "tags", Value: t.Tags},
		{FieldName: "requester_id", Value: strconv.FormatInt(t.RequesterID, 10)},
	} {
		field.ID, field.Type = s.id(), "Create"
		a.Events = append(a.Events, &field)
	}
	s.announce(t, a)
	return t, nil
}

func validStatus(name string) bool {
	return slices.Contains([]string{"new", "open", "pending", "hold", "solved", "closed"}, name)
}

// splitTags splits at spaces and lowers, as Zendesk does.
func splitTags(tags []string) []string {
	out := []string{}
	for _, tag := range tags {
		for part := range strings.FieldsSeq(strings.ToLower(tag)) {
			if !slices.Contains(out, part) {
				out = append(out, part)
			}
		}
	}
	return out
}

func (s *Sim) newAudit(t *ticket, author int64, channel string, custom map[string]any) *audit {
	if custom == nil {
		custom = map[string]any{}
	}
	a := &audit{
		ID: s.id(), TicketID: t.ID, AuthorID: author, CreatedAt: s.cfg.Now().UTC(),
		Via:      map[string]any{"channel": channel, "source": map[string]any{"from": map[string]any{}, "to": map[string]any{}, "rel": nil}},
		Metadata: map[string]any{"custom": custom, "system": map[string]any{}},
	}
	t.Audits = append(t.Audits, a)
	return a
}

func (s *Sim) comment(c *comment, fallback int64) *event {
	author := c.AuthorID
	if author == 0 {
		author = fallback
	}
	public := c.Public == nil || *c.Public
	markup, plain := c.HTMLBody, c.Body
	if markup == "" {
		markup = strings.ReplaceAll(html.EscapeString(c.Body), "\n", "<br>")
	}
	return &event{
		ID: s.id(), Type: "Comment", AuthorID: author, Body: plain, PlainBody: plain, Public: &public,
		HTMLBody: `<div class="zd-comment" dir="auto">` + markup + `</div>`,
	}
}

// updateTicket applies a change. An update that changes nothing makes no audit,
// and so keeps no metadata.
func (s *Sim) updateTicket(w http.ResponseWriter, r *http.Request, t *ticket) {
	var body ticketRequest
	if _, ok := read(w, r, &body); !ok {
		return
	}
	if !s.mayUpdate(w, t) {
		return
	}
	c := body.Ticket
	switch {
	case t.Status == "closed":
		invalid(w, "status", "Status: closed prevents ticket update")
		return
	case c.Status != "" && !validStatus(c.Status):
		invalid(w, "status", "Status: is not valid")
		return
	case c.Priority != nil && !slices.Contains([]string{"low", "normal", "high", "urgent"}, *c.Priority):
		invalid(w, "priority", "Priority: is not valid")
		return
	case c.GroupID != nil && s.group(*c.GroupID) == "":
		invalid(w, "group", "Group: is invalid")
		return
	case c.AssigneeEmail != "" && s.staff(c.AssigneeEmail) == nil:
		invalid(w, "assignee", "Assignee: is invalid")
		return
	case c.SafeUpdate && !c.UpdatedStamp.Equal(t.UpdatedAt):
		refuse(w, failures(http.StatusConflict))
		return
	case c.Comment != nil && c.Comment.AuthorID != 0 && s.user(c.Comment.AuthorID) == nil:
		invalid(w, "author", "Author: is invalid")
		return
	case c.Comment != nil && t.comments() >= commentLimit:
		invalid(w, "base", "Ticket has reached its comment limit")
		return
	}
	if encoded, err := json.Marshal(c.Metadata); err != nil || len(encoded) > 1024 {
		invalid(w, "metadata", "Metadata: is too large")
		return
	}
	a := s.apply(t, c, 1, "api")
	standin.WriteJSON(w, http.StatusOK, map[string]any{"ticket": t, "audit": a})
}

func (s *Sim) mayUpdate(w http.ResponseWriter, t *ticket) bool {
	if ok, _, wait := s.updates.Take(); !ok {
		limited(w, wait)
		return false
	}
	name := strconv.FormatInt(t.ID, 10)
	if s.byTicket[name] == nil {
		s.byTicket[name] = standin.NewBucket(s.cfg.Limits.TicketUpdates, 10*time.Minute, s.cfg.Now)
	}
	if ok, _, wait := s.byTicket[name].Take(); !ok {
		limited(w, wait)
		return false
	}
	return true
}

func (t *ticket) comments() int {
	n := 0
	for _, a := range t.Audits {
		for _, e := range a.Events {
			if e.Type == "Comment" {
				n++
			}
		}
	}
	return n
}

// apply changes a ticket and gives the audit of it, nil where nothing changed.
func (s *Sim) apply(t *ticket, c change, author int64, channel string) *audit {
	var events []*event
	if c.Comment != nil && strings.TrimSpace(c.Comment.Body+c.Comment.HTMLBody) != "" {
		events = append(events, s.comment(c.Comment, author))
	}
	if c.Status != "" && c.Status != t.Status {
		events = append(events, &event{ID: s.id(), Type: "Change", FieldName: "status", Value: c.Status, PreviousValue: t.Status})
		t.Status = c.Status
	}
	if tags := t.tagsAfter(c); !slices.Equal(tags, t.Tags) {
		events = append(events, &event{ID: s.id(), Type: "Change", FieldName: "tags", Value: tags, PreviousValue: t.Tags})
		t.Tags = tags
	}
	if c.AssigneeEmail != "" {
		c.AssigneeID = &s.staff(c.AssigneeEmail).ID
	}
	if c.GroupID != nil && (t.GroupID == nil || *t.GroupID != *c.GroupID) {
		events = append(events, &event{ID: s.id(), Type: "Change", FieldName: "group_id", Value: strconv.FormatInt(*c.GroupID, 10)})
		t.GroupID = c.GroupID
	}
	if c.Priority != nil && (t.Priority == nil || *t.Priority != *c.Priority) {
		events = append(events, &event{ID: s.id(), Type: "Change", FieldName: "priority", Value: *c.Priority})
		t.Priority = c.Priority
	}
	if c.AssigneeID != nil && (t.AssigneeID == nil || *t.AssigneeID != *c.AssigneeID) {
		events = append(events, &event{ID: s.id(), Type: "Change", FieldName: "assignee_id", Value: strconv.FormatInt(*c.AssigneeID, 10)})
		t.AssigneeID = c.AssigneeID
	}
	if len(events) == 0 {
		return nil
	}
	a := s.newAudit(t, author, channel, c.Metadata)
	a.Events = events
	t.UpdatedAt = a.CreatedAt
	s.announce(t, a)
	return a
}

func (t *ticket) tagsAfter(c change) []string {
	tags := t.Tags
	if c.Tags != nil {
		tags = splitTags(c.Tags)
	}
	return splitTags(append(slices.Clone(tags), c.AdditionalTags...))
}

// listAudits pages by cursor where page[size] is given, else gives all.
func (s *Sim) listAudits(w http.ResponseWriter, r *http.Request, t *ticket) {
	query := r.URL.Query()
	size, err := strconv.Atoi(query.Get("page[size]"))
	if err != nil {
		standin.WriteJSON(w, http.StatusOK, map[string]any{"audits": t.Audits, "count": len(t.Audits), "next_page": nil, "previous_page": nil})
		return
	}
	size = min(max(size, 1), 100)
	from := 0
	if after := query.Get("page[after]"); after != "" {
		id, err := strconv.ParseInt(strings.TrimPrefix(after, "c"), 36, 64)
		if err != nil {
			refuse(w, failure{Status: http.StatusBadRequest, Error: "InvalidPaginationParameter", Description: "page[after] is not valid"})
			return
		}
		for from < len(t.Audits) && t.Audits[from].ID <= id {
			from++
		}
	}
	until := min(from+size, len(t.Audits))
	meta := map[string]any{"has_more": until < len(t.Audits)}
	if until > from {
		meta["after_cursor"] = "c" + strconv.FormatInt(t.Audits[until-1].ID, 36)
	}
	standin.WriteJSON(w, http.StatusOK, map[string]any{"audits": t.Audits[from:until], "meta": meta})
}

func (s *Sim) listComments(w http.ResponseWriter, _ *http.Request, t *ticket) {
	comments := []map[string]any{}
	for _, a := range t.Audits {
		for _, e := range a.Events {
			if e.Type == "Comment" {
				comments = append(comments, map[string]any{
					"id": e.ID, "type": "Comment", "author_id": e.AuthorID, "body": e.Body, "html_body": e.HTMLBody,
					"plain_body": e.PlainBody, "public": *e.Public, "audit_id": a.ID, "created_at": a.CreatedAt, "via": a.Via,
				})
			}
		}
	}
	standin.WriteJSON(w, http.StatusOK, map[string]any{"comments": comments, "count": len(comments), "next_page": nil})
}
