package gorgias

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/caller/httpcall"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/htmltext"
)

// cursor says up to where a ticket was read: the last message, the last event,
// and the state the ticket was in by then.
type cursor struct {
	message, event int64
	state          string
}

// parseCursor reads what String wrote; anything else is the beginning, which is
// safe because whoever gets an item twice drops it by its native id.
func parseCursor(s string) cursor {
	c := cursor{state: "open"}
	parts := strings.SplitN(s, ".", 3)
	if len(parts) != 3 {
		return c
	}
	message, err1 := strconv.ParseInt(strings.TrimPrefix(parts[0], "m"), 10, 64)
	event, err2 := strconv.ParseInt(strings.TrimPrefix(parts[1], "e"), 10, 64)
	if err1 != nil || err2 != nil {
		return c
	}
	return cursor{message: message, event: event, state: parts[2]}
}

// String gives "m<message>.e<event>.<state>".
func (c cursor) String() string {
	return fmt.Sprintf("m%d.e%d.%s", c.message, c.event, c.state)
}

// pageLimit bounds how many pages of a listing are read: 100 items each.
const pageLimit = 200

// newest reads a listing, newest first, until it comes to an item that done
// says is known; it gives the others, oldest first.
func newest[T any](ctx context.Context, c *client, path string, done func(T) bool, doing string) ([]T, error) {
	var fresh []T
	next := ""
	for range pageLimit {
		var page list[T]
		at := path
		if next != "" {
			at += "&cursor=" + url.QueryEscape(next)
		}
		if err := c.do(ctx, http.MethodGet, at, nil, &page, doing); err != nil {
			return nil, err
		}
		known := false
		for _, item := range page.Data {
			if done(item) {
				known = true // the rest of the page is older, but ids and times may cross: skip, don't stop
				continue
			}
			fresh = append(fresh, item)
		}
		if known || page.Meta.NextCursor == "" || page.Meta.NextCursor == next {
			slices.Reverse(fresh)
			return fresh, nil
		}
		next = page.Meta.NextCursor
	}
	return nil, &caller.Error{Kind: caller.Permanent, Meaning: doing + ": the listing does not end"}
}

// messages gives the messages of a ticket after an id, oldest first.
func (c *client) messages(ctx context.Context, id string, after int64) ([]message, error) {
	path := "/messages?limit=100&order_by=created_datetime%3Adesc&ticket_id=" + url.QueryEscape(id)
	found, err := newest(ctx, c, path, func(m message) bool { return m.ID <= after }, "reading the ticket's messages")
	slices.SortStableFunc(found, func(a, b message) int { return order(a.ID, b.ID) })
	return found, err
}

// events gives the events of a ticket after an id, oldest first. Accounts whose
// key may not read events give none: the ticket's own state then stands in.
func (c *client) events(ctx context.Context, id string, after int64) ([]event, error) {
	path := "/events?limit=100&order_by=created_datetime%3Adesc&object_type=Ticket&object_id=" + url.QueryEscape(id)
	found, err := newest(ctx, c, path, func(e event) bool { return e.ID <= after }, "reading the ticket's events")
	switch httpcall.StatusOf(err) {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
		return nil, nil
	}
	slices.SortStableFunc(found, func(a, b event) int { return order(a.ID, b.ID) })
	return found, err
}

