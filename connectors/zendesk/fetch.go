package zendesk

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/caller/httpcall"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/htmltext"
)

// cursor says up to where a ticket's history was read: the last audit, the page
// it stood on (so that long tickets are not read from their beginning), and
// whether the ticket was gone by then.
type cursor struct {
	audit int64
	page  string
	gone  bool
}

// parseCursor reads what String wrote; anything else is the beginning, which is
// safe because whoever gets an item twice drops it by its native id.
func parseCursor(s string) cursor {
	var c cursor
	s, c.gone = strings.CutSuffix(s, "!")
	id, page, _ := strings.Cut(s, "@")
	audit, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return cursor{gone: c.gone}
	}
	c.audit, c.page = audit, page
	return c
}

// String gives "<audit>[@<page>][!]".
func (c cursor) String() string {
	s := strconv.FormatInt(c.audit, 10)
	if c.page != "" {
		s += "@" + c.page
	}
	if c.gone {
		s += "!"
	}
	return s
}

// notTyped are the channels and relations of an audit's via that say no agent
// typed the comment on the ticket itself (H14): mail, calls, business rules,
// merges. Source: Zendesk's "Via object reference".
func notTyped(v via) bool {
	switch v.Channel {
	case "email", "rule", "trigger", "automation", "system", "voice", "voicemail", "phone_call_inbound",
		"phone_call_outbound", "sms", "twitter", "twitter_dm", "facebook", "instagram_dm", "closed_ticket", "import":
		return true
	}
	switch v.Source.Rel {
	case "merge", "trigger", "automation", "follow_up", "inbound", "outbound", "voicemail":
		return true
	}
	return false
}

// fetch gives everything after a cursor that matters to the conversation, in
// the desk's order: agents' replies, then status and assignee of each audit.
func (c *client) fetch(ctx context.Context, id, after string) ([]*handoffv1.DeskItem, error) {
	since := parseCursor(after)
	var fresh []audit
	pages := map[int64]string{}
	collect := func(a audit, page string) bool {
		if a.ID > since.audit {
			fresh = append(fresh, a)
			pages[a.ID] = page
		}
		return true
	}
	err := c.audits(ctx, id, since.page, collect)
	if httpcall.StatusOf(err) == http.StatusBadRequest && since.page != "" { // the page cursor is not taken any more
		fresh, since.page = nil, ""
		err = c.audits(ctx, id, "", collect)
	}
	if httpcall.StatusOf(err) == http.StatusNotFound {
		return deleted(since), nil
	}
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(fresh, func(a, b audit) int { return int(min(1, max(-1, a.ID-b.ID))) })
	own, err := c.self(ctx)
	if err != nil {
		return nil, err
	}
	people, err := c.users(ctx, authors(fresh, own))
	if err != nil {
		return nil, err
	}
	var items []*handoffv1.DeskItem
	if since.gone { // deleted and brought back: say what it is now
		t, err := c.ticket(ctx, id)
		if err != nil {
			return nil, err
		}
		since.gone = false
		items = append(items, &handoffv1.DeskItem{
			Cursor: since.String(), NativeId: "undeleted-" + since.String(), Status: readStatus(t.Status), NativeStatus: t.Status,
		})
	}
	for _, a := range fresh {
		items = append(items, itemsOf(a, cursor{audit: a.ID, page: pages[a.ID]}.String(), own, people)...)
	}
	return items, c.nameSurvivor(ctx, items)
}

// nameSurvivor fills in whose ticket it is that this one was merged into, where it still can be read (M7).
func (c *client) nameSurvivor(ctx context.Context, items []*handoffv1.DeskItem) error {
	for _, item := range items {
		if item.GetMergedInto() == "" {
			continue
		}
		t, err := c.ticket(ctx, item.GetMergedInto())
		if status := httpcall.StatusOf(err); status == http.StatusNotFound {
			continue
		}
		if err != nil {
			return err
		}
		item.MergedIntoExternalId = t.ExternalID
	}
	return nil
}

// deleted reports a ticket that is gone, once.
func deleted(since cursor) []*handoffv1.DeskItem {
	if since.gone {
		return nil
	}
	since.gone = true
	return []*handoffv1.DeskItem{{
		Cursor: since.String(), NativeId: "deleted-" + since.String(),
		Status: handoffv1.TicketStatus_TICKET_STATUS_DELETED, NativeStatus: "deleted",
	}}
}

