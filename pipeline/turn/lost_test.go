package turn_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// oneShop is the table of "acme".
type oneShop struct{}

func (oneShop) At(string, uint64) (*settings.Shop, error) { return &settings.Shop{Shop: "acme"}, nil }

func (oneShop) Current(shop string) (*settings.Shop, uint64, error) {
	if shop != "acme" {
		return nil, 0, pipeline.ErrSettingsPending
	}
	return &settings.Shop{Shop: shop}, 3, nil
}

// bell counts how often its timer fires, and when; a record sets it for its own time.
type bell struct{ rang *[]time.Time }

func (bell) Name() string { return "bell" }

func (b bell) On(t *turn.Turn) error {
	if t.Timer != nil {
		*b.rang = append(*b.rang, t.Now)
		return nil
	}
	t.SetTimer("ring", t.At().Add(time.Hour))
	return nil
}

func (b bell) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	return turn.Process(b, in, st, fx)
}

// TestFireTimer: a timer that is put back fires at the time it was due, and not when one of its name was
// set anew.
func TestFireTimer(t *testing.T) {
	var rang []time.Time
	p, err := state.NewPartition(state.Config{Stage: bell{&rang}, Partitions: 1}, state.Memory())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	due := now.Add(-24 * time.Hour)
	lost := turn.Lost{Name: "handoff.bell/0/timer/ring/1/2", Stage: "bell", Key: []byte("acme|+1"), Timer: &pipeline.Timer{Name: "ring", At: due}}
	process := func(e pipeline.Emit, offset int64) {
		t.Helper()
		r := pipeline.Record{Topic: e.Topic, Offset: offset, Key: e.Key, Value: e.Value, Time: e.Time}
		if err := p.Process(&r, now, oneShop{}, true); err != nil {
			t.Fatal(err)
		}
		if f := p.TakeFailures(); len(f) > 0 {
			t.Fatal(f[0].Cause)
		}
	}
	again, err := lost.PutBack(oneShop{}, now)
	if err != nil {
		t.Fatal(err)
	}
	process(again, 1)
	if err := p.Advance(now, oneShop{}, true); err != nil || len(rang) != 1 || !rang[0].Equal(due) {
		t.Fatalf("%v, it rang %v, want once at %v", err, rang, due)
	}
	set, _, err := lost.Resolved(oneShop{}, now, &handoffv1.DeadLetterResolved{}) // any record of the key
	if err != nil {
		t.Fatal(err)
	}
	process(set, 2)
	process(again, 3)
	if err := p.Advance(now, oneShop{}, true); err != nil || len(rang) != 1 {
		t.Errorf("%v, it rang %v though it was set anew", err, rang)
	}
	if at, ok := p.NextTimer(); !ok || !at.Equal(now.Add(time.Hour)) {
		t.Errorf("the new timer is due at %v (%v)", at, ok)
	}
}

// TestLost: a record comes back as it was; what cannot have shut texts opens none.
func TestLost(t *testing.T) {
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	l := turn.Lost{Name: "handoff.consent/0/7", Stage: "consent", Key: []byte("acme|+1"), Value: []byte("bytes"), Time: now.Add(-time.Hour)}
	e, err := l.PutBack(oneShop{}, now)
	if err != nil || e.Topic != schemas.TopicConsent || !bytes.Equal(e.Key, l.Key) || string(e.Value) != "bytes" || !e.Time.Equal(l.Time) {
		t.Errorf("%+v %v", e, err)
	}
	e, ok, err := l.Resolved(oneShop{}, now, &handoffv1.DeadLetterResolved{Dropped: true, By: "Ann", Reason: "spam"})
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	r, err := schemas.Decode(e.Key, e.Value)
	if d := r.GetDeadLetterResolved(); err != nil || d.GetDeadLetter() != l.Name || !d.GetDropped() || d.GetBy() != "Ann" || r.GetSettingsVersion() != 3 {
		t.Errorf("%v %v", r, err)
	}
	for _, key := range []string{"no key", "unknown|+1"} {
		l.Key = []byte(key)
		if _, ok, err := l.Resolved(oneShop{}, now, &handoffv1.DeadLetterResolved{}); ok || err != nil {
			t.Errorf("%s: %v %v", key, ok, err)
		}
	}
	l.Timer = &pipeline.Timer{Name: "x", At: now}
	if _, err := l.PutBack(oneShop{}, now); !errors.Is(err, pipeline.ErrSettingsPending) {
		t.Errorf("a timer of an unknown shop: %v", err)
	}
}

// TestDroppedAnswer: a bot's answer that any stage lost and that is dropped ends its turn; nobody waits for a word of a
// customer's message, or of what is no record.
func TestDroppedAnswer(t *testing.T) {
	lost := func(stage string, r *handoffv1.Record) turn.Lost {
		r.Id, r.Shop, r.Address = schemas.SourceID("test", "acme", "", "1"), "acme", "+14155550001"
		r.EventTime, r.ReceivedAt = timestamppb.Now(), timestamppb.Now()
		key := schemas.KeyOf(r).Bytes()
		value, err := schemas.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		return turn.Lost{Name: stage + "/0/7", Stage: stage, Key: key, Value: value}
	}
	for _, stage := range []string{schemas.StageConsent, schemas.StageEscalate} {
		l := lost(stage, &handoffv1.Record{Body: &handoffv1.Record_BotReply{BotReply: &handoffv1.BotReply{Turn: 3, Text: "It ships."}}})
		e, ok := l.Dropped()
		if !ok || e.Topic != schemas.Mailbox(stage) {
			t.Fatalf("%s: %v, to %s", stage, ok, e.Topic)
		}
		r, err := schemas.Decode(e.Key, e.Value)
		if b := r.GetBotReply(); err != nil || b.GetTurn() != 3 || b.GetText() != "" || !b.GetCannotAnswer() || b.GetReason() == "" {
			t.Errorf("%s: %v, %v", stage, r, err)
		}
		l = lost(stage, &handoffv1.Record{Body: &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{Text: "hi"}}})
		if _, ok := l.Dropped(); ok {
			t.Errorf("%s: there is a word of a customer's message", stage)
		}
	}
	if _, ok := (&turn.Lost{Stage: schemas.StageConsent, Key: []byte("acme|+1"), Value: []byte("bytes")}).Dropped(); ok {
		t.Error("there is a word of what is no record")
	}
}
