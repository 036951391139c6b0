package clickhouse

import (
	"time"

	"github.com/handoff-dev/handoff/schemas/rows"
)

// table is one table's part of a batch.
type table struct {
	name    string
	rows    int
	columns []series
}

// tables lists a batch's tables in the order of their insertion.
func tables(b *rows.Batch) []table {
	return []table{messagesTable(b.Messages), episodeEventsTable(b.EpisodeEvents), consentChangesTable(b.ConsentChanges),
		consentEventsTable(b.ConsentEvents), ruleRunsTable(b.RuleRuns), ticketEventsTable(b.TicketEvents), deliveriesTable(b.Deliveries), rejectedTable(b.Rejected)}
}

// originColumns are what every fact's table begins with.
func originColumns[R any](list []R, of func(*R) *rows.Origin) []series {
	return []series{
		values("partition", list, func(r *R) int32 { return of(r).Partition }),
		values("offset", list, func(r *R) int64 { return of(r).Offset }),
		texts("id", list, func(r *R) string { return of(r).ID }),
		times("time", list, func(r *R) time.Time { return of(r).Time }),
		times("received_at", list, func(r *R) time.Time { return of(r).ReceivedAt }),
		times("decided_at", list, func(r *R) time.Time { return of(r).DecidedAt }),
		words("shop", list, func(r *R) string { return of(r).Shop }),
		words("channel", list, func(r *R) string { return of(r).Channel }),
		words("account", list, func(r *R) string { return of(r).Account }),
		texts("address", list, func(r *R) string { return of(r).Address }),
		words("conversation", list, func(r *R) string { return of(r).Conversation }),
		words("stage", list, func(r *R) string { return of(r).Stage }),
		texts("reason", list, func(r *R) string { return of(r).Reason }),
	}
}

func messagesTable(list []rows.Message) table {
	origin := originColumns(list, func(m *rows.Message) *rows.Origin { return &m.Origin })
	return table{name: "messages", rows: len(list), columns: append(origin,
		texts("message_id", list, func(m *rows.Message) string { return m.MessageID }),
		words("direction", list, func(m *rows.Message) string { return m.Direction }),
		words("author", list, func(m *rows.Message) string { return m.Author }),
		texts("author_name", list, func(m *rows.Message) string { return m.AuthorName }),
		texts("text", list, func(m *rows.Message) string { return m.Text }),
		values("media", list, func(m *rows.Message) uint32 { return m.Media }),
		words("text_class", list, func(m *rows.Message) string { return m.TextClass }),
		words("intent", list, func(m *rows.Message) string { return m.Intent }),
		values("confidence", list, func(m *rows.Message) float32 { return m.Confidence }),
		values("sentiment", list, func(m *rows.Message) float32 { return m.Sentiment }),
		words("language", list, func(m *rows.Message) string { return m.Language }),
		words("directive", list, func(m *rows.Message) string { return m.Directive }),
		texts("matched", list, func(m *rows.Message) string { return m.Matched }),
		values("unsure", list, func(m *rows.Message) bool { return m.Unsure }),
		values("thanks_only", list, func(m *rows.Message) bool { return m.ThanksOnly }),
		values("asks_for_person", list, func(m *rows.Message) bool { return m.AsksForPerson }),
		words("classifier", list, func(m *rows.Message) string { return m.Classifier }),
		values("episode", list, func(m *rows.Message) uint64 { return m.Episode }),
		texts("native_id", list, func(m *rows.Message) string { return m.NativeID }),
	)}
}

