package sim

import (
	"net/http"
	"strconv"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
)

type party struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

type customer struct {
	ID         int64     `json:"id"`
	Name       string    `json:"name"`
	Email      *string   `json:"email"`
	ExternalID *string   `json:"external_id"`
	Channels   []channel `json:"channels"`
}

type channel struct {
	Type      string `json:"type"`
	Address   string `json:"address"`
	Preferred bool   `json:"preferred"`
}

type customerRequest struct {
	Name, Email *string
	ExternalID  *string   `json:"external_id"`
	Channels    []channel `json:"channels"`
}

func (s *Sim) customerRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/customers", s.listCustomers)
	mux.HandleFunc("POST /api/customers", s.createCustomer)
	mux.HandleFunc("PUT /api/customers/{id}", s.updateCustomer)
}

func (s *Sim) customer(id int64) *customer {
	for _, c := range s.customers {
		if c.ID == id {
			return c
		}
	}
	return nil
}

func (s *Sim) listCustomers(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	var found []*customer
	for _, c := range s.customers {
		fits := true
		if want := query.Get("external_id"); want != "" {
			fits = c.ExternalID != nil && *c.ExternalID == want
		}
		if want := query.Get("email"); want != "" {
			fits = fits && c.Email != nil && *c.Email == want
		}
		if want := query.Get("channel_address"); want != "" {
			fits = fits && c.has(query.Get("channel_type"), want)
		}
		if fits {
			found = append(found, c)
		}
	}
	listed(w, r, found)
}

func (c *customer) has(kind, address string) bool {
	for _, ch := range c.Channels {
		if ch.Type == kind && ch.Address == address {
			return true
		}
	}
	return false
}

func (s *Sim) createCustomer(w http.ResponseWriter, r *http.Request) {
	var body customerRequest
	if !read(w, r, &body) {
		return
	}
	for _, c := range s.customers {
		if body.ExternalID != nil && c.ExternalID != nil && *c.ExternalID == *body.ExternalID {
			refuse(w, http.StatusConflict, "Failed to create customer", map[string][]string{"external_id": {"Already used."}})
			return
		}
	}
	c := &customer{ID: s.id(), Channels: []channel{}}
	c.apply(body)
	s.customers = append(s.customers, c)
	standin.WriteJSON(w, http.StatusCreated, c)
}

func (s *Sim) updateCustomer(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	c := s.customer(id)
	if err != nil || c == nil {
		notFound(w)
		return
	}
	var body customerRequest
	if !read(w, r, &body) {
		return
	}
	c.apply(body)
	standin.WriteJSON(w, http.StatusAccepted, c)
}

// apply sets what is given; channels replace all.
func (c *customer) apply(body customerRequest) {
	if body.Name != nil {
		c.Name = *body.Name
	}
	if body.Email != nil {
		c.Email = body.Email
	}
	if body.ExternalID != nil {
		c.ExternalID = body.ExternalID
	}
	if body.Channels != nil {
		c.Channels = body.Channels
	}
}

// AddCustomer adds a customer as a shop's own people would: without an external
// id, with a phone number.
func (s *Sim) AddCustomer(name, phone string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &customer{ID: s.id(), Name: name, Channels: []channel{{Type: "phone", Address: phone, Preferred: true}}}
	s.customers = append(s.customers, c)
	return c.ID
}

// MergeCustomers replaces every customer by a new one of the same details, as
// merging does with the loser's id.
func (s *Sim) MergeCustomers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range s.customers {
		next := *c
		next.ID = s.id()
		s.customers[i] = &next
	}
}

// agent gives the agent of a name, made if there is none.
func (s *Sim) agent(name string) *party {
	if name == "" {
		return s.agents[1]
	}
	for _, a := range s.agents {
		if a.Name == name {
			return a
		}
	}
	a := &party{ID: s.id(), Name: name, Email: strconv.FormatInt(s.nextID, 10) + "@agents.example"}
	s.agents = append(s.agents, a)
	return a
}

// ForgetExternalIDs takes the external ids off all customers, as an import of the shop's own would.
func (s *Sim) ForgetExternalIDs() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.customers {
		c.ExternalID = nil
	}
}
