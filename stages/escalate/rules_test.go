package escalate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/settings/rules"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// anyRules writes a shop's rules: up to six, of any triggers, conditions and actions.
func anyRules(rt *rapid.T) string {
	conditions := []string{
		"channel: sms", "status: [open, solved]", "status_before: [none, solved]", "tags_contain: a", "tags_lack: [a, b]", "subject_contains: handoff",
		"text_contains: [you, order]", "text_matches: '(?i)o.*r'", "intent: [cancel_order, none]", "sentiment_below: -0.3", "sentiment_above: 0.1",
		"language: en", "subscriber: {address: '+1*'}", "support_hours: open", "episode: [none, open, closed]", "follow_up: false",
		"last_author: [customer, none]", "expr: 'len(text) > 3 or \"a\" in tags'", "none: [{tags_contain: c}]", "any: [{episode: open}, {status: none}]",
	}
	actions := []string{
		"add_tags: a", "add_tags: [b, c]", "remove_tags: [a]", "assign_team: SMS", "assign_agent: kim@acme.example", "auto_reply: hello",
		"auto_reply: {text: hi, while_paused: true, every: 2h}", "note: {text_id: rule_received}", "set_status: solved", "set_status: open",
		"set_priority: high", "escalate_now: true", "add_to_list: vip",
	}
	triggers := rules.Triggers()
	var b strings.Builder
	for i := range rapid.IntRange(1, 6).Draw(rt, "rules") {
		when := triggers[rapid.IntRange(0, len(triggers)-1).Draw(rt, "when")]
		also := triggers[rapid.IntRange(0, len(triggers)-2).Draw(rt, "also")]
		list := []string{string(when)}
		if also != when {
			list = append(list, string(also))
		}
		fmt.Fprintf(&b, "  - name: r%d\n    when: [%s]\n", i, strings.Join(list, ", "))
		if when == rules.Timer {
			fmt.Fprintf(&b, "    after: 30m\n    since: %s\n", rapid.SampledFrom([]string{"last_message", "last_agent_reply", "ticket_created", "episode_opened", "episode_closed"}).Draw(rt, "since"))
		}
		b.WriteString("    if:\n      all:\n")
		for range rapid.IntRange(1, 2).Draw(rt, "conditions") {
			fmt.Fprintf(&b, "        - {%s}\n", rapid.SampledFrom(conditions).Draw(rt, "condition"))
		}
		b.WriteString("    then:\n")
		for range rapid.IntRange(1, 4).Draw(rt, "actions") {
			fmt.Fprintf(&b, "      - {%s}\n", rapid.SampledFrom(actions).Draw(rt, "action"))
		}
	}
	return b.String()
}

// ruled runs the stage with any rules, feeding back what consent and deliver would.
type ruled struct {
	rt     *rapid.T
	stage  *Stage
	shop   *settings.Shop
	mem    memory
	timers map[string]time.Time
	now    time.Time
	serial int
	queue  []*handoffv1.Record
}

func (w *ruled) At(string, uint64) (*settings.Shop, error)      { return w.shop, nil }
func (w *ruled) Current(string) (*settings.Shop, uint64, error) { return w.shop, 1, nil }

var ruledKey = schemas.Key{Shop: "acme", Address: "+14155550001"}

func (w *ruled) post(r *handoffv1.Record) {
	w.serial++
	r.Id, r.Shop, r.Address = schemas.SourceID("test", "acme", "", fmt.Sprint(w.serial)), ruledKey.Shop, ruledKey.Address
	r.Channel, r.Account, r.Conversation = handoffv1.Channel_CHANNEL_SMS, "+15557770000", "sms:+15557770000"
	r.EventTime, r.ReceivedAt, r.SettingsVersion = timestamppb.New(w.now), timestamppb.New(w.now), 1
	r.Consent = &handoffv1.ConsentStamp{Status: handoffv1.ConsentStatus_CONSENT_STATUS_CONVERSATIONAL, Version: 1}
	value, err := schemas.Encode(r)
	if err != nil {
		w.rt.Fatal(err)
	}
	w.process(&pipeline.Input{Key: ruledKey.Bytes(), Now: w.now, Settings: w,
		Record: &pipeline.Record{Topic: schemas.TopicEscalate, Key: ruledKey.Bytes(), Value: value, Time: w.now}})
}

// process runs one record or timer and checks what must hold of it.
func (w *ruled) process(in *pipeline.Input) {
	before := &statev1.Episode{}
	if value, ok := w.mem.Get(episodePrefix + "sms:+15557770000"); ok {
		if err := schemas.Unmarshal(value, before); err != nil {
			w.rt.Fatal(err)
		}
	}
	var fx pipeline.Effects
	if err := w.stage.Process(in, w.mem, &fx); err != nil {
		w.rt.Fatalf("process: %v", err)
	}
	for _, change := range fx.Timers {
		if delete(w.timers, change.Name); !change.At.IsZero() {
			w.timers[change.Name] = change.At
		}
	}
	acted, actions, replies := map[string]bool{}, 0, 0
	for _, e := range fx.Emits {
		r, err := schemas.Decode(e.Key, e.Value)
		if err != nil {
			w.rt.Fatalf("emitted a bad record to %s: %v", e.Topic, err)
		}
		if fact := r.GetFact().GetRule(); fact != nil {
			if acted[fact.GetRule()] {
				w.rt.Fatalf("%s acted twice in one record", fact.GetRule())
			}
			acted[fact.GetRule()] = true
			actions += len(fact.GetDid())
			// The ticket that exists now is of the episode before; one that opened may have begun in this turn.
			when := rules.Trigger(fact.GetWhen())
			own := when == rules.TicketCreated || when == rules.EpisodeOpened && before.GetNumber() == fact.GetEpisode()
			if own && before.GetSignal().GetRule() == fact.GetRule() {
				w.rt.Fatalf("%s was triggered at %s by its own escalation", fact.GetRule(), when)
			}
		}
		w.answer(r, &replies)
	}
	if limit := w.shop.Automation.ActionsPerRecord; actions > limit {
		w.rt.Fatalf("%d actions in one record, at most %d are allowed", actions, limit)
	}
	if replies > 1 {
		w.rt.Fatalf("%d rules' replies in one record", replies)
	}
}

