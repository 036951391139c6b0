package zendesk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
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
const Name = "zendesk"

// keyLife is how long Zendesk remembers an Idempotency-Key.
const keyLife = 2 * time.Hour

// Config of a Desk.
type Config struct {
	// HTTP makes the requests; nil means a client of its own with a time-out
	// of 30 s. The caller's ctx bounds each request besides.
	HTTP *http.Client
	// Secret gives the value that a reference names.
	Secret func(settings.SecretRef) (string, error)
}

// Desk executes commands at the Zendesk accounts of all shops. It implements
// caller.Destination and is safe for concurrent use.
type Desk struct {
	http   *http.Client
	secret func(settings.SecretRef) (string, error)

	mu      sync.Mutex
	clients map[string]*client // by shop
}

var _ caller.Destination = (*Desk)(nil)

// New makes a Desk. Nothing is asked of Zendesk before the first command.
func New(cfg Config) (*Desk, error) {
	if cfg.Secret == nil {
		return nil, errors.New("zendesk: Config.Secret is needed to read API tokens")
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: 30 * time.Second}
	}
	return &Desk{http: cfg.HTTP, secret: cfg.Secret, clients: map[string]*client{}}, nil
}

// account reads how a shop is reached.
func (d *Desk) account(shop *settings.Shop) (account, error) {
	base := shop.Desk.BaseURL
	if base == "" {
		base = "https://" + shop.Desk.Subdomain + ".zendesk.com"
	}
	token, err := d.secret(shop.Desk.Token)
	if err != nil {
		return account{}, fmt.Errorf("reading the API token %s: %w", shop.Desk.Token, err)
	}
	return account{BaseURL: base, Email: shop.Desk.User, Token: token}, nil
}

