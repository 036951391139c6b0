package gorgias

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/caller/httpcall"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// Name of the connector: what settings call this kind of desk.
const Name = "gorgias"

// Config of a Desk.
type Config struct {
	// HTTP makes the requests; nil means a client of its own with a time-out
	// of 30 s. The caller's ctx bounds each request besides.
	HTTP *http.Client
	// Secret gives the value that a reference names.
	Secret func(settings.SecretRef) (string, error)
}

// Desk executes commands at the Gorgias accounts of all shops. It implements
// caller.Destination and is safe for concurrent use.
type Desk struct {
	http   *http.Client
	secret func(settings.SecretRef) (string, error)

	mu      sync.Mutex
	clients map[string]*client // by shop
}

var _ caller.Destination = (*Desk)(nil)

// New makes a Desk. Nothing is asked of Gorgias before the first command.
func New(cfg Config) (*Desk, error) {
	if cfg.Secret == nil {
		return nil, errors.New("gorgias: Config.Secret is needed to read API keys")
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: 30 * time.Second}
	}
	following := *cfg.HTTP
	following.CheckRedirect = onlyReads
	return &Desk{http: &following, secret: cfg.Secret, clients: map[string]*client{}}, nil
}

// onlyReads follows the redirect from a ticket that was merged into another one for reading only: written
// again as a read, a write would seem to be done.
func onlyReads(req *http.Request, via []*http.Request) error {
	if via[0].Method != http.MethodGet || len(via) > 5 {
		return http.ErrUseLastResponse
	}
	return nil
}

