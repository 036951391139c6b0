package scripts

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/turn"
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

// TestCores: what BenchmarkCores measures still goes through all stages.
func TestCores(t *testing.T) {
	c := newCores(t, "rules")
	c.runEncoded(t, &c.texts(1, firstText)[0])
	c.drainFacts()
	if c.rows != 4 {
		t.Errorf("a first text makes %d rows, want its message, consent, the episode and the offer", c.rows)
	}
}

// TestCoresDecoded: stages that are handed decoded records make the same records, timers, calls and state, byte for
// byte and in the same order, as stages that read and write bytes.
func TestCoresDecoded(t *testing.T) {
	encoded, decoded := newCores(t, "rules"), newCores(t, "rules")
	for _, words := range []string{firstText, nextText, "yes please", "are you there?", "STOP", "hello??", "START", "thanks", "stop texting me", firstText} {
		var made, want []string
		encoded.trace = func(emits []pipeline.Emit, fx *pipeline.Effects) { want = append(want, told(emits, fx)) }
		decoded.trace = func(emits []pipeline.Emit, fx *pipeline.Effects) { made = append(made, told(emits, fx)) }
		for _, person := range encoded.texts(2, words) {
			encoded.runEncoded(t, &person)
		}
		for _, person := range decoded.texts(2, words) {
			decoded.runDecoded(t, &person)
		}
		if !slices.Equal(made, want) {
			t.Fatalf("%q makes, decoded:\n%s\nencoded:\n%s", words, strings.Join(made, "\n"), strings.Join(want, "\n"))
		}
		if !reflect.DeepEqual(decoded.people, encoded.people) {
			t.Fatalf("%q leaves other state where it is decoded", words)
		}
		encoded.drainFacts()
		if encoded.rows == 0 || decoded.rows != encoded.rows {
			t.Fatalf("%q: %d facts decoded, %d rows encoded", words, decoded.rows, encoded.rows)
		}
		encoded.now, decoded.now = encoded.now.Add(time.Minute), decoded.now.Add(time.Minute)
	}
}

// told is all that a turn made.
func told(emits []pipeline.Emit, fx *pipeline.Effects) string {
	var b strings.Builder
	for _, e := range emits {
		fmt.Fprintf(&b, "%s %s %x\n", e.Topic, e.Key, e.Value)
	}
	fmt.Fprintf(&b, "%+v %+v %+v", fx.Timers, fx.Calls, fx.Ended)
	return b.String()
}

// cores are the stages over state in memory.
type cores struct {
	stages []*running // in the order of a text's way
	people map[string]*writer
	asks   *writer // whose record is in hand
	shop   *settings.Shop
	now    time.Time
	serial int
	in     pipeline.Input

	// Encoded: what is to be read, and facts that are not rows yet.
	queue  []pipeline.Emit
	record pipeline.Record
	facts  []pipeline.Record
	// Decoded: what is to be read, and hand.
	handed []handed
	outlet turn.Outlet

	// rows of facts; facts where they are decoded.
	rows int
	// trace is told what each turn made, records encoded; nil: nobody is.
	trace func(emits []pipeline.Emit, fx *pipeline.Effects)
}

// core is a stage that takes bytes and decoded records.
type core interface {
	pipeline.Stage
	turn.Decider
}

// running is a stage with what a runner keeps for it.
type running struct {
	core
	mailbox string
	place   int
	fx      pipeline.Effects
}

// writer is a key with its state of each stage.
type writer struct {
	key   string
	state [4]keyState
}

// text is what a person wrote, as a record and as the bytes that the gateway posts.
type text struct {
	record  *handoffv1.Record
	encoded pipeline.Emit
}

// handed is a decoded record on its way to a stage.
type handed struct {
	topic  string
	key    []byte
	record *handoffv1.Record
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
	must := func(s core, err error) core {
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	var cfg classify.Config
	if classifier == "given" {
		cfg.Classifier = given{}
	}
	c := &cores{people: map[string]*writer{}, now: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)}
	first := must(classify.New(cfg))
	for i, s := range []core{first, must(consent.New(consent.Config{})), must(escalate.New(escalate.Config{})), must(deliver.New(deliver.Config{}))} {
		c.stages = append(c.stages, &running{core: s, mailbox: schemas.Mailbox(s.Name()), place: i})
	}
	c.outlet = c.hand
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
func (c *cores) texts(n int, words string) []text {
	all := make([]text, n)
	for i := range all {
		c.serial++
		address := fmt.Sprintf("+1%010d", 2_000_000_000+i)
		r := &handoffv1.Record{
			Id: schemas.SourceID("bench", "acme", "+15557770000", fmt.Sprint(c.serial)), Shop: "acme", Channel: handoffv1.Channel_CHANNEL_SMS,
			Account: "+15557770000", Address: address, Conversation: schemas.Conversation(handoffv1.Channel_CHANNEL_SMS, "+15557770000"),
			EventTime: timestamppb.New(c.now), ReceivedAt: timestamppb.New(c.now), SettingsVersion: 1,
			Body: &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{
				NativeId: fmt.Sprint(c.serial), Text: words, AddressDisplayed: address}},
		}
		value, err := schemas.Encode(r)
		if err != nil {
			panic(err) // a record made of checked strings always encodes
		}
		all[i] = text{record: r, encoded: pipeline.Emit{Topic: schemas.TopicClassify, Key: schemas.KeyOf(r).Bytes(), Value: value}}
	}
	return all
}

