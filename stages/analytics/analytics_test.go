package analytics_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/rows"
	"github.com/handoff-dev/handoff/stages/analytics"
)

var at = time.Date(2026, 3, 10, 12, 0, 0, 123456789, time.UTC)

// record wraps a fact as a stage posts it.
func record(t testing.TB, offset int64, change func(*handoffv1.Record), f *handoffv1.Fact) pipeline.Record {
	t.Helper()
	r := &handoffv1.Record{
		Id: schemas.SourceID("test", "acme", "a", fmt.Sprint(offset)), Shop: "acme", Channel: handoffv1.Channel_CHANNEL_SMS, Account: "+15550001111",
		Address: "+14155552671", Conversation: "sms:+15550001111",
		EventTime: timestamppb.New(at), ReceivedAt: timestamppb.New(at.Add(time.Second)),
		Body: &handoffv1.Record_Fact{Fact: f},
	}
	if change != nil {
		change(r)
	}
	value, err := schemas.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.Record{Topic: schemas.TopicAnalytics, Partition: 3, Offset: offset, Key: schemas.KeyOf(r).Bytes(), Value: value, Time: at}
}

func TestEveryKindOfFact(t *testing.T) {
	ms := at.Truncate(time.Millisecond)
	stamp := timestamppb.New(at)
	b := analytics.Rows([]pipeline.Record{
		record(t, 1, nil, &handoffv1.Fact{Stage: "classify", At: stamp, Reason: "rule 4", Kind: &handoffv1.Fact_Message{Message: &handoffv1.MessageFact{
			MessageId: "ab", Inbound: true, Author: handoffv1.AuthorKind_AUTHOR_KIND_CUSTOMER, Text: "stop it 🙏", MediaCount: 2, NativeId: "SM1",
			Classification: &handoffv1.Classification{Directive: handoffv1.Directive_DIRECTIVE_STOP, Intent: "complaint", Confidence: 0.5, Sentiment: -1, Language: "en",
				Unsure: true, ThanksOnly: true, AsksForPerson: true, Classifier: "rules/1", Matched: "stop"},
		}}}),
		record(t, 2, nil, &handoffv1.Fact{Stage: "consent", Kind: &handoffv1.Fact_Message{Message: &handoffv1.MessageFact{
			MessageId: "cd", Author: handoffv1.AuthorKind_AUTHOR_KIND_AGENT, AuthorName: "Kim", TextClass: handoffv1.TextClass_TEXT_CLASS_KEYWORD_ANSWER, Episode: 7,
		}}}),
		record(t, 3, nil, &handoffv1.Fact{Stage: "escalate", Kind: &handoffv1.Fact_Episode{Episode: &handoffv1.EpisodeFact{
			Episode: 2, From: handoffv1.EpisodeState_EPISODE_STATE_OPEN, To: handoffv1.EpisodeState_EPISODE_STATE_OPTED_OUT,
			Signal: handoffv1.SignalKind_SIGNAL_KIND_BOT_CANNOT_ANSWER, Intent: "why", SignalText: "text", TicketId: "T", TicketUrl: "https://acme.gorgias.com/app/ticket/T", Desk: "gorgias",
			SignalledAt: stamp, EndedAt: stamp, AgentReplies: 4, Reopened: 1,
		}}}),
		record(t, 4, nil, &handoffv1.Fact{Stage: "consent", Kind: &handoffv1.Fact_Consent{Consent: &handoffv1.ConsentFact{
			Version: 9, Scope: "shop", Status: handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED, Source: handoffv1.ConsentSource_CONSENT_SOURCE_PLAIN_LANGUAGE, Keyword: "k", Text: "x", MessageId: "m",
		}}}),
		record(t, 5, nil, &handoffv1.Fact{Stage: "deliver", Kind: &handoffv1.Fact_Delivery{Delivery: &handoffv1.DeliveryFact{
			CallId: "cd", Action: handoffv1.Action_ACTION_SEND_TEXT, Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED, Delivery: handoffv1.DeliveryStatus_DELIVERY_STATUS_READ,
			BlockReason: handoffv1.BlockReason_BLOCK_REASON_GATE_SHUT, Code: "21610", Destination: "twilio", TextClass: handoffv1.TextClass_TEXT_CLASS_BOT, Segments: 2, Credits: 3, Attempts: 4,
			Crossed: true, ProviderId: "SM", TicketId: "T", Episode: 5, StartedAt: stamp, EndedAt: stamp,
		}}}),
		record(t, 6, nil, &handoffv1.Fact{Stage: "escalate", Kind: &handoffv1.Fact_Ticket{Ticket: &handoffv1.TicketFact{
			TicketId: "T", TicketUrl: "https://acme.gorgias.com/app/ticket/T", Desk: "gorgias", Status: handoffv1.TicketStatus_TICKET_STATUS_OPEN, Prior: handoffv1.TicketStatus_TICKET_STATUS_SOLVED,
			NativeStatus: "open", Reopened: true, Assignee: "Kim", MergedInto: "U", Episode: 5,
		}}}),
	})
	origin := func(offset int64, stage string) rows.Origin {
		return rows.Origin{
			Partition: 3, Offset: offset, ID: schemas.HexID(schemas.SourceID("test", "acme", "a", fmt.Sprint(offset))), Time: ms, ReceivedAt: ms.Add(time.Second),
			Shop: "acme", Channel: "sms", Account: "+15550001111", Address: "+14155552671", Conversation: "sms:+15550001111", Stage: stage,
		}
	}
	first := origin(1, "classify")
	first.DecidedAt, first.Reason = ms, "rule 4"
	want := rows.Batch{
		Messages: []rows.Message{
			{Origin: first, MessageID: "ab", Direction: "in", Author: "customer", Text: "stop it 🙏", Media: 2, Intent: "complaint", Confidence: 0.5, Sentiment: -1,
				Language: "en", Directive: "stop", Matched: "stop", Unsure: true, ThanksOnly: true, AsksForPerson: true, Classifier: "rules/1", NativeID: "SM1"},
			{Origin: origin(2, "consent"), MessageID: "cd", Direction: "out", Author: "agent", AuthorName: "Kim", TextClass: "keyword_answer", Episode: 7},
		},
		EpisodeEvents: []rows.EpisodeEvent{{Origin: origin(3, "escalate"), Episode: 2, From: "open", To: "opted_out", Signal: "bot_cannot_answer", Intent: "why", SignalText: "text",
			TicketID: "T", TicketURL: "https://acme.gorgias.com/app/ticket/T", Desk: "gorgias", SignalledAt: ms, EndedAt: ms, AgentReplies: 4, Reopened: 1}},
		ConsentChanges: []rows.ConsentChange{{Origin: origin(4, "consent"), Version: 9, Scope: "shop", Prior: "unknown", Status: "unsubscribed", Source: "plain_language", Keyword: "k", Text: "x", MessageID: "m"}},
		Deliveries: []rows.Delivery{{Origin: origin(5, "deliver"), CallID: "cd", Action: "send_text", Status: "refused", State: "read", BlockReason: "gate_shut", Code: "21610",
			Destination: "twilio", TextClass: "bot", Segments: 2, Credits: 3, Attempts: 4, Crossed: true, ProviderID: "SM", TicketID: "T", Episode: 5, StartedAt: ms, EndedAt: ms}},
		TicketEvents: []rows.TicketEvent{{Origin: origin(6, "escalate"), TicketID: "T", TicketURL: "https://acme.gorgias.com/app/ticket/T", Desk: "gorgias", Status: "open", Prior: "solved",
			NativeStatus: "open", Reopened: true, Assignee: "Kim", MergedInto: "U", Episode: 5}},
	}
	if !reflect.DeepEqual(b, want) {
		t.Errorf("\n got %+v\nwant %+v", b, want)
	}
}