// client gives the shop's client; a changed account gets a new one.
func (d *Desk) client(shop *settings.Shop) (*client, error) {
	key, err := d.secret(shop.Desk.Token)
	if err != nil {
		return nil, &caller.Error{Kind: caller.Unauthorized, Meaning: "the desk's API key, desk.token in the shop's settings (" + string(shop.Desk.Token) + "), cannot be read", Err: err}
	}
	to := account{BaseURL: shop.Desk.BaseURL, Email: shop.Desk.User, Key: key, InboundDomain: shop.Desk.InboundDomain}
	if to.BaseURL == "" {
		to.BaseURL = "https://" + shop.Desk.Subdomain + ".gorgias.com"
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.clients[shop.Shop]; c != nil && c.account == to {
		return c, nil
	}
	c, err := newClient(to, d.http)
	if err != nil {
		return nil, &caller.Error{Kind: caller.Unauthorized, Meaning: "the shop's desk is not set up: check its settings", Err: err}
	}
	d.clients[shop.Shop] = c
	return c, nil
}

// Retry tells what a second try means: messages and tickets are looked up by
// their external ids; setting a status, an assignee or a priority, tags and
// reading may be done again.
func (d *Desk) Retry(cmd *handoffv1.Command) caller.Retry {
	switch cmd.GetAction().(type) {
	case *handoffv1.Command_FetchTicket, *handoffv1.Command_AddTags, *handoffv1.Command_SetTicketStatus,
		*handoffv1.Command_RemoveTags, *handoffv1.Command_AssignTicket, *handoffv1.Command_SetPriority:
		return caller.Idempotent
	}
	return caller.Queryable
}

// KeyLife is 0: what is idempotent here is so by nature.
func (d *Desk) KeyLife() time.Duration { return 0 }

// Limit is the shop's setting, else Gorgias' 40 requests per 20 s for API keys.
func (d *Desk) Limit(shop *settings.Shop) caller.Limit {
	return caller.DeskLimit(shop, caller.Limit{Requests: 40, Window: 20 * time.Second, Burst: 20})
}

// Do executes one command.
func (d *Desk) Do(ctx context.Context, a caller.Attempt) (*handoffv1.Outcome, error) {
	c, err := d.client(a.Shop)
	if err != nil {
		return nil, err
	}
	switch action := a.Command.GetAction().(type) {
	case *handoffv1.Command_CreateTicket:
		return c.create(ctx, a, action.CreateTicket)
	case *handoffv1.Command_FetchTicket:
		items, err := c.fetch(ctx, action.FetchTicket.GetTicketId(), action.FetchTicket.GetAfter())
		if err != nil {
			return nil, err
		}
		done := c.done(action.FetchTicket.GetTicketId())
		done.Items = items
		return done, nil
	}
	if a.TicketID == "" {
		return nil, &caller.Error{Kind: caller.Permanent, Meaning: "there is no ticket to update"}
	}
	switch action := a.Command.GetAction().(type) {
	case *handoffv1.Command_AppendMessages, *handoffv1.Command_AddNote:
		there := map[string]string{}
		if a.Number > 1 {
			if there, err = c.written(ctx, a); err != nil {
				return nil, err
			}
		}
		return c.write(ctx, a, there)
	case *handoffv1.Command_SetTicketStatus:
		if err := c.setStatus(ctx, a.TicketID, action.SetTicketStatus.GetStatus()); err != nil {
			return nil, err
		}
		return c.done(a.TicketID), nil
	case *handoffv1.Command_AddTags:
		err := c.do(ctx, http.MethodPost, "/tickets/"+url.PathEscape(a.TicketID)+"/tags",
			map[string][]string{"names": action.AddTags.GetTags()}, nil, "adding tags")
		if err != nil {
			return nil, err
		}
		return c.done(a.TicketID), nil
	case *handoffv1.Command_RemoveTags, *handoffv1.Command_AssignTicket, *handoffv1.Command_SetPriority:
		return c.change(ctx, a)
	}
	return nil, &caller.Error{Kind: caller.Permanent, Meaning: fmt.Sprintf("a help desk cannot do %T", a.Command.GetAction())}
}

// Lookup asks whether an earlier attempt arrived: a ticket by its external id,
// messages and notes by theirs. An append of which some messages arrived is
// finished here, because only those that are missing may be written again.
func (d *Desk) Lookup(ctx context.Context, a caller.Attempt) (*handoffv1.Outcome, error) {
	c, err := d.client(a.Shop)
	if err != nil {
		return nil, err
	}
	switch action := a.Command.GetAction().(type) {
	case *handoffv1.Command_CreateTicket:
		return c.findCreated(ctx, action.CreateTicket)
	case *handoffv1.Command_AppendMessages, *handoffv1.Command_AddNote:
		if a.TicketID == "" {
			return nil, nil
		}
		there, err := c.written(ctx, a)
		if err != nil || len(there) == 0 {
			return nil, err
		}
		done, err := c.write(ctx, a, there)
		if err != nil {
			return nil, err
		}
		done.Found = true
		return done, nil
	}
	return nil, nil
}

func (c *client) done(ticketID string) *handoffv1.Outcome {
	return &handoffv1.Outcome{
		Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE, TicketId: ticketID, TicketUrl: c.base + "/app/ticket/" + ticketID,
	}
}

// create makes the ticket with its messages and notes in one request, so that
// it exists whole or not at all.
func (c *client) create(ctx context.Context, a caller.Attempt, cmd *handoffv1.CreateTicket) (*handoffv1.Outcome, error) {
	made, err := c.createTicket(ctx, a, cmd)
	if httpcall.StatusOf(err) == http.StatusBadRequest && c.customers.Forget(externalID(a.Record)) {
		// The remembered customer was merged into another: ask again, once.
		made, err = c.createTicket(ctx, a, cmd)
	}
	if err != nil {
		return nil, err
	}
	done := c.done(strconv.FormatInt(made.ID, 10))
	done.ProviderId = done.GetTicketId()
	return done, nil
}

func (c *client) createTicket(ctx context.Context, a caller.Attempt, cmd *handoffv1.CreateTicket) (made ticket, err error) {
	customerID, err := c.customer(ctx, a.Record, cmd.GetRequesterName())
	if err != nil {
		return ticket{}, err
	}
	channel, _ := channelNames(a.Record.GetChannel())
	t := newTicket{
		Channel: channel, Via: "api", Subject: cmd.GetSubject(), ExternalID: cmd.GetExternalId(),
		Status: nativeStatus(cmd.GetStatus()), Customer: party{ID: customerID}, Tags: []tag{},
	}
	if t.Status == "" {
		t.Status = "open"
	}
	for _, name := range cmd.GetTags() {
		t.Tags = append(t.Tags, tag{Name: name})
	}
	for _, m := range cmd.GetMessages() {
		t.Messages = append(t.Messages, c.imported(a, len(t.Messages), m, customerID))
	}
	if cmd.GetFollowUpOf() != "" {
		t.Messages = append(t.Messages, c.note(a, len(t.Messages), "Follow-up of "+c.done(cmd.GetFollowUpOf()).GetTicketUrl()))
	}
	for _, text := range cmd.GetNotes() {
		t.Messages = append(t.Messages, c.note(a, len(t.Messages), text))
	}
	if note := c.customers.Note(externalID(a.Record)); note != "" {
		t.Messages = append(t.Messages, c.note(a, len(t.Messages), note))
	}
	if len(t.Messages) == 0 { // Gorgias wants at least one
		t.Messages = append(t.Messages, c.note(a, 0, cmd.GetSubject()))
	}
	err = c.do(ctx, http.MethodPost, "/tickets", t, &made, "creating the ticket")
	return made, err
}

// findCreated gives the ticket that an earlier attempt made, the oldest of that
// external id, whether trashed since or not: it must not be made again.
func (c *client) findCreated(ctx context.Context, cmd *handoffv1.CreateTicket) (*handoffv1.Outcome, error) {
	var answer list[ticket]
	err := c.do(ctx, http.MethodGet, "/tickets?limit=100&external_id="+url.QueryEscape(cmd.GetExternalId()), nil, &answer, "looking for the ticket")
	if err != nil {
		return nil, err
	}
	var oldest int64
	for _, t := range answer.Data {
		if t.ExternalID != cmd.GetExternalId() || strconv.FormatInt(t.ID, 10) == cmd.GetFollowUpOf() {
			continue
		}
		if oldest == 0 || t.ID < oldest {
			oldest = t.ID
		}
	}
	if oldest == 0 {
		return nil, nil
	}
	done := c.done(strconv.FormatInt(oldest, 10))
	done.ProviderId, done.Found = done.GetTicketId(), true
	return done, nil
}

// written gives the messages of this call that are on the ticket: desk's id by
// external id; never nil without an error.
func (c *client) written(ctx context.Context, a caller.Attempt) (map[string]string, error) {
	prefix := ownPrefix + a.CallID + ":"
	// Nothing of a call is older than its command; an hour for the desk's clock.
	oldest := a.Created.Add(-time.Hour)
	id, err := c.current(ctx, a.TicketID)
	if err != nil {
		return nil, err
	}
	path := "/messages?limit=100&order_by=created_datetime%3Adesc&ticket_id=" + url.QueryEscape(id)
	found, err := newest(ctx, c, path, func(m message) bool { return m.at().Before(oldest) }, "looking for the message")
	if notThere(err) {
		return map[string]string{}, nil // the write itself will say so
	}
	there := map[string]string{}
	for _, m := range found {
		if strings.HasPrefix(m.ExternalID, prefix) {
			there[m.ExternalID] = strconv.FormatInt(m.ID, 10)
		}
	}
	return there, err
}

// write puts the command's messages, or its note, on the ticket, one after the
// other, without those that are there; then it sets the status, because
// Gorgias does not reopen a ticket for an imported message.
func (c *client) write(ctx context.Context, a caller.Attempt, there map[string]string) (*handoffv1.Outcome, error) {
	done := c.done(a.TicketID)
	made, err := c.writeMessages(ctx, a, there)
	if a.Command.GetAddNote() == nil && httpcall.StatusOf(err) == http.StatusBadRequest && c.customers.Forget(externalID(a.Record)) {
		// The remembered customer was merged into another: ask again, once.
		made, err = c.writeMessages(ctx, a, there)
	}
	if err != nil {
		return nil, err
	}
	done.ProviderId = made
	if status := a.Command.GetAppendMessages().GetStatus(); status != handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED {
		if err := c.setStatus(ctx, a.TicketID, status); err != nil {
			return nil, err
		}
	}
	return done, nil
}

// writeMessages gives the desk's id of the last message. there is updated with
// what it writes, if it is not nil.
func (c *client) writeMessages(ctx context.Context, a caller.Attempt, there map[string]string) (last string, err error) {
	messages, err := c.toWrite(ctx, a)
	if err != nil {
		return "", err
	}
	for _, m := range messages {
		if id, ok := there[m.ExternalID]; ok {
			last = id
			continue
		}
		var made message
		err := c.do(ctx, http.MethodPost, "/tickets/"+url.PathEscape(a.TicketID)+"/messages", m, &made, "adding a message to the ticket")
		if err != nil {
			return "", err
		}
		last = strconv.FormatInt(made.ID, 10)
		there[m.ExternalID] = last
	}
	return last, nil
}

// toWrite gives the messages of a command as Gorgias takes them.
func (c *client) toWrite(ctx context.Context, a caller.Attempt) ([]message, error) {
	if add := a.Command.GetAddNote(); add != nil {
		return []message{c.note(a, 0, add.GetText())}, nil
	}
	thread := a.Command.GetAppendMessages().GetMessages()
	if len(thread) == 0 {
		return nil, nil
	}
	customerID, err := c.customer(ctx, a.Record, "")
	if err != nil {
		return nil, err
	}
	messages := make([]message, len(thread))
	for i, m := range thread {
		messages[i] = c.imported(a, i, m, customerID)
	}
	return messages, nil
}

func (c *client) setStatus(ctx context.Context, ticketID string, status handoffv1.TicketStatus) error {
	return c.do(ctx, http.MethodPut, "/tickets/"+url.PathEscape(ticketID), map[string]string{"status": nativeStatus(status)}, nil, "setting the status")
}
