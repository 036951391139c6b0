package zendesk

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

type group struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// doRemoveTags takes tags off the ticket; Zendesk has a request for it that leaves the others alone.
func (c *client) doRemoveTags(ctx context.Context, a caller.Attempt, cmd *handoffv1.RemoveTags) (*handoffv1.Outcome, error) {
	_, err := c.do(ctx, request{
		method: http.MethodDelete, path: "/api/v2/tickets/" + url.PathEscape(a.TicketID) + "/tags",
		body: map[string][]string{"tags": cleanTags(cmd.GetTags())}, doing: "removing tags",
	}, nil)
	if err != nil {
		return nil, err
	}
	return c.done(a.TicketID), nil
}

// doAssign gives the ticket to a group by its name, an agent by e-mail address, or both.
func (c *client) doAssign(ctx context.Context, a caller.Attempt, cmd *handoffv1.AssignTicket) (*handoffv1.Outcome, error) {
	u := ticketUpdate{AssigneeEmail: cmd.GetAgent()}
	if cmd.GetTeam() != "" {
		var err error
		if u.GroupID, err = c.group(ctx, cmd.GetTeam()); err != nil {
			return nil, err
		}
	}
	return c.doUpdate(ctx, a, "assigning the ticket", u)
}

// group finds a group by its name, in any case.
func (c *client) group(ctx context.Context, name string) (int64, error) {
	next := ""
	for range 100 { // 100 groups each: more than an account can have
		var answer struct {
			Groups []group `json:"groups"`
			Meta   page    `json:"meta"`
		}
		path := "/api/v2/groups?page%5Bsize%5D=100"
		if next != "" {
			path += "&page%5Bafter%5D=" + url.QueryEscape(next)
		}
		if _, err := c.do(ctx, request{method: http.MethodGet, path: path, doing: "looking for the group"}, &answer); err != nil {
			return 0, err
		}
		for _, g := range answer.Groups {
			if strings.EqualFold(g.Name, name) {
				return g.ID, nil
			}
		}
		if !answer.Meta.HasMore || answer.Meta.AfterCursor == "" || answer.Meta.AfterCursor == next {
			break
		}
		next = answer.Meta.AfterCursor
	}
	return 0, &caller.Error{Kind: caller.Permanent, Code: "no-group", Meaning: fmt.Sprintf("the desk has no group %q", name)}
}

// nativePriority is Zendesk's name of a priority.
func nativePriority(p handoffv1.Priority) string {
	return strings.ToLower(strings.TrimPrefix(p.String(), "PRIORITY_"))
}
