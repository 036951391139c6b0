package sim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
)

type ticket struct {
	ID         int64   `json:"id"`
	ExternalID *string `json:"external_id"`
	Subject    string  `json:"subject"`
	Channel    string  `json:"channel"`
	Via        string  `json:"via"`
	Status     string  `json:"status"`
	Spam       bool    `json:"spam"`
	Customer   *party  `json:"customer"`
	Assignee   *party  `json:"assignee_user"`
	Team       *party  `json:"assignee_team"`
	Priority   string  `json:"priority"`
	Tags       []tag   `json:"tags"`
	Created    string  `json:"created_datetime"`
	Updated    string  `json:"updated_datetime"`
	Closed     *string `json:"closed_datetime"`
	Trashed    *string `json:"trashed_datetime"`
	Snooze     *string `json:"snooze_datetime"`

	mergedInto int64 // 0 unless it was merged into that one
	messages   []*message
	events     []*event
}

type tag struct {
	Name string `json:"name"`
}

type event struct {
	ID         int64          `json:"id"`
	Type       string         `json:"type"`
	ObjectType string         `json:"object_type"`
	ObjectID   int64          `json:"object_id"`
	Data       map[string]any `json:"data"`
	UserID     int64          `json:"user_id"`
	Created    string         `json:"created_datetime"`
}

type ticketRequest struct {
	Channel, Via, Subject, Status string
	ExternalID                    *string `json:"external_id"`
	Customer                      *party  `json:"customer"`
	Tags                          []tag   `json:"tags"`
	Messages                      []message
	Spam                          *bool   `json:"spam"`
	Snooze                        *string `json:"snooze_datetime"`
	Assignee                      *party  `json:"assignee_user"`
	Team                          *party  `json:"assignee_team"`
	Priority                      string  `json:"priority"`
}

func (s *Sim) ticketRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/tickets", s.createTicket)
	mux.HandleFunc("GET /api/tickets", s.listTickets)
	mux.HandleFunc("GET /api/tickets/{id}", s.withTicket(func(w http.ResponseWriter, _ *http.Request, t *ticket) {
		standin.WriteJSON(w, http.StatusOK, t)
	}))
	mux.HandleFunc("PUT /api/tickets/{id}", s.withTicket(s.updateTicket))
	mux.HandleFunc("POST /api/tickets/{id}/tags", s.withTicket(s.addTags))
	mux.HandleFunc("DELETE /api/tickets/{id}/tags", s.withTicket(s.removeTags))
	mux.HandleFunc("GET /api/teams", func(w http.ResponseWriter, r *http.Request) { listed(w, r, teams()) })
	mux.HandleFunc("GET /api/users", func(w http.ResponseWriter, r *http.Request) { listed(w, r, s.agents) })
	mux.HandleFunc("POST /api/tickets/{id}/messages", s.withTicket(s.addMessage))
	mux.HandleFunc("PUT /api/tickets/{id}/messages/{message}", s.withTicket(s.updateMessage))
	mux.HandleFunc("GET /api/messages", s.listMessages)
	mux.HandleFunc("GET /api/events", s.listEvents)
}

func (s *Sim) ticket(id int64) *ticket {
	if id < 1 || id > int64(len(s.tickets)) {
		return nil
	}
	return s.tickets[id-1]
}

func (s *Sim) withTicket(next func(http.ResponseWriter, *http.Request, *ticket)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		t := s.ticket(id)
		if err != nil || t == nil {
			notFound(w)
			return
		}
		if t.mergedInto != 0 {
			moved := strconv.FormatInt(t.mergedInto, 10)
			http.Redirect(w, r, strings.Replace(r.URL.Path, "/tickets/"+r.PathValue("id"), "/tickets/"+moved, 1), http.StatusMovedPermanently)
			return
		}
		next(w, r, t)
	}
}

// listTickets includes trashed ones.
func (s *Sim) listTickets(w http.ResponseWriter, r *http.Request) {
	external, customer := r.URL.Query().Get("external_id"), r.URL.Query().Get("customer_id")
	var found []*ticket
	for _, t := range s.tickets {
		if (external == "" || t.ExternalID != nil && *t.ExternalID == external) && (customer == "" || strconv.FormatInt(t.Customer.ID, 10) == customer) {
			found = append(found, t)
		}
	}
	if strings.HasPrefix(r.URL.Query().Get("order_by"), "updated_datetime") {
		slices.SortStableFunc(found, func(a, b *ticket) int { return strings.Compare(a.Updated, b.Updated) })
	}
	listed(w, r, found)
}

