package sim

import (
	"net/http"
	"slices"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
)

// teams are those that every account here has.
func teams() []*party { return []*party{{ID: 71, Name: "Support"}, {ID: 72, Name: "SMS Support"}} }

// assigned applies assignee and priority of an update; it refuses what Gorgias would, and tells whether it
// did not.
func (s *Sim) assigned(w http.ResponseWriter, t *ticket, body ticketRequest) bool {
	const doing = "Failed to update ticket"
	named := func(field string, to *party, of []*party) (*party, bool) {
		if to == nil {
			return nil, true
		}
		i := slices.IndexFunc(of, func(p *party) bool { return p.ID == to.ID })
		if i < 0 {
			invalid(w, doing, field, "Unknown id.")
			return nil, false
		}
		return of[i], true
	}
	user, ok := named("assignee_user", body.Assignee, s.agents)
	if !ok {
		return false
	}
	team, ok := named("assignee_team", body.Team, teams())
	if !ok {
		return false
	}
	if body.Priority != "" && !slices.Contains([]string{"low", "normal", "high", "critical"}, body.Priority) {
		invalid(w, doing, "priority", "Must be one of: low, normal, high, critical.")
		return false
	}
	if body.Priority != "" {
		t.Priority = body.Priority
	}
	if user == nil && team == nil {
		return true
	}
	data := map[string]any{}
	if user != nil {
		t.Assignee, data["assignee_user"] = user, user
	}
	if team != nil {
		t.Team, data["assignee_team"] = team, team
	}
	t.Updated = s.now()
	s.happened(t, "ticket-assigned", data)
	t.events[len(t.events)-1].UserID = s.agents[0].ID // whose key it is
	s.tell(t, "ticket-assignment-updated", nil)
	return true
}

// removeTags takes tags off; those that are not there are no error.
func (s *Sim) removeTags(w http.ResponseWriter, r *http.Request, t *ticket) {
	var body struct {
		Names []string `json:"names"`
	}
	if !read(w, r, &body) {
		return
	}
	t.Tags = slices.DeleteFunc(t.Tags, func(name tag) bool { return slices.Contains(body.Names, name.Name) })
	standin.WriteJSON(w, http.StatusNoContent, nil)
}
