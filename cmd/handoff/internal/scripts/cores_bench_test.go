package scripts

import (
	"fmt"
	"maps"
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
// and facts, through all of them on one core, with state in maps and neither Kafka nor Pebble. An operation
// is a text.
//
// "first" texts are each of another person and lead to an offer to talk to a person; "next" ones are what
// the same people write after it. "rules" is with the classifier that ships, "given" with one that knows
// the answer.
func BenchmarkCores(b *testing.B) {
	for _, classifier := range []string{"rules", "given"} {
		b.Run("first/"+classifier, func(b *testing.B) {
			c := newCores(b, classifier)
			inputs := c.texts(b.N, "Hi, I want to cancel my order 10117 please")
			c.measure(b, inputs)
		})
		b.Run("next/"+classifier, func(b *testing.B) {
			c := newCores(b, classifier)
			for _, r := range c.texts(b.N, "Hi, I want to cancel my order 10117 please") {
				c.run(b, r)
			}
			c.now = c.now.Add(time.Minute)
			c.measure(b, c.texts(b.N, "it was the blue one, size 42"))
		})
	}
}

// TestCores: what BenchmarkCores measures still goes through all stages.
func TestCores(t *testing.T) {
	c := newCores(t, "rules")
	c.run(t, c.texts(1, "Hi, I want to cancel my order 10117 please")[0])
	c.drainFacts()
	if c.rows != 4 {
		t.Errorf("a first text makes %d rows, want its message, consent, the episode and the offer", c.rows)
	}
}

// cores are the stages over maps.
type cores struct {
	stages map[string]pipeline.Stage // by mailbox
	state  map[string]map[string]mapState
	shop   *settings.Shop
	now    time.Time
	serial int
	fx     pipeline.Effects
	queue  []pipeline.Emit
	facts  []pipeline.Record
	rows   int
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
	c := &cores{stages: map[string]pipeline.Stage{}, state: map[string]map[string]mapState{}, now: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)}
	first := must(classify.New(cfg))
	for _, s := range []pipeline.Stage{first, must(consent.New(consent.Config{})), must(escalate.New(escalate.Config{})), must(deliver.New(deliver.Config{}))} {
		c.stages[schemas.Mailbox(s.Name())] = s
		c.state[schemas.Mailbox(s.Name())] = map[string]mapState{}
	}
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

// measure runs texts and tells how many a second went through.
func (c *cores) measure(b *testing.B, texts []pipeline.Emit) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	for _, t := range texts {
		c.run(b, t)
	}
	c.drainFacts()
	b.StopTimer()
	if c.rows < len(texts) {
		b.Fatalf("%d rows of %d texts", c.rows, len(texts))
	}
	b.ReportMetric(float64(len(texts))/b.Elapsed().Seconds(), "texts/s")
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
			st = mapState{}
			c.state[e.Topic][string(e.Key)] = st
		}
		c.fx.Reset()
		in := pipeline.Input{Key: e.Key, Now: c.now, Settings: c,
			Record: &pipeline.Record{Topic: e.Topic, Key: e.Key, Value: e.Value, Time: c.now}}
		if err := c.stages[e.Topic].Process(&in, st, &c.fx); err != nil {
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

// mapState is one key's state of one stage.
type mapState map[string][]byte

// Get implements pipeline.State.
func (m mapState) Get(name string) ([]byte, bool) { v, ok := m[name]; return v, ok }

// Put implements pipeline.State.
func (m mapState) Put(name string, value []byte) { m[name] = value }

// Delete implements pipeline.State.
func (m mapState) Delete(name string) { delete(m, name) }

// Scan implements pipeline.State.
func (m mapState) Scan(prefix string, fn func(name string, value []byte) bool) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if strings.HasPrefix(name, prefix) && !fn(name, m[name]) {
			return
		}
	}
}

// Seen implements pipeline.State.
func (m mapState) Seen(id []byte, _ time.Time) bool {
	_, seen := m["\x00"+string(id)]
	m["\x00"+string(id)] = nil
	return seen
}
