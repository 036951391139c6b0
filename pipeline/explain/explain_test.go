package explain

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

var noon = time.Date(2026, 7, 1, 16, 0, 0, 0, time.UTC)

// made is an entry of the analytics log.
func made(n int, f *handoffv1.Fact) Entry {
	f.At = timestamppb.New(noon.Add(time.Duration(n) * time.Second))
	return Entry{Topic: schemas.TopicAnalytics, Offset: int64(n), Time: noon, Record: &handoffv1.Record{
		Id: []byte{byte(n)}, Conversation: "sms:+15557770000", SettingsVersion: 1, Body: &handoffv1.Record_Fact{Fact: f}}}
}

// TestEveryFactIsTold: a kind of fact that is added must get a sentence here.
func TestEveryFactIsTold(t *testing.T) {
	kinds := (&handoffv1.Fact{}).ProtoReflect().Descriptor().Oneofs().ByName("kind").Fields()
	for i := range kinds.Len() {
		f := &handoffv1.Fact{}
		f.ProtoReflect().Set(kinds.Get(i), f.ProtoReflect().NewField(kinds.Get(i)))
		if lines := Tell([]Entry{made(i, f)}, nil); len(lines) != 1 || lines[0].Text == "" || lines[0].Kind == "" {
			t.Errorf("a %s is not told: %+v", kinds.Get(i).Name(), lines)
		}
	}
}

// TestEveryReasonHasWords: no enum's name reaches a reader where a sentence is meant.
func TestEveryReasonHasWords(t *testing.T) {
	for n := range handoffv1.BlockReason_name {
		if r := handoffv1.BlockReason(n); r != handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED && blocked[r] == "" {
			t.Errorf("no words for %s", r)
		}
	}
	for n := range handoffv1.EpisodeState_name {
		to := handoffv1.EpisodeState(n)
		if text := episode(&handoffv1.EpisodeFact{To: to}, ""); to != 0 && strings.Contains(text, "It changed") {
			t.Errorf("no sentence for %s", to)
		}
	}
}

// TestEveryCallHasWords: so it is with what is asked of the outside, and what came of it.
func TestEveryCallHasWords(t *testing.T) {
	for n := range handoffv1.Action_name {
		if a := handoffv1.Action(n); a != handoffv1.Action_ACTION_UNSPECIFIED && actions[a] == "" {
			t.Errorf("no words for %s", a)
		}
	}
	for n := range handoffv1.OutcomeStatus_name {
		if o := handoffv1.OutcomeStatus(n); o != handoffv1.OutcomeStatus_OUTCOME_STATUS_UNSPECIFIED && outcomes[o] == "" {
			t.Errorf("no words for %s", o)
		}
	}
}

