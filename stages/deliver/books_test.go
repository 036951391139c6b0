package deliver

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// TestOutboxBalances plays commands, results, hints, callbacks and repetitions of all of them in any
// order: every command ends with one receipt, what is open is stored once, and nothing is left when
// all has ended.
func TestOutboxBalances(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t)
		b := &books{w: w, r: r, receipts: map[string]int{}}
		for range rapid.IntRange(1, 40).Draw(r, "steps") {
			b.step()
			b.look()
		}
		for len(w.calls) > 0 {
			b.finish(w.calls[0].Call.ID)
		}
		b.look()
		for _, id := range b.commands {
			if b.receipts[id] != 1 {
				r.Fatalf("command %s has %d receipts", id, b.receipts[id])
			}
		}
		for name := range w.entries {
			if strings.HasPrefix(name, callPrefix) || strings.HasPrefix(name, splitPrefix) {
				r.Fatalf("entry %s is left over", name)
			}
		}
	})
}

// books is what a plain reading of the outbox expects.
type books struct {
	w        *world
	r        *rapid.T
	records  []*handoffv1.Record // everything sent, to be repeated
	commands []string
	receipts map[string]int
}

func (b *books) send(r *handoffv1.Record) {
	b.records = append(b.records, proto.CloneOf(r))
	b.w.send(r)
}

func (b *books) step() {
	w, r := b.w, b.r
	account := rapid.SampledFrom([]string{number, blindSMS}).Draw(r, "account")
	episode := rapid.Uint64Range(1, 3).Draw(r, "episode")
	rec := w.record(account)
	switch rapid.IntRange(0, 7).Draw(r, "step") {
	case 0, 1:
		c := rapid.SampledFrom([]*handoffv1.Command{
			text(agent, "hello"), text(keyword, "You're unsubscribed."), text(bot, strings.Repeat("word ", 900)),
			create(episode), appendTo(episode, "where is it?"),
			{Episode: episode, Action: &handoffv1.Command_AskBot{AskBot: &handoffv1.AskBot{Turn: 1}}},
		}).Draw(r, "command")
		rec.Body = &handoffv1.Record_Command{Command: proto.CloneOf(c)}
		b.commands = append(b.commands, schemas.HexID(rec.GetId()))
	case 2:
		rec.Body = &handoffv1.Record_TicketChanged{TicketChanged: &handoffv1.TicketChanged{Desk: "zendesk", TicketId: fmt.Sprint("T", episode), Episode: episode}}
	case 3, 4:
		if heads := b.heads(); len(heads) > 0 {
			b.finish(rapid.SampledFrom(heads).Draw(r, "call"))
		}
		return
	case 5:
		if len(b.records) > 0 {
			w.send(proto.CloneOf(rapid.SampledFrom(b.records).Draw(r, "again")))
		}
		return
	case 6:
		rec.Body = &handoffv1.Record_DeliveryState{DeliveryState: &handoffv1.DeliveryState{
			ProviderId: fmt.Sprint("SM", rapid.IntRange(0, 5).Draw(r, "sid")), Status: handoffv1.DeliveryStatus_DELIVERY_STATUS_DELIVERED,
		}}
	case 7:
		id := "ff"
		if len(w.calls) > 0 {
			id = rapid.SampledFrom(w.calls).Draw(r, "started").Call.ID
		}
		rec.Body = &handoffv1.Record_AttemptStarted{AttemptStarted: &handoffv1.AttemptStarted{CallId: id, Attempt: rapid.Uint32Range(1, 3).Draw(r, "attempt"), Incarnation: "x"}}
	}
	b.send(rec)
}

// heads are the calls that can end: the first of each lane.
func (b *books) heads() (ids []string) {
	lanes := map[string]bool{}
	for _, c := range b.w.calls {
		if !lanes[c.Call.Lane] {
			lanes[c.Call.Lane] = true
			ids = append(ids, c.Call.ID)
		}
	}
	return ids
}

// finish ends a call in some way.
func (b *books) finish(id string) {
	o := &handoffv1.Outcome{
		Status:     rapid.SampledFrom([]handoffv1.OutcomeStatus{1, 1, 1, 2, 3, 4, 5}).Draw(b.r, "status"),
		ProviderId: fmt.Sprint("SM", rapid.IntRange(0, 5).Draw(b.r, "sid")),
		TicketId:   "T1", EndedAt: timestamppb.New(b.w.now),
		ProviderOptedOut: rapid.Bool().Draw(b.r, "opted out"),
		TicketGone:       rapid.Bool().Draw(b.r, "gone"),
	}
	rec := b.w.record("")
	rec.Body = &handoffv1.Record_CallResult{CallResult: &handoffv1.CallResult{CallId: id, Attempt: 1, Outcome: o}}
	b.send(rec)
}

// look counts receipts and compares the runner's calls with the stage's entries.
func (b *books) look() {
	w := b.w
	for _, r := range w.take(schemas.TopicEscalate) {
		if rc := r.GetReceipt(); rc != nil {
			b.receipts[rc.GetCallId()]++
			if !slices.Contains(b.commands, rc.GetCallId()) {
				b.r.Fatalf("a receipt of %s, which nobody commanded", rc.GetCallId())
			}
		}
	}
	open := 0
	for name := range w.entries {
		if id, ok := strings.CutPrefix(name, callPrefix); ok {
			open++
			if w.index(id) < 0 {
				b.r.Fatalf("call %s is open and not stored", id)
			}
		}
	}
	if open != len(w.calls) {
		b.r.Fatalf("%d calls are open, %d stored", open, len(w.calls))
	}
	fetching := map[string]int{}
	for _, c := range w.calls {
		rel := w.release(c.Call.ID)
		if f := rel.Attempt.Command.GetFetchTicket(); f != nil {
			// Two episodes can have one ticket, after a merge; each follows it by itself.
			fetching[fmt.Sprint(rel.Attempt.Record.GetConversation(), " episode ", rel.Attempt.Command.GetTicketEpisode(), " ", f.GetTicketId())]++
		}
	}
	for ticket, n := range fetching {
		if n > 1 {
			b.r.Fatalf("%d fetches of ticket %s are stored", n, ticket)
		}
	}
}
