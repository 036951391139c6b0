package sim

import (
	"net/http"
	"slices"
	"strings"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
)

// group is a team of agents.
type group struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// groups are those that every account here has.
func groups() []group { return []group{{ID: 71, Name: "Support"}, {ID: 72, Name: "SMS Support"}} }

// group gives a group's name, "" for none of that id.
func (s *Sim) group(id int64) string {
	for _, g := range groups() {
		if g.ID == id {
			return g.Name
		}
	}
	return ""
}

// staff gives the agent with that e-mail address, or nil.
func (s *Sim) staff(email string) *user {
	for _, u := range s.users {
		if u.Active && u.Role != "end-user" && strings.EqualFold(u.Email, email) {
			return u
		}
	}
	return nil
}

func (s *Sim) listGroups(w http.ResponseWriter, _ *http.Request) {
	standin.WriteJSON(w, http.StatusOK, map[string]any{"groups": groups(), "meta": map[string]any{"has_more": false}})
}

// removeTags takes tags off; those that are not there are no error.
func (s *Sim) removeTags(w http.ResponseWriter, r *http.Request, t *ticket) {
	var body struct {
		Tags []string `json:"tags"`
	}
	if _, ok := read(w, r, &body); !ok {
		return
	}
	if t.Status == "closed" {
		invalid(w, "status", "Status: closed prevents ticket update")
		return
	}
	gone := splitTags(body.Tags)
	left := slices.DeleteFunc(slices.Clone(t.Tags), func(tag string) bool { return slices.Contains(gone, tag) })
	s.apply(t, change{Tags: left}, 1, "api")
	standin.WriteJSON(w, http.StatusOK, map[string][]string{"tags": t.Tags})
}
