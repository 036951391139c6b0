package deliver

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

func TestASurvivingTicketIsLookedAtLessOften(t *testing.T) {
	merged := timestamppb.New(time.Unix(0, 0))
	for _, c := range []struct {
		every  time.Duration
		ticket *statev1.DeskTicket
		want   time.Duration
	}{
		{10 * time.Minute, &statev1.DeskTicket{}, 10 * time.Minute},
		{0, &statev1.DeskTicket{}, 0},
		{10 * time.Minute, &statev1.DeskTicket{MergedAt: merged}, time.Minute},
		{10 * time.Minute, &statev1.DeskTicket{MergedAt: merged, QuietPolls: 10}, time.Minute},
		{10 * time.Minute, &statev1.DeskTicket{MergedAt: merged, QuietPolls: 13}, 8 * time.Minute},
		{10 * time.Minute, &statev1.DeskTicket{MergedAt: merged, QuietPolls: 14}, 10 * time.Minute},
		{0, &statev1.DeskTicket{MergedAt: merged, QuietPolls: 12}, 4 * time.Minute},
		{0, &statev1.DeskTicket{MergedAt: merged, QuietPolls: 5000}, 10 * time.Minute},
		{time.Hour, &statev1.DeskTicket{MergedAt: merged, QuietPolls: 15}, 32 * time.Minute},
		{time.Hour, &statev1.DeskTicket{MergedAt: merged, QuietPolls: 16}, time.Hour},
		{30 * time.Second, &statev1.DeskTicket{MergedAt: merged}, 30 * time.Second},
		{10 * time.Minute, &statev1.DeskTicket{Ended: true}, 0},
		{10 * time.Minute, &statev1.DeskTicket{MergedAt: merged, Ended: true}, time.Minute},
		{10 * time.Minute, &statev1.DeskTicket{MergedAt: merged, Ended: true, QuietPolls: 15}, 32 * time.Minute},
		{0, &statev1.DeskTicket{MergedAt: merged, Ended: true, QuietPolls: 49}, 1024 * time.Minute},
		{10 * time.Minute, &statev1.DeskTicket{MergedAt: merged, Ended: true, QuietPolls: 50}, 0},
	} {
		if got := pollAfter(c.every, c.ticket); got != c.want {
			t.Errorf("with desk.poll %v and %d quiet looks: %v, want %v", c.every, c.ticket.GetQuietPolls(), got, c.want)
		}
	}
}

// TestTheSurvivorsConversationIsTold: whoever the surviving ticket was made for is told that it is shared; nobody is
// where that is our own, or nobody's.
func TestTheSurvivorsConversationIsTold(t *testing.T) {
	other := schemas.Ticket{Key: schemas.Key{Shop: "acme", Address: "+14155550009"}, Conversation: thread, Episode: 3}
	elsewhere := other
	elsewhere.Key.Shop = "zenith"
	for external, want := range map[string]string{other.ExternalID(): "+14155550009", elsewhere.ExternalID(): "", "": "", "PO-4412": ""} {
		w := newWorld(t)
		w.result(w.command(number, create(1)), done(&handoffv1.Outcome{TicketId: "41"}))
		w.hint("zendesk", "41", 1)
		w.take(schemas.TopicEscalate)
		w.result(w.calls[0].Call.ID, done(&handoffv1.Outcome{Items: []*handoffv1.DeskItem{
			{Cursor: "1", NativeId: "m", MergedInto: "35", MergedIntoExternalId: external},
		}}))
		told := w.take(schemas.TopicEscalate)
		switch {
		case want == "" && len(told) > 0:
			t.Errorf("%q: %v is told", external, told)
		case want == "":
		case len(told) != 1:
			t.Errorf("%q: %d records, want 1", external, len(told))
		default:
			s := told[0].GetTicketShared()
			if told[0].GetAddress() != want || told[0].GetConversation() != thread || s.GetTicketId() != "35" || s.GetEpisode() != 3 || s.GetOtherAddress() == "" {
				t.Errorf("%q: %v", external, told[0])
			}
		}
	}
}