func order(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// fetch gives everything after a cursor that matters to the conversation, in
// the desk's order. The ticket is read first: a change after that has its own
// webhook.
func (c *client) fetch(ctx context.Context, id, after string) ([]*handoffv1.DeskItem, error) {
	at := parseCursor(after)
	var t ticket
	err := c.do(ctx, http.MethodGet, "/tickets/"+url.PathEscape(id), nil, &t, "reading the ticket")
	if notThere(err) {
		if readStatus(at.state) == handoffv1.TicketStatus_TICKET_STATUS_DELETED {
			return nil, nil
		}
		return []*handoffv1.DeskItem{at.stateItem(ticket{Status: "deleted"})}, nil
	}
	if err != nil {
		return nil, err
	}
	if now := strconv.FormatInt(t.ID, 10); now != id { // the desk redirects from a ticket that was merged away
		return []*handoffv1.DeskItem{{Cursor: at.String(), NativeId: "merged-" + now, MergedInto: now, MergedIntoExternalId: t.ExternalID}}, nil
	}
	messages, err := c.messages(ctx, id, at.message)
	if err != nil {
		return nil, err
	}
	events, err := c.events(ctx, id, at.event)
	if err != nil {
		return nil, err
	}
	return c.merge(t, at, messages, events, c.self(ctx, events)), nil
}

// merge puts messages and events in one order: by time, a message before an
// event of the same moment, because a reply written with the close comes before
// it (H6). Within messages, and within events, the desk's ids are the order.
func (c *client) merge(t ticket, at cursor, messages []message, events []event, own int64) []*handoffv1.DeskItem {
	told := slices.ContainsFunc(events, func(e event) bool { return e.state() != "" })
	changed := !told && t.native() != at.state && readStatus(t.native()) != handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED
	var items []*handoffv1.DeskItem
	for len(messages) > 0 || len(events) > 0 {
		if len(events) == 0 || len(messages) > 0 && !messages[0].at().After(events[0].Created.Time) {
			m := messages[0]
			messages = messages[1:]
			if changed && m.at().After(t.since()) { // no event told of the state: its own time places it
				items, changed = append(items, at.stateItem(t)), false
				at.state = t.native()
			}
			at.message = m.ID
			if item := c.replyItem(t, m); item != nil {
				item.Cursor = at.String()
				items = append(items, item)
			}
			continue
		}
		e := events[0]
		events = events[1:]
		at.event = e.ID
		state := e.state()
		if state == "closed" && snoozes(t, e, events) {
			state = "snoozed"
		}
		item := &handoffv1.DeskItem{
			At: timestamppb.New(e.Created.Time), NativeId: "event-" + strconv.FormatInt(e.ID, 10), Assignee: e.assignee(),
			ByHandoff: own != 0 && e.UserID == own, Tags: t.tags(), TagsKnown: true,
		}
		if state != "" && state != at.state {
			at.state = state
			item.Status, item.NativeStatus = readStatus(state), state
		}
		if item.Status != handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED || item.Assignee != "" {
			item.Cursor = at.String()
			items = append(items, item)
		}
	}
	if changed {
		items = append(items, at.stateItem(t))
	}
	return items
}

// tags are the ticket's as it was read: Gorgias' events do not say which they were before.
func (t ticket) tags() []string {
	names := make([]string, len(t.Tags))
	for i, tag := range t.Tags {
		names[i] = tag.Name
	}
	return names
}

// snoozes tells whether a closing is only how Gorgias puts a ticket off: the
// next thing told of its state, at about the same moment, is that it sleeps, or
// nothing more is told and it sleeps now.
func snoozes(t ticket, closing event, later []event) bool {
	for _, e := range later {
		if state := e.state(); state != "" {
			return state == "snoozed" && e.Created.Sub(closing.Created.Time) < 5*time.Second
		}
	}
	return t.native() == "snoozed"
}

// stateItem tells of a state that no event told of. Its native id is the same
// as long as nothing else happened, so it is not taken twice.
func (c cursor) stateItem(t ticket) *handoffv1.DeskItem {
	c.state = t.native()
	item := &handoffv1.DeskItem{
		Tags: t.tags(), TagsKnown: t.ID != 0, Cursor: c.String(), NativeId: "state-" + c.String(), Status: readStatus(c.state), NativeStatus: c.state,
	}
	if at := t.since(); !at.IsZero() {
		item.At = timestamppb.New(at)
		item.NativeId += "-" + strconv.FormatInt(at.UnixMicro(), 10)
	}
	return item
}

// state gives the ticket's state that an event tells of, or "".
func (e event) state() string {
	switch e.Type {
	case "ticket-closed":
		return "closed"
	case "ticket-reopened", "ticket-unsnoozed", "ticket-self-unsnoozed", "ticket-untrashed", "ticket-unmarked-spam":
		return "open"
	case "ticket-snoozed":
		return "snoozed"
	case "ticket-trashed":
		return "trashed"
	case "ticket-marked-spam":
		return "spam"
	case "ticket-status-updated":
		var data struct {
			Status string `json:"status"`
		}
		if json.Unmarshal(e.Data, &data) == nil {
			return data.Status
		}
	}
	return ""
}

func (e event) assignee() string {
	if e.Type != "ticket-assigned" && e.Type != "ticket-assignment-updated" {
		return ""
	}
	var data struct {
		User *party `json:"assignee_user"`
		Team *party `json:"assignee_team"`
	}
	if json.Unmarshal(e.Data, &data) != nil {
		return ""
	}
	for _, who := range []*party{data.User, data.Team} {
		if who == nil {
			continue
		}
		if name := who.name(); name != "" {
			return name
		}
		if who.ID != 0 {
			return strconv.FormatInt(who.ID, 10)
		}
	}
	return ""
}

// replyItem gives a message as an agent's reply, or nil where it is none (H14):
// a reply is public, written by a person, on the ticket's own channel, and not
// one of Handoff's own imports.
func (c *client) replyItem(t ticket, m message) *handoffv1.DeskItem {
	if !m.FromAgent || !m.Public || m.Channel != t.Channel || m.RuleID != nil || m.Via == "rule" || c.own(m) {
		return nil
	}
	markup, plain := m.StrippedHTML, m.StrippedText
	if markup == "" && plain == "" {
		markup, plain = m.BodyHTML, m.BodyText
	}
	item := &handoffv1.DeskItem{
		NativeId: strconv.FormatInt(m.ID, 10), IsReply: true, Reply: htmltext.Reply(markup, plain), At: timestamppb.New(m.at()),
	}
	if m.Sender != nil {
		item.Author = m.Sender.name()
	}
	for _, a := range m.Attachments {
		item.MediaUrls = append(item.MediaUrls, a.URL)
	}
	item.MediaUrls = append(item.MediaUrls, htmltext.Pictures(markup, item.MediaUrls)...)
	if item.Reply == "" && len(item.MediaUrls) == 0 {
		return nil
	}
	return item
}

// own tells whether Handoff wrote a message: by its external id, else because
// the API key's user wrote it over the API.
func (c *client) own(m message) bool {
	return strings.HasPrefix(m.ExternalID, ownPrefix) ||
		m.Via == "api" && m.Sender != nil && strings.EqualFold(m.Sender.Email, c.account.Email)
}
