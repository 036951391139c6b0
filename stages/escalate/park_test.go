package escalate

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// quiet gives an agent's reply as consent passes it in quiet hours.
func (w *world) quiet(id, text string, until time.Time) {
	w.t.Helper()
	w.post(func(r *handoffv1.Record) {
		r.Consent = proto.CloneOf(w.stamp)
		r.Body = &handoffv1.Record_AgentReply{AgentReply: &handoffv1.AgentReply{
			TicketId: "t1", Episode: 1, NativeId: id, Text: text, Author: "Kim",
			Parking: &handoffv1.Parking{
				Reason: handoffv1.ParkReason_PARK_REASON_QUIET_HOURS, Until: timestamppb.New(until),
				Why: "quiet hours where the customer is",
			},
		}}
	})
}

const parkedNote = "note 1: Parked until Mar 3, 2026, 08:00: quiet hours where the customer is. Reply #sendnow to send it now."

func night(t *testing.T) (*world, time.Time) {
	w := newWorld(t).opened()
	w.now = time.Date(2026, 3, 2, 22, 10, 0, 0, time.UTC)
	return w, time.Date(2026, 3, 3, 8, 0, 0, 0, time.UTC)
}

func TestQuietReplyLeavesInTheMorning(t *testing.T) {
	w, morning := night(t)
	w.quiet("r1", "one", morning)
	w.expect(parkedNote)
	w.quiet("r1", "one", morning) // told twice
	w.expect()
	w.quiet("r2", "two", morning.Add(time.Hour))
	w.skip()
	w.wait(10 * time.Hour)
	w.expect("text [agent]: one", "note 1: The reply that was parked on Mar 2, 2026, 22:10 is sent: its time has come.")
	w.wait(time.Hour)
	w.expect("text [agent]: two", "note 1: The reply that was parked on Mar 2, 2026, 22:10 is sent: its time has come.")
	w.wait(48 * time.Hour)
	if _, set := w.timers["park/"+w.at]; set {
		t.Error("the timer runs though nothing is parked")
	}
}

func TestQuietReplyLeavesWhenAnAgentAsks(t *testing.T) {
	w, morning := night(t)
	w.quiet("r1", "one", morning)
	w.skip()
	w.quiet("r2", "#SendNow", morning)
	w.expect("text [agent]: one", "note 1: The reply that was parked on Mar 2, 2026, 22:10 is sent: an agent asked for it.")
	w.quiet("r3", "two #sendnow", morning)
	w.expect("text [agent]: two")
	w.quiet("r5", "#sendnow", morning)
	w.expect("note 1: Nothing is parked for this customer.")
	w.quiet("r4", "we #sendnowhere", morning)
	w.expect(parkedNote)
}

func TestQuietReplyLeavesWhenTheCustomerWrites(t *testing.T) {
	w, morning := night(t)
	w.quiet("r1", "one", morning)
	w.skip()
	w.customer("still there?")
	w.expect("text [agent]: one",
		"note 1: The reply that was parked on Mar 2, 2026, 22:10 is sent: the customer answered.",
		"ticket 1 <- customer: still there? (open)")
}

func TestQuietReplyIsDroppedByAnOptOut(t *testing.T) {
	w, morning := night(t)
	w.quiet("r1", "one", morning)
	w.skip()
	w.stop()
	w.expect("note 1: Not sent: the customer opted out on Mar 2, 2026.", "not sent: the customer opted out on Mar 2, 2026: \"one\"",
		"episode 1: open -> opted_out", "resumed", "note 1: Customer texted STOP and is unsubscribed from SMS.", "status 1: solved")
	w.start()
	w.skip()
	w.wait(24 * time.Hour)
	w.expect()
}

func TestQuietReplyOutlivesTheChannelsWindow(t *testing.T) {
	w, morning := night(t)
	w.shop.Handoff.OutsideWindow, w.shop.Handoff.PauseFor = "park", 1000*time.Hour
	w.at = "whatsapp:+15557770000"
	writes := func(text string) {
		w.post(func(r *handoffv1.Record) {
			r.Channel, r.Consent = handoffv1.Channel_CHANNEL_WHATSAPP, proto.CloneOf(w.stamp)
			r.Body = &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{
				Text: text, Classification: &handoffv1.Classification{AsksForPerson: true, Intent: "human"},
			}}
		})
	}
	w.shop.Handoff.SkipOfferWhenAsked = true
	writes("a person please")
	w.created()
	w.quiet("r1", "one", morning.Add(24*time.Hour))
	w.skip()
	w.wait(48 * time.Hour)
	w.expect("note 1: Not sent: outside WhatsApp's 24-hour window, the customer last wrote Mar 2, 2026, 22:10. It is parked and sent when they answer.")
	w.wait(24 * time.Hour)
	w.expect()
	writes("and?")
	w.expect("text [agent]: one",
		"note 1: The reply that was parked on Mar 2, 2026, 22:10 is sent: the customer answered.",
		"ticket 1 <- customer: and? (open)")
}

func TestCutSendNow(t *testing.T) {
	for text, want := range map[string]string{
		"#sendnow": "", "#SENDNOW.": "", "Hi #sendnow": "Hi", "#sendnow Hi": "Hi", "a #x #sendnow b": "a #x b",
	} {
		if rest, found := cutSendNow(text); !found || rest != want {
			t.Errorf("%q: %q, %v, want %q", text, rest, found, want)
		}
	}
	for _, text := range []string{"", "#", "#send", "#sendnows", "x#sendnow", "send now"} {
		if rest, found := cutSendNow(text); found || rest != text {
			t.Errorf("%q: %q, %v, want it as it is", text, rest, found)
		}
	}
}
