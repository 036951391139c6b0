package zendesk

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// requesterID is the external id of a subscriber's user: Zendesk matches users
// by external id and e-mail only, never by phone.
func requesterID(r *handoffv1.Record) string {
	return schemas.ChannelName(r.GetChannel()) + ":" + r.GetAddress()
}

// requester gives the user that stands for the record's subscriber: found by
// external id, else by phone number, else made. What agents wrote on an existing
// user is never overwritten: only empty fields are filled (M2). Where several
// have the number, the note that c.requesters remembers says so.
func (c *client) requester(ctx context.Context, r *handoffv1.Record, name string) (int64, error) {
	external := requesterID(r)
	if id, ok := c.requesters.Get(external); ok {
		return id, nil
	}
	var found usersEnvelope
	_, err := c.do(ctx, request{
		method: http.MethodGet, path: "/api/v2/users/search?external_id=" + url.QueryEscape(external),
		doing: "looking for the requester",
	}, &found)
	if err != nil {
		return 0, err
	}
	for _, u := range found.Users {
		if !strings.EqualFold(u.ExternalID, external) {
			continue
		}
		if err := c.fillUser(ctx, u, r, name); err != nil {
			return 0, err
		}
		c.requesters.Put(external, u.ID)
		return u.ID, nil
	}
	u, note, err := c.byPhone(ctx, r)
	if err != nil {
		return 0, err
	}
	if u.ID != 0 {
		if err := c.fillUser(ctx, u, r, name); err != nil {
			return 0, err
		}
		c.requesters.PutNoted(external, u.ID, note)
		return u.ID, nil
	}
	made := user{ExternalID: external, Name: name}
	if made.Name == "" {
		made.Name = r.GetAddress()
	}
	if phone := phoneOf(r); phone != "" {
		made.Phone, made.Details = phone, "Phone: "+phone
	}
	var answer userEnvelope
	_, err = c.do(ctx, request{
		method: http.MethodPost, path: "/api/v2/users/create_or_update", body: userEnvelope{User: made},
		doing: "creating the requester",
	}, &answer)
	if err != nil {
		return 0, err
	}
	c.requesters.Put(external, answer.User.ID)
	return answer.User.ID, nil
}

// fillUser adds what Handoff knows and the desk does not.
func (c *client) fillUser(ctx context.Context, u user, r *handoffv1.Record, name string) error {
	var missing user
	if u.ExternalID == "" && !u.ambiguous {
		missing.ExternalID = requesterID(r)
	}
	if phone := phoneOf(r); phone != "" {
		if u.Phone == "" {
			missing.Phone = phone
		}
		if u.Details == "" {
			missing.Details = "Phone: " + phone
		}
	}
	if name != "" && (u.Name == "" || u.Name == r.GetAddress()) && name != u.Name {
		missing.Name = name
	}
	if missing == (user{}) {
		return nil
	}
	_, err := c.do(ctx, request{
		method: http.MethodPut, path: "/api/v2/users/" + strconv.FormatInt(u.ID, 10), body: userEnvelope{User: missing},
		doing: "completing the requester",
	}, nil)
	return err
}

// phoneOf gives the subscriber's number where the channel's addresses are
// numbers, else "".
func phoneOf(r *handoffv1.Record) string {
	if strings.HasPrefix(r.GetAddress(), "+") {
		return r.GetAddress()
	}
	return ""
}

// self gives the id of the user that the token acts as.
func (c *client) self(ctx context.Context) (int64, error) {
	if id, ok := c.own.Get("me"); ok {
		return id, nil
	}
	var answer userEnvelope
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/api/v2/users/me", doing: "asking who the API token acts as"}, &answer)
	if err != nil {
		return 0, err
	}
	c.own.Put("me", answer.User.ID)
	return answer.User.ID, nil
}

// users gives the users of the ids; unknown ones are missing.
func (c *client) users(ctx context.Context, ids []int64) (map[int64]user, error) {
	known := map[int64]user{}
	for len(ids) > 0 {
		n := min(len(ids), 100) // show_many takes at most 100
		list := make([]string, n)
		for i, id := range ids[:n] {
			list[i] = strconv.FormatInt(id, 10)
		}
		ids = ids[n:]
		var answer usersEnvelope
		_, err := c.do(ctx, request{
			method: http.MethodGet, path: "/api/v2/users/show_many?ids=" + strings.Join(list, ","),
			doing: fmt.Sprintf("asking who wrote (%d authors)", n),
		}, &answer)
		if err != nil {
			return nil, err
		}
		for _, u := range answer.Users {
			known[u.ID] = u
		}
	}
	return known, nil
}
