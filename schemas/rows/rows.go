// Package rows is what analytics keeps: one row per fact, in the tables that
// data teams query. stages/analytics makes them of records, sinks/clickhouse
// stores them; both know only these types.
//
// A fact becomes exactly one row of exactly one table, so the rows of a range
// of the analytics topic are as many as its records. Every row keeps its place
// in the topic, by which that is audited. Times are UTC with millisecond
// precision; the zero time means that there is none.
package rows

import (
	"iter"
	"time"
)

// Origin is what every row has: where its fact came from and whom it concerns.
type Origin struct {
	// Partition and Offset are the fact's place in the analytics topic.
	Partition int32
	Offset    int64
	// ID is the fact's id, hex. A fact that was emitted again, by a reset
	// with --emit, has the same one: figures count distinct ids.
	ID string
	// Time is when it happened and the day that it is counted in: the
	// event's own time where that can be believed, see [EventTime].
	Time time.Time
	// ReceivedAt is when Handoff accepted the outside event behind it.
	ReceivedAt time.Time
	// DecidedAt is the reporting stage's clock.
	DecidedAt time.Time
	// Shop, Channel (e.g. "sms"), Account and Address say whose it is.
	Shop, Channel, Account, Address string
	// Conversation is the thread, unique under shop and address.
	Conversation string
	// Stage that reported it, and why, in plain words.
	Stage, Reason string
}

// Message is one message in or out.
type Message struct {
	Origin
	// MessageID is the inbound record's id or the outbound text's call id,
	// hex; deliveries refer to it.
	MessageID string
	// Direction is "in" or "out".
	Direction string
	// Author is who wrote it ("customer", "agent", "bot", "rule", "system",
	// "platform"), AuthorName an agent's name.
	Author, AuthorName string
	Text               string
	// Media is the number of attachments.
	Media uint32
	// TextClass is an outbound text's class ("agent", "bot", "rule",
	// "system", "keyword_answer").
	TextClass string
	// Intent as classified, empty when unsure; Confidence 0 to 1; Sentiment
	// -1 to 1; Language as BCP 47; Directive the keyword family ("stop",
	// "start", "help", "yes", "no"); Matched what it was read from.
	Intent                       string
	Confidence, Sentiment        float32
	Language, Directive, Matched string
	Unsure, ThanksOnly           bool
	AsksForPerson                bool
	// Classifier and its version.
	Classifier string
	// Episode it happened in, 0 for none or not known.
	Episode uint64
	// NativeID is the provider's or desk's id.
	NativeID string
}

// EpisodeEvent is one transition of an episode.
type EpisodeEvent struct {
	Origin
	// Episode is its number within the conversation, from 1.
	Episode uint64
	// From and To are states: "", "offered", "requested", "open", "closed",
	// "expired", "declined", "lapsed", "failed", "opted_out".
	From, To string
	// Signal is what called for it: "intent", "bot_cannot_answer", "unsure",
	// "sentiment", "asked_for_person", "mirror", "opted_out_wrote".
	Signal string
	// Intent of the signalling message, else the bot's reason, and its text.
	Intent, SignalText string
	// Desk and TicketID, once there is a ticket, and TicketURL, its link for
	// people.
	Desk, TicketID, TicketURL string
	// When its parts happened, as far as they have.
	SignalledAt, OfferedAt, RequestedAt, OpenedAt, FirstReplyAt, EndedAt time.Time
	// AgentReplies and Reopened count up to now.
	AgentReplies, Reopened uint32
}

// ConsentChange is one change of an address's consent.
type ConsentChange struct {
	Origin
	// Version of the address's ledger after it.
	Version uint64
	// Scope: "shop", "channel:sms" or "account:sms:+1…".
	Scope string
	// Prior and Status: "unknown", "conversational", "pending",
	// "subscribed", "unsubscribed".
	Prior, Status string
	// Source: "first_message", "keyword", "agent", "provider",
	// "opt_in_answer", "import", "plain_language", "opt_in_question",
	// "undecided", "decision", "wrong_number", "link".
	Source string
	// Keyword or tag, the text that caused it, and its message's id, hex.
	Keyword, Text, MessageID string
}

// ConsentEvent is what happened about consent without being a change of it.
type ConsentEvent struct {
	Origin
	// Kind: "possible_opt_out", "possible_confirmed", "possible_declined",
	// "possible_undecided", "detached", "new_subscriber",
	// "linked", "unlinked", "import_outdone".
	Kind string
	// Text it is about and its message's id, hex.
	Text, MessageID string
	// By is the rule or score that took the message, or who decided.
	By string
	// DueAt is when a possible opt-out counts; zero for none.
	DueAt time.Time
	// Subscriber is the number of the subscriber at the address, 0 where it
	// does not matter.
	Subscriber uint64
	// Person is the id of the person whose addresses were linked.
	Person string
}

