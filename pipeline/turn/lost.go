package turn

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// Lost is a dead letter: a record or timer that a stage could not process.
type Lost struct {
	// Name of the dead letter, as Failed was given it.
	Name string
	// Stage that could not process it.
	Stage string
	// Key of the record or timer.
	Key []byte
	// Value and Time of the record.
	Value []byte
	Time  time.Time
	// Timer that failed; nil for a record.
	Timer *pipeline.Timer
}

// PutBack returns what makes the stage process it again: the record as it was but for the word that it was
// put back, under its own id and with its own time, so that whoever saw it drops it and an answer that was in
// time still is; for a timer the order to fire at the time it was due. The error is for a timer of a shop
// without settings.
func (l *Lost) PutBack(settings pipeline.Settings, now time.Time) (pipeline.Emit, error) {
	if l.Timer == nil {
		return pipeline.Emit{Topic: schemas.Mailbox(l.Stage), Key: l.Key, Value: l.marked(), Time: l.Time}, nil
	}
	e, err := l.word(settings, now, "fire", func(r *handoffv1.Record) {
		r.Body = &handoffv1.Record_FireTimer{FireTimer: &handoffv1.FireTimer{Name: l.Timer.Name, At: timestamppb.New(l.Timer.At)}}
	})
	if err != nil {
		return e, fmt.Errorf("put the timer %s back: %w", l.Timer.Name, err)
	}
	return e, nil
}

// Dropped returns what ends all the same that others wait for: of a command or of a call's result that deliver lost, so
// that whoever waits for the command hears that it will not be made, or that nobody knows what came of it, and what waits
// behind the call goes on; of a bot's answer that it will not come, so that its turn ends. ok is false for all else, of
// which nobody waits for a word.
func (l *Lost) Dropped() (e pipeline.Emit, ok bool) {
	if l.Timer != nil {
		return e, false
	}
	r, err := schemas.Decode(l.Key, l.Value)
	if err != nil {
		return e, false
	}
	answer := r.GetBotReply()
	switch {
	case l.Stage == schemas.StageDeliver && (r.GetCommand() != nil || r.GetCallResult() != nil):
		r.Dropped = true
	case answer != nil:
		answer.Text, answer.CannotAnswer, answer.Reason = "", true, lostAnswer
	default:
		return e, false
	}
	value, err := schemas.Encode(r)
	return pipeline.Emit{Topic: schemas.Mailbox(l.Stage), Key: l.Key, Value: value, Time: l.Time}, err == nil
}

// lostAnswer is why a bot whose answer was lost and dropped cannot answer.
const lostAnswer = "its answer was lost and dropped"

// marked is the record's value with the word that it was put back. One that cannot be read stays as it is:
// its stage says again what is wrong with it.
func (l *Lost) marked() []byte {
	r, err := schemas.Decode(l.Key, l.Value)
	if err != nil {
		return l.Value
	}
	r.PutBack = true
	value, err := schemas.Encode(r)
	if err != nil {
		return l.Value
	}
	return value
}

// Resolved returns what opens the texts that ShutTexts shut for it. It is posted behind what PutBack
// returned. ok is false where nothing was shut: the key tells no address, or the shop has no settings.
func (l *Lost) Resolved(settings pipeline.Settings, now time.Time, how *handoffv1.DeadLetterResolved) (e pipeline.Emit, ok bool, err error) {
	how.DeadLetter = l.Name
	e, err = l.word(settings, now, "resolved", func(r *handoffv1.Record) {
		r.Body = &handoffv1.Record_DeadLetterResolved{DeadLetterResolved: how}
	})
	if errors.Is(err, schemas.ErrKey) || errors.Is(err, pipeline.ErrSettingsPending) {
		return e, false, nil
	}
	return e, err == nil, err
}

// word makes a record of our own about the dead letter, for the stage that lost it.
func (l *Lost) word(settings pipeline.Settings, now time.Time, what string, body func(*handoffv1.Record)) (pipeline.Emit, error) {
	key, err := schemas.ParseKey(l.Key)
	if err != nil {
		return pipeline.Emit{}, err
	}
	_, version, err := settings.Current(key.Shop)
	if err != nil {
		return pipeline.Emit{}, err
	}
	at := timestamppb.New(now.Truncate(time.Millisecond))
	r := &handoffv1.Record{
		Id: schemas.SourceID("dead-letter", key.Shop, what, l.Name), Shop: key.Shop, Address: key.Address,
		EventTime: at, ReceivedAt: at, SettingsVersion: version,
	}
	body(r)
	value, err := schemas.Encode(r)
	return pipeline.Emit{Topic: schemas.Mailbox(l.Stage), Key: key.Bytes(), Value: value, Time: now}, err
}
