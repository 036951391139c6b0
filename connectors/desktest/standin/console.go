package standin

import (
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Ticket is a stand-in's ticket as its console shows it; the JSON shape is the
// same for every desk.
type Ticket struct {
	ID         int64     `json:"id"`
	ExternalID string    `json:"external_id,omitempty"`
	Subject    string    `json:"subject"`
	Status     string    `json:"status"`
	Channel    string    `json:"channel"`
	Requester  string    `json:"requester"`
	Phone      string    `json:"phone,omitempty"`
	Tags       []string  `json:"tags"`
	Thread     []Entry   `json:"thread"`
	CreatedAt  time.Time `json:"created_at"`
	// FollowUpOf is the ticket that this one continues; 0 for none.
	FollowUpOf int64 `json:"follow_up_of,omitempty"`
	// Team, Assignee and Priority as the desk shows them; "" where nobody set any.
	Team     string `json:"team,omitempty"`
	Assignee string `json:"assignee,omitempty"`
	Priority string `json:"priority,omitempty"`
}

// Entry is one line of a ticket's thread.
type Entry struct {
	ID     int64     `json:"id"`
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"` // customer, agent, note, imported, email, event
	Author string    `json:"author"`
	Text   string    `json:"text"`
}

// Action is what a person does at the desk.
type Action struct {
	// Kind is reply, note, email, status, tags, assign, merge, spam or delete.
	Kind   string   `json:"-"`
	Ticket int64    `json:"ticket"`
	Author string   `json:"author"` // agent's name; empty for the first agent
	Text   string   `json:"text"`
	HTML   string   `json:"html"`
	Status string   `json:"status"` // for status, and to go with a reply
	Tags   []string `json:"tags"`
	Into   int64    `json:"into"` // surviving ticket of a merge
}

// Desk is a stand-in as its console sees it.
type Desk interface {
	// Tickets gives all tickets, oldest first.
	Tickets() []Ticket
	// Statuses are those that a person can give a ticket.
	Statuses() []string
	// Act does what a person asks for and gives the id of what came of it.
	Act(a Action) (int64, error)
}

// ErrNoSuchTicket is returned by Desk.Act for an unknown ticket.
var ErrNoSuchTicket = errors.New("no such ticket")

// Console serves the pages and the agent's endpoints of a stand-in: `/` and
// `/_tickets/{id}` for people, `/_tickets` as JSON, `POST /_agent/<kind>` with
// an Action as form or JSON, `POST /_faults` with a Fault.
type Console struct {
	title  string
	desk   Desk
	faults *Faults
	hooks  *Webhooks
	mux    *http.ServeMux
}

// NewConsole makes the console of a desk named title.
func NewConsole(title string, desk Desk, faults *Faults, hooks *Webhooks) *Console {
	c := &Console{title: title, desk: desk, faults: faults, hooks: hooks, mux: http.NewServeMux()}
	c.mux.HandleFunc("GET /{$}", c.page)
	c.mux.HandleFunc("GET /_tickets", c.list)
	c.mux.HandleFunc("GET /_tickets/{id}", c.page)
	c.mux.HandleFunc("POST /_agent/{kind}", c.act)
	c.mux.HandleFunc("POST /_faults", c.inject)
	return c
}

// ServeHTTP implements http.Handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.mux.ServeHTTP(w, r) }

func (c *Console) list(w http.ResponseWriter, _ *http.Request) {
	WriteJSON(w, http.StatusOK, map[string]any{"tickets": c.desk.Tickets()})
}

func (c *Console) act(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	action, form, err := readAction(r)
	if err != nil {
		WriteJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	action.Kind = r.PathValue("kind")
	id, err := c.desk.Act(action)
	switch {
	case form && err != nil:
		c.show(w, http.StatusUnprocessableEntity, action.Ticket, "Not done: "+err.Error()+".")
	case errors.Is(err, ErrNoSuchTicket):
		WriteJSON(w, http.StatusNotFound, map[string]string{"error": err.Error()})
	case err != nil:
		WriteJSON(w, http.StatusUnprocessableEntity, map[string]string{"error": err.Error()})
	case form:
		http.Redirect(w, r, fmt.Sprintf("/_tickets/%d", action.Ticket), http.StatusSeeOther)
	default:
		WriteJSON(w, http.StatusOK, map[string]int64{"id": id})
	}
}

// readAction reads an Action; form tells whether a browser's form sent it.
func readAction(r *http.Request) (a Action, form bool, err error) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "application/json" {
		if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
			return a, false, fmt.Errorf("reading the action: %w", err)
		}
		return a, false, nil
	}
	if err := r.ParseForm(); err != nil {
		return a, false, fmt.Errorf("reading the form: %w", err)
	}
	if a.Ticket, err = strconv.ParseInt(r.PostForm.Get("ticket"), 10, 64); err != nil {
		return a, false, fmt.Errorf("ticket: %w", err)
	}
	if into := r.PostForm.Get("into"); into != "" {
		if a.Into, err = strconv.ParseInt(into, 10, 64); err != nil {
			return a, false, fmt.Errorf("into: %w", err)
		}
	}
	a.Author, a.Text, a.HTML = r.PostForm.Get("author"), r.PostForm.Get("text"), r.PostForm.Get("html")
	a.Status = r.PostForm.Get("status")
	a.Tags = strings.Fields(strings.ReplaceAll(r.PostForm.Get("tags"), ",", " "))
	return a, r.PostForm.Has("page"), nil
}

