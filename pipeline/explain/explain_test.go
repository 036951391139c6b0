package explain

import (
	"bytes"
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
