package scripts

import (
	"bytes"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/script"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// TestContracts: what stages say they read, post and keep is exactly what they do in the scripts, and
// every state entry that is written decodes as what its stage says it is.
func TestContracts(t *testing.T) {
	files, err := filepath.Glob("../../../../pipeline/script/testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	did := newObserved(t)
	topology, err := app.Topology("../../../../pipeline/script/testdata/models")
	if err != nil {
		t.Fatal(err)
	}
	topology.Rules = shippedRules
	stages := topology.Stages
	topology.Stages = make([]pipeline.Stage, len(stages))
	for i, s := range stages {
		topology.Stages[i] = did.watch(s)
	}
	for _, file := range files {
		w, err := script.NewWorld(topology)
		if err != nil {
			t.Fatal(err)
		}
		datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
			out, err := w.Run(command(d))
			if err != nil {
				t.Fatalf("%s: %v", d.Pos, err)
			}
			return out
		})
	}
	lose(t, did, stages)
	for _, s := range stages {
		c := contractOf(t, s)
		said := newObserved(t)
		for _, b := range c.Reads {
			said.reads[s.Name()+" reads "+b] = true
		}
		for _, p := range c.Posts {
			for _, b := range p.Bodies {
				said.posts[s.Name()+" posts "+b+" to "+p.Topic] = true
			}
		}
		for _, e := range c.Keeps {
			said.keeps[s.Name()+" keeps "+e.Name] = true
		}
		compare(t, s.Name(), did.reads, said.reads)
		compare(t, s.Name(), did.posts, said.posts)
		compare(t, s.Name(), did.keeps, said.keeps)
	}
}

