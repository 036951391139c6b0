package script

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// ErrLost is why a record that the script loses cannot be processed.
var ErrLost = errors.New("lost by the script")

// lose makes the next record of a stage one that cannot be processed.
func (w *World) lose(c Command) error {
	stage := c.arg("stage", schemas.StageConsent)
	if _, err := w.machine(stage); err != nil {
		return err
	}
	if w.plant != nil {
		w.plant.Lose(w.shop, stage)
	} else {
		w.losing[stage]++
	}
	return w.ok()
}

// record gives a machine a record, or loses it.
func (w *World) record(m *machine, r *pipeline.Record) ([]pipeline.Emit, []state.Failure, error) {
	if w.losing[m.stage.Name()] == 0 {
		return m.record(r, w.clock)
	}
	w.losing[m.stage.Name()]--
	return m.reject(r, ErrLost, w.clock)
}

// keepLetter remembers a dead letter for replay and drop.
func (w *World) keepLetter(m *machine, f *state.Failure) {
	l := &turn.Lost{Name: f.Name(m.stage.Name(), 0), Stage: m.stage.Name(), Key: f.Key, Timer: f.Timer}
	if f.Record != nil {
		l.Value, l.Time = bytes.Clone(f.Record.Value), f.Record.Time
	}
	w.letter(l, f.Cause.Error())
}

func (w *World) letter(l *turn.Lost, why string) {
	w.letters = append(w.letters, l)
	if r, err := schemas.Decode(l.Key, l.Value); err == nil && r.GetCallResult() != nil {
		w.unheard[r.GetCallResult().GetCallId()] = true
	}
	w.lostStory(l, why)
}

// resolve replays or drops a dead letter, the last one unless named.
func (w *World) resolve(c Command) error {
	n, err := strconv.Atoi(c.arg("letter", strconv.Itoa(len(w.letters))))
	if err != nil || n < 1 || n > len(w.letters) {
		return fmt.Errorf("there is no dead letter %s", c.arg("letter", "yet"))
	}
	l, drop := w.letters[n-1], c.Name == "drop"
	told := &w.lost[n-1]
	if told.Resolved != "" { // as handoff dlq does
		return fmt.Errorf("dead letter %d was %s already", n, told.Resolved)
	}
	told.Resolved, told.Reason, told.ResolvedAt = "put back", c.Input, w.clock
	if drop {
		told.Resolved = "dropped"
	}
	if e, ok := l.Dropped(); ok && drop {
		w.deliverTo(e, w.clock)
	}
	if !drop {
		e, err := l.PutBack(w, w.clock)
		if err != nil {
			return err
		}
		w.deliverTo(e, w.clock)
	}
	m, err := w.machine(l.Stage)
	if err != nil {
		return err
	}
	if _, shuts := m.stage.(pipeline.FailureHandler); !shuts {
		return nil
	}
	e, ok, err := l.Resolved(w, w.clock, &handoffv1.DeadLetterResolved{Dropped: drop, Reason: c.Input})
	if err != nil {
		return err
	}
	if ok {
		w.deliverTo(e, w.clock)
	}
	return nil
}
