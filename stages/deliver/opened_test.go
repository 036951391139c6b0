package deliver

import (
	"fmt"
	"slices"
	"testing"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

const (
	solvedThen = handoffv1.TicketStatus_TICKET_STATUS_SOLVED
	openThen   = handoffv1.TicketStatus_TICKET_STATUS_OPEN
)

// fetched has a ticket read, and returns for each status that the desk told which episode it was opened for then.
func (w *world) fetched(more bool, statuses ...handoffv1.TicketStatus) (openedFor []uint64) {
	w.t.Helper()
	if len(w.calls) == 0 {
		w.hint("zendesk", "41", 1)
	}
	o := &handoffv1.Outcome{MoreItems: more}
	for i, status := range statuses {
		id := fmt.Sprint(w.now.UnixNano(), "-", i)
		o.Items = append(o.Items, &handoffv1.DeskItem{NativeId: id, Cursor: id, Status: status})
	}
	w.result(w.calls[0].Call.ID, done(o))
	for _, r := range w.take(schemas.TopicConsent) {
		openedFor = append(openedFor, r.GetTicketEvent().GetOpenedFor())
	}
	return openedFor
}

func opening(episode uint64, status handoffv1.TicketStatus) *handoffv1.Command {
	c := appendTo(1, "hello")
	c.Episode, c.GetAppendMessages().Status = episode, status
	return c
}

// Whether a close came before a reopening is told by the desk's order, with no look at its clock.
func TestACloseIsPlacedByTheDesksOrder(t *testing.T) {
	w := newWorld(t)
	expect := func(what string, got []uint64, want ...uint64) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: opened for %d, want %d", what, got, want)
		}
	}
	w.result(w.command(number, create(1)), done(&handoffv1.Outcome{TicketId: "41"}))
	expect("after the creation", w.fetched(false, solvedThen), 1)
	w.result(w.command(number, opening(2, 0)), done(&handoffv1.Outcome{}))
	expect("after an append that opens nothing", w.fetched(false, solvedThen), 1)
	reopen := w.command(number, opening(2, openThen))
	w.result(reopen, done(&handoffv1.Outcome{}))
	expect("around the reopening", w.fetched(false, openThen, solvedThen, openThen, solvedThen), 1, 1, 2, 2)
	expect("later", w.fetched(false, openThen, solvedThen), 2, 2)
	w.result(w.command(number, opening(3, openThen)), done(&handoffv1.Outcome{}))
	expect("with no opening, for it was open", w.fetched(false, solvedThen), 3)
	w.result(w.command(number, opening(4, openThen)), done(&handoffv1.Outcome{}))
	expect("read in pieces", w.fetched(true, solvedThen), 3)
	expect("the next piece", w.fetched(false, openThen, solvedThen), 4, 4)
	w.result(w.command(number, opening(5, openThen)), &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, Code: "422"})
	expect("after one that failed", w.fetched(false, solvedThen), 5)
}
