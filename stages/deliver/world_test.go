package deliver

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

const (
	phone    = "+14155550001"
	number   = "+15557770000" // twilio
	blindSMS = "+15557770001" // the generic provider
	thread   = "sms:" + number
	document = `
shop: acme
name: Acme Outdoors
support_contact: help@acme.example
accounts:
  - {channel: sms, account: "+15557770000", provider: twilio, user: ACacme, secret: "env:ACME_TWILIO"}
  - {channel: sms, account: "+15557770001", provider: sms, base_url: "http://127.0.0.1/sms", secret: "env:ACME_SMS"}
desk: {kind: zendesk, subdomain: acme, user: handoff@acme.example, token: "env:ACME_ZENDESK", webhook_secret: "env:ACME_HOOK"}
bot: {url: "http://127.0.0.1/bot"}
`
)

var monday = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

// world runs the stage over one partition in maps. mu makes it fit for a caller beside it.
type world struct {
	t     testing.TB
	stage *Stage
	shop  *settings.Shop

	mu      sync.Mutex
	now     time.Time
	entries map[string][]byte // under the one key
	seen    map[string]bool
	timers  map[string]time.Time
	calls   []pipeline.PendingCall
	inbox   [][]byte
	out     map[string][]*handoffv1.Record
	known   map[string]bool // handled: calls that ever were
	serial  int
	// committed is told of each commit.
	committed func(stored, ended []pipeline.PendingCall)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	stage, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	shop, err := settings.Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return &world{
		t: t, stage: stage, shop: shop, now: monday,
		entries: map[string][]byte{}, seen: map[string]bool{}, timers: map[string]time.Time{},
		out: map[string][]*handoffv1.Record{}, known: map[string]bool{},
	}
}

func (w *world) key() []byte { return []byte("acme|" + phone) }

// At, Current implement pipeline.Settings.
func (w *world) At(shop string, version uint64) (*settings.Shop, error) {
	if shop != "acme" || version != 1 {
		return nil, pipeline.ErrSettingsPending
	}
	return w.shop, nil
}

func (w *world) Current(shop string) (*settings.Shop, uint64, error) {
	s, err := w.At(shop, 1)
	return s, 1, err
}

// state of the transaction that runs.
type state struct{ w *world }

