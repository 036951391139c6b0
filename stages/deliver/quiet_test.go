package deliver

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

const quietHours = handoffv1.BlockReason_BLOCK_REASON_QUIET_HOURS

// TestQuietHoursAtTheRequest: at ten in the morning of London it is night in San Francisco. The hour of the
// request counts, for every class that has hours, unless the person wrote within a day.
func TestQuietHoursAtTheRequest(t *testing.T) {
	before, after := timestamppb.New(monday.Add(-time.Second)), timestamppb.New(monday.Add(time.Minute))
	for _, c := range []struct {
		name    string
		class   handoffv1.TextClass
		check   *handoffv1.QuietCheck
		zone    string
		verdict caller.Verdict
	}{
		{"an agent's reply to an old message", agent, &handoffv1.QuietCheck{ExemptUntil: before}, "", caller.Refuse},
		{"to a new one", agent, &handoffv1.QuietCheck{ExemptUntil: after}, "", caller.Start},
		{"an automated text that nobody waits for", system, &handoffv1.QuietCheck{}, "", caller.Refuse},
		{"a bot's", bot, &handoffv1.QuietCheck{}, "", caller.Refuse},
		{"a rule's", rule, &handoffv1.QuietCheck{}, "", caller.Refuse},
		{"one that is never judged", agent, nil, "", caller.Start},
		{"an answer to STOP", keyword, nil, "", caller.Start},
		{"where it is day", agent, &handoffv1.QuietCheck{}, "Europe/London", caller.Start},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.consent("channel:sms", 1, conversational)
			command := text(c.class, "Hello")
			command.GetSendText().Quiet = c.check
			command.GetSendText().Consent = &handoffv1.ConsentStamp{Version: 1, TimeZone: c.zone}
			got := w.release(w.command(number, command))
			if got.Verdict != c.verdict || (got.Reason == quietHours) != (c.verdict == caller.Refuse) {
				t.Errorf("%v %v %s", got.Verdict, got.Reason, got.Meaning)
			}
		})
	}
}

// TestQuietHoursBetweenParts: what was sent of a long reply stays sent; the rest comes back whole, to be sent
// later. An automated text does not come back.
func TestQuietHoursBetweenParts(t *testing.T) {
	long := strings.TrimSpace(strings.Repeat("word ", 700))
	for class, wantBack := range map[handoffv1.TextClass]bool{agent: true, system: false} {
		w := newWorld(t)
		w.consent("channel:sms", 1, conversational)
		id := w.command(number, text(class, long))
		first := len(schemas.SplitText(long, schemas.TextLimit(handoffv1.Channel_CHANNEL_SMS))[0])
		w.result(id, done(&handoffv1.Outcome{}))
		w.take(schemas.TopicEscalate)
		w.result(w.calls[0].Call.ID, &handoffv1.Outcome{
			Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED, BlockReason: quietHours, Meaning: "quiet hours",
		})
		back := w.one(schemas.TopicEscalate).GetReceipt().GetNotYet()
		if (back != nil) != wantBack {
			t.Fatalf("%v: came back %v", class, back != nil)
		}
		if rest := strings.TrimSpace(long[first:]); wantBack && back.GetText() != rest {
			t.Errorf("%d characters came back, want %d", len(back.GetText()), len(rest))
		}
		if len(w.calls) != 0 {
			t.Errorf("%v: %d calls left", class, len(w.calls))
		}
	}
}
