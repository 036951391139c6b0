package clickhouse_test

import (
	"fmt"
	"time"

	"github.com/handoff-dev/handoff/schemas/rows"
)

// noon is the middle of the test's first day.
var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// story writes the rows of a few conversations by hand, so that every figure
// can be counted on paper.
type story struct {
	batch  rows.Batch
	offset int64
}

// at is the origin of the next row.
func (s *story) at(shop, address string, when time.Time) rows.Origin {
	s.offset++
	return rows.Origin{
		Partition: 2, Offset: s.offset, ID: fmt.Sprintf("%032x", s.offset), Time: when, ReceivedAt: when, DecidedAt: when,
		Shop: shop, Channel: "sms", Account: "+15550001111", Address: address, Conversation: "sms:+15550001111", Stage: "test",
	}
}

func (s *story) in(shop, address string, when time.Time, text string) {
	o := s.at(shop, address, when)
	s.batch.Messages = append(s.batch.Messages, rows.Message{Origin: o, MessageID: "m" + o.ID, Direction: "in", Author: "customer", Text: text, Intent: "order_issue"})
}

// out adds an outbound text and returns its call id.
func (s *story) out(shop, address string, when time.Time, author string) string {
	o := s.at(shop, address, when)
	s.batch.Messages = append(s.batch.Messages, rows.Message{Origin: o, MessageID: "c" + o.ID, Direction: "out", Author: author, TextClass: author, Text: "answer"})
	return "c" + o.ID
}

func (s *story) delivered(shop, address string, when time.Time, d rows.Delivery) {
	d.Origin = s.at(shop, address, when)
	if d.Action == "" {
		d.Action = "send_text"
	}
	s.batch.Deliveries = append(s.batch.Deliveries, d)
}

// episode adds transitions of an episode, each with what is known by then.
// Steps are "state" at minutes after the signal.
func (s *story) episode(shop, address string, number uint64, signal time.Time, replies uint32, steps ...any) {
	e := rows.EpisodeEvent{Episode: number, Signal: "intent", Intent: "order_issue", SignalText: "where is it", Desk: "zendesk", SignalledAt: signal}
	for i := 0; i < len(steps); i += 2 {
		when := signal.Add(time.Duration(steps[i+1].(int)) * time.Minute)
		e.Origin = s.at(shop, address, when)
		e.From, e.To = e.To, steps[i].(string)
		switch e.To {
		case "offered":
			e.OfferedAt = when
		case "requested":
			e.RequestedAt = when
		case "open":
			if e.OpenedAt.IsZero() {
				e.OpenedAt, e.TicketID = when, "T1"
			} else {
				e.Reopened++
				e.EndedAt = time.Time{}
			}
		default:
			e.EndedAt, e.AgentReplies = when, replies
			if replies > 0 && e.FirstReplyAt.IsZero() {
				e.FirstReplyAt = e.OpenedAt.Add(4 * time.Minute)
			}
		}
		s.batch.EpisodeEvents = append(s.batch.EpisodeEvents, e)
	}
}

