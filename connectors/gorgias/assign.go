package gorgias

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// change takes tags off a ticket, assigns it, or sets its priority.
func (c *client) change(ctx context.Context, a caller.Attempt) (*handoffv1.Outcome, error) {
	path := "/tickets/" + url.PathEscape(a.TicketID)
	var err error
	switch action := a.Command.GetAction().(type) {
	case *handoffv1.Command_RemoveTags:
		err = c.do(ctx, http.MethodDelete, path+"/tags", map[string][]string{"names": action.RemoveTags.GetTags()}, nil, "removing tags")
	case *handoffv1.Command_AssignTicket:
		var to map[string]party
		if to, err = c.assignees(ctx, action.AssignTicket); err == nil {
			err = c.do(ctx, http.MethodPut, path, to, nil, "assigning the ticket")
		}
	case *handoffv1.Command_SetPriority:
		err = c.do(ctx, http.MethodPut, path, map[string]string{"priority": nativePriority(action.SetPriority.GetPriority())}, nil, "setting the priority")
	}
	if err != nil {
		return nil, err
	}
	return c.done(a.TicketID), nil
}

// assignees gives the fields that assign a ticket: the team by its name, the agent by e-mail address.
func (c *client) assignees(ctx context.Context, to *handoffv1.AssignTicket) (map[string]party, error) {
	fields := map[string]party{}
	if to.GetTeam() != "" {
		id, err := c.find(ctx, "/teams?limit=100", "team "+strconv.Quote(to.GetTeam()), func(p party) bool { return strings.EqualFold(p.Name, to.GetTeam()) })
		if err != nil {
			return nil, err
		}
		fields["assignee_team"] = party{ID: id}
	}
	if to.GetAgent() != "" {
		id, err := c.user(ctx, to.GetAgent())
		if err != nil {
			return nil, err
		}
		fields["assignee_user"] = party{ID: id}
	}
	return fields, nil
}

// user finds a user of the desk by e-mail address.
func (c *client) user(ctx context.Context, email string) (int64, error) {
	if id, ok := c.users.Get(email); ok {
		return id, nil
	}
	id, err := c.find(ctx, "/users?limit=100", "agent "+email, func(p party) bool { return strings.EqualFold(p.Email, email) })
	if err == nil {
		c.users.Put(email, id)
	}
	return id, err
}

// find reads a listing until it comes to what is looked for. What the desk does not have is refused for
// good.
func (c *client) find(ctx context.Context, path, what string, is func(party) bool) (int64, error) {
	next := ""
	for range pageLimit {
		var page list[party]
		at := path
		if next != "" {
			at += "&cursor=" + url.QueryEscape(next)
		}
		if err := c.do(ctx, http.MethodGet, at, nil, &page, "looking for the "+what); err != nil {
			return 0, err
		}
		for _, p := range page.Data {
			if is(p) {
				return p.ID, nil
			}
		}
		if page.Meta.NextCursor == "" || page.Meta.NextCursor == next {
			break
		}
		next = page.Meta.NextCursor
	}
	return 0, &caller.Error{Kind: caller.Permanent, Code: "not-found", Meaning: fmt.Sprintf("the desk has no %s", what)}
}

// nativePriority is Gorgias' name of a priority.
func nativePriority(p handoffv1.Priority) string {
	if p == handoffv1.Priority_PRIORITY_URGENT {
		return "critical"
	}
	return strings.ToLower(strings.TrimPrefix(p.String(), "PRIORITY_"))
}

// self gives the id of the key's own user where something was assigned, so that it can be told from what
// agents did; 0 where it need not be known, or cannot.
func (c *client) self(ctx context.Context, events []event) int64 {
	for _, e := range events {
		if e.assignee() == "" {
			continue
		}
		id, err := c.user(ctx, c.account.Email)
		if err != nil {
			return 0 // keys that may not read users: everything is an agent's then
		}
		return id
	}
	return 0
}