// TestRead: how a message was read is told in whole sentences, whatever it was read by.
func TestRead(t *testing.T) {
	stopped := &handoffv1.Classification{Directive: handoffv1.Directive_DIRECTIVE_STOP}
	for _, c := range []struct {
		text, reason string
		media        uint32
		read         *handoffv1.Classification
		want         string
	}{
		{"STOP", "keyword STOP", 0, stopped, `The customer wrote: "STOP". Read as a STOP (by keyword STOP).`},
		{"STOP", "the provider took it for a keyword", 0, stopped, `The customer wrote: "STOP". Read as a STOP: the provider took it for a keyword.`},
		{"stop!", "plain-language opt-out: phrase opt-out", 0, &handoffv1.Classification{Directive: handoffv1.Directive_DIRECTIVE_STOP, PlainLanguage: true}, `The customer wrote: "stop!" Read as an opt-out in plain language (by phrase opt-out).`},
		{"hm", "possible opt-out: score opt-out", 0, &handoffv1.Classification{PossibleOptOut: true, Intent: "other"}, `The customer wrote: "hm". Read as perhaps an opt-out (by score opt-out).`},
		{"hm", "not placed", 0, &handoffv1.Classification{Unsure: true}, `The customer wrote: "hm". Read as something that cannot be placed.`},
		{"hm", "not placed, likeliest other, confidence 0.41", 0, &handoffv1.Classification{Unsure: true}, `The customer wrote: "hm". Read as something that cannot be placed (likeliest other, confidence 0.41).`},
		{"hm", "not placed, likeliest other, confidence 0.41 (reads.example: timeout)", 0, &handoffv1.Classification{Unsure: true}, `The customer wrote: "hm". Read as something that cannot be placed (likeliest other, confidence 0.41; without reads.example: timeout).`},
		{"hm", "not placed (reads.example: timeout)", 0, &handoffv1.Classification{Unsure: true}, `The customer wrote: "hm". Read as something that cannot be placed (without reads.example: timeout).`},
		{"where?", "handoff/1 (reads.example: not sure)", 0, &handoffv1.Classification{Intent: "order_status", Confidence: 0.9}, `The customer wrote: "where?" Read as the intent order_status, confidence 0.90 (by handoff/1; without reads.example: not sure).`},
		{"thanks", "only thanks", 0, &handoffv1.Classification{ThanksOnly: true}, `The customer wrote: "thanks". Read as thanks and nothing else.`},
		{"Liked “Hi”", "a reaction to a message", 0, &handoffv1.Classification{ThanksOnly: true}, `The customer wrote: "Liked “Hi”". Read as a reaction to a message.`},
		{"", "not placed", 2, &handoffv1.Classification{Unsure: true}, `The customer wrote, without words, with 2 attachments. Read as something that cannot be placed.`},
		{"this", "", 1, nil, `The customer wrote, with 1 attachment: "this".`},
	} {
		if got := inbound(&handoffv1.MessageFact{Inbound: true, Text: c.text, MediaCount: c.media, Classification: c.read}, c.reason); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// TestQuoted: what people wrote is told as they wrote it, in one line.
func TestQuoted(t *testing.T) {
	for said, want := range map[string]string{
		"Bonjour\u00a0! 👨\u200d👩\u200d👧": "\"Bonjour\u00a0! 👨\u200d👩\u200d👧\"", `say "hi"`: `"say \"hi\""`, "one\ntwo\x1b[31m": `"one\ntwo\x1b[31m"`, "a\u202eb": `"a\u202eb"`,
	} {
		if got := quoted(said); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestTheCauseFirst: of what happened at the same moment that is told first which the rest came of, from whatever
// topic it was read first.
func TestTheCauseFirst(t *testing.T) {
	at := func(topic string, id []byte, r *handoffv1.Record) Entry {
		r.Id = id
		return Entry{Topic: topic, Time: noon, Record: r}
	}
	fact := func(id []byte, stage string, f *handoffv1.Fact) Entry {
		f.At, f.Stage = timestamppb.New(noon), stage
		return at(schemas.TopicAnalytics, id, &handoffv1.Record{Body: &handoffv1.Record_Fact{Fact: f}})
	}
	yes := []byte("yes")
	create := schemas.EffectID(yes, schemas.StageEscalate, 1)
	result := []byte("result")
	receipt := schemas.EffectID(result, schemas.StageDeliver, 0)
	entries := []Entry{
		at(schemas.TopicEscalate, yes, &handoffv1.Record{}),
		at(schemas.TopicEscalate, receipt, &handoffv1.Record{}),
		at(schemas.TopicDeliver, create, &handoffv1.Record{Body: &handoffv1.Record_Command{Command: &handoffv1.Command{
			Episode: 1, Action: &handoffv1.Command_CreateTicket{CreateTicket: &handoffv1.CreateTicket{Subject: "Handoff"}}}}}),
		at(schemas.TopicDeliver, result, &handoffv1.Record{Body: &handoffv1.Record_CallResult{CallResult: &handoffv1.CallResult{CallId: schemas.HexID(create)}}}),
		fact(schemas.EffectID(receipt, schemas.StageEscalate, 0), schemas.StageEscalate, &handoffv1.Fact{Kind: &handoffv1.Fact_Episode{Episode: &handoffv1.EpisodeFact{
			Episode: 1, To: handoffv1.EpisodeState_EPISODE_STATE_OPEN}}}),
		fact(schemas.EffectID(result, schemas.StageDeliver, 1), schemas.StageDeliver, &handoffv1.Fact{Kind: &handoffv1.Fact_Delivery{Delivery: &handoffv1.DeliveryFact{
			CallId: schemas.HexID(create), Action: handoffv1.Action_ACTION_CREATE_TICKET, Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE}}}),
		fact(schemas.EffectID(yes, schemas.StageEscalate, 0), schemas.StageEscalate, &handoffv1.Fact{Kind: &handoffv1.Fact_Episode{Episode: &handoffv1.EpisodeFact{
			Episode: 1, To: handoffv1.EpisodeState_EPISODE_STATE_REQUESTED}}}),
	}
	var got []string
	for _, l := range Tell(entries, nil) {
		got = append(got, l.Text)
	}
	if want := []string{"Handoff 1: The conversation was handed to the support team.", `A ticket was to be created: "Handoff", with the last 0 messages.`,
		"At the help desk, to create the ticket: done.", "Handoff 1: The support team has the conversation."}; !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestToldOnce: what is in the log twice, because it was replayed, happened once.
func TestToldOnce(t *testing.T) {
	e := made(1, &handoffv1.Fact{Stage: schemas.StageConsent, Kind: &handoffv1.Fact_Consent{Consent: &handoffv1.ConsentFact{Scope: "shop"}}})
	if lines := Tell([]Entry{e, e}, nil); len(lines) != 1 {
		t.Errorf("%d lines", len(lines))
	}
}

// TestTellUnread: what nobody has read yet is counted, for each conversation.
func TestTellUnread(t *testing.T) {
	lines := TellUnread([]Unread{{"a", noon, "handoff.classify/1/7"}, {"b", noon.Add(time.Second), "handoff.classify/1/8"}, {"a", noon.Add(time.Minute), "handoff.classify/1/9"}})
	if len(lines) != 2 || lines[0].Conversation != "a" || !strings.HasPrefix(lines[0].Text, "2 messages") || !lines[0].At.Equal(noon) ||
		lines[1].Conversation != "b" || !strings.HasPrefix(lines[1].Text, "A message") || lines[1].Place != "handoff.classify/1/8" {
		t.Errorf("%+v", lines)
	}
	if lines := TellUnread(nil); lines != nil {
		t.Errorf("%+v", lines)
	}
}

// TestWrite: days and clocks are the shop's, UTC beside them.
func TestWrite(t *testing.T) {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	lines := Tell(nil, []Letter{{
		Stage: "consent", Why: "a bad record\nwith a stack", Place: "0/7", At: noon.Add(11 * time.Hour),
		Resolved: "dropped", By: "kim", Reason: "a load test.", ResolvedAt: noon.Add(13 * time.Hour),
	}})
	var b bytes.Buffer
	if err := Write(&b, lines, zone); err != nil {
		t.Fatal(err)
	}
	const want = `Wednesday, July 1, 2026
  23:00:00 EDT (03:00:00 UTC)  consent could not process a record (a bad record): it is dead letter 0/7.
Thursday, July 2, 2026
  01:00:00 EDT (05:00:00 UTC)  Dead letter 0/7 was dropped by kim: a load test.
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