// forget empties the state; what it was kept in is used again.
func (c *cores) forget() {
	for _, p := range c.people {
		for i := range p.state {
			p.state[i].forget()
		}
	}
}

// state is a key's of a stage.
func (c *cores) state(s *running, key []byte) *keyState {
	if c.asks == nil || c.asks.key != string(key) {
		c.asks = c.people[string(key)]
	}
	if c.asks == nil {
		c.asks = &writer{key: string(key)}
		c.people[c.asks.key] = c.asks
	}
	return &c.asks.state[s.place]
}

// reader is the stage that reads a topic; nil when none of these does.
func (c *cores) reader(topic string) *running {
	for _, s := range c.stages {
		if s.mailbox == topic {
			return s
		}
	}
	return nil
}

// runEncoded takes one text, and everything it causes, through the stages, in bytes.
func (c *cores) runEncoded(b testing.TB, t *text) {
	c.queue = append(c.queue[:0], t.encoded)
	for at := 0; at < len(c.queue); at++ {
		e := c.queue[at]
		if e.Topic == schemas.TopicAnalytics {
			c.facts = append(c.facts, pipeline.Record{Topic: e.Topic, Offset: int64(c.rows + len(c.facts)), Key: e.Key, Value: e.Value, Time: c.now})
			if len(c.facts) == 4096 {
				c.drainFacts()
			}
			continue
		}
		s := c.reader(e.Topic)
		if s == nil {
			continue
		}
		s.fx.Reset()
		c.record = pipeline.Record{Topic: e.Topic, Key: e.Key, Value: e.Value, Time: c.now}
		c.in = pipeline.Input{Key: e.Key, Now: c.now, Settings: c, Record: &c.record}
		if err := s.Process(&c.in, c.state(s, e.Key), &s.fx); err != nil {
			b.Fatal(err)
		}
		if c.trace != nil {
			c.trace(s.fx.Emits, &s.fx)
		}
		c.queue = append(c.queue, s.fx.Emits...)
	}
}

// runDecoded takes one text, and everything it causes, through the stages, decoded.
func (c *cores) runDecoded(b testing.TB, t *text) {
	c.handed = append(c.handed[:0], handed{topic: t.encoded.Topic, key: t.encoded.Key, record: t.record})
	for at := 0; at < len(c.handed); at++ {
		h := c.handed[at]
		if h.topic == schemas.TopicAnalytics {
			c.rows++
			continue
		}
		s := c.reader(h.topic)
		if s == nil {
			continue
		}
		c.in = pipeline.Input{Key: h.key, Now: c.now, Settings: c}
		before, timers, calls, ended := len(c.handed), len(s.fx.Timers), len(s.fx.Calls), len(s.fx.Ended)
		if err := turn.Decide(s.core, h.record, &c.in, c.state(s, h.key), &s.fx, c.outlet); err != nil {
			b.Fatal(err)
		}
		if c.trace != nil {
			made := pipeline.Effects{Timers: s.fx.Timers[timers:], Calls: s.fx.Calls[calls:], Ended: s.fx.Ended[ended:]}
			c.trace(encodeAll(b, c.handed[before:]), &made)
		}
	}
	for _, s := range c.stages {
		s.fx.Reset() // once a text: what it caused lies in the effects' memory
	}
}

// hand is the outlet of stages that hand each other decoded records.
func (c *cores) hand(topic string, key []byte, r *handoffv1.Record) {
	c.handed = append(c.handed, handed{topic: topic, key: key, record: r})
}

func encodeAll(b testing.TB, all []handed) []pipeline.Emit {
	b.Helper()
	emits := make([]pipeline.Emit, len(all))
	for i, h := range all {
		value, err := schemas.Encode(h.record)
		if err != nil {
			b.Fatal(err)
		}
		emits[i] = pipeline.Emit{Topic: h.topic, Key: h.key, Value: value}
	}
	return emits
}

// drainFacts makes rows of the facts so far.
func (c *cores) drainFacts() {
	made := analytics.Rows(c.facts)
	c.rows += made.Len()
	c.facts = c.facts[:0]
}