// faultRequest is the JSON shape of POST /_faults.
type faultRequest struct {
	Method, Path      string
	Kind              FaultKind
	Status, Times     int
	RetryAfterSeconds int
	DelayMillis       int
	// Webhooks: duplicate, lose or reverse the next Times webhooks instead.
	Webhooks string
	// Clear forgets all pending faults first.
	Clear bool
}

func (c *Console) inject(w http.ResponseWriter, r *http.Request) {
	var f faultRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&f); err != nil {
		WriteJSON(w, http.StatusBadRequest, map[string]string{"error": "reading the fault: " + err.Error()})
		return
	}
	if f.Clear {
		c.faults.Clear()
	}
	switch f.Webhooks {
	case "duplicate":
		c.hooks.Duplicate(f.Times)
	case "lose":
		c.hooks.Lose(f.Times)
	case "reverse":
		c.hooks.Reverse(f.Times)
	}
	if f.Kind != "" {
		c.faults.Add(Fault{
			Method: f.Method, Path: f.Path, Kind: f.Kind, Status: f.Status, Times: f.Times,
			RetryAfter: time.Duration(f.RetryAfterSeconds) * time.Second,
			Delay:      time.Duration(f.DelayMillis) * time.Millisecond,
		})
	}
	w.WriteHeader(http.StatusNoContent)
}

func (c *Console) page(w http.ResponseWriter, r *http.Request) {
	var id int64
	if want := r.PathValue("id"); want != "" {
		var err error
		if id, err = strconv.ParseInt(want, 10, 64); err != nil || id < 1 {
			http.NotFound(w, r)
			return
		}
	}
	c.show(w, http.StatusOK, id, "")
}

// show answers with the page: the list, and of an id other than 0 that ticket. problem is why what the
// person asked for was not done.
func (c *Console) show(w http.ResponseWriter, status int, id int64, problem string) {
	view := struct {
		Title, Problem string
		Tickets        []Ticket
		Statuses       []string
		Open           *Ticket
	}{Title: c.title, Problem: problem, Tickets: c.desk.Tickets(), Statuses: c.desk.Statuses()}
	slices.Reverse(view.Tickets) // who looks wants the newest
	for i := range view.Tickets {
		if view.Tickets[i].ID == id {
			view.Open = &view.Tickets[i]
		}
	}
	if id != 0 && view.Open == nil {
		status, view.Problem = http.StatusNotFound, fmt.Sprintf("There is no ticket %d.", id)
	}
	page, err := template.New("console").Parse(consoleHTML)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'")
	w.WriteHeader(status)
	_ = page.Execute(w, view) // the reader hung up
}

// WriteJSON answers with a status and a JSON body.
func WriteJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may have gone: nobody to tell
}
