package consent

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
	"github.com/handoff-dev/handoff/schemas/statev1"
)

const (
	customer = "+14155550001"
	accountA = "+15557770000"
	accountB = "+15557770001"
)

// world runs the stage over one address, its state in a map.
type world struct {
	t       testing.TB
	stage   *Stage
	address string
	shop    *settings.Shop
	entries map[string][]byte
	seen    map[string]bool
	timers  map[string]time.Time
	now     time.Time
	n       int
	// out is what the last step posted, by topic.
	out map[string][]*handoffv1.Record
}

func newWorld(t testing.TB, extra string) *world {
	t.Helper()
	shop, err := settings.Parse([]byte(`
shop: acme
name: Acme Outdoors
support_contact: help@acme.example
accounts:
  - {channel: sms, account: "+15557770000", provider: twilio, user: AC1, secret: "env:TWILIO"}
  - {channel: sms, account: "+15557770001", provider: twilio, user: AC1, secret: "env:TWILIO", provider_answers: [stop, start, help]}
  - {channel: whatsapp, account: "+15557770002", provider: twilio, user: AC1, secret: "env:TWILIO"}
` + extra))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	return &world{
		t: t, stage: s, address: customer, shop: shop, entries: map[string][]byte{}, seen: map[string]bool{}, timers: map[string]time.Time{},
		now: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC),
	}
}

// The settings table holds one version.
func (w *world) At(string, uint64) (*settings.Shop, error)       { return w.shop, nil }
func (w *world) Current(string) (*settings.Shop, uint64, error)  { return w.shop, 1, nil }
func (w *world) Get(name string) ([]byte, bool)                  { v, ok := w.entries[name]; return v, ok }
func (w *world) Put(name string, value []byte)                   { w.entries[name] = value }
func (w *world) Delete(name string)                              { delete(w.entries, name) }
func (w *world) Scan(p string, fn func(n string, v []byte) bool) { scan(w.entries, p, fn) }
func (w *world) Seen(id []byte, _ time.Time) bool {
	was := w.seen[string(id)]
	w.seen[string(id)] = true
	return was
}

func scan(entries map[string][]byte, prefix string, fn func(string, []byte) bool) {
	var names []string
	for name := range entries {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if !fn(name, entries[name]) {
			return
		}
	}
}

// record returns a record on an account with the given body.
func (w *world) record(account string, set func(*handoffv1.Record)) *handoffv1.Record {
	w.n++
	channel := handoffv1.Channel_CHANNEL_SMS
	if account == "+15557770002" {
		channel = handoffv1.Channel_CHANNEL_WHATSAPP
	}
	r := &handoffv1.Record{
		Id: schemas.SourceID("test", "acme", account, w.address+fmt.Sprint(w.n)), Shop: "acme", Address: w.address,
		Channel: channel, Account: account, Conversation: schemas.Conversation(channel, account),
		EventTime: timestamppb.New(w.now), ReceivedAt: timestamppb.New(w.now), SettingsVersion: 1,
	}
	set(r)
	return r
}