func TestWhatIsNoFactIsKept(t *testing.T) {
	good := record(t, 1, nil, &handoffv1.Fact{Kind: &handoffv1.Fact_Message{Message: &handoffv1.MessageFact{}}})
	list := []pipeline.Record{
		{Partition: 1, Offset: 10, Key: []byte("acme|x"), Value: []byte("\xff\xff"), Time: at},
		{Partition: 1, Offset: 11, Key: []byte("other|key"), Value: good.Value, Time: at},
		{Partition: 1, Offset: 12, Time: at},
		record(t, 13, func(r *handoffv1.Record) { r.Body = &handoffv1.Record_Hold{Hold: &handoffv1.Hold{}} }, nil),
		record(t, 14, nil, &handoffv1.Fact{}),
	}
	b := analytics.Rows(list)
	if len(b.Rejected) != len(list) || b.Len() != len(list) {
		t.Fatalf("%d of %d rejected", len(b.Rejected), len(list))
	}
	for i, r := range b.Rejected {
		if r.Error == "" || r.Offset != list[i].Offset || string(r.Value) != string(list[i].Value) || string(r.Key) != string(list[i].Key) || !r.Time.Equal(at.Truncate(time.Millisecond)) {
			t.Errorf("rejected as %+v", r)
		}
	}
}

