package zendesk

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/caller/httpcall"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// marker is the name under which a call's id is left in the metadata of the
// audit that the call makes: ticket updates have no idempotency key, so this is
// how a repeated one is recognised (audits show it as metadata.custom).
const marker = "handoff_call"

func mark(call string) map[string]string { return map[string]string{marker: call} }

// createTicket posts a ticket under an idempotency key. hit tells that the key
// was known: an earlier attempt had made it.
func (c *client) createTicket(ctx context.Context, t newTicket, key string) (made ticket, hit bool, err error) {
	var answer ticketEnvelope
	header, err := c.do(ctx, request{
		method: http.MethodPost, path: "/api/v2/tickets", key: key,
		body: map[string]newTicket{"ticket": t}, doing: "creating the ticket",
	}, &answer)
	if err != nil {
		return ticket{}, false, err
	}
	return answer.Ticket, strings.EqualFold(header.Get("X-Idempotency-Lookup"), "hit"), nil
}

// createRepaired tries once more without what the desk refused, under a key of
// its own because the body is another one. ok is false where nothing can be
// left out.
func (c *client) createRepaired(ctx context.Context, t newTicket, key string, cause error) (made ticket, hit, ok bool, err error) {
	if httpcall.StatusOf(cause) != http.StatusUnprocessableEntity {
		return ticket{}, false, false, cause
	}
	repaired := t
	if names(cause, "tags") {
		repaired.Tags = nil
	}
	if names(cause, "via_followup_source_id", "followup_source_id") {
		repaired.FollowupSourceID = 0
	}
	if len(repaired.Tags) == len(t.Tags) && repaired.FollowupSourceID == t.FollowupSourceID {
		return ticket{}, false, false, cause
	}
	made, hit, err = c.createTicket(ctx, repaired, key+"-repaired")
	return made, hit, true, err
}

// findCreated gives the ticket that an earlier attempt of the command made.
// External ids are not unique at Zendesk: the oldest counts, and the ticket
// that the wanted one follows up does not.
func (c *client) findCreated(ctx context.Context, cmd *handoffv1.CreateTicket) (ticket, bool, error) {
	var answer ticketsEnvelope
	_, err := c.do(ctx, request{
		method: http.MethodGet, path: "/api/v2/tickets?external_id=" + url.QueryEscape(cmd.GetExternalId()),
		doing: "looking for the ticket",
	}, &answer)
	if err != nil {
		return ticket{}, false, err
	}
	var found ticket
	for _, t := range answer.Tickets {
		if t.ExternalID != cmd.GetExternalId() || strconv.FormatInt(t.ID, 10) == cmd.GetFollowUpOf() {
			continue
		}
		if found.ID == 0 || t.ID < found.ID {
			found = t
		}
	}
	return found, found.ID != 0, nil
}

// ticket reads one ticket.
func (c *client) ticket(ctx context.Context, id string) (ticket, error) {
	var answer ticketEnvelope
	_, err := c.do(ctx, request{
		method: http.MethodGet, path: "/api/v2/tickets/" + url.PathEscape(id), doing: "reading the ticket",
	}, &answer)
	return answer.Ticket, err
}

// update changes a ticket, leaving the call's marker, and gives the id of the
// comment it made ("" where it made none).
func (c *client) update(ctx context.Context, id, call string, u ticketUpdate, doing string) (string, error) {
	u.Metadata = mark(call)
	var answer struct {
		Audit audit `json:"audit"`
	}
	_, err := c.do(ctx, request{
		method: http.MethodPut, path: "/api/v2/tickets/" + url.PathEscape(id),
		body: map[string]ticketUpdate{"ticket": u}, doing: doing,
	}, &answer)
	if err != nil {
		return "", err
	}
	return answer.Audit.commentID(), nil
}

func (a audit) commentID() string {
	for _, e := range a.Events {
		if e.Type == "Comment" {
			return strconv.FormatInt(e.ID, 10)
		}
	}
	return ""
}

// audits gives the audits of a ticket, oldest first, page by page from a page
// cursor ("" for the first) on, until each returns false. Its page argument is
// the cursor that the audit's page was read with.
func (c *client) audits(ctx context.Context, id, from string, each func(a audit, page string) bool) error {
	for range 1000 { // 100 audits each: more than a ticket can hold
		path := "/api/v2/tickets/" + url.PathEscape(id) + "/audits?page%5Bsize%5D=100"
		if from != "" {
			path += "&page%5Bafter%5D=" + url.QueryEscape(from)
		}
		var answer auditsEnvelope
		_, err := c.do(ctx, request{method: http.MethodGet, path: path, doing: "reading the ticket's history"}, &answer)
		if err != nil {
			return err
		}
		for _, a := range answer.Audits {
			if !each(a, from) {
				return nil
			}
		}
		if !answer.Meta.HasMore || answer.Meta.AfterCursor == "" || answer.Meta.AfterCursor == from {
			return nil
		}
		from = answer.Meta.AfterCursor
	}
	return &caller.Error{Kind: caller.Permanent, Meaning: "reading the ticket's history: it does not end"}
}

// survivor gives the ticket that another one was merged into; not ok where it was not.
func (c *client) survivor(ctx context.Context, id string) (into string, ok bool, err error) {
	err = c.audits(ctx, id, "", func(a audit, _ string) bool {
		if to := mergedInto(a); to != "" {
			into, ok = to, true
		}
		return !ok
	})
	return into, ok, err
}

// marked gives the markers that Handoff left on a ticket, each with the id of
// the comment made with it.
func (c *client) marked(ctx context.Context, id string) (map[string]string, error) {
	found := map[string]string{}
	err := c.audits(ctx, id, "", func(a audit, _ string) bool {
		if call := a.Metadata.call(); call != "" {
			found[call] = a.commentID()
		}
		return true
	})
	return found, err
}

// text reads an audit value that is a string or a number; null is "".
func text(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) == nil {
		return s
	}
	var n json.Number
	if json.Unmarshal(value, &n) == nil {
		return n.String()
	}
	return string(value)
}
