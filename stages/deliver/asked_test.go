package deliver

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// TestClassifyHearsWhatDidNotLeave: of a text that its provider fails on, refuses or never delivers, and of none else.
func TestClassifyHearsWhatDidNotLeave(t *testing.T) {
	failing := func(w *world, unanswered string, ids ...string) {
		r := w.record(number)
		r.ReceivedAt = timestamppb.New(w.now)
		r.Body = &handoffv1.Record_DeskFailing{DeskFailing: &handoffv1.DeskFailing{CallIds: ids, Unanswered: unanswered}}
		w.send(r)
	}
	long := text(agent, "")
	for range 40 {
		long.GetSendText().Text += "word after word after word after word after word "
	}
	for name, c := range map[string]struct {
		text *handoffv1.Command
		do   func(w *world, id string)
		want []string
	}{
		"it left": {text(agent, "hi"), func(w *world, id string) { w.result(id, done(&handoffv1.Outcome{ProviderId: "SM1"})) }, nil},
		"refused": {text(agent, "hi"), func(w *world, id string) {
			w.result(id, &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, Code: "30007"})
		}, []string{"NOT_SENT"}},
		"nobody knows": {text(agent, "hi"), func(w *world, id string) {
			w.result(id, &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_UNKNOWN})
		}, nil},
		"it waits, told once, and leaves": {text(agent, "hi"), func(w *world, id string) {
			failing(w, "", id)
			failing(w, "", id)
			w.result(id, done(&handoffv1.Outcome{ProviderId: "SM1"}))
		}, []string{"WAITS", "LEFT"}},
		"it may have left": {text(agent, "hi"), func(w *world, id string) {
			failing(w, id, id)
			w.result(id, done(&handoffv1.Outcome{ProviderId: "SM1"}))
		}, nil},
		"of a long one the first part waits": {long, func(w *world, id string) {
			var ids []string
			for i := range w.calls {
				ids = append(ids, w.calls[i].Call.ID)
			}
			failing(w, "", ids...)
			for _, part := range ids {
				w.result(part, done(&handoffv1.Outcome{ProviderId: "SM" + part}))
			}
		}, []string{"WAITS", "LEFT"}},
		"its provider could not deliver it": {text(agent, "hi"), func(w *world, id string) {
			w.result(id, done(&handoffv1.Outcome{ProviderId: "SM1"}))
			for i := range 2 {
				r := w.record(number)
				r.Id, r.ReceivedAt = fmt.Appendf(nil, "state %d        ", i)[:16], timestamppb.New(w.now)
				r.Body = &handoffv1.Record_DeliveryState{DeliveryState: &handoffv1.DeliveryState{
					ProviderId: "SM1", Status: handoffv1.DeliveryStatus_DELIVERY_STATUS_FAILED, Code: "30003",
				}}
				w.send(r)
			}
		}, []string{"NOT_SENT"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.consent("channel:sms", 1, conversational)
			id := w.command(number, c.text)
			c.do(w, id)
			var got []string
			for _, r := range w.take(schemas.TopicClassify) {
				a := r.GetAsked()
				if a.GetQuestionId() != id {
					t.Errorf("it is told of %q, want %q", a.GetQuestionId(), id)
				}
				got = append(got, a.GetLeaving().String()[len("LEAVING_"):])
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("classify is told %v, want %v", got, c.want)
			}
			if n := len(w.take(schemas.TopicConsent)); n > 0 {
				t.Errorf("%d records to consent", n)
			}
		})
	}
}
