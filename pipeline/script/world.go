// Package script runs conversation scripts: who says what when, and what the system did, as text that
// support staff can read. The whole topology runs in memory, one record at a time, on a simulated
// clock; the desk, the provider and the bot are played by the world. docs/scripts.md teaches the
// format.
package script

import (
	"fmt"
	"time"

	"github.com/goccy/go-yaml"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/explain"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// Topology is what a script runs: the stages in the order of a message's way, and the gate that is
// asked before outside calls. Facts end at the world, which prints them on request.
type Topology struct {
	Stages []pipeline.Stage
	Gate   caller.Gate
	// Settings is the document (YAML) of the shop that the script begins with; empty: the shop "acme".
	Settings []byte
	// Watch is told what happens, for tests that judge it; may be nil.
	Watch Watcher
	// Check reads settings and refuses what only parts outside this package can judge; nil: settings.Parse.
	Check func(document []byte) (*settings.Shop, error)
	// Start is when the script begins; zero: Monday, 2026-03-02 at 10:00:00 UTC.
	Start time.Time
	// Punctual lets the second between two commands pass like any other time, before the later one. Else the
	// clock moves on with a command, and a stage's own clock, with its timers, follows when it next has
	// something to read.
	Punctual bool
	// Outside is what a message carries of the shop's own classifier outside when that answered so, or where said is
	// nil failed so, "" for not in time; nil for a shop that has none. Where it is nil, scripts have no such classifiers.
	Outside func(shop *settings.Shop, said []byte, failed string) *handoffv1.OutsideReading
	// Rules reads a file of rules that a script names; nil: scripts cannot.
	Rules func(name string) ([]byte, error)
}

// maxSteps bounds the records one command may cause: more is a loop.
const maxSteps = 10_000

// World is one run of a script.
type World struct {
	verbs   verbs
	check   func([]byte) (*settings.Shop, error)
	read    func(string) ([]byte, error)
	reads   func(*settings.Shop, []byte, string) *handoffv1.OutsideReading
	stages  []*machine
	inbox   map[string][]pipeline.Record // by topic
	offsets map[string]int64
	gate    caller.Gate
	deliver *machine
	plant   Plant // runs the stages in place of the machines; nil: they do

	clock    time.Time
	posted   int         // records, of all stages and the outside
	moments  []time.Time // at which time alone made something happen since the command began
	punctual bool
	ran      bool // a command
	passing  bool // time does: the bot's answers can be late
	shop     string
	document map[string]any
	versions map[string][]*settings.Shop

	outside *outside
	asked   map[string]pending // bot turns that wait for an answer, by call id
	order   []string           // of asked
	tried   map[string]try     // questions to the bot, by call id
	ended   map[string]bool    // calls whose end deliver may not have read yet
	unheard map[string]bool    // calls whose end deliver lost: whoever made them has posted it
	holding holding
	watch   Watcher
	serial  int
	losing  map[string]int // records to lose, by stage
	letters []*turn.Lost
	telling []string          // topics that explain tells of
	log     []pipeline.Record // theirs, all
	lost    []explain.Letter  // of letters, what explain tells

	lines []string            // what happened since the command began
	holds map[string]uint64   // versions of the holds that were told, by person and conversation
	told  map[string][]string // what is printed only when asked for: "platform", "published", "ticket"
	// withPeople is the table of episodes: the newest record of each key.
	withPeople map[string]pipeline.Emit
	facts      []string // facts since the last "facts"
	steps      int
}

// pending is a bot turn that waits.
type pending struct {
	call pipeline.PendingCall
	turn uint64
}

// start is when every script begins: a Monday morning.
var start = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

// base is the shop every script begins with.
const base = `
shop: acme
name: Acme Outdoors
support_contact: help@acme.example
accounts:
  - {channel: sms, account: "+15557770000", provider: twilio, user: ACacme, secret: "env:ACME_TWILIO"}
desk: {kind: zendesk, subdomain: acme, user: handoff@acme.example, token: "env:ACME_ZENDESK", webhook_secret: "env:ACME_HOOK"}
bot: {url: "http://127.0.0.1/bot"}
consent: {quiet_hours: false}
`

// BaseSettings is the document of the shop that scripts begin with unless they are given another.
func BaseSettings() []byte { return []byte(base) }

// NewWorld starts a world with the topology's shop.
func NewWorld(t Topology) (*World, error) { return newWorld(t, nil) }

func newWorld(t Topology, plant Plant) (*World, error) {
	w := &World{
		plant: plant, punctual: t.Punctual,
		verbs: vocabulary(), telling: explain.Topics(), watch: t.Watch, holding: holding{stages: map[string]bool{}}, inbox: map[string][]pipeline.Record{}, offsets: map[string]int64{}, gate: t.Gate,
		clock: start, versions: map[string][]*settings.Shop{},
		asked: map[string]pending{}, tried: map[string]try{}, ended: map[string]bool{}, unheard: map[string]bool{}, outside: newOutside(), losing: map[string]int{}, holds: map[string]uint64{}, told: map[string][]string{}, withPeople: map[string]pipeline.Emit{},
	}
	if !t.Start.IsZero() {
		w.clock = t.Start
	}
	w.reads = t.Outside
	if w.check, w.read = t.Check, t.Rules; w.check == nil {
		w.check = func(document []byte) (*settings.Shop, error) { return settings.Parse(document) }
	}
	for _, s := range t.Stages {
		m, err := newMachine(s, w, plant == nil)
		if err != nil {
			return nil, err
		}
		w.stages = append(w.stages, m)
		if s.Name() == schemas.StageDeliver {
			w.deliver = m
		}
	}
	document := t.Settings
	if len(document) == 0 {
		document = []byte(base)
	}
	shop, err := w.check(document)
	if err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(document, &w.document); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	w.shop = shop.Shop
	return w, w.next(shop, document)
}

// next makes settings the shop's next version.
func (w *World) next(s *settings.Shop, document []byte) error {
	w.versions[s.Shop] = append(w.versions[s.Shop], s)
	if w.plant == nil {
		return nil
	}
	return w.plant.Publish(s.Shop, uint64(len(w.versions[s.Shop])), document)
}

// publish makes the world's settings document the shop's next version.
func (w *World) publish() error {
	doc, err := yaml.Marshal(w.document)
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	s, err := w.check(doc)
	if err != nil {
		return err
	}
	if s.Shop != w.shop {
		return fmt.Errorf("shop: a script has one shop, %s", w.shop)
	}
	return w.next(s, doc)
}

// At implements pipeline.Settings.
func (w *World) At(shop string, version uint64) (*settings.Shop, error) {
	all := w.versions[shop]
	if version == 0 || version > uint64(len(all)) {
		return nil, pipeline.ErrSettingsPending
	}
	return all[version-1], nil
}

// Current implements pipeline.Settings.
func (w *World) Current(shop string) (*settings.Shop, uint64, error) {
	n := uint64(len(w.versions[shop]))
	s, err := w.At(shop, n)
	return s, n, err
}

// account is the account that customers write to unless a command says otherwise.
func (w *World) account() *settings.Account {
	s, _, err := w.Current(w.shop)
	if err != nil {
		return &settings.Account{}
	}
	return &s.Accounts[0]
}

// deskKind is the connector of the shop's help desk.
func (w *World) deskKind() string {
	s, _, err := w.Current(w.shop)
	if err != nil {
		return ""
	}
	return s.Desk.Kind
}

// post puts a record into a topic as the outside would.
func (w *World) post(topic string, r *handoffv1.Record) error {
	_, version, err := w.Current(w.shop)
	if err != nil {
		return err
	}
	r.Shop, r.SettingsVersion = w.shop, version
	if r.ReceivedAt == nil {
		r.ReceivedAt = timestamppb.New(w.clock)
	}
	r.EventTime = r.ReceivedAt
	value, err := schemas.EncodeOutside(r)
	if err != nil {
		return err
	}
	w.deliverTo(pipeline.Emit{Topic: topic, Key: schemas.KeyOf(r).Bytes(), Value: value}, w.clock)
	return nil
}

func (w *World) deliverTo(e pipeline.Emit, at time.Time) {
	if e.Time.IsZero() {
		e.Time = at
	}
	w.posted++
	if w.plant != nil {
		w.plant.Post(e)
		return
	}
	r := pipeline.Record{Topic: e.Topic, Offset: w.offsets[e.Topic], Key: e.Key, Value: e.Value, Time: e.Time}
	if w.arrived(r) {
		w.offsets[e.Topic]++
		w.inbox[e.Topic] = append(w.inbox[e.Topic], r)
	}
}

// arrived tells what a record that was posted means, and whether a stage is to read it.
func (w *World) arrived(r pipeline.Record) bool {
	e := pipeline.Emit{Topic: r.Topic, Key: r.Key, Value: r.Value, Time: r.Time}
	if r.Topic == schemas.TopicPlatform {
		w.toldPlatform(e)
		return false // the same facts as analytics gets, for the platform to read
	}
	if e.Topic == schemas.TopicEpisodes {
		w.withPeople[string(e.Key)] = e
		return false // the table that the platform asks
	}
	w.tell(e)
	w.remember(r)
	return true
}

// settle runs until nothing is left to do at the present time.
func (w *World) settle() error {
	w.steps = 0
	for {
		worked, err := w.step()
		if err != nil {
			return err
		}
		if !worked {
			if worked, err = w.release(); err != nil || !worked {
				return err
			}
		}
		if w.steps++; w.steps > maxSteps {
			return fmt.Errorf("more than %d records from one command: the topology loops", maxSteps)
		}
	}
}

// step processes one record, of the latest stage that has one, so that what was caused first is done
// before what comes next.
func (w *World) step() (bool, error) {
	for i := len(w.stages) - 1; i >= 0; i-- {
		m := w.stages[i]
		if w.holding.stages[m.stage.Name()] {
			continue
		}
		if worked, err := w.readNext(m); worked || err != nil {
			return worked, err
		}
	}
	return false, nil
}

// readNext gives a machine the next record of its mailbox, if there is one.
func (w *World) readNext(m *machine) (bool, error) {
	topic := m.mailbox
	queue := w.inbox[topic]
	if len(queue) == 0 {
		return false, nil
	}
	r := queue[0]
	w.inbox[topic] = queue[1:]
	emits, failures, err := w.record(m, &r)
	if err != nil {
		return false, err
	}
	w.took(m, &r, emits, failures)
	return true, nil
}

// took posts what a machine emitted for a record, nil for timers, and tells what it could not process.
func (w *World) took(m *machine, r *pipeline.Record, emits []pipeline.Emit, failures []state.Failure) {
	if w.watch != nil {
		if len(failures) > 0 {
			r = nil
		}
		w.watch.Committed(m.stage.Name(), r, emits)
	}
	for _, f := range failures {
		w.say("dead letter in %s: %v", m.stage.Name(), f.Cause)
		if w.watch != nil {
			w.watch.Lost(m.stage.Name(), f.Record)
		}
		w.keepLetter(m, &f)
	}
	for _, e := range emits {
		w.deliverTo(e, m.part.Clock())
	}
}

// advance moves the clock, firing timers at their time and letting each play out.
func (w *World) advance(d time.Duration) error {
	w.passing = true
	defer func() { w.passing = false }()
	end := w.clock.Add(d)
	for w.clock.Before(end) {
		w.clock = w.nextEvent(end)
		posted := w.posted
		if err := w.fireDue(); err != nil {
			return err
		}
		if w.posted > posted {
			w.moments = append(w.moments, w.clock)
		}
	}
	return nil
}

// fireDue fires the timers that are due at the present time and lets them play out.
func (w *World) fireDue() error {
	for _, m := range w.stages {
		if w.behind(m) {
			continue
		}
		emits, failures, err := m.advance(w.clock)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrWorld, err)
		}
		w.took(m, nil, emits, failures)
	}
	if err := w.settle(); err != nil {
		return fmt.Errorf("%w: %w", ErrWorld, err)
	}
	return nil
}

// nextEvent is the next moment at which something may happen by itself, end at the latest.
func (w *World) nextEvent(end time.Time) time.Time {
	next := end
	earlier := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	for _, m := range w.stages {
		if at, ok := m.part.NextTimer(); ok && !w.behind(m) {
			earlier(at)
		}
	}
	if until, ok := w.nextRelease(); ok {
		earlier(until)
	}
	if !next.After(w.clock) {
		return w.clock.Add(time.Millisecond) // already due: let it fire
	}
	return next
}

// say adds a line to what the command prints.
func (w *World) say(format string, args ...any) {
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}
