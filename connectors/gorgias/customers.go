package gorgias

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/handoff-dev/handoff/pipeline/caller/httpcall"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// customer gives the customer that stands for the record's subscriber: found by
// external id, else by phone, else made. Making one is not idempotent, so the
// search always comes first. What the desk knows is never overwritten.
func (c *client) customer(ctx context.Context, r *handoffv1.Record, name string) (int64, error) {
	external := externalID(r)
	if id, ok := c.customers.Get(external); ok {
		return id, nil
	}
	id, err := c.findOrMake(ctx, r, external, name)
	if err != nil {
		return 0, err
	}
	c.customers.Put(external, id)
	return id, nil
}

// externalID of a subscriber's customer.
func externalID(r *handoffv1.Record) string {
	return schemas.ChannelName(r.GetChannel()) + ":" + r.GetAddress()
}

func (c *client) findOrMake(ctx context.Context, r *handoffv1.Record, external, name string) (int64, error) {
	found, ok, err := c.findCustomer(ctx, r, external)
	if err != nil {
		return 0, err
	}
	if ok {
		return found.ID, c.completeCustomer(ctx, found, r, external, name)
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
		if found, ok, again := c.findCustomer(ctx, r, external); again == nil && ok {
			return found.ID, nil
		}
	}
	return answer.ID, err
}

func (c *client) findCustomer(ctx context.Context, r *handoffv1.Record, external string) (customer, bool, error) {
	queries := []string{"external_id=" + url.QueryEscape(external)}
	if strings.HasPrefix(r.GetAddress(), "+") {
		queries = append(queries, "channel_type=phone&channel_address="+url.QueryEscape(r.GetAddress()))
	}
	for _, query := range queries {
		var answer list[customer]
		if err := c.do(ctx, http.MethodGet, "/customers?limit=30&"+query, nil, &answer, "looking for the customer"); err != nil {
			return customer{}, false, err
		}
		if len(answer.Data) > 0 {
			return answer.Data[0], true, nil
		}
	}
	return customer{}, false, nil
}

// completeCustomer fills in what the desk does not know. channels is left
// alone: setting it replaces all of them.
func (c *client) completeCustomer(ctx context.Context, found customer, r *handoffv1.Record, external, name string) error {
	var missing customer
	if found.ExternalID == "" {
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