// client gives the shop's client; a changed account gets a new one.
func (d *Desk) client(shop *settings.Shop) (*client, error) {
	to, err := d.account(shop)
	if err != nil {
		return nil, &caller.Error{Kind: caller.Unauthorized, Meaning: "the desk's API token, desk.token in the shop's settings (" + string(shop.Desk.Token) + "), cannot be read", Err: err}
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

// Retry tells what a second try means: ticket creation is idempotent by its
// key, reading, tags, assignee and priority are by nature, all other updates leave a marker
// that can be looked up.
func (d *Desk) Retry(cmd *handoffv1.Command) caller.Retry {
	switch cmd.GetAction().(type) {
	case *handoffv1.Command_CreateTicket, *handoffv1.Command_FetchTicket, *handoffv1.Command_AddTags,
		*handoffv1.Command_RemoveTags, *handoffv1.Command_AssignTicket, *handoffv1.Command_SetPriority:
		return caller.Idempotent
	}
	return caller.Queryable
}

// KeyLife is two hours, Zendesk's memory of idempotency keys.
func (d *Desk) KeyLife() time.Duration { return keyLife }

// Limit is the shop's setting, else the smallest plan's 200 requests a minute.
func (d *Desk) Limit(shop *settings.Shop) caller.Limit {
	return caller.DeskLimit(shop, caller.Limit{Requests: 200, Window: time.Minute, Burst: 50})
}

// Do executes one command.
func (d *Desk) Do(ctx context.Context, a caller.Attempt) (*handoffv1.Outcome, error) {
	c, err := d.client(a.Shop)
	if err != nil {
		return nil, err
	}
	switch action := a.Command.GetAction().(type) {
	case *handoffv1.Command_CreateTicket:
		return c.doCreate(ctx, a, action.CreateTicket)
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
	case *handoffv1.Command_AppendMessages:
		return c.doAppend(ctx, a, action.AppendMessages)
	case *handoffv1.Command_AddNote:
		return c.doUpdate(ctx, a, "adding a note", ticketUpdate{Comment: &comment{Body: action.AddNote.GetText()}})
	case *handoffv1.Command_SetTicketStatus:
		return c.doUpdate(ctx, a, "setting the status", ticketUpdate{Status: nativeStatus(action.SetTicketStatus.GetStatus())})
	case *handoffv1.Command_AddTags:
		return c.doUpdate(ctx, a, "adding tags", ticketUpdate{AdditionalTags: cleanTags(action.AddTags.GetTags())})
	case *handoffv1.Command_RemoveTags:
		return c.doRemoveTags(ctx, a, action.RemoveTags)
	case *handoffv1.Command_AssignTicket:
		return c.doAssign(ctx, a, action.AssignTicket)
	case *handoffv1.Command_SetPriority:
		return c.doUpdate(ctx, a, "setting the priority", ticketUpdate{Priority: nativePriority(action.SetPriority.GetPriority())})
	}
	return nil, &caller.Error{Kind: caller.Permanent, Meaning: fmt.Sprintf("a help desk cannot do %T", a.Command.GetAction())}
}

// Lookup asks whether an earlier attempt arrived: a ticket by its external id
// (notes that are still missing on it are added, because creating it again
// would make a second one), an update by the marker in its audit.
func (d *Desk) Lookup(ctx context.Context, a caller.Attempt) (*handoffv1.Outcome, error) {
	c, err := d.client(a.Shop)
	if err != nil {
		return nil, err
	}
	switch action := a.Command.GetAction().(type) {
	case *handoffv1.Command_CreateTicket:
		t, ok, err := c.findCreated(ctx, action.CreateTicket)
		if err != nil || !ok {
			return nil, err
		}
		if _, err := c.requester(ctx, a.Record, action.CreateTicket.GetRequesterName()); err != nil { // for the note on several
			return nil, err
		}
		return c.finishCreate(ctx, a, action.CreateTicket, t, true)
	case *handoffv1.Command_FetchTicket:
		return nil, nil
	}
	if a.TicketID == "" {
		return nil, nil
	}
	calls, err := c.marked(ctx, a.TicketID)
	if httpcall.StatusOf(err) == http.StatusNotFound {
		return nil, nil // the update itself will say so
	}
	if err != nil {
		return nil, err
	}
	made, ok := calls[a.CallID]
	if !ok {
		return nil, nil
	}
	done := c.done(a.TicketID)
	done.ProviderId, done.Found = made, true
	return done, nil
}

func (c *client) done(ticketID string) *handoffv1.Outcome {
	return &handoffv1.Outcome{
		Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE, TicketId: ticketID,
		TicketUrl: c.base + "/agent/tickets/" + ticketID,
	}
}

func (c *client) doCreate(ctx context.Context, a caller.Attempt, cmd *handoffv1.CreateTicket) (*handoffv1.Outcome, error) {
	made, hit, err := c.create(ctx, a, cmd)
	if names(err, "requester", "requester_id", "author", "author_id") {
		// The remembered user was merged away or deleted: ask again, once.
		c.requesters.Forget(requesterID(a.Record))
		made, hit, err = c.create(ctx, a, cmd)
	}
	if err != nil {
		return nil, err
	}
	return c.finishCreate(ctx, a, cmd, made, hit)
}

func (c *client) create(ctx context.Context, a caller.Attempt, cmd *handoffv1.CreateTicket) (made ticket, hit bool, err error) {
	requester, err := c.requester(ctx, a.Record, cmd.GetRequesterName())
	if err != nil {
		return ticket{}, false, err
	}
	t := newTicket{
		Subject: cmd.GetSubject(), ExternalID: cmd.GetExternalId(), RequesterID: requester,
		Status: nativeStatus(cmd.GetStatus()), Tags: cleanTags(cmd.GetTags()), Metadata: mark(a.CallID),
		Comment: comment{Body: transcript(cmd.GetMessages(), a.Record), Public: true, AuthorID: requester},
	}
	if t.Status == "" {
		t.Status = "open"
	}
	if t.Comment.Body == "" {
		t.Comment.Body = cmd.GetSubject() // Zendesk refuses an empty first comment
	}
	if id, err := strconv.ParseInt(cmd.GetFollowUpOf(), 10, 64); err == nil {
		t.FollowupSourceID = id
	}
	made, hit, err = c.createTicket(ctx, t, a.CallID)
	if err == nil {
		return made, hit, nil
	}
	if e := caller.AsError(err); e.Code == "IdempotentRequestError" {
		// The key made a ticket from another body, e.g. before the requester was
		// merged: that ticket is this call's.
		found, ok, lookupErr := c.findCreated(ctx, cmd)
		if lookupErr != nil {
			return ticket{}, false, lookupErr
		}
		if ok {
			return found, true, nil
		}
		return ticket{}, false, err
	}
	made, hit, _, err = c.createRepaired(ctx, t, a.CallID, err)
	return made, hit, err
}

// finishCreate adds the command's notes to a ticket that exists. seen tells that
// some of them may be there already. A note that the desk refuses for good does
// not undo the ticket: the outcome says so.
func (c *client) finishCreate(ctx context.Context, a caller.Attempt, cmd *handoffv1.CreateTicket, t ticket, seen bool) (*handoffv1.Outcome, error) {
	id := strconv.FormatInt(t.ID, 10)
	done := c.done(id)
	done.ProviderId, done.Found = id, seen
	notes := cmd.GetNotes()
	if note := c.requesters.Note(requesterID(a.Record)); note != "" {
		notes = append(slices.Clone(notes), note)
	}
	if len(notes) == 0 {
		return done, nil
	}
	calls := map[string]string{}
	if seen || a.Number > 1 {
		var err error
		if calls, err = c.marked(ctx, id); err != nil {
			return nil, err
		}
	}
	for i, note := range notes {
		call := a.CallID + "#" + strconv.Itoa(i+1)
		if _, ok := calls[call]; ok {
			continue
		}
		_, err := c.update(ctx, id, call, ticketUpdate{Comment: &comment{Body: note}}, "adding a note")
		if e := caller.AsError(err); err != nil && e.Kind != caller.Permanent {
			return nil, err
		} else if err != nil {
			done.Meaning = strings.TrimSpace(done.Meaning + " A note could not be added: " + e.Error() + ".")
		}
	}
	return done, nil
}

// doAppend adds messages as one comment, so that it happens whole or not at
// all. The customer's words are public and authored by the requester; a comment
// without any is private, so that Zendesk sends it to nobody.
func (c *client) doAppend(ctx context.Context, a caller.Attempt, cmd *handoffv1.AppendMessages) (*handoffv1.Outcome, error) {
	messages := cmd.GetMessages()
	if len(messages) == 0 {
		if cmd.GetStatus() == handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED {
			return c.done(a.TicketID), nil
		}
		return c.doUpdate(ctx, a, "setting the status", ticketUpdate{Status: nativeStatus(cmd.GetStatus())})
	}
	body := comment{Body: transcript(messages, a.Record)}
	u := ticketUpdate{Status: nativeStatus(cmd.GetStatus()), Comment: &body}
	for _, m := range messages {
		body.Public = body.Public || byCustomer(m)
	}
	if !body.Public {
		return c.doUpdate(ctx, a, "appending messages", u)
	}
	if len(messages) == 1 {
		body.Body = words(messages[0])
	}
	author, err := c.requester(ctx, a.Record, "")
	if err != nil {
		return nil, err
	}
	body.AuthorID = author
	done, err := c.doUpdate(ctx, a, "appending messages", u)
	if names(err, "requester", "author", "author_id", "comment") && caller.AsError(err).Kind == caller.Permanent {
		c.requesters.Forget(requesterID(a.Record))
		if body.AuthorID, err = c.requester(ctx, a.Record, ""); err != nil {
			return nil, err
		}
		return c.doUpdate(ctx, a, "appending messages", u)
	}
	return done, err
}

func (c *client) doUpdate(ctx context.Context, a caller.Attempt, doing string, u ticketUpdate) (*handoffv1.Outcome, error) {
	id := a.TicketID
	made, err := c.update(ctx, id, a.CallID, u, doing)
	for range 5 { // a ticket that was merged into another one takes nothing: it goes there (M7)
		if !caller.AsError(err).TicketGone {
			break
		}
		into, ok, lookErr := c.survivor(ctx, id)
		if lookErr != nil || !ok {
			break
		}
		id = into
		calls, lookErr := c.marked(ctx, id)
		if lookErr != nil {
			return nil, lookErr
		}
		if done, ok := calls[a.CallID]; ok { // an earlier attempt came there
			made, err = done, nil
			break
		}
		made, err = c.update(ctx, id, a.CallID, u, doing)
	}
	if err != nil {
		return nil, err
	}
	done := c.done(id)
	done.ProviderId = made
	return done, nil
}
