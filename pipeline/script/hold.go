package script

import (
	"fmt"
	"slices"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// Watcher is told what happens in a world, in order.
type Watcher interface {
	// Committed: a stage processed a record, or timers or a lost record where r is nil, and committed with
	// what it emitted.
	Committed(stage string, r *pipeline.Record, emits []pipeline.Emit)
	// Lost: a stage could not process a record, nil for a timer; it is a dead letter now.
	Lost(stage string, r *pipeline.Record)
	// Called: the request of a call left. o is what came of it; nil where the other side does not answer
	// yet, or is down and did nothing.
	Called(a caller.Attempt, o *handoffv1.Outcome)
}

// holding is what does not go on by itself: for events that cross.
type holding struct {
	calls   bool            // outside calls do not start
	answers bool            // they start, and their answers stay on the way
	stages  map[string]bool // these do not read their mailbox
	onWire  []answer        // answers on their way
}

// answer is the end of a call that has not been posted yet.
type answer struct {
	call    pipeline.PendingCall
	outcome *handoffv1.Outcome
}

// wire tells whether a call's answer is on its way.
func (h *holding) wire(callID string) bool {
	return slices.ContainsFunc(h.onWire, func(a answer) bool { return a.call.Call.ID == callID })
}

func (w *World) hold(c Command) error {
	stage, of := c.Args["stage"]
	switch {
	case of:
		if _, err := w.machine(stage); err != nil {
			return err
		}
		w.holding.stages[stage] = true
		if w.plant != nil {
			w.plant.Hold(w.shop, stage, true)
		}
	case c.word() == "answers":
		w.holding.answers = true
	default:
		w.holding.calls = true
	}
	return w.ok()
}

// letGo lets what was held go on.
func (w *World) letGo(c Command) error {
	stage, of := c.Args["stage"]
	switch {
	case of:
		delete(w.holding.stages, stage)
		if w.plant != nil {
			w.plant.Hold(w.shop, stage, false)
		}
	case c.word() == "answers":
		w.holding.answers = false
		waiting := w.holding.onWire
		w.holding.onWire = nil
		for _, a := range waiting {
			w.result(a.call, a.outcome)
		}
	default:
		w.holding.calls = false
	}
	return nil
}

// stepStage lets a held stage read one record of its mailbox.
func (w *World) stepStage(c Command) error {
	m, err := w.machine(c.arg("stage", ""))
	if err != nil {
		return err
	}
	if w.plant != nil {
		w.plant.Step(w.shop, m.stage.Name())
		return nil
	}
	_, err = w.readNext(m)
	return err
}

// behind tells whether a stage has not read all that was posted to it: its clock is not the wall's then.
func (w *World) behind(m *machine) bool {
	return w.holding.stages[m.stage.Name()] && len(w.inbox[m.mailbox]) > 0
}

// Quiet tells whether nothing is held, waits in a mailbox or is on its way. Calls may wait for their time
// or for the other side.
func (w *World) Quiet() bool {
	if w.holding.calls || w.holding.answers || len(w.holding.stages) > 0 || len(w.holding.onWire) > 0 {
		return false
	}
	for _, m := range w.stages {
		if len(w.inbox[m.mailbox]) > 0 || w.losing[m.stage.Name()] > 0 {
			return false
		}
	}
	return true
}

// Entries calls fn for each entry that a stage has committed under a key and whose name begins so.
func (w *World) Entries(stage string, key []byte, prefix string, fn func(name string, value []byte) bool) error {
	m, err := w.machine(stage)
	if err != nil {
		return err
	}
	return committed{m}.Scan(0, key, prefix, fn)
}

// Ticket at the world's desk.
type Ticket struct {
	Key          string // shop|address
	Conversation string
	Status       handoffv1.TicketStatus
}

// Tickets are the desk's, in the order of their creation.
func (w *World) Tickets() []Ticket {
	all := make([]Ticket, len(w.outside.tickets))
	for i, t := range w.outside.tickets {
		all[i] = Ticket{Key: string(schemas.KeyOf(t.place).Bytes()), Conversation: t.place.GetConversation(), Status: t.status}
	}
	return all
}

// machine finds a stage by its name.
func (w *World) machine(stage string) (*machine, error) {
	for _, m := range w.stages {
		if m.stage.Name() == stage {
			return m, nil
		}
	}
	return nil, fmt.Errorf("there is no stage %q; there are classify, consent, escalate, deliver", stage)
}