// compare reports what a stage did and did not say, and what it said and never did.
func compare(t *testing.T, stage string, did, said map[string]bool) {
	t.Helper()
	for _, what := range slices.Sorted(maps.Keys(did)) {
		if strings.HasPrefix(what, stage+" ") && !said[what] {
			t.Errorf("%s, which its contract does not say", what)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(said)) {
		if !did[what] {
			t.Errorf("the contract says that %s; no script shows it", what)
		}
	}
}

// lose makes every stage that handles failures lose a record, and gives deliver what else no script
// brings: the gate that this shuts, a blind call's attempt, a text of several parts.
func lose(t *testing.T, did *observed, stages []pipeline.Stage) {
	t.Helper()
	shop, err := settings.Parse([]byte(shopDocument))
	if err != nil {
		t.Fatal(err)
	}
	table := oneShop{shop}
	now := time.Unix(1_700_000_000, 0)
	fx := &pipeline.Effects{}
	for _, s := range stages {
		if h, ok := did.watch(s).(pipeline.FailureHandler); ok {
			fx.Reset()
			lost := &pipeline.Record{Topic: schemas.Mailbox(s.Name()), Key: []byte(person), Value: []byte("no record")}
			h.Failed(&pipeline.Input{Key: []byte(person), Now: now, Settings: table, Record: lost}, "handoff.x/0/1", errors.New("lost"), fx)
		}
	}
	deliver := did.watch(stages[slices.IndexFunc(stages, func(s pipeline.Stage) bool { return s.Name() == schemas.StageDeliver })])
	p, err := state.NewPartition(state.Config{Stage: deliver, Partitions: 1}, state.Memory())
	if err != nil {
		t.Fatal(err)
	}
	long := &handoffv1.Command{Action: &handoffv1.Command_SendText{SendText: &handoffv1.SendText{
		Text: strings.Repeat("word ", 1000), TextClass: handoffv1.TextClass_TEXT_CLASS_AGENT}}}
	values := [][]byte{fx.Emits[0].Value}
	for i, body := range []*handoffv1.Record{
		{Body: &handoffv1.Record_AttemptStarted{AttemptStarted: &handoffv1.AttemptStarted{CallId: "00", Attempt: 1}}},
		{Body: &handoffv1.Record_Command{Command: long}},
	} {
		body.Id = schemas.EffectID([]byte("made"), "test", i)
		body.Shop, body.Address, body.SettingsVersion = "acme", "+15550001111", 1
		body.Channel, body.Account, body.Conversation = handoffv1.Channel_CHANNEL_SMS, "+15557770000", "sms:+15557770000"
		body.ReceivedAt, body.EventTime = timestamppb.New(now), timestamppb.New(now)
		value, err := schemas.Encode(body)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, value)
	}
	for i, value := range values {
		r := &pipeline.Record{Topic: schemas.TopicDeliver, Offset: int64(i), Key: []byte(person), Value: value, Time: now}
		if err := p.Process(r, now, table, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range p.TakeFailures() {
		t.Errorf("deliver: %v", f.Cause)
	}
}

const (
	person       = "acme|+15550001111"
	shopDocument = `
shop: acme
name: Acme Outdoors
support_contact: help@acme.example
accounts:
  - {channel: sms, account: "+15557770000", provider: twilio, user: ACacme, secret: "env:ACME_TWILIO"}
`
)

// oneShop is a table in which every shop has one version.
type oneShop struct{ shop *settings.Shop }

func (s oneShop) At(string, uint64) (*settings.Shop, error) { return s.shop, nil }

func (s oneShop) Current(string) (*settings.Shop, uint64, error) { return s.shop, 1, nil }

func contractOf(t *testing.T, s pipeline.Stage) turn.Contract {
	t.Helper()
	c, ok := s.(interface{ Contract() turn.Contract })
	if !ok {
		t.Fatalf("%s has no contract", s.Name())
	}
	return c.Contract()
}

// observed is what stages were seen to do.
type observed struct {
	t                   *testing.T
	reads, posts, keeps map[string]bool
}

func newObserved(t *testing.T) *observed {
	return &observed{t: t, reads: map[string]bool{}, posts: map[string]bool{}, keeps: map[string]bool{}}
}

// watch returns the stage with an observer around it.
func (o *observed) watch(s pipeline.Stage) pipeline.Stage {
	w := watched{Stage: s, of: o, contract: contractOf(o.t, s)}
	if h, ok := s.(pipeline.FailureHandler); ok {
		return watchedFailures{w, h}
	}
	return w
}

type watched struct {
	pipeline.Stage
	of       *observed
	contract turn.Contract
}

func (w watched) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	if err := w.Stage.Process(in, watchedState{st, w}, fx); err != nil {
		return err
	}
	if in.Record != nil {
		w.of.reads[w.Name()+" reads "+w.of.body(in.Record.Value)] = true
	}
	w.emitted(fx)
	return nil
}

func (w watched) emitted(fx *pipeline.Effects) {
	for _, e := range fx.Emits {
		w.of.posts[w.Name()+" posts "+w.of.body(e.Value)+" to "+e.Topic] = true
	}
}

func (o *observed) body(value []byte) string {
	r := &handoffv1.Record{}
	if err := proto.Unmarshal(value, r); err != nil {
		o.t.Fatal(err)
	}
	return turn.BodyName(r)
}

type watchedFailures struct {
	watched
	h pipeline.FailureHandler
}

func (w watchedFailures) Failed(in *pipeline.Input, deadLetter string, cause error, fx *pipeline.Effects) {
	w.h.Failed(in, deadLetter, cause, fx)
	w.emitted(fx)
}

// watchedState decodes what is written as the stage's contract says.
type watchedState struct {
	pipeline.State
	by watched
}

func (s watchedState) Put(name string, value []byte) {
	m, err := s.by.contract.Decode(name, value)
	if err != nil {
		s.by.of.t.Errorf("%s: %v", s.by.Name(), err)
	} else if again, err := (proto.MarshalOptions{Deterministic: true}).Marshal(m); err != nil || !bytes.Equal(again, value) {
		s.by.of.t.Errorf("%s: entry %q does not encode as it was: %v", s.by.Name(), name, err)
	}
	for _, e := range s.by.contract.Keeps {
		if name == e.Name || strings.HasSuffix(e.Name, "/") && strings.HasPrefix(name, e.Name) {
			s.by.of.keeps[s.by.Name()+" keeps "+e.Name] = true
		}
	}
	s.State.Put(name, value)
}
