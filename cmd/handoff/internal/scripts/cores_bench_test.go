package scripts

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/stages/analytics"
	"github.com/handoff-dev/handoff/stages/classify"
	"github.com/handoff-dev/handoff/stages/classify/intent"
	"github.com/handoff-dev/handoff/stages/consent"
	"github.com/handoff-dev/handoff/stages/deliver"
	"github.com/handoff-dev/handoff/stages/escalate"
)

// BenchmarkCores is what the stages themselves cost: one text and everything it causes, records, commands
// and facts, through all of them on one core, with state in memory and neither Kafka nor Pebble. An operation
// is a text.
//
// "first" texts are each of another person and lead to an offer to talk to a person; "next" ones are what
// the same people write after it. "rules" is with the classifier that ships, "given" with one that knows
// the answer.
func BenchmarkCores(b *testing.B) {
	for _, classifier := range []string{"rules", "given"} {
		b.Run("first/"+classifier, func(b *testing.B) { newCores(b, classifier).measure(b, firstText) })
		b.Run("next/"+classifier, func(b *testing.B) { newCores(b, classifier).measure(b, firstText, "it was the blue one, size 42") })
	}
}

const firstText = "Hi, I want to cancel my order 10117 please"

// coresPeople write before they are forgotten: what is measured is the stages, not the collector's way through the
// maps of this test, which the product does not have.
const coresPeople = 1024

// TestCores: what BenchmarkCores measures still goes through all stages.
func TestCores(t *testing.T) {
	c := newCores(t, "rules")
	c.run(t, c.texts(1, firstText)[0])
	c.drainFacts()
	if c.rows != 4 {
		t.Errorf("a first text makes %d rows, want its message, consent, the episode and the offer", c.rows)
	}
}

// cores are the stages over state in memory.
type cores struct {
	stages map[string]pipeline.Stage // by mailbox
	state  map[string]map[string]*keyState
	shop   *settings.Shop
	now    time.Time
	serial int
	fx     pipeline.Effects
	queue  []pipeline.Emit
	facts  []pipeline.Record
	rows   int
	in     pipeline.Input
	record pipeline.Record
}

// given is a classifier that costs nothing.
type given struct{}

// Name implements intent.Classifier.
func (given) Name() string { return "given" }

// Read implements intent.Classifier.
func (given) Read(string, string) intent.Reading {
	return intent.Reading{Intent: intent.CancelOrder, Confidence: 0.9, Language: "en", Because: "given"}
}

func newCores(b testing.TB, classifier string) *cores {
	b.Helper()
	must := func(s pipeline.Stage, err error) pipeline.Stage {
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	var cfg classify.Config
	if classifier == "given" {
		cfg.Classifier = given{}
	}
	c := &cores{stages: map[string]pipeline.Stage{}, state: map[string]map[string]*keyState{}, now: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)}
	first := must(classify.New(cfg))
	for _, s := range []pipeline.Stage{first, must(consent.New(consent.Config{})), must(escalate.New(escalate.Config{})), must(deliver.New(deliver.Config{}))} {
		c.stages[schemas.Mailbox(s.Name())] = s
	}
	c.forget()
	var err error
	c.shop, err = settings.Parse([]byte(`
shop: acme
name: Acme Outdoors
support_contact: help@acme.example
accounts:
  - {channel: sms, account: "+15557770000", provider: twilio, user: ACacme, secret: "env:ACME_TWILIO"}
desk: {kind: zendesk, subdomain: acme, user: handoff@acme.example, token: "env:ACME_ZENDESK", webhook_secret: "env:ACME_HOOK"}
`))
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// At implements pipeline.Settings.
func (c *cores) At(string, uint64) (*settings.Shop, error) { return c.shop, nil }

// Current implements pipeline.Settings.
func (c *cores) Current(string) (*settings.Shop, uint64, error) { return c.shop, 1, nil }

// texts of n people.
func (c *cores) texts(n int, text string) []pipeline.Emit {
	all := make([]pipeline.Emit, n)
	for i := range all {
		c.serial++
		address := fmt.Sprintf("+1%010d", 2_000_000_000+i)
		r := &handoffv1.Record{
			Id: schemas.SourceID("bench", "acme", "+15557770000", fmt.Sprint(c.serial)), Shop: "acme", Channel: handoffv1.Channel_CHANNEL_SMS,
			Account: "+15557770000", Address: address, Conversation: schemas.Conversation(handoffv1.Channel_CHANNEL_SMS, "+15557770000"),
			EventTime: timestamppb.New(c.now), ReceivedAt: timestamppb.New(c.now), SettingsVersion: 1,
			Body: &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{
				NativeId: fmt.Sprint(c.serial), Text: text, AddressDisplayed: address}},
		}
		value, err := schemas.Encode(r)
		if err != nil {
			panic(err) // a record made of checked strings always encodes
		}
		all[i] = pipeline.Emit{Topic: schemas.TopicClassify, Key: schemas.KeyOf(r).Bytes(), Value: value}
	}
	return all
}

