package script

import (
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/turn"
)

// Plant runs the stages of worlds that do not run them themselves: on Kafka, say. Of a world it knows the
// shop, by which the worlds of one plant are kept apart.
type Plant interface {
	// Post puts a record into its topic.
	Post(e pipeline.Emit)
	// Publish makes a document the shop's settings of that version, and its current ones.
	Publish(shop string, version uint64, document []byte) error
	// Lose makes the next record of the shop one that the stage cannot process, for ErrLost.
	Lose(shop, stage string)
	// Calls of the shop that deliver has committed and not ended, in the order of their creation.
	Calls(shop string) []pipeline.PendingCall
	// Reader of what deliver has committed.
	Reader() pipeline.Reader
	// State gives what a stage has committed under a key, entry by entry in the order of their names.
	State(stage string, key []byte, fn func(name string, value []byte) bool) error
}

// Remote is a world whose stages a plant runs. The same people, desk, provider and bot do the same things
// in it; who drives it says what time it is, and when nothing is left to do.
type Remote struct{ w *World }

// NewRemote starts a world with the topology's shop, whose settings it publishes. The topology's stages
// are not run, only asked what they are.
func NewRemote(t Topology, plant Plant) (*Remote, error) {
	w, err := newWorld(t, plant)
	return &Remote{w}, err
}

// Shop whose records are this world's.
func (r *Remote) Shop() string { return r.w.shop }

// At moves the clock.
func (r *Remote) At(now time.Time) { r.w.clock = now }

// Begin carries out a command: what it causes is posted. Of a wait it is only judged whether it is one;
// the driver moves the clock.
func (r *Remote) Begin(c Command) error {
	if _, err := r.w.verbs.check(c); err != nil {
		return err
	}
	if c.Name == "wait" {
		return nil
	}
	return r.w.carryOut(c)
}

// Arrived tells of a record in one of the topics, once, in the order of its partition.
func (r *Remote) Arrived(record pipeline.Record) { r.w.arrived(record) }

// Lost tells of a dead letter, and why it is one.
func (r *Remote) Lost(l *turn.Lost, why string) {
	r.w.say("dead letter in %s: %s", l.Stage, why)
	r.w.letter(l, why)
}

// Release starts the first outside call that may start, if any, and posts its result. It is asked while
// the stages have nothing to do.
func (r *Remote) Release() (bool, error) {
	clear(r.w.ended)
	return r.w.release()
}

// End ends a command and returns what happened since the one before, a line each.
func (r *Remote) End() string {
	return r.w.happened()
}

// Moments are when something was posted because time passed, in the last command and before it: timers fired that had something to
// say, or calls went out.
func (w *World) Moments() []time.Time { return w.moments }

// Clock is the present time.
func (w *World) Clock() time.Time { return w.clock }
