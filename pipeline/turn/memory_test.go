package turn_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// teller tells of its record as often as it is said to.
type teller struct{ times int }

func (teller) Name() string { return "teller" }

func (d teller) On(t *turn.Turn) error {
	for range d.times {
		t.Fact(t.Here(), &handoffv1.Fact{Reason: t.Record.GetCustomerMessage().GetText()})
	}
	r := t.Make(turn.Place{}) // nothing of what was made before is in it
	r.Body = &handoffv1.Record_Asked{Asked: &handoffv1.Asked{}}
	t.Emit(schemas.TopicClassify, r)
	return nil
}

// TestMemory: turns that use the memory of earlier ones again, with more or less in it, make the records that turns
// with memory of their own make, and what was emitted before stays as it is.
func TestMemory(t *testing.T) {
	var used pipeline.Effects
	var before []pipeline.Emit
	for i, times := range []int{3, 200, 0, 1, 70} {
		in := message(t, i)
		used.Reset()
		var fresh pipeline.Effects
		for _, fx := range []*pipeline.Effects{&used, &fresh} {
			if err := turn.Process(teller{times}, in, nil, fx); err != nil {
				t.Fatal(err)
			}
		}
		if len(used.Emits) != times+1 {
			t.Fatalf("%d records, want %d", len(used.Emits), times+1)
		}
		for j, e := range used.Emits {
			if string(e.Value) != string(fresh.Emits[j].Value) || string(e.Key) != string(in.Key) {
				t.Fatalf("record %d of turn %d is %x, want %x", j, i, e.Value, fresh.Emits[j].Value)
			}
		}
		if len(before) > 0 {
			if r, err := schemas.Decode(before[0].Key, before[0].Value); err != nil || r.GetFact().GetReason() != "first" {
				t.Fatalf("what an earlier turn emitted has become %v (%v)", r, err)
			}
		} else {
			before = append(before, used.Emits...)
		}
	}
}

// joiner joins what it is given, and keeps what came of it.
type joiner struct {
	parts [][]string
	made  *[]string
}

func (joiner) Name() string { return "joiner" }

func (d joiner) On(t *turn.Turn) error {
	for _, parts := range d.parts {
		*d.made = append(*d.made, t.Join(parts...))
	}
	return nil
}

// TestJoin: names are what their parts make, whatever names were made before, and stay so.
func TestJoin(t *testing.T) {
	var parts [][]string
	for i := range 200 { // many of one length, some of them the same in other parts
		n := strconv.Itoa(1000 + i%70)
		parts = append(parts, []string{"conv/", n}, []string{"con", "v/" + n}, []string{"conv/", n, "/", n}, []string{"", n}, []string{"line", n, ""})
	}
	parts = append(parts, []string{""}, []string{"", ""}, nil)
	var fx pipeline.Effects
	var made []string
	for i := range 3 {
		fx.Reset()
		if err := turn.Process(joiner{parts, &made}, message(t, i), nil, &fx); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range made {
		if want := strings.Join(parts[i%len(parts)], ""); name != want {
			t.Fatalf("%q make %q", parts[i%len(parts)], name)
		}
	}
}

// TestDecide: without bytes a turn posts the records that it posts encoded.
func TestDecide(t *testing.T) {
	in := message(t, 0)
	r, err := schemas.Decode(in.Record.Key, in.Record.Value)
	if err != nil {
		t.Fatal(err)
	}
	var encoded, decoded pipeline.Effects
	if err := turn.Process(teller{2}, in, nil, &encoded); err != nil {
		t.Fatal(err)
	}
	n := 0
	post := func(topic string, key []byte, r *handoffv1.Record) {
		e := encoded.Emits[n]
		if want, err := schemas.Decode(e.Key, e.Value); err != nil || topic != e.Topic || string(key) != string(e.Key) || !proto.Equal(r, want) {
			t.Errorf("record %d is %v to %s, want %v to %s (%v)", n, r, topic, want, e.Topic, err)
		}
		n++
	}
	if err := turn.Decide(teller{2}, r, in, nil, &decoded, post); err != nil || n != len(encoded.Emits) || len(decoded.Emits) != 0 {
		t.Errorf("%v, %d posted and %d emitted, want %d and none", err, n, len(decoded.Emits), len(encoded.Emits))
	}
}

// message is the i-th input: a customer's message of another text and person.
func message(t *testing.T, i int) *pipeline.Input {
	t.Helper()
	now := time.Date(2026, 3, 2, 10, i, 0, 0, time.UTC)
	text := []string{"first", "second", "", "fourth", "fifth"}[i]
	r := &handoffv1.Record{
		Id: schemas.SourceID("test", "acme", "", text), Shop: "acme", Address: "+1415555000" + string(rune('0'+i)), SettingsVersion: 1,
		ReceivedAt: timestamppb.New(now), Body: &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{Text: text}},
	}
	if i > 0 {
		r.Consent = &handoffv1.ConsentStamp{Version: uint64(i)}
	}
	value, err := schemas.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	key := schemas.KeyOf(r).Bytes()
	return &pipeline.Input{Key: key, Now: now, Settings: oneShop{}, Record: &pipeline.Record{Key: key, Value: value, Time: now}}
}