// measure has people write and tells how many texts a second of the last kind went through.
func (c *cores) measure(b *testing.B, texts ...string) {
	b.Helper()
	b.ReportAllocs()
	for done := 0; done < b.N; done += coresPeople {
		b.StopTimer()
		n := min(coresPeople, b.N-done)
		c.forget()
		for i, text := range texts {
			inputs := c.texts(n, text)
			c.now = c.now.Add(time.Minute)
			c.rows = 0
			if i == len(texts)-1 {
				b.StartTimer()
			}
			for _, input := range inputs {
				c.run(b, input)
			}
			c.drainFacts()
		}
		if c.rows < n {
			b.Fatalf("%d rows of %d texts", c.rows, n)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "texts/s")
}

// forget empties the state.
func (c *cores) forget() {
	for mailbox := range c.stages {
		c.state[mailbox] = map[string]*keyState{}
	}
}

// run takes one text, and everything it causes, through the stages.
func (c *cores) run(b testing.TB, text pipeline.Emit) {
	b.Helper()
	c.queue = append(c.queue[:0], text)
	for at := 0; at < len(c.queue); at++ {
		e := c.queue[at]
		if e.Topic == schemas.TopicAnalytics {
			c.facts = append(c.facts, pipeline.Record{Topic: e.Topic, Offset: int64(c.rows + len(c.facts)), Key: e.Key, Value: e.Value, Time: c.now})
			if len(c.facts) == 4096 {
				c.drainFacts()
			}
			continue
		}
		if c.stages[e.Topic] == nil {
			continue // a topic that none of these stages reads
		}
		st := c.state[e.Topic][string(e.Key)]
		if st == nil {
			st = &keyState{}
			c.state[e.Topic][string(e.Key)] = st
		}
		c.fx.Reset()
		c.record = pipeline.Record{Topic: e.Topic, Key: e.Key, Value: e.Value, Time: c.now}
		c.in = pipeline.Input{Key: e.Key, Now: c.now, Settings: c, Record: &c.record}
		if err := c.stages[e.Topic].Process(&c.in, st, &c.fx); err != nil {
			b.Fatal(err)
		}
		c.queue = append(c.queue, c.fx.Emits...)
	}
}

// drainFacts makes rows of the facts so far.
func (c *cores) drainFacts() {
	made := analytics.Rows(c.facts)
	c.rows += made.Len()
	c.facts = c.facts[:0]
}

// keyState is one key's state of one stage: entries in the order of their names.
type keyState struct {
	names  []string
	values [][]byte
	seen   map[string]bool
}

// Get implements pipeline.State.
func (s *keyState) Get(name string) ([]byte, bool) {
	if i, ok := slices.BinarySearch(s.names, name); ok {
		return s.values[i], true
	}
	return nil, false
}

// Put implements pipeline.State.
func (s *keyState) Put(name string, value []byte) {
	i, ok := slices.BinarySearch(s.names, name)
	if ok {
		s.values[i] = value
		return
	}
	s.names, s.values = slices.Insert(s.names, i, name), slices.Insert(s.values, i, value)
}

// Delete implements pipeline.State.
func (s *keyState) Delete(name string) {
	if i, ok := slices.BinarySearch(s.names, name); ok {
		s.names, s.values = slices.Delete(s.names, i, i+1), slices.Delete(s.values, i, i+1)
	}
}

// Scan implements pipeline.State.
func (s *keyState) Scan(prefix string, fn func(name string, value []byte) bool) {
	i, _ := slices.BinarySearch(s.names, prefix)
	for ; i < len(s.names) && strings.HasPrefix(s.names[i], prefix); i++ {
		if !fn(s.names[i], s.values[i]) {
			return
		}
	}
}

// Seen implements pipeline.State.
func (s *keyState) Seen(id []byte, _ time.Time) bool {
	if s.seen[string(id)] {
		return true
	}
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	s.seen[string(id)] = true
	return false
}
