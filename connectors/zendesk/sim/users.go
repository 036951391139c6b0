package sim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
)

type user struct {
	ID         int64  `json:"id"`
	Name       string `json:"name"`
	Email      string `json:"email"`
	Phone      string `json:"phone"`
	Details    string `json:"details"`
	ExternalID string `json:"external_id"`
	Role       string `json:"role"`
	Active     bool   `json:"active"`
}

type userRequest struct {
	User struct {
		Name, Email, Phone, Details *string
		ExternalID                  *string `json:"external_id"`
	} `json:"user"`
}

func (s *Sim) userRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v2/users/me", func(w http.ResponseWriter, _ *http.Request) {
		standin.WriteJSON(w, http.StatusOK, map[string]*user{"user": s.users[0]})
	})
	mux.HandleFunc("GET /api/v2/users/search", s.searchUsers)
	mux.HandleFunc("GET /api/v2/users/show_many", s.showUsers)
	mux.HandleFunc("GET /api/v2/search", s.search)
	mux.HandleFunc("POST /api/v2/users/create_or_update", s.createOrUpdateUser)
	mux.HandleFunc("GET /api/v2/users/{id}", s.showUser)
	mux.HandleFunc("PUT /api/v2/users/{id}", s.updateUser)
}

func (s *Sim) user(id int64) *user {
	for _, u := range s.users {
		if u.ID == id && u.Active {
			return u
		}
	}
	return nil
}

func (s *Sim) searchUsers(w http.ResponseWriter, r *http.Request) {
	found := []*user{}
	external, query := r.URL.Query().Get("external_id"), r.URL.Query().Get("query")
	phone := strings.Trim(strings.TrimPrefix(query, "phone:"), `"`)
	for _, u := range s.users {
		switch {
		case !u.Active:
		case external != "" && strings.EqualFold(u.ExternalID, external), query != "" && digitsIn(u.Phone, phone):
			found = append(found, u)
		}
	}
	standin.WriteJSON(w, http.StatusOK, map[string]any{"users": found, "count": len(found), "next_page": nil})
}

// digitsIn tells whether one number's digits hold the other's, as Zendesk's search takes a part for the whole.
func digitsIn(written, asked string) bool {
	digits := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r < '0' || r > '9' {
				return -1
			}
			return r
		}, s)
	}
	w, a := digits(written), digits(asked)
	return w != "" && (strings.Contains(w, a) || strings.Contains(a, w))
}

// search finds a requester's tickets, newest change first; other queries are not known here.
func (s *Sim) search(w http.ResponseWriter, r *http.Request) {
	requester, err := strconv.ParseInt(strings.TrimPrefix(r.URL.Query().Get("query"), "type:ticket requester:"), 10, 64)
	if err != nil {
		refuse(w, failures(http.StatusUnprocessableEntity))
		return
	}
	found := []*ticket{}
	for _, t := range s.tickets {
		if !t.Gone && t.RequesterID == requester {
			found = append(found, t)
		}
	}
	slices.SortStableFunc(found, func(a, b *ticket) int { return b.UpdatedAt.Compare(a.UpdatedAt) })
	standin.WriteJSON(w, http.StatusOK, map[string]any{"results": found, "count": len(found), "next_page": nil})
}

// AddUser adds an end user as a shop's own people would: without an external id, with a phone number.
func (s *Sim) AddUser(name, phone string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := &user{ID: s.id(), Name: name, Phone: phone, Role: "end-user", Active: true}
	s.users = append(s.users, u)
	return u.ID
}

// AddTicket adds a ticket of a user as another channel would.
func (s *Sim) AddTicket(requester int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tickets = append(s.tickets, &ticket{ID: int64(len(s.tickets) + 1), Status: "solved", RequesterID: requester, CreatedAt: s.cfg.Now(), UpdatedAt: s.cfg.Now()})
}

func (s *Sim) showUsers(w http.ResponseWriter, r *http.Request) {
	found := []*user{}
	for id := range strings.SplitSeq(r.URL.Query().Get("ids"), ",") {
		n, err := strconv.ParseInt(id, 10, 64)
		if u := s.user(n); err == nil && u != nil {
			found = append(found, u)
		}
	}
	standin.WriteJSON(w, http.StatusOK, map[string]any{"users": found, "count": len(found)})
}

func (s *Sim) showUser(w http.ResponseWriter, r *http.Request) {
	id, ok := pathID(w, r)
	if !ok {
		return
	}
	u := s.user(id)
	if u == nil {
		refuse(w, failures(http.StatusNotFound))
		return
	}
	standin.WriteJSON(w, http.StatusOK, map[string]*user{"user": u})
}

func (s *Sim) updateUser(w http.ResponseWriter, r *http.Request) {
	id, ok := pathID(w, r)
	if !ok {
		return
	}
	var body userRequest
	if _, ok := read(w, r, &body); !ok {
		return
	}
	u := s.user(id)
	if u == nil {
		refuse(w, failures(http.StatusNotFound))
		return
	}
	u.apply(body)
	standin.WriteJSON(w, http.StatusOK, map[string]*user{"user": u})
}

// createOrUpdateUser matches by external id or e-mail only, never by phone.
func (s *Sim) createOrUpdateUser(w http.ResponseWriter, r *http.Request) {
	var body userRequest
	if _, ok := read(w, r, &body); !ok {
		return
	}
	for _, u := range s.users {
		same := body.User.ExternalID != nil && *body.User.ExternalID != "" && strings.EqualFold(u.ExternalID, *body.User.ExternalID) ||
			body.User.Email != nil && *body.User.Email != "" && strings.EqualFold(u.Email, *body.User.Email)
		if same && u.Active {
			u.apply(body)
			standin.WriteJSON(w, http.StatusOK, map[string]*user{"user": u})
			return
		}
	}
	if body.User.Name == nil || strings.TrimSpace(*body.User.Name) == "" {
		invalid(w, "name", "Name: cannot be blank")
		return
	}
	u := &user{ID: s.id(), Role: "end-user", Active: true}
	u.apply(body)
	s.users = append(s.users, u)
	standin.WriteJSON(w, http.StatusCreated, map[string]*user{"user": u})
}

func (u *user) apply(body userRequest) {
	for _, field := range []struct {
		to   *string
		from *string
	}{
		{&u.Name, body.User.Name}, {&u.Email, body.User.Email}, {&u.Phone, body.User.Phone},
		{&u.Details, body.User.Details}, {&u.ExternalID, body.User.ExternalID},
	} {
		if field.from != nil {
			*field.to = *field.from
		}
	}
}

// DeactivateUsers deletes every end user, as merging or deleting them would.
func (s *Sim) DeactivateUsers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.users {
		if u.Role == "end-user" {
			u.Active = false
		}
	}
}

// agent gives the agent of a name, made if there is none.
func (s *Sim) agent(name string) *user {
	if name == "" {
		return s.users[1]
	}
	for _, u := range s.users {
		if u.Name == name && u.Role != "end-user" {
			return u
		}
	}
	u := &user{ID: s.id(), Name: name, Role: "agent", Active: true}
	s.users = append(s.users, u)
	return u
}