// answer queues what consent or deliver would post because of a record.
func (w *ruled) answer(r *handoffv1.Record, replies *int) {
	if reply := r.GetRuleReply(); reply != nil {
		*replies++
		w.queue = append(w.queue, &handoffv1.Record{Body: &handoffv1.Record_RuleReply{RuleReply: reply}})
	}
	if create := r.GetCommand().GetCreateTicket(); create != nil {
		w.queue = append(w.queue, &handoffv1.Record{Body: &handoffv1.Record_Receipt{Receipt: &handoffv1.Receipt{
			CallId: schemas.HexID(r.GetId()), Action: handoffv1.Action_ACTION_CREATE_TICKET,
			Outcome: &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE, TicketId: fmt.Sprint("t", w.serial)},
		}}})
	}
}

func (w *ruled) settle() {
	for n := 0; len(w.queue) > 0; n++ {
		if n > 200 {
			w.rt.Fatal("rules cause records without end")
		}
		r := w.queue[0]
		w.queue = w.queue[1:]
		w.post(r)
	}
}

// TestAnyRules: whatever the rules and whatever happens, nothing fails, no rule acts twice for one record
// or because of itself, all together take no more actions than is allowed, and it comes to an end.
func TestAnyRules(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		document := base + "bot: {url: 'http://bot.example'}\nautomation: {actions_per_record: 3, reply_every: 1m}\nrules:\n" + anyRules(rt)
		if rapid.Bool().Draw(rt, "mirror") {
			document += "mode: mirror\n"
		}
		shop, err := settings.Parse([]byte(document))
		if err != nil {
			rt.Fatalf("%s\n%v", document, err)
		}
		stage, err := New(Config{})
		if err != nil {
			rt.Fatal(err)
		}
		w := &ruled{rt: rt, stage: stage, shop: shop, mem: memory{}, timers: map[string]time.Time{}, now: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			w.step()
			w.settle()
			w.now = w.now.Add(time.Duration(rapid.IntRange(1, 2000).Draw(rt, "seconds")) * time.Second)
			for _, name := range slices.Sorted(maps.Keys(w.timers)) {
				if at, ok := w.timers[name]; ok && !at.After(w.now) {
					delete(w.timers, name)
					w.process(&pipeline.Input{Key: ruledKey.Bytes(), Now: at, Settings: w, Timer: &pipeline.Timer{Name: name, At: at}})
				}
			}
			w.settle()
		}
	})
}

// step is one thing from outside.
func (w *ruled) step() {
	r := &handoffv1.Record{}
	switch rapid.IntRange(0, 4).Draw(w.rt, "step") {
	case 0, 1:
		r.Body = &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{
			Text: rapid.SampledFrom([]string{"where is my order", "you", "hello", ""}).Draw(w.rt, "text"),
			Classification: &handoffv1.Classification{
				Intent: rapid.SampledFrom([]string{"cancel_order", "order_status", ""}).Draw(w.rt, "intent"), Language: "en",
				Sentiment: float32(rapid.IntRange(-10, 10).Draw(w.rt, "sentiment")) / 10, ThanksOnly: rapid.IntRange(0, 5).Draw(w.rt, "thanks") == 0,
			},
		}}
	case 2:
		r.Body = &handoffv1.Record_AgentReply{AgentReply: &handoffv1.AgentReply{Text: "hi", NativeId: fmt.Sprint(w.serial), Author: "Kim", TicketId: w.ticket().GetTicketId()}}
	default:
		status := rapid.SampledFrom([]handoffv1.TicketStatus{
			handoffv1.TicketStatus_TICKET_STATUS_OPEN, handoffv1.TicketStatus_TICKET_STATUS_SOLVED, handoffv1.TicketStatus_TICKET_STATUS_CLOSED,
			handoffv1.TicketStatus_TICKET_STATUS_PENDING, handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED,
		}).Draw(w.rt, "status")
		r.Body = &handoffv1.Record_TicketEvent{TicketEvent: &handoffv1.TicketEvent{
			TicketId: w.ticket().GetTicketId(), Status: status, Assignee: rapid.SampledFrom([]string{"", "Kim"}).Draw(w.rt, "assignee"),
			TagsKnown: rapid.Bool().Draw(w.rt, "tags known"), Tags: []string{"a"}, ByHandoff: rapid.Bool().Draw(w.rt, "by handoff"),
		}}
	}
	w.post(r)
}

func (w *ruled) ticket() *statev1.Ticket {
	k := &statev1.Ticket{}
	if value, ok := w.mem.Get(ticketEntry("sms:+15557770000")); ok {
		if err := schemas.Unmarshal(value, k); err != nil {
			w.rt.Fatal(err)
		}
	}
	return k
}
