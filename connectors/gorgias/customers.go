package gorgias

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/pipeline/caller/httpcall"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// customer gives the customer that stands for the record's subscriber: found by
// external id, else by phone, else made. Making one is not idempotent, so the
// search always comes first. What the desk knows is never overwritten (M2).
// Where several have the number, the note that c.customers remembers says so.
func (c *client) customer(ctx context.Context, r *handoffv1.Record, name string) (int64, error) {
	external := externalID(r)
	if id, ok := c.customers.Get(external); ok {
		return id, nil
	}
	id, note, err := c.findOrMake(ctx, r, external, name)
	if err != nil {
		return 0, err
	}
	c.customers.PutNoted(external, id, note)
	return id, nil
}

// externalID of a subscriber's customer.
func externalID(r *handoffv1.Record) string {
	return schemas.ChannelName(r.GetChannel()) + ":" + r.GetAddress()
}

func (c *client) findOrMake(ctx context.Context, r *handoffv1.Record, external, name string) (id int64, note string, err error) {
	all, err := c.findCustomers(ctx, r, external)
	if err != nil {
		return 0, "", err
	}
	if len(all) > 0 {
		found, note, err := c.mostActive(ctx, all, r.GetAddress())
		if err != nil {
			return 0, "", err
		}
		return found.ID, note, c.completeCustomer(ctx, found, r, external, name, len(all) == 1)
	}
	made := customer{Name: name, ExternalID: external}
	if made.Name == "" {
		made.Name = r.GetAddress()
	}
	if strings.HasPrefix(r.GetAddress(), "+") {
		made.Channels = []customerChannel{{Type: "phone", Address: r.GetAddress(), Preferred: true}}
	}
	var answer customer
	err = c.do(ctx, http.MethodPost, "/customers", made, &answer, "creating the customer")
	if status := httpcall.StatusOf(err); status == http.StatusConflict || status == http.StatusBadRequest {
		// Somebody else has just made it, or holds the number.
		if all, again := c.findCustomers(ctx, r, external); again == nil && len(all) > 0 {
			return all[0].ID, "", nil
		}
	}
	return answer.ID, "", err
}

// mostActive gives of several customers the one whose tickets changed last, with a note for the agents.
func (c *client) mostActive(ctx context.Context, all []customer, number string) (found customer, note string, err error) {
	if len(all) == 1 {
		return all[0], "", nil
	}
	all = all[:min(len(all), mostMatches)]
	var last time.Time
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = fmt.Sprintf("%s (customer %d)", one.Name, one.ID)
		var tickets list[ticket]
		path := "/tickets?limit=1&order_by=updated_datetime%3Adesc&customer_id=" + strconv.FormatInt(one.ID, 10)
		if err := c.do(ctx, http.MethodGet, path, nil, &tickets, "asking when a customer was active"); err != nil {
			return customer{}, "", err
		}
		var at time.Time
		if len(tickets.Data) > 0 && tickets.Data[0].Updated != nil {
			at = tickets.Data[0].Updated.Time
		}
		if i == 0 || at.After(last) {
			found, last = one, at
		}
	}
	return found, fmt.Sprintf("%d customers have the number %s: %s. The most recently active one, %s (customer %d), was taken.",
		len(all), number, strings.Join(names, ", "), found.Name, found.ID), nil
}

// mostMatches bounds how many customers of one number are looked at.
const mostMatches = 10

func (c *client) findCustomers(ctx context.Context, r *handoffv1.Record, external string) ([]customer, error) {
	queries := []string{"external_id=" + url.QueryEscape(external)}
	if strings.HasPrefix(r.GetAddress(), "+") {
		queries = append(queries, "channel_type=phone&channel_address="+url.QueryEscape(r.GetAddress()))
	}
	for _, query := range queries {
		var answer list[customer]
		if err := c.do(ctx, http.MethodGet, "/customers?limit=30&"+query, nil, &answer, "looking for the customer"); err != nil {
			return nil, err
		}
		if len(answer.Data) > 0 {
			return answer.Data, nil
		}
	}
	return nil, nil
}

// completeCustomer fills in what the desk does not know. channels is left
// alone: setting it replaces all of them. One of several customers stays one of several, for agents to merge.
func (c *client) completeCustomer(ctx context.Context, found customer, r *handoffv1.Record, external, name string, only bool) error {
	var missing customer
	if found.ExternalID == "" && only {
		missing.ExternalID = external
	}
	if name != "" && name != found.Name && (found.Name == "" || found.Name == r.GetAddress()) {
		missing.Name = name
	}
	if missing.ExternalID == "" && missing.Name == "" {
		return nil
	}
	return c.do(ctx, http.MethodPut, "/customers/"+strconv.FormatInt(found.ID, 10), missing, nil, "completing the customer")
}