func (s state) Get(name string) ([]byte, bool) { v, ok := s.w.entries[name]; return v, ok }
func (s state) Put(name string, v []byte)      { s.w.entries[name] = v }
func (s state) Delete(name string)             { delete(s.w.entries, name) }
func (s state) Scan(prefix string, fn func(string, []byte) bool) {
	var names []string
	for n := range s.w.entries {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	for _, n := range names {
		if !fn(n, s.w.entries[n]) {
			return
		}
	}
}

func (s state) Seen(id []byte, _ time.Time) bool {
	was := s.w.seen[string(id)]
	s.w.seen[string(id)] = true
	return was
}

// reader of committed state, for the gate.
type reader struct{ w *world }

func (r reader) Get(_ int32, key []byte, name string) ([]byte, bool, error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	if string(key) != string(r.w.key()) {
		return nil, false, nil
	}
	v, ok := r.w.entries[name]
	return slices.Clone(v), ok, nil
}

func (r reader) Scan(_ int32, _ []byte, prefix string, fn func(string, []byte) bool) error {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	state{r.w}.Scan(prefix, fn)
	return nil
}

func (r reader) Calls(int32, []byte) ([]pipeline.PendingCall, error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	return slices.Clone(r.w.calls), nil
}

func (r reader) Settings() pipeline.Settings { return r.w }
func (r reader) Behind(int32) time.Duration  { return 0 }
func (r reader) Lease(int32) bool            { return true }

// record fills in the envelope of a record that comes from elsewhere.
func (w *world) record(account string) *handoffv1.Record {
	w.serial++
	r := &handoffv1.Record{
		Id:   schemas.SourceID("test", "acme", account, fmt.Sprint(w.serial)),
		Shop: "acme", Address: phone, SettingsVersion: 1,
		ReceivedAt: timestamppb.New(w.now), EventTime: timestamppb.New(w.now),
	}
	if account != "" {
		r.Channel, r.Account, r.Conversation = handoffv1.Channel_CHANNEL_SMS, account, "sms:"+account
	}
	return r
}

// send processes a record and all that deliver posts to itself.
func (w *world) send(r *handoffv1.Record) {
	w.t.Helper()
	value, err := schemas.Encode(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.inbox = append(w.inbox, value)
	w.mu.Unlock()
	w.drain()
}

func (w *world) drain() {
	w.t.Helper()
	for {
		w.mu.Lock()
		if len(w.inbox) == 0 {
			w.mu.Unlock()
			return
		}
		value := w.inbox[0]
		w.inbox = w.inbox[1:]
		err := w.process(&pipeline.Input{
			Key: w.key(), Now: w.now, Settings: w,
			Record: &pipeline.Record{Topic: schemas.TopicDeliver, Key: w.key(), Value: value, Time: w.now},
		})
		if err != nil {
			w.t.Errorf("process: %v", err)
			return
		}
	}
}

// process runs one input and commits; it is called with the lock and gives it back.
func (w *world) process(in *pipeline.Input) error {
	fx := &pipeline.Effects{}
	if err := w.stage.Process(in, state{w}, fx); err != nil {
		w.mu.Unlock()
		return err
	}
	for _, t := range fx.Timers {
		if t.At.IsZero() {
			delete(w.timers, t.Name)
		} else {
			w.timers[t.Name] = t.At
		}
	}
	var stored, ended []pipeline.PendingCall
	for _, c := range fx.Calls {
		pc := pipeline.PendingCall{Key: w.key(), Call: c}
		i := w.index(c.ID)
		pc.Known = i >= 0
		stored = append(stored, pc)
		if i >= 0 {
			w.calls[i] = pc
		} else {
			w.calls = append(w.calls, pc)
			w.known[c.ID] = true
		}
	}
	for _, id := range fx.Ended {
		if i := w.index(id); i >= 0 {
			ended = append(ended, w.calls[i])
			w.calls = slices.Delete(w.calls, i, i+1)
		}
	}
	for _, e := range fx.Emits {
		r, err := schemas.Decode(e.Key, e.Value)
		if err != nil {
			w.t.Errorf("emitted: %v", err)
			continue
		}
		w.out[e.Topic] = append(w.out[e.Topic], r)
		if e.Topic == schemas.TopicDeliver {
			w.inbox = append(w.inbox, e.Value)
		}
	}
	tell := w.committed
	w.mu.Unlock()
	if tell != nil && (len(stored) > 0 || len(fx.Ended) > 0 || in.Record != nil) {
		tell(stored, ended)
	}
	return nil
}

func (w *world) index(id string) int {
	return slices.IndexFunc(w.calls, func(c pipeline.PendingCall) bool { return c.Call.ID == id })
}

// wait moves the clock, firing timers.
func (w *world) wait(d time.Duration) {
	w.t.Helper()
	end := w.now.Add(d)
	for {
		name, at := "", end
		for n, t := range w.timers {
			if !t.After(at) {
				name, at = n, t
			}
		}
		w.now = at
		if name == "" {
			return
		}
		w.mu.Lock()
		delete(w.timers, name)
		if err := w.process(&pipeline.Input{Key: w.key(), Now: at, Settings: w, Timer: &pipeline.Timer{Name: name, At: at}}); err != nil {
			w.t.Fatalf("timer: %v", err)
		}
	}
}

// take returns what went to a topic since the last call.
func (w *world) take(topic string) []*handoffv1.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.out[topic]
	w.out[topic] = nil
	return all
}

// one returns the only record that went to a topic.
func (w *world) one(topic string) *handoffv1.Record {
	w.t.Helper()
	all := w.take(topic)
	if len(all) != 1 {
		w.t.Fatalf("%d records to %s, want 1: %v", len(all), topic, all)
	}
	return all[0]
}

// command posts a command and returns its call id.
func (w *world) command(account string, c *handoffv1.Command) string {
	w.t.Helper()
	r := w.record(account)
	r.Body = &handoffv1.Record_Command{Command: c}
	w.send(r)
	return schemas.HexID(r.GetId())
}

func text(class handoffv1.TextClass, s string) *handoffv1.Command {
	return &handoffv1.Command{Episode: 1, Action: &handoffv1.Command_SendText{SendText: &handoffv1.SendText{TextClass: class, Text: s}}}
}

func create(episode uint64) *handoffv1.Command {
	return &handoffv1.Command{Episode: episode, TicketEpisode: episode, Action: &handoffv1.Command_CreateTicket{CreateTicket: &handoffv1.CreateTicket{
		ExternalId: schemas.Ticket{Key: schemas.Key{Shop: "acme", Address: phone}, Conversation: thread, Episode: episode}.ExternalID(),
		Subject:    "Shopper SMS Handoff — Acme Outdoors",
	}}}
}

func appendTo(episode uint64, s string) *handoffv1.Command {
	return &handoffv1.Command{Episode: episode, TicketEpisode: episode, Action: &handoffv1.Command_AppendMessages{AppendMessages: &handoffv1.AppendMessages{
		Messages: []*handoffv1.ThreadMessage{{Text: s, Author: handoffv1.AuthorKind_AUTHOR_KIND_CUSTOMER}},
	}}}
}

// result ends a call as the caller would.
func (w *world) result(id string, o *handoffv1.Outcome) {
	w.t.Helper()
	r := w.record("")
	r.Body = &handoffv1.Record_CallResult{CallResult: &handoffv1.CallResult{CallId: id, Attempt: 1, Outcome: o}}
	w.send(r)
}

func done(o *handoffv1.Outcome) *handoffv1.Outcome {
	o = proto.CloneOf(o)
	o.Status = handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE
	return o
}

// consent posts a change of the ledger.
func (w *world) consent(scope string, version uint64, status handoffv1.ConsentStatus) {
	w.t.Helper()
	r := w.record("")
	change := &handoffv1.ConsentChanged{Scope: scope, Version: version, Status: status, At: timestamppb.New(w.now), Allowed: allowedUnder(status)}
	r.Body = &handoffv1.Record_ConsentChanged{ConsentChanged: change}
	w.send(r)
}

var everyClass = []handoffv1.TextClass{
	handoffv1.TextClass_TEXT_CLASS_AGENT, handoffv1.TextClass_TEXT_CLASS_BOT, handoffv1.TextClass_TEXT_CLASS_RULE,
	handoffv1.TextClass_TEXT_CLASS_SYSTEM, handoffv1.TextClass_TEXT_CLASS_KEYWORD_ANSWER,
}

func allowedUnder(s handoffv1.ConsentStatus) []handoffv1.TextClass {
	if s == handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED || s == handoffv1.ConsentStatus_CONSENT_STATUS_CONVERSATIONAL {
		return everyClass
	}
	return everyClass[4:]
}

// hold starts or ends a pause.
func (w *world) hold(account string, held bool, classes ...handoffv1.TextClass) {
	w.t.Helper()
	r := w.record(account)
	r.Body = &handoffv1.Record_Hold{Hold: &handoffv1.Hold{Held: held, Episode: 1, Classes: classes}}
	w.send(r)
}

// shut shuts or opens the text gate for a dead letter.
func (w *world) shut(letter string, shut bool) {
	w.t.Helper()
	r := w.record("")
	r.Body = &handoffv1.Record_TextGate{TextGate: &handoffv1.TextGate{Shut: shut, DeadLetter: letter}}
	w.send(r)
}

// release asks the gate about a stored call.
func (w *world) release(id string) caller.Release {
	w.t.Helper()
	i := w.index(id)
	if i < 0 {
		w.t.Fatalf("call %s is not stored", id)
	}
	rel, err := w.stage.Release(reader{w}, w.calls[i], w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	return rel
}

// try processes one record and returns what the stage says.
func (w *world) try(r *handoffv1.Record) error {
	value, err := schemas.Encode(r)
	if err != nil {
		return err
	}
	w.mu.Lock()
	return w.process(&pipeline.Input{
		Key: w.key(), Now: w.now, Settings: w,
		Record: &pipeline.Record{Topic: schemas.TopicDeliver, Key: w.key(), Value: value, Time: w.now},
	})
}
