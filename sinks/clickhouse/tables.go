package clickhouse

import (
	"time"

	"github.com/handoff-dev/handoff/schemas/rows"
)

// table is one table's part of a batch: its columns and, by row, its values.
type table struct {
	name    string
	columns []string
	rows    int
	values  func(row int) []any
}

// tables lists a batch's tables in the order of their insertion.
func tables(b *rows.Batch) []table {
	return []table{messagesTable(b.Messages), episodeEventsTable(b.EpisodeEvents), consentChangesTable(b.ConsentChanges),
		consentEventsTable(b.ConsentEvents), ruleRunsTable(b.RuleRuns), ticketEventsTable(b.TicketEvents), deliveriesTable(b.Deliveries), rejectedTable(b.Rejected)}
}

// originColumns are what every fact's table begins with.
func originColumns(more ...string) []string {
	return append([]string{"partition", "offset", "id", "time", "received_at", "decided_at", "shop", "channel", "account", "address", "conversation", "stage", "reason"}, more...)
}

func originValues(o *rows.Origin, more ...any) []any {
	return append([]any{o.Partition, o.Offset, o.ID, stamp(o.Time), stamp(o.ReceivedAt), stamp(o.DecidedAt), o.Shop, o.Channel, o.Account, o.Address, o.Conversation, o.Stage, o.Reason}, more...)
}

// stamp is a time for a column that must have one: 1970 stands for none.
func stamp(t time.Time) time.Time {
	if t.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return t
}

// maybe is a time for a column that may be NULL.
func maybe(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func messagesTable(list []rows.Message) table {
	return table{
		name: "messages", rows: len(list),
		columns: originColumns("message_id", "direction", "author", "author_name", "text", "media", "text_class", "intent", "confidence", "sentiment",
			"language", "directive", "matched", "unsure", "thanks_only", "asks_for_person", "classifier", "episode", "native_id"),
		values: func(i int) []any {
			m := &list[i]
			return originValues(&m.Origin, m.MessageID, m.Direction, m.Author, m.AuthorName, m.Text, m.Media, m.TextClass, m.Intent, m.Confidence, m.Sentiment,
				m.Language, m.Directive, m.Matched, m.Unsure, m.ThanksOnly, m.AsksForPerson, m.Classifier, m.Episode, m.NativeID)
		},
	}
}

func episodeEventsTable(list []rows.EpisodeEvent) table {
	return table{
		name: "episode_events", rows: len(list),
		columns: originColumns("episode", "from_state", "to_state", "signal", "intent", "signal_text", "desk", "ticket_id", "ticket_url", "signalled_at", "offered_at",
			"requested_at", "opened_at", "first_reply_at", "ended_at", "agent_replies", "reopened"),
		values: func(i int) []any {
			e := &list[i]
			return originValues(&e.Origin, e.Episode, e.From, e.To, e.Signal, e.Intent, e.SignalText, e.Desk, e.TicketID, e.TicketURL, maybe(e.SignalledAt), maybe(e.OfferedAt),
				maybe(e.RequestedAt), maybe(e.OpenedAt), maybe(e.FirstReplyAt), maybe(e.EndedAt), e.AgentReplies, e.Reopened)
		},
	}
}

func consentChangesTable(list []rows.ConsentChange) table {
	return table{
		name: "consent_changes", rows: len(list),
		columns: originColumns("version", "scope", "prior", "status", "source", "keyword", "text", "message_id"),
		values: func(i int) []any {
			c := &list[i]
			return originValues(&c.Origin, c.Version, c.Scope, c.Prior, c.Status, c.Source, c.Keyword, c.Text, c.MessageID)
		},
	}
}

func consentEventsTable(list []rows.ConsentEvent) table {
	return table{
		name: "consent_events", rows: len(list),
		columns: originColumns("kind", "text", "message_id", "decider", "due_at", "subscriber", "person"),
		values: func(i int) []any {
			e := &list[i]
			return originValues(&e.Origin, e.Kind, e.Text, e.MessageID, e.By, maybe(e.DueAt), e.Subscriber, e.Person)
		},
	}
}

func ruleRunsTable(list []rows.RuleRun) table {
	return table{
		name: "rule_runs", rows: len(list),
		columns: originColumns("rule", "asked_at", "did", "refused", "lists", "episode", "ticket_id"),
		values: func(i int) []any {
			r := &list[i]
			return originValues(&r.Origin, r.Rule, r.When, listed(r.Did), listed(r.Refused), listed(r.Lists), r.Episode, r.TicketID)
		},
	}
}

func ticketEventsTable(list []rows.TicketEvent) table {
	return table{
		name: "ticket_events", rows: len(list),
		columns: originColumns("ticket_id", "ticket_url", "desk", "status", "prior", "native_status", "reopened", "assignee", "merged_into", "episode"),
		values: func(i int) []any {
			e := &list[i]
			return originValues(&e.Origin, e.TicketID, e.TicketURL, e.Desk, e.Status, e.Prior, e.NativeStatus, e.Reopened, e.Assignee, e.MergedInto, e.Episode)
		},
	}
}

// listed is a list for a column that must have one.
func listed(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func deliveriesTable(list []rows.Delivery) table {
	return table{
		name: "deliveries", rows: len(list),
		columns: originColumns("call_id", "action", "status", "state", "block_reason", "code", "destination", "text_class", "segments", "credits", "attempts",
			"crossed", "provider_id", "ticket_id", "episode", "started_at", "ended_at"),
		values: func(i int) []any {
			d := &list[i]
			return originValues(&d.Origin, d.CallID, d.Action, d.Status, d.State, d.BlockReason, d.Code, d.Destination, d.TextClass, d.Segments, d.Credits, d.Attempts,
				d.Crossed, d.ProviderID, d.TicketID, d.Episode, maybe(d.StartedAt), maybe(d.EndedAt))
		},
	}
}

func rejectedTable(list []rows.Rejected) table {
	return table{
		name: "rejected", rows: len(list),
		columns: []string{"partition", "offset", "time", "key", "value", "error"},
		values: func(i int) []any {
			r := &list[i]
			return []any{r.Partition, r.Offset, stamp(r.Time), string(r.Key), string(r.Value), r.Error}
		},
	}
}
