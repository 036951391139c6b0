package deliver

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

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
	} {
		if got := pollAfter(c.every, c.ticket); got != c.want {
			t.Errorf("with desk.poll %v and %d quiet looks: %v, want %v", c.every, c.ticket.GetQuietPolls(), got, c.want)
		}
	}
}