// TicketEvent is what the desk said of a ticket.
type TicketEvent struct {
	Origin
	// TicketID at the Desk, and TicketURL, its link for people where it is
	// known.
	TicketID, TicketURL, Desk string
	// Status and Prior: "open", "solved", …; Status is empty where the event says nothing of it, Prior for a
	// new ticket. NativeStatus is the desk's own name.
	Status, Prior, NativeStatus string
	// Reopened: it was closed and is open again.
	Reopened bool
	// Assignee now, empty where unchanged; MergedInto is the ticket that it was merged into.
	Assignee, MergedInto string
	// Episode that works on it, 0 for none.
	Episode uint64
}

// RuleRun is one of a shop's own rules that matched.
type RuleRun struct {
	Origin
	// Rule is its name, When what it was asked at: "message_created", …
	Rule, When string
	// Did are the actions it took, Refused those it did not, with the reason; Lists what the subscriber was
	// put on.
	Did, Refused, Lists []string
	// Episode it happened in, 0 for none, and the desk's ticket.
	Episode  uint64
	TicketID string
}

// Delivery is how an outside call ended, or a delivery state after it.
type Delivery struct {
	Origin
	// CallID names the call, hex; an outbound text's is its message id.
	CallID string
	// Action: "send_text", "create_ticket", "append_messages", …
	Action string
	// Status is how the call ended ("done", "failed", "unknown", "refused",
	// "expired"); empty on a row that only reports a delivery state.
	Status string
	// State is the provider's: "queued", "sent", "delivered", "read",
	// "failed".
	State string
	// BlockReason is why a text was not sent: "opted_out",
	// "never_confirmed", "no_record", "paused", "gate_shut", "expired", "quiet_hours".
	BlockReason string
	// Code is the provider's, Destination its connector, TextClass a text's.
	Code, Destination, TextClass string
	// Segments and Credits of a text that was sent; Attempts made.
	Segments, Credits, Attempts uint32
	// Crossed: it was on the wire when an opt-out was committed.
	Crossed bool
	// ProviderID and TicketID as the outside system named them.
	ProviderID, TicketID string
	// Episode it belongs to, 0 for none.
	Episode uint64
	// StartedAt and EndedAt of the request, by the wall clock.
	StartedAt, EndedAt time.Time
}

// Rejected is a record of the topic that is no fact: kept, so that nothing is
// dropped in silence and the audit still balances.
type Rejected struct {
	Partition int32
	Offset    int64
	// Time is the record's Kafka timestamp.
	Time time.Time
	// Key and Value as they came, and what is wrong with them.
	Key, Value []byte
	Error      string
}

// Batch is the rows of one range of the analytics topic, in its order.
type Batch struct {
	Messages       []Message
	EpisodeEvents  []EpisodeEvent
	ConsentChanges []ConsentChange
	ConsentEvents  []ConsentEvent
	RuleRuns       []RuleRun
	TicketEvents   []TicketEvent
	Deliveries     []Delivery
	Rejected       []Rejected
}

// Len is the number of rows.
func (b *Batch) Len() int {
	return len(b.Messages) + len(b.EpisodeEvents) + len(b.ConsentChanges) + len(b.ConsentEvents) + len(b.RuleRuns) + len(b.TicketEvents) + len(b.Deliveries) + len(b.Rejected)
}

// Times are the times that the rows are counted by, table after table.
func (b *Batch) Times() iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		_ = each(b.Messages, func(r *Message) time.Time { return r.Time }, yield) &&
			each(b.EpisodeEvents, func(r *EpisodeEvent) time.Time { return r.Time }, yield) &&
			each(b.ConsentChanges, func(r *ConsentChange) time.Time { return r.Time }, yield) &&
			each(b.ConsentEvents, func(r *ConsentEvent) time.Time { return r.Time }, yield) &&
			each(b.RuleRuns, func(r *RuleRun) time.Time { return r.Time }, yield) &&
			each(b.TicketEvents, func(r *TicketEvent) time.Time { return r.Time }, yield) &&
			each(b.Deliveries, func(r *Delivery) time.Time { return r.Time }, yield) &&
			each(b.Rejected, func(r *Rejected) time.Time { return r.Time }, yield)
	}
}

// each yields what of finds in the rows of a list until it is told to stop.
func each[R any](list []R, of func(*R) time.Time, yield func(time.Time) bool) bool {
	for i := range list {
		if !yield(of(&list[i])) {
			return false
		}
	}
	return true
}

// How far an outside clock may be off before it is not believed.
const (
	// MaxLate is the oldest an event may be when it is received and still
	// be counted in its own day: as long as ids are remembered.
	MaxLate = 31 * 24 * time.Hour
	// MaxEarly is how far ahead of its receipt it may claim to be.
	MaxEarly = time.Hour
)

// EventTime is the time that a row is counted by: event, unless the source
// told none or one that is more than [MaxLate] before or [MaxEarly] after
// received, which is then taken. A wrong clock so neither opens days that
// never were nor makes rows that expire at once.
func EventTime(event, received time.Time) time.Time {
	if event.IsZero() || event.Before(received.Add(-MaxLate)) || event.After(received.Add(MaxEarly)) {
		return received
	}
	return event
}
