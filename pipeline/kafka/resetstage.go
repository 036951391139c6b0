package kafka

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
)

// errKnownLetter is why a reset passes over a record or timer: it is a dead letter, had no effect, and
// has none until it is replayed.
var errKnownLetter = errors.New("is a dead letter")

// knownLetters are a stage's dead letters, whatever became of them: what was put back stands in the
// mailbox again, behind.
type knownLetters struct {
	records map[[2]int64]struct{} // partition and offset of the mailbox
	timers  map[string]int        // how often a timer failed, less how often it was set again
}

func knownOf(stage string, letters *DeadLetters) knownLetters {
	k := knownLetters{records: map[[2]int64]struct{}{}, timers: map[string]int{}}
	for i := range letters.All {
		l := &letters.All[i]
		switch {
		case l.Stage != stage:
		case l.Timer != "":
			k.timers[timerLetter(l.Key, l.Timer, l.Time.UnixMilli())]++
		default:
			k.records[[2]int64{int64(l.MailboxPartition), l.MailboxOffset}] = struct{}{}
		}
	}
	return k
}

func timerLetter(key []byte, name string, at int64) string {
	return fmt.Sprintf("%q %q %d", key, name, at)
}

func (k knownLetters) has(in *pipeline.Input) bool {
	if in.Timer != nil {
		return k.timers[timerLetter(in.Key, in.Timer.Name, in.Timer.At.UnixMilli())] > 0
	}
	_, ok := k.records[[2]int64{int64(in.Record.Partition), in.Record.Offset}]
	return ok
}

// resetStage is a stage that passes over what is a dead letter already, and keeps what it wants done
// about new ones apart from its outputs.
type resetStage struct {
	pipeline.Stage
	known knownLetters
	lost  []pipeline.Emit // effects of failures
	again bool            // the last record set a timer that had failed
}

// Process implements pipeline.Stage.
func (s *resetStage) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	s.again = false
	if s.known.has(in) {
		return errKnownLetter
	}
	if err := s.Stage.Process(in, st, fx); err != nil {
		return err
	}
	for _, t := range fx.Timers {
		if t.UnlessSet {
			s.setAgain(in.Key, t.Name, t.At)
		}
	}
	return nil
}

// setAgain notes that a timer that failed was set again: it may fire once more.
func (s *resetStage) setAgain(key []byte, name string, at time.Time) {
	s.again = true
	if l := timerLetter(key, name, at.UnixMilli()); s.known.timers[l] > 0 {
		s.known.timers[l]--
	}
}

// putBack notes the same of a record that was put back by a replay.
func (s *resetStage) putBack(key, value []byte) {
	r, err := schemas.Decode(key, value)
	if f := r.GetFireTimer(); err == nil && f != nil {
		s.setAgain(key, f.GetName(), f.GetAt().AsTime())
	}
}

// Failed implements pipeline.FailureHandler.
func (s *resetStage) Failed(in *pipeline.Input, deadLetter string, cause error, fx *pipeline.Effects) {
	h, ok := s.Stage.(pipeline.FailureHandler)
	if !ok || errors.Is(cause, errKnownLetter) {
		return
	}
	h.Failed(in, deadLetter, cause, fx)
	for _, e := range fx.Emits {
		if e.Time.IsZero() {
			e.Time = in.Now
		}
		e.Key, e.Value = slices.Clone(e.Key), slices.Clone(e.Value)
		s.lost = append(s.lost, e)
	}
	clear(fx.Emits)
	fx.Emits = fx.Emits[:0]
}