func episodeEventsTable(list []rows.EpisodeEvent) table {
	origin := originColumns(list, func(e *rows.EpisodeEvent) *rows.Origin { return &e.Origin })
	return table{name: "episode_events", rows: len(list), columns: append(origin,
		values("episode", list, func(e *rows.EpisodeEvent) uint64 { return e.Episode }),
		words("from_state", list, func(e *rows.EpisodeEvent) string { return e.From }),
		words("to_state", list, func(e *rows.EpisodeEvent) string { return e.To }),
		words("signal", list, func(e *rows.EpisodeEvent) string { return e.Signal }),
		words("intent", list, func(e *rows.EpisodeEvent) string { return e.Intent }),
		texts("signal_text", list, func(e *rows.EpisodeEvent) string { return e.SignalText }),
		words("desk", list, func(e *rows.EpisodeEvent) string { return e.Desk }),
		texts("ticket_id", list, func(e *rows.EpisodeEvent) string { return e.TicketID }),
		texts("ticket_url", list, func(e *rows.EpisodeEvent) string { return e.TicketURL }),
		moments("signalled_at", list, func(e *rows.EpisodeEvent) *time.Time { return &e.SignalledAt }),
		moments("offered_at", list, func(e *rows.EpisodeEvent) *time.Time { return &e.OfferedAt }),
		moments("requested_at", list, func(e *rows.EpisodeEvent) *time.Time { return &e.RequestedAt }),
		moments("opened_at", list, func(e *rows.EpisodeEvent) *time.Time { return &e.OpenedAt }),
		moments("first_reply_at", list, func(e *rows.EpisodeEvent) *time.Time { return &e.FirstReplyAt }),
		moments("ended_at", list, func(e *rows.EpisodeEvent) *time.Time { return &e.EndedAt }),
		values("agent_replies", list, func(e *rows.EpisodeEvent) uint32 { return e.AgentReplies }),
		values("reopened", list, func(e *rows.EpisodeEvent) uint32 { return e.Reopened }),
	)}
}

func consentChangesTable(list []rows.ConsentChange) table {
	origin := originColumns(list, func(c *rows.ConsentChange) *rows.Origin { return &c.Origin })
	return table{name: "consent_changes", rows: len(list), columns: append(origin,
		values("version", list, func(c *rows.ConsentChange) uint64 { return c.Version }),
		words("scope", list, func(c *rows.ConsentChange) string { return c.Scope }),
		words("prior", list, func(c *rows.ConsentChange) string { return c.Prior }),
		words("status", list, func(c *rows.ConsentChange) string { return c.Status }),
		words("source", list, func(c *rows.ConsentChange) string { return c.Source }),
		words("keyword", list, func(c *rows.ConsentChange) string { return c.Keyword }),
		texts("text", list, func(c *rows.ConsentChange) string { return c.Text }),
		texts("message_id", list, func(c *rows.ConsentChange) string { return c.MessageID }),
	)}
}

func consentEventsTable(list []rows.ConsentEvent) table {
	origin := originColumns(list, func(e *rows.ConsentEvent) *rows.Origin { return &e.Origin })
	return table{name: "consent_events", rows: len(list), columns: append(origin,
		words("kind", list, func(e *rows.ConsentEvent) string { return e.Kind }),
		texts("text", list, func(e *rows.ConsentEvent) string { return e.Text }),
		texts("message_id", list, func(e *rows.ConsentEvent) string { return e.MessageID }),
		texts("decider", list, func(e *rows.ConsentEvent) string { return e.By }),
		moments("due_at", list, func(e *rows.ConsentEvent) *time.Time { return &e.DueAt }),
		values("subscriber", list, func(e *rows.ConsentEvent) uint64 { return e.Subscriber }),
		texts("person", list, func(e *rows.ConsentEvent) string { return e.Person }),
	)}
}

func ruleRunsTable(list []rows.RuleRun) table {
	origin := originColumns(list, func(r *rows.RuleRun) *rows.Origin { return &r.Origin })
	return table{name: "rule_runs", rows: len(list), columns: append(origin,
		words("rule", list, func(r *rows.RuleRun) string { return r.Rule }),
		words("asked_at", list, func(r *rows.RuleRun) string { return r.When }),
		lists("did", list, func(r *rows.RuleRun) []string { return r.Did }),
		lists("refused", list, func(r *rows.RuleRun) []string { return r.Refused }),
		lists("lists", list, func(r *rows.RuleRun) []string { return r.Lists }),
		values("episode", list, func(r *rows.RuleRun) uint64 { return r.Episode }),
		texts("ticket_id", list, func(r *rows.RuleRun) string { return r.TicketID }),
	)}
}

