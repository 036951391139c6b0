package zendesk

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// mostMatches bounds how many users of one number are looked at.
const mostMatches = 10

// byPhone finds the end user who has the subscriber's number: of several the one whose tickets changed last,
// with a note for the agents (M2). Without one the user's ID is 0.
//
// The search finds values in part and is up to minutes behind, so what it gives is compared, and who was just
// made is found by the external id. Source: Zendesk's Search reference, users' property "phone".
func (c *client) byPhone(ctx context.Context, r *handoffv1.Record) (found user, note string, err error) {
	phone := phoneOf(r)
	if phone == "" {
		return user{}, "", nil
	}
	var answer usersEnvelope
	_, err = c.do(ctx, request{
		method: http.MethodGet, path: "/api/v2/users/search?query=" + url.QueryEscape(`phone:"`+phone+`"`),
		doing: "looking for the requester by phone number",
	}, &answer)
	if err != nil {
		return user{}, "", err
	}
	same := slices.DeleteFunc(answer.Users, func(u user) bool {
		return u.Role != "" && u.Role != "end-user" || !samePhone(u.Phone, phone)
	})
	switch len(same) {
	case 0:
		return user{}, "", nil
	case 1:
		return same[0], "", nil
	}
	same = same[:min(len(same), mostMatches)]
	var last time.Time
	for i, u := range same {
		at, err := c.active(ctx, u.ID)
		if err != nil {
			return user{}, "", err
		}
		if i == 0 || at.After(last) {
			found, last = u, at
		}
	}
	found.ambiguous = true
	names := make([]string, len(same))
	for i, u := range same {
		names[i] = fmt.Sprintf("%s (user %d)", u.Name, u.ID)
	}
	return found, fmt.Sprintf("%d customers have the number %s: %s. The most recently active one, %s (user %d), was taken.",
		len(same), phone, strings.Join(names, ", "), found.Name, found.ID), nil
}

// active tells when a user's tickets changed last; the zero time where there is none.
func (c *client) active(ctx context.Context, id int64) (time.Time, error) {
	var answer struct {
		Results []struct {
			UpdatedAt time.Time `json:"updated_at"`
		} `json:"results"`
	}
	query := url.Values{
		"query": {"type:ticket requester:" + strconv.FormatInt(id, 10)}, "sort_by": {"updated_at"}, "sort_order": {"desc"}, "per_page": {"1"},
	}
	_, err := c.do(ctx, request{
		method: http.MethodGet, path: "/api/v2/search?" + query.Encode(), doing: "asking when a customer was active",
	}, &answer)
	if err != nil || len(answer.Results) == 0 {
		return time.Time{}, err
	}
	return answer.Results[0].UpdatedAt, nil
}

// samePhone compares a number as people wrote it with one in E.164. North American ones may lack their
// country code.
func samePhone(written, e164 string) bool {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, written)
	full := strings.TrimPrefix(e164, "+")
	return digits != "" && (digits == full || len(full) == 11 && "1"+digits == full)
}