// march is the story that the figures' tests count.
//
// acme, day 1: Ann writes twice, is offered, confirms after 2 minutes, ticket
// after 3, closed after 63 with one reply. Ben writes, the bot answers. Cid
// writes and declines. Day 2: Ann writes again; Dot writes, her episode
// expires, is reopened and closed after two replies.
// bolt, day 1: Eve writes and her agent's reply is blocked.
func march() *story {
	s := &story{}
	next := noon.Add(24 * time.Hour)
	s.in("acme", "ann", noon, "where is my order")
	s.in("acme", "ann", noon.Add(2*time.Minute), "yes")
	s.episode("acme", "ann", 1, noon, 1, "offered", 0, "requested", 2, "open", 3, "closed", 63)
	agent := s.out("acme", "ann", noon.Add(7*time.Minute), "agent")
	s.delivered("acme", "ann", noon.Add(7*time.Minute), rows.Delivery{CallID: agent, Status: "done", Destination: "twilio", TextClass: "agent", Segments: 2, Credits: 2, Attempts: 1})
	s.delivered("acme", "ann", noon.Add(8*time.Minute), rows.Delivery{CallID: agent, State: "delivered", Destination: "twilio", TextClass: "agent"})

	s.in("acme", "ben", noon, "opening hours?")
	bot := s.out("acme", "ben", noon.Add(time.Second), "bot")
	s.delivered("acme", "ben", noon.Add(2*time.Second), rows.Delivery{CallID: bot, Status: "done", Destination: "twilio", TextClass: "bot", Segments: 1, Credits: 1, Attempts: 1})

	s.in("acme", "cid", noon, "this is broken")
	s.episode("acme", "cid", 1, noon, 0, "offered", 1, "declined", 5)
	lost := s.out("acme", "cid", noon.Add(time.Minute), "system")
	s.delivered("acme", "cid", noon.Add(time.Minute), rows.Delivery{CallID: lost, Status: "failed", Code: "30003", Destination: "twilio", TextClass: "system"})

	s.in("acme", "ann", next, "thanks")
	s.in("acme", "dot", next, "refund please")
	s.episode("acme", "dot", 1, next, 2, "requested", 1, "open", 2, "expired", 60, "open", 70, "closed", 80)

	s.in("bolt", "eve", noon, "hello")
	s.delivered("bolt", "eve", noon, rows.Delivery{CallID: "cb1", Status: "refused", BlockReason: "opted_out", TextClass: "agent"})
	s.delivered("bolt", "eve", noon, rows.Delivery{CallID: "cb2", Action: "ask_bot", Status: "refused", BlockReason: "opted_out"})
	s.batch.ConsentChanges = append(s.batch.ConsentChanges, rows.ConsentChange{Origin: s.at("bolt", "eve", noon), Version: 1, Scope: "channel:sms", Prior: "conversational", Status: "unsubscribed", Source: "keyword", Keyword: "stop", Text: "STOP"})
	s.batch.ConsentChanges = append(s.batch.ConsentChanges, rows.ConsentChange{Origin: s.at("bolt", "gus", noon.Add(time.Hour)), Version: 1, Scope: "channel:sms", Prior: "conversational", Status: "unsubscribed", Source: "keyword", Keyword: "Stop", Text: "Stop!"})
	s.batch.RuleRuns = append(s.batch.RuleRuns, rows.RuleRun{
		Origin: s.at("bolt", "eve", noon), Rule: "vip", When: "message_created", Did: []string{"add_to_list vip"}, Lists: []string{"vip"}})
	s.batch.TicketEvents = append(s.batch.TicketEvents, rows.TicketEvent{
		Origin: s.at("bolt", "eve", noon), TicketID: "7", TicketURL: "https://bolt.zendesk.com/agent/tickets/7", Desk: "zendesk", Status: "open", Prior: "solved", NativeStatus: "open", Reopened: true, Assignee: "Kim", Episode: 1})
	s.batch.ConsentEvents = append(s.batch.ConsentEvents,
		rows.ConsentEvent{Origin: s.at("bolt", "eve", noon), Kind: "possible_opt_out", Text: "enough of this", MessageID: "m1", By: "score 0.8", DueAt: next},
		rows.ConsentEvent{Origin: s.at("bolt", "eve", noon.Add(time.Hour)), Kind: "possible_declined", Text: "enough of this", MessageID: "m1", By: "Ann"},
		rows.ConsentEvent{Origin: s.at("bolt", "fay", noon), Kind: "possible_opt_out", Text: "leave me", MessageID: "m2", By: "score 0.7", DueAt: next})
	s.offset++
	s.batch.Rejected = append(s.batch.Rejected, rows.Rejected{Partition: 2, Offset: s.offset, Time: noon, Key: []byte("k"), Value: []byte{0xff}, Error: "no fact"})
	return s
}