func ticketEventsTable(list []rows.TicketEvent) table {
	origin := originColumns(list, func(e *rows.TicketEvent) *rows.Origin { return &e.Origin })
	return table{name: "ticket_events", rows: len(list), columns: append(origin,
		texts("ticket_id", list, func(e *rows.TicketEvent) string { return e.TicketID }),
		texts("ticket_url", list, func(e *rows.TicketEvent) string { return e.TicketURL }),
		words("desk", list, func(e *rows.TicketEvent) string { return e.Desk }),
		words("status", list, func(e *rows.TicketEvent) string { return e.Status }),
		words("prior", list, func(e *rows.TicketEvent) string { return e.Prior }),
		words("native_status", list, func(e *rows.TicketEvent) string { return e.NativeStatus }),
		values("reopened", list, func(e *rows.TicketEvent) bool { return e.Reopened }),
		texts("assignee", list, func(e *rows.TicketEvent) string { return e.Assignee }),
		texts("merged_into", list, func(e *rows.TicketEvent) string { return e.MergedInto }),
		values("episode", list, func(e *rows.TicketEvent) uint64 { return e.Episode }),
	)}
}

func deliveriesTable(list []rows.Delivery) table {
	origin := originColumns(list, func(d *rows.Delivery) *rows.Origin { return &d.Origin })
	return table{name: "deliveries", rows: len(list), columns: append(origin,
		texts("call_id", list, func(d *rows.Delivery) string { return d.CallID }),
		words("action", list, func(d *rows.Delivery) string { return d.Action }),
		words("status", list, func(d *rows.Delivery) string { return d.Status }),
		words("state", list, func(d *rows.Delivery) string { return d.State }),
		words("block_reason", list, func(d *rows.Delivery) string { return d.BlockReason }),
		words("code", list, func(d *rows.Delivery) string { return d.Code }),
		words("destination", list, func(d *rows.Delivery) string { return d.Destination }),
		words("text_class", list, func(d *rows.Delivery) string { return d.TextClass }),
		values("segments", list, func(d *rows.Delivery) uint32 { return d.Segments }),
		values("credits", list, func(d *rows.Delivery) uint32 { return d.Credits }),
		values("attempts", list, func(d *rows.Delivery) uint32 { return d.Attempts }),
		values("crossed", list, func(d *rows.Delivery) bool { return d.Crossed }),
		texts("provider_id", list, func(d *rows.Delivery) string { return d.ProviderID }),
		texts("ticket_id", list, func(d *rows.Delivery) string { return d.TicketID }),
		values("episode", list, func(d *rows.Delivery) uint64 { return d.Episode }),
		moments("started_at", list, func(d *rows.Delivery) *time.Time { return &d.StartedAt }),
		moments("ended_at", list, func(d *rows.Delivery) *time.Time { return &d.EndedAt }),
	)}
}

func rejectedTable(list []rows.Rejected) table {
	return table{name: "rejected", rows: len(list), columns: []series{
		values("partition", list, func(r *rows.Rejected) int32 { return r.Partition }),
		values("offset", list, func(r *rows.Rejected) int64 { return r.Offset }),
		times("time", list, func(r *rows.Rejected) time.Time { return r.Time }),
		texts("key", list, func(r *rows.Rejected) string { return string(r.Key) }),
		texts("value", list, func(r *rows.Rejected) string { return string(r.Value) }),
		texts("error", list, func(r *rows.Rejected) string { return r.Error }),
	}}
}
