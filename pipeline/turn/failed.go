package turn

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// ShutTexts is what a stage does in Failed when the lost record could have been an opt-out: it shuts
// deliver's text gate for the address until the dead letter is replayed or dropped. Nothing is posted
// where the key tells no address, or where the shop has no settings: deliver sends nothing for either.
func ShutTexts(stage string, in *pipeline.Input, deadLetter string, fx *pipeline.Effects) {
	key, err := schemas.ParseKey(in.Key)
	if err != nil {
		return
	}
	_, version, err := in.Settings.Current(key.Shop)
	if err != nil {
		return
	}
	now := timestamppb.New(in.Now.Truncate(time.Millisecond))
	out := &handoffv1.Record{
		Id: schemas.EffectID([]byte(deadLetter), stage, 0), Shop: key.Shop, Address: key.Address,
		EventTime: now, ReceivedAt: now, SettingsVersion: version,
		Body: &handoffv1.Record_TextGate{TextGate: &handoffv1.TextGate{Shut: true, DeadLetter: deadLetter}},
	}
	if r := lostRecord(in); r != nil {
		out.Channel, out.Account, out.Conversation = r.GetChannel(), r.GetAccount(), r.GetConversation()
		out.Traceparent = r.GetTraceparent()
	}
	value, err := schemas.Encode(out)
	if err != nil {
		return // a record made of checked strings always encodes
	}
	fx.Emit(schemas.TopicDeliver, key.Bytes(), value)
}

// OpenTexts takes back one ShutTexts, once what was lost is dealt with: whoever calls it must have posted
// to deliver before whatever came of it.
func (t *Turn) OpenTexts(deadLetter string) {
	r := t.Make(t.Here())
	r.Body = &handoffv1.Record_TextGate{TextGate: &handoffv1.TextGate{DeadLetter: deadLetter}}
	t.Emit(schemas.TopicDeliver, r)
}

// fireAgain sets a timer that became a dead letter once more, for the time it was due: it fires before
// anything that comes after, and decides what it would have decided then. A timer that was set anew
// since takes its place.
func (t *Turn) fireAgain(f *handoffv1.FireTimer) error {
	if f.GetName() == "" || f.GetAt() == nil {
		return fmt.Errorf("%w: a timer to fire again without name or time", schemas.ErrRecord)
	}
	t.fx.Timers = append(t.fx.Timers, pipeline.TimerChange{Name: f.GetName(), At: f.GetAt().AsTime(), UnlessSet: true})
	return nil
}

// lostRecord returns the envelope of the lost record, or nil when it cannot be read or is filed under
// another's key.
func lostRecord(in *pipeline.Input) *handoffv1.Record {
	if in.Record == nil {
		return nil
	}
	r := &handoffv1.Record{}
	if proto.Unmarshal(in.Record.Value, r) != nil || schemas.KeyOf(r).String() != string(in.Key) {
		return nil
	}
	return r
}