// step runs the stage over one record and keeps what it posts.
func (w *world) step(r *handoffv1.Record) error {
	w.t.Helper()
	value, err := schemas.Encode(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.run(&pipeline.Input{Record: &pipeline.Record{Key: schemas.KeyOf(r).Bytes(), Value: value}})
}

func (w *world) run(in *pipeline.Input) error {
	in.Key, in.Now, in.Settings = []byte("acme|"+w.address), w.now, w
	var fx pipeline.Effects
	w.out = map[string][]*handoffv1.Record{}
	if err := w.stage.Process(in, w, &fx); err != nil {
		return err
	}
	w.apply(&fx)
	return nil
}

func (w *world) apply(fx *pipeline.Effects) {
	w.t.Helper()
	for _, e := range fx.Emits {
		r, err := schemas.Decode(e.Key, e.Value)
		if err != nil {
			w.t.Fatal(err)
		}
		w.out[e.Topic] = append(w.out[e.Topic], r)
	}
	for _, c := range fx.Timers {
		if c.At.IsZero() {
			delete(w.timers, c.Name)
		} else {
			w.timers[c.Name] = c.At
		}
	}
}

// wait moves the clock and fires due timers.
func (w *world) wait(d time.Duration) {
	w.t.Helper()
	end := w.now.Add(d)
	for {
		name, at := "", end
		for n, due := range w.timers {
			if !due.After(at) {
				name, at = n, due
			}
		}
		if name == "" {
			break
		}
		delete(w.timers, name)
		w.now = at
		if err := w.run(&pipeline.Input{Timer: &pipeline.Timer{Name: name, At: at}}); err != nil {
			w.t.Fatal(err)
		}
	}
	w.now = end
}

// says steps a customer's message as classify would have read it.
func (w *world) says(account, text string, change ...func(*handoffv1.CustomerMessage)) {
	w.t.Helper()
	d := map[string]handoffv1.Directive{
		"STOP": handoffv1.Directive_DIRECTIVE_STOP, "START": handoffv1.Directive_DIRECTIVE_START,
		"HELP": handoffv1.Directive_DIRECTIVE_HELP, "YES": handoffv1.Directive_DIRECTIVE_YES,
	}[text]
	m := &handoffv1.CustomerMessage{Text: text, Classification: &handoffv1.Classification{Directive: d, Language: "en"}}
	if d != handoffv1.Directive_DIRECTIVE_UNSPECIFIED {
		m.Classification.Matched = text
	}
	for _, f := range change {
		f(m)
	}
	r := w.record(account, func(r *handoffv1.Record) { r.Body = &handoffv1.Record_CustomerMessage{CustomerMessage: m} })
	if err := w.step(r); err != nil {
		w.t.Fatal(err)
	}
}

// agent steps an agent's reply on ticket 1.
func (w *world) agent(account, text string) {
	w.t.Helper()
	r := w.record(account, func(r *handoffv1.Record) {
		r.Body = &handoffv1.Record_AgentReply{AgentReply: &handoffv1.AgentReply{TicketId: "1", NativeId: "c1", Text: text, Author: "Kim", Episode: 1}}
	})
	if err := w.step(r); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) bot(account, text string) {
	w.t.Helper()
	r := w.record(account, func(r *handoffv1.Record) {
		r.Body = &handoffv1.Record_BotReply{BotReply: &handoffv1.BotReply{Turn: 3, Text: text, CannotAnswer: text == ""}}
	})
	if err := w.step(r); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) ticket(status handoffv1.TicketStatus) {
	w.t.Helper()
	r := w.record(accountA, func(r *handoffv1.Record) {
		r.Body = &handoffv1.Record_TicketEvent{TicketEvent: &handoffv1.TicketEvent{TicketId: "1", Episode: 1, Status: status}}
	})
	if err := w.step(r); err != nil {
		w.t.Fatal(err)
	}
}

// set puts a status as an import would.
func (w *world) set(status handoffv1.ConsentStatus) {
	w.t.Helper()
	head := &statev1.LedgerHead{}
	w.read(headEntry, head)
	head.Version++
	w.write(headEntry, head)
	w.write(scopePrefix+"channel:sms", &statev1.ScopeConsent{Version: head.GetVersion(), Status: status, Since: timestamppb.New(w.now)})
}

// tell lists what the last step posted, one line a record, facts left out.
func (w *world) tell() string {
	var b strings.Builder
	for _, topic := range []string{schemas.TopicDeliver, schemas.TopicEscalate, schemas.TopicClassify} {
		for _, r := range w.out[topic] {
			switch body := r.GetBody().(type) {
			case *handoffv1.Record_ConsentChanged:
				c := body.ConsentChanged
				fmt.Fprintf(&b, "changed %s v%d %s allows %d\n", c.GetScope(), c.GetVersion(), short(c.GetStatus()), len(c.GetAllowed()))
			case *handoffv1.Record_Command:
				fmt.Fprintf(&b, "text: %s\n", body.Command.GetSendText().GetText())
			case *handoffv1.Record_ConsentNotice:
				n := body.ConsentNotice
				kind := strings.TrimPrefix(n.GetKind().String(), "CONSENT_NOTICE_KIND_")
				fmt.Fprintf(&b, "notice %s %q by %s, %s was %s\n", kind, n.GetKeyword(), strings.TrimPrefix(n.GetSource().String(), "CONSENT_SOURCE_"), short(n.GetStatus()), short(n.GetPrior()))
			case *handoffv1.Record_BlockedText:
				fmt.Fprintf(&b, "blocked %s %q\n", strings.TrimPrefix(body.BlockedText.GetReason().String(), "BLOCK_REASON_"), body.BlockedText.GetText())
			case *handoffv1.Record_Asked:
				fmt.Fprintf(&b, "asked nothing\n")
			default:
				fmt.Fprintf(&b, "passed %s v%d\n", short(r.GetConsent().GetStatus()), r.GetConsent().GetVersion())
			}
		}
	}
	return b.String()
}

func short(s handoffv1.ConsentStatus) string {
	if s == handoffv1.ConsentStatus_CONSENT_STATUS_UNSPECIFIED {
		return "unknown"
	}
	return strings.ToLower(strings.TrimPrefix(s.String(), "CONSENT_STATUS_"))
}

// want fails unless the last step posted exactly these lines.
func (w *world) want(lines ...string) {
	w.t.Helper()
	want := strings.Join(lines, "\n")
	if want != "" {
		want += "\n"
	}
	if got := w.tell(); got != want {
		w.t.Fatalf("posted\n%swant\n%s", got, want)
	}
}

// facts returns the facts of the last step as text.
func (w *world) facts() []*handoffv1.Fact {
	var all []*handoffv1.Fact
	for _, r := range w.out[schemas.TopicAnalytics] {
		all = append(all, r.GetFact())
	}
	return all
}

// standing is the newest change that covers an account.
func (w *world) standing(account string) *statev1.ScopeConsent {
	best := &statev1.ScopeConsent{}
	channel := "sms"
	if account == "+15557770002" {
		channel = "whatsapp"
	}
	for _, scope := range []string{"shop", "channel:" + channel, "account:" + channel + ":" + account} {
		c := &statev1.ScopeConsent{}
		if w.read(scopePrefix+scope, c) && c.GetVersion() > best.GetVersion() {
			best = c
		}
	}
	return best
}

// lines is the ledger, in order.
func (w *world) lines() (all []*statev1.LedgerLine) {
	w.Scan(linePrefix, func(name string, _ []byte) bool {
		l := &statev1.LedgerLine{}
		w.read(name, l)
		all = append(all, l)
		return true
	})
	return all
}