func TestWrongClocks(t *testing.T) {
	fact := &handoffv1.Fact{Kind: &handoffv1.Fact_Message{Message: &handoffv1.MessageFact{}}}
	received := at.Add(time.Second).Truncate(time.Millisecond)
	for name, event := range map[string]*timestamppb.Timestamp{
		"none": nil, "invalid": {Seconds: 1, Nanos: -5}, "1970": timestamppb.New(time.Unix(0, 0)), "the next century": timestamppb.New(at.AddDate(100, 0, 0)),
	} {
		b := analytics.Rows([]pipeline.Record{record(t, 1, func(r *handoffv1.Record) { r.EventTime = event }, fact)})
		if len(b.Messages) != 1 || !b.Messages[0].Time.Equal(received) {
			t.Errorf("%s: %+v", name, b.Messages)
		}
	}
}

// TestEnumsAreNamed: no value of the contract reaches a table with its type's
// prefix or as a number.
func TestEnumsAreNamed(t *testing.T) {
	for _, enum := range []protoreflect.Enum{handoffv1.EpisodeState(0), handoffv1.SignalKind(0)} {
		values := enum.Descriptor().Values()
		for i := range values.Len() {
			n := values.Get(i).Number()
			b := analytics.Rows([]pipeline.Record{record(t, 1, nil, &handoffv1.Fact{Kind: &handoffv1.Fact_Episode{Episode: &handoffv1.EpisodeFact{
				To: handoffv1.EpisodeState(n), Signal: handoffv1.SignalKind(n),
			}}})})
			for _, name := range []string{b.EpisodeEvents[0].To, b.EpisodeEvents[0].Signal} {
				if strings.Contains(name, "_kind_") || strings.Contains(name, "_state_") || name != strings.ToLower(name) || (name == "") != (n == 0) && name != fmt.Sprint(n) {
					t.Errorf("value %d is called %q", n, name)
				}
			}
		}
	}
}

// TestOneRowEach: as many rows as records, whatever they are, the same every
// time, and none of them shares memory with the record.
func TestOneRowEach(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, 8).Draw(rt, "n")
		var list []pipeline.Record
		for i := range n {
			if rapid.Bool().Draw(rt, "noise") {
				list = append(list, pipeline.Record{Offset: int64(i), Key: []byte("a|b"), Value: rapid.SliceOf(rapid.Byte()).Draw(rt, "value")})
				continue
			}
			list = append(list, record(t, int64(i), nil, &handoffv1.Fact{Kind: &handoffv1.Fact_Delivery{Delivery: &handoffv1.DeliveryFact{
				Code: rapid.String().Filter(func(s string) bool { return strings.ToValidUTF8(s, "") == s }).Draw(rt, "code"), Action: handoffv1.Action(rapid.Int32().Draw(rt, "action")),
			}}}))
		}
		first, second := analytics.Rows(list), analytics.Rows(list)
		if first.Len() != n || !reflect.DeepEqual(first, second) {
			rt.Fatalf("%d rows of %d records", first.Len(), n)
		}
		for _, r := range list {
			clear(r.Value)
		}
		if !reflect.DeepEqual(first, second) {
			rt.Fatal("rows share memory with the records")
		}
	})
}

// FuzzRows: bytes from outside never fail and always become a row.
func FuzzRows(f *testing.F) {
	r := record(f, 1, nil, &handoffv1.Fact{Kind: &handoffv1.Fact_Episode{Episode: &handoffv1.EpisodeFact{Episode: 1}}})
	f.Add(r.Key, r.Value)
	f.Add([]byte("acme|x"), []byte{})
	f.Add([]byte(nil), []byte("\x0a\x10"))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		if b := analytics.Rows([]pipeline.Record{{Key: key, Value: value}}); b.Len() != 1 {
			t.Fatalf("%d rows", b.Len())
		}
	})
}