// authors lists whose comments and assignments need a name or a role.
func authors(audits []audit, own int64) []int64 {
	var ids []int64
	add := func(id int64) {
		if id > 0 && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, a := range audits {
		for _, e := range a.Events {
			switch {
			case e.Type == "Comment" && e.Public && writer(a, e) != own:
				add(writer(a, e))
			case e.Type == "Comment" && e.Public:
				add(own)
			case e.Type == "Change" && e.FieldName == "assignee_id":
				if id, err := strconv.ParseInt(text(e.Value), 10, 64); err == nil {
					add(id)
				}
			}
		}
	}
	return ids
}

func writer(a audit, e auditEvent) int64 {
	if e.AuthorID != 0 {
		return e.AuthorID
	}
	return a.AuthorID
}

// itemsOf gives what one audit means: its replies first, because a reply
// written with the close comes before it (H6).
func itemsOf(a audit, at string, own int64, people map[int64]user) []*handoffv1.DeskItem {
	var items []*handoffv1.DeskItem
	item := func(e auditEvent) *handoffv1.DeskItem {
		return &handoffv1.DeskItem{Cursor: at, At: timestamppb.New(a.CreatedAt), NativeId: strconv.FormatInt(e.ID, 10)}
	}
	if into := mergedInto(a); into != "" {
		return []*handoffv1.DeskItem{{
			Cursor: at, At: timestamppb.New(a.CreatedAt), NativeId: "merged-" + strconv.FormatInt(a.ID, 10), MergedInto: into,
		}}
	}
	for _, e := range a.Events {
		if !isReply(a, e, own, people) {
			continue
		}
		reply := item(e)
		reply.IsReply = true
		reply.Reply = htmltext.Reply(e.HTMLBody, e.Body)
		reply.Author = people[writer(a, e)].Name
		for _, attachment := range e.Attachments {
			reply.MediaUrls = append(reply.MediaUrls, attachment.ContentURL)
		}
		reply.MediaUrls = append(reply.MediaUrls, htmltext.Pictures(e.HTMLBody, reply.MediaUrls)...)
		if reply.Reply != "" || len(reply.MediaUrls) > 0 {
			items = append(items, reply)
		}
	}
	ours := a.Metadata.call() != "" || a.AuthorID == own && a.Via.Channel == "api"
	for _, e := range a.Events {
		if e.Type != "Change" {
			continue
		}
		change := item(e)
		switch e.FieldName {
		case "status":
			change.NativeStatus = text(e.Value)
			change.Status = readStatus(change.NativeStatus)
		case "assignee_id":
			change.Assignee = assigneeName(text(e.Value), people)
		case "tags":
			change.TagsKnown = json.Unmarshal(e.Value, &change.Tags) == nil
		}
		change.ByHandoff = ours
		if change.Status != handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED || change.Assignee != "" || change.TagsKnown {
			items = append(items, change)
		}
	}
	return items
}

// isReply tells what is an agent's reply (H14): public, by a person on the
// desk's staff, typed on the ticket. Handoff's own comments carry its marker or
// its user; that user's comments from the desk's own pages are a person's, for
// shops that lend the token an agent's account.
func isReply(a audit, e auditEvent, own int64, people map[int64]user) bool {
	if e.Type != "Comment" || !e.Public || a.Metadata.call() != "" {
		return false
	}
	v := a.Via
	if e.Via != nil && e.Via.Channel != "" {
		v = *e.Via
	}
	by := writer(a, e)
	if by == own && v.Channel != "web" && v.Channel != "mobile" && v.Channel != "mobile_sdk" || notTyped(v) {
		return false
	}
	role := people[by].Role
	return role != "" && role != "end-user"
}

func assigneeName(id string, people map[int64]user) string {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return ""
	}
	if name := people[n].Name; name != "" {
		return name
	}
	return id
}

// mergedTag is what Zendesk puts on a ticket that it closes because it was merged into another.
const mergedTag = "closed_by_merge"

// mergedInto gives the ticket that an audit merges this one into, or "" (M7). The tag says that it does;
// where to, the comment's origin says, or else its text: "… merged into request #35 …".
func mergedInto(a audit) string {
	merged := false
	for _, e := range a.Events {
		var tags []string
		if e.Type == "Change" && e.FieldName == "tags" && json.Unmarshal(e.Value, &tags) == nil {
			merged = merged || slices.Contains(tags, mergedTag)
		}
	}
	if !merged {
		return ""
	}
	for _, e := range a.Events {
		if e.Type != "Comment" {
			continue
		}
		v := a.Via
		if e.Via != nil {
			v = *e.Via
		}
		if to := string(v.Source.To.TicketID); isID(to) {
			return to
		}
		_, after, _ := strings.Cut(e.Body, "#")
		if end := strings.IndexFunc(after, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
			after = after[:end]
		}
		if isID(after) {
			return after
		}
	}
	return ""
}