// createTicket makes a ticket every time: external_id gives no idempotency.
func (s *Sim) createTicket(w http.ResponseWriter, r *http.Request) {
	const doing = "Failed to create ticket"
	var body ticketRequest
	if !read(w, r, &body) {
		return
	}
	switch {
	case body.Via == "":
		invalid(w, doing, "via", "Missing data for required field.")
		return
	case len(body.Messages) < 1 || len(body.Messages) > 500:
		invalid(w, doing, "messages", "Length must be between 1 and 500.")
		return
	case len([]rune(body.Subject)) > 998:
		invalid(w, doing, "subject", "Longer than maximum length 998.")
		return
	case body.ExternalID != nil && len(*body.ExternalID) > 255:
		invalid(w, doing, "external_id", "Longer than maximum length 255.")
		return
	case body.Status != "" && body.Status != "open" && body.Status != "closed":
		invalid(w, doing, "status", "Must be one of: open, closed.")
		return
	case body.Customer == nil || s.customer(body.Customer.ID) == nil:
		invalid(w, doing, "customer", "Unknown customer.")
		return
	}
	for _, m := range body.Messages {
		if field, why := s.problem(m); field != "" {
			invalid(w, doing, field, why)
			return
		}
	}
	s.creates++
	known := s.customer(body.Customer.ID)
	t := &ticket{
		ID: int64(len(s.tickets) + 1), ExternalID: body.ExternalID, Subject: body.Subject, Channel: body.Channel, Via: body.Via,
		Status: body.Status, Customer: &party{ID: known.ID, Name: known.Name}, Tags: []tag{}, Created: s.now(), Updated: s.now(),
	}
	if t.Status == "" {
		t.Status = "open"
	}
	if t.Channel == "" {
		t.Channel = body.Messages[0].Channel
	}
	s.tickets = append(s.tickets, t)
	t.add(body.Tags)
	for _, m := range body.Messages {
		s.keep(t, m)
	}
	s.tell(t, "ticket-created", nil)
	standin.WriteJSON(w, http.StatusCreated, t)
}

func (t *ticket) add(tags []tag) {
	for _, more := range tags {
		if !slices.Contains(t.Tags, more) {
			t.Tags = append(t.Tags, more)
		}
	}
}

func (s *Sim) addTags(w http.ResponseWriter, r *http.Request, t *ticket) {
	var body struct {
		Names []string `json:"names"`
	}
	if !read(w, r, &body) {
		return
	}
	for _, name := range body.Names {
		t.add([]tag{{Name: name}})
	}
	standin.WriteJSON(w, http.StatusCreated, nil)
}

// updateTicket sets what is given; tags replace all.
func (s *Sim) updateTicket(w http.ResponseWriter, r *http.Request, t *ticket) {
	var body ticketRequest
	if !read(w, r, &body) {
		return
	}
	if body.Status != "" && body.Status != "open" && body.Status != "closed" {
		invalid(w, "Failed to update ticket", "status", "Must be one of: open, closed.")
		return
	}
	if !s.assigned(w, t, body) {
		return
	}
	if body.Tags != nil {
		t.Tags = nil
		t.add(body.Tags)
	}
	if body.Snooze != nil {
		s.snooze(t, *body.Snooze)
	} else if body.Status != "" {
		s.setStatus(t, body.Status)
	}
	if body.Spam != nil && *body.Spam != t.Spam {
		s.setSpam(t, *body.Spam)
	}
	standin.WriteJSON(w, http.StatusAccepted, t)
}

func (s *Sim) setStatus(t *ticket, status string) {
	if t.Status == status && t.Snooze == nil {
		return
	}
	t.Status, t.Snooze, t.Closed, t.Updated = status, nil, nil, s.now()
	kind := "ticket-reopened"
	if status == "closed" {
		closed := s.now()
		kind, t.Closed = "ticket-closed", &closed
	}
	s.happened(t, kind, nil)
	s.tell(t, "ticket-status-updated", nil)
}

// snooze closes a ticket until a time, as Gorgias keeps it.
func (s *Sim) snooze(t *ticket, until string) {
	t.Status, t.Snooze, t.Updated = "closed", &until, s.now()
	s.happened(t, "ticket-closed", nil)
	s.happened(t, "ticket-snoozed", map[string]any{"snooze_datetime": until})
	s.tell(t, "ticket-updated", nil)
}

func (s *Sim) setSpam(t *ticket, spam bool) {
	t.Spam, t.Updated = spam, s.now()
	kind := "ticket-unmarked-spam"
	if spam {
		kind = "ticket-marked-spam"
	}
	s.happened(t, kind, nil)
	s.tell(t, "ticket-updated", nil)
}

func (s *Sim) happened(t *ticket, kind string, data map[string]any) {
	t.events = append(t.events, &event{
		ID: s.id(), Type: kind, ObjectType: "Ticket", ObjectID: t.ID, Data: data, Created: s.now(),
	})
}

// listEvents knows tickets' events alone: all of them, or one ticket's.
func (s *Sim) listEvents(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	var found []*event
	for _, t := range s.chosen(query.Get("object_id")) {
		if kind := query.Get("object_type"); kind == "" || kind == "Ticket" {
			found = append(found, t.events...)
		}
	}
	slices.SortFunc(found, func(a, b *event) int { return int(a.ID - b.ID) })
	listed(w, r, found)
}

// chosen gives the ticket of an id, or all for none.
func (s *Sim) chosen(id string) []*ticket {
	if id == "" {
		return s.tickets
	}
	n, err := strconv.ParseInt(id, 10, 64)
	if t := s.ticket(n); err == nil && t != nil {
		return []*ticket{t}
	}
	return nil
}
