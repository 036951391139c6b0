package escalate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// memory is a pipeline.State of one key.
type memory map[string][]byte

func (m memory) Get(name string) ([]byte, bool) { v, ok := m[name]; return v, ok }
func (m memory) Put(name string, value []byte)  { m[name] = value }
func (m memory) Delete(name string)             { delete(m, name) }
func (m memory) Seen([]byte, time.Time) bool    { return false }
func (m memory) Scan(prefix string, fn func(string, []byte) bool) {
	var names []string
	for name := range m {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if !fn(name, m[name]) {
			return
		}
	}
}

// world runs the stage alone for one subscriber: it plays consent and deliver by posting their records,
// keeps timers on a simulated clock, and tells what the stage did, one line each.
type world struct {
	t      testing.TB
	stage  *Stage
	shop   *settings.Shop
	key    schemas.Key
	mem    memory
	timers map[string]time.Time
	now    time.Time
	serial int
	stamp  *handoffv1.ConsentStamp
	at     string // conversation that records are posted for

	lines    []string
	commands []sent
	facts    []*handoffv1.Record
	asked    []*handoffv1.Asked
	posts    int
}

// sent is a command that the stage posted.
type sent struct {
	call string
	*handoffv1.Command
}

func (w *world) At(string, uint64) (*settings.Shop, error)      { return w.shop, nil }
func (w *world) Current(string) (*settings.Shop, uint64, error) { return w.shop, 1, nil }
func (w *world) tell(format string, args ...any) {
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}
func short(name, prefix string) string { return strings.ToLower(strings.TrimPrefix(name, prefix)) }
func state(s State) string {
	if s == none {
		return "none"
	}
	return short(s.String(), "EPISODE_STATE_")
}

const base = `
shop: acme
name: Acme Outdoors
support_contact: help@acme.example
accounts:
  - {channel: sms, account: "+15557770000", provider: twilio, user: AC1, secret: "env:T"}
  - {channel: sms, account: "+15557770001", provider: twilio, user: AC1, secret: "env:T"}
desk: {kind: zendesk, subdomain: acme, user: bot@acme.example, token: "env:D", webhook_secret: "env:W"}
consent: {quiet_hours: false}
`

// newWorld makes a world of the base shop with a bot; change alters the settings.
func newWorld(t testing.TB, change ...func(*settings.Shop)) *world {
	t.Helper()
	shop, err := settings.Parse([]byte(base))
	if err != nil {
		t.Fatal(err)
	}
	shop.AutoReply.URL = "http://bot.example"
	shop.Handoff.Disclose = false
	for _, c := range change {
		c(shop)
	}
	stage, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	return &world{
		t: t, stage: stage, shop: shop, key: schemas.Key{Shop: "acme", Address: "+14155550001"},
		mem: memory{}, timers: map[string]time.Time{}, at: "sms:+15557770000",
		now:   time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC),
		stamp: &handoffv1.ConsentStamp{Status: handoffv1.ConsentStatus_CONSENT_STATUS_CONVERSATIONAL, Version: 1},
	}
}

// post gives the stage one record, received now.
func (w *world) post(change func(*handoffv1.Record)) {
	w.t.Helper()
	w.serial++
	_, account, _ := schemas.ParseConversation(w.at)
	r := &handoffv1.Record{
		Id: schemas.SourceID("test", "acme", w.at, fmt.Sprint(w.serial)), Shop: w.key.Shop, Address: w.key.Address,
		Channel: handoffv1.Channel_CHANNEL_SMS, Account: account, Conversation: w.at,
		EventTime: timestamppb.New(w.now), ReceivedAt: timestamppb.New(w.now), SettingsVersion: 1,
	}
	change(r)
	w.give(r)
}

func (w *world) give(r *handoffv1.Record) {
	w.t.Helper()
	value, err := schemas.Encode(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.process(&pipeline.Input{
		Key: w.key.Bytes(), Now: w.now, Settings: w,
		Record: &pipeline.Record{Topic: schemas.TopicEscalate, Key: w.key.Bytes(), Value: value, Time: w.now},
	})
}

func (w *world) process(in *pipeline.Input) {
	w.t.Helper()
	var fx pipeline.Effects
	if err := w.stage.Process(in, w.mem, &fx); err != nil {
		w.t.Fatalf("process: %v", err)
	}
	for _, change := range fx.Timers {
		if change.At.IsZero() {
			delete(w.timers, change.Name)
		} else {
			w.timers[change.Name] = change.At
		}
	}
	for _, e := range fx.Emits {
		w.posts++
		r, err := schemas.Decode(e.Key, e.Value)
		if err != nil {
			w.t.Fatalf("emitted a bad record to %s: %v", e.Topic, err)
		}
		w.take(e.Topic, r)
	}
}

// wait advances the clock; due timers fire in order.
func (w *world) wait(d time.Duration) {
	w.t.Helper()
	until := w.now.Add(d)
	for {
		name, at := w.nextTimer()
		if name == "" || at.After(until) {
			break
		}
		delete(w.timers, name)
		w.now = at
		w.process(&pipeline.Input{Key: w.key.Bytes(), Now: at, Settings: w, Timer: &pipeline.Timer{Name: name, At: at}})
	}
	w.now = until
}

func (w *world) nextTimer() (first string, at time.Time) {
	for name, due := range w.timers {
		if first == "" || due.Before(at) || due.Equal(at) && name < first {
			first, at = name, due
		}
	}
	return first, at
}

// take tells one emitted record.
func (w *world) take(topic string, r *handoffv1.Record) {
	w.t.Helper()
	if topic == schemas.TopicPlatform || topic == schemas.TopicEpisodes {
		return // for the platform to read or to ask (H13)
	}
	switch body := r.GetBody().(type) {
	case *handoffv1.Record_Command:
		w.want(topic, schemas.TopicDeliver)
		w.commands = append(w.commands, sent{schemas.HexID(r.GetId()), body.Command})
		w.tellCommand(body.Command)
	case *handoffv1.Record_Hold:
		w.want(topic, schemas.TopicDeliver)
		if body.Hold.GetHeld() {
			w.tell("paused")
		} else {
			w.tell("resumed")
		}
	case *handoffv1.Record_Asked:
		w.want(topic, schemas.TopicClassify)
		w.asked = append(w.asked, body.Asked)
	case *handoffv1.Record_Fact:
		w.want(topic, schemas.TopicAnalytics)
		w.facts = append(w.facts, r)
		if e := body.Fact.GetEpisode(); e != nil {
			w.tell("episode %d: %s -> %s", e.GetEpisode(), state(e.GetFrom()), state(e.GetTo()))
		}
		if d := body.Fact.GetDelivery(); d != nil {
			w.tell("not sent: %s", body.Fact.GetReason())
		}
	default:
		w.t.Fatalf("emitted a %T", body)
	}
}

func (w *world) want(topic, want string) {
	w.t.Helper()
	if topic != want {
		w.t.Fatalf("posted to %s, want %s", topic, want)
	}
}

func (w *world) tellCommand(cmd *handoffv1.Command) {
	texts := func(messages []*handoffv1.ThreadMessage) string {
		var all []string
		for _, m := range messages {
			all = append(all, short(m.GetAuthor().String(), "AUTHOR_KIND_")+": "+clip(m.GetText()))
		}
		return strings.Join(all, " | ")
	}
	switch a := cmd.GetAction().(type) {
	case *handoffv1.Command_SendText:
		w.tell("text [%s]: %s", short(a.SendText.GetTextClass().String(), "TEXT_CLASS_"), clip(a.SendText.GetText()))
	case *handoffv1.Command_AskBot:
		w.tell("bot %d: %s", a.AskBot.GetTurn(), clip(a.AskBot.GetMessages()[len(a.AskBot.GetMessages())-1].GetText()))
	case *handoffv1.Command_CreateTicket:
		w.tell("create %d: %s", cmd.GetTicketEpisode(), texts(a.CreateTicket.GetMessages()))
		for _, note := range a.CreateTicket.GetNotes() {
			w.tell("with note: %s", note)
		}
	case *handoffv1.Command_AppendMessages:
		open := ""
		if a.AppendMessages.GetStatus() != 0 {
			open = " (" + short(a.AppendMessages.GetStatus().String(), "TICKET_STATUS_") + ")"
		}
		w.tell("ticket %d <- %s%s", cmd.GetTicketEpisode(), texts(a.AppendMessages.GetMessages()), open)
	case *handoffv1.Command_AddNote:
		w.tell("note %d: %s", cmd.GetTicketEpisode(), a.AddNote.GetText())
	case *handoffv1.Command_SetTicketStatus:
		w.tell("status %d: %s", cmd.GetTicketEpisode(), short(a.SetTicketStatus.GetStatus().String(), "TICKET_STATUS_"))
	case *handoffv1.Command_AddTags:
		w.tell("tags %d: %s", cmd.GetTicketEpisode(), strings.Join(a.AddTags.GetTags(), " "))
	default:
		w.t.Fatalf("command %T", a)
	}
}

// clip shortens the long default texts.
func clip(text string) string {
	for _, id := range settings.TextIDs() {
		if full := id.Default(); text == full {
			return "<" + string(id) + ">"
		}
	}
	return text
}

// expect compares what happened since the last expect, and forgets it.
func (w *world) expect(lines ...string) {
	w.t.Helper()
	got := w.lines
	w.lines = nil
	if strings.Join(got, "\n") != strings.Join(lines, "\n") {
		w.t.Fatalf("happened:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(lines, "\n  "))
	}
}

// skip forgets what happened.
func (w *world) skip() { w.lines = nil }

type reading func(*handoffv1.Classification)

func intent(name string) reading {
	return func(c *handoffv1.Classification) { c.Intent, c.Confidence = name, 0.9 }
}
func unsure(c *handoffv1.Classification) { c.Unsure = true }
func thanks(c *handoffv1.Classification) { c.ThanksOnly = true }
func human(c *handoffv1.Classification)  { c.AsksForPerson, c.Intent = true, "human" }
func more(c *handoffv1.Classification)   { c.MoreText = true }
func angry(c *handoffv1.Classification)  { c.Sentiment, c.Intent = -0.95, "order_status" }
func french(c *handoffv1.Classification) { c.Language = "fr" }
func yes(c *handoffv1.Classification) {
	c.Directive, c.Answers = handoffv1.Directive_DIRECTIVE_YES, handoffv1.Question_QUESTION_OFFER
}
func no(c *handoffv1.Classification) {
	c.Directive, c.Answers = handoffv1.Directive_DIRECTIVE_NO, handoffv1.Question_QUESTION_OFFER
}

// customer writes; by default classify places the message as order_status.
func (w *world) customer(text string, read ...reading) {
	w.t.Helper()
	w.customerAt(w.now, text, read...)
}

// customerAt is a message received at another time than it is processed.
func (w *world) customerAt(at time.Time, text string, read ...reading) {
	w.t.Helper()
	c := &handoffv1.Classification{}
	if len(read) == 0 {
		c.Intent, c.Confidence = "order_status", 0.9
	}
	for _, fn := range read {
		fn(c)
	}
	w.post(func(r *handoffv1.Record) {
		r.Consent, r.ReceivedAt = proto.CloneOf(w.stamp), timestamppb.New(at)
		r.Body = &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{
			NativeId: fmt.Sprint("m", w.serial), Text: text, Classification: c,
		}}
	})
}

// bot answers its last turn.
func (w *world) bot(text string) {
	w.t.Helper()
	w.botTurn(w.conv().GetTurns(), &handoffv1.BotReply{Text: text})
}

func (w *world) botCannot(reason string) {
	w.t.Helper()
	w.botTurn(w.conv().GetTurns(), &handoffv1.BotReply{CannotAnswer: true, Reason: reason})
}

func (w *world) botTurn(turn uint64, reply *handoffv1.BotReply) {
	w.t.Helper()
	reply.Turn = turn
	w.post(func(r *handoffv1.Record) {
		r.Consent = proto.CloneOf(w.stamp)
		r.Body = &handoffv1.Record_BotReply{BotReply: reply}
	})
}

// agent replies on the ticket of an episode; ticketID is "t<episode>".
func (w *world) agent(ticket uint64, text string) {
	w.t.Helper()
	w.agentID(ticket, fmt.Sprint("r", w.serial), text)
}

func (w *world) agentID(ticket uint64, id, text string) {
	w.t.Helper()
	w.post(func(r *handoffv1.Record) {
		r.Consent = proto.CloneOf(w.stamp)
		r.Body = &handoffv1.Record_AgentReply{AgentReply: &handoffv1.AgentReply{
			TicketId: fmt.Sprint("t", ticket), Episode: ticket, NativeId: id, Text: text, Author: "Kim",
		}}
	})
}

func (w *world) desk(ticket uint64, status handoffv1.TicketStatus) {
	w.t.Helper()
	w.post(func(r *handoffv1.Record) {
		r.Body = &handoffv1.Record_TicketEvent{TicketEvent: &handoffv1.TicketEvent{
			TicketId: fmt.Sprint("t", ticket), Episode: ticket, Status: status,
		}}
	})
}

// last returns the newest command of a kind.
func (w *world) last(action handoffv1.Action) sent {
	w.t.Helper()
	for _, s := range slices.Backward(w.commands) {
		if actionOf(s.Command) == action {
			return s
		}
	}
	w.t.Fatalf("no %v was commanded", action)
	return sent{}
}

func actionOf(c *handoffv1.Command) handoffv1.Action {
	switch c.GetAction().(type) {
	case *handoffv1.Command_SendText:
		return handoffv1.Action_ACTION_SEND_TEXT
	case *handoffv1.Command_CreateTicket:
		return handoffv1.Action_ACTION_CREATE_TICKET
	case *handoffv1.Command_AppendMessages:
		return handoffv1.Action_ACTION_APPEND_MESSAGES
	case *handoffv1.Command_AddNote:
		return handoffv1.Action_ACTION_ADD_NOTE
	case *handoffv1.Command_SetTicketStatus:
		return handoffv1.Action_ACTION_SET_TICKET_STATUS
	case *handoffv1.Command_AddTags:
		return handoffv1.Action_ACTION_ADD_TAGS
	case *handoffv1.Command_AskBot:
		return handoffv1.Action_ACTION_ASK_BOT
	}
	return handoffv1.Action_ACTION_UNSPECIFIED
}

// receipt ends a command.
func (w *world) receipt(s sent, out *handoffv1.Outcome) {
	w.t.Helper()
	w.post(func(r *handoffv1.Record) {
		r.Body = &handoffv1.Record_Receipt{Receipt: &handoffv1.Receipt{
			CallId: s.call, Episode: s.GetEpisode(), Action: actionOf(s.Command), Outcome: out,
			TextClass: s.GetSendText().GetTextClass(), NativeId: s.GetSendText().GetNativeId(),
		}}
	})
}

// deskFails says that the desk fails on a call that was made.
func (w *world) deskFails(s sent) {
	w.t.Helper()
	w.post(func(r *handoffv1.Record) {
		r.Body = &handoffv1.Record_DeskFailing{DeskFailing: &handoffv1.DeskFailing{CallIds: []string{"other", s.call}}}
	})
}

// created says that the last ticket exists.
func (w *world) created() {
	w.t.Helper()
	s := w.last(handoffv1.Action_ACTION_CREATE_TICKET)
	id := fmt.Sprint("t", s.GetTicketEpisode())
	w.receipt(s, &handoffv1.Outcome{
		Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE, TicketId: id, TicketUrl: "https://acme.example/" + id,
	})
}

// notice is consent's word.
func (w *world) notice(n *handoffv1.ConsentNotice) {
	w.t.Helper()
	if n.GetKind() == handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPTED_OUT {
		n.Status = handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED
		n.Since = timestamppb.New(w.now)
		w.stamp = &handoffv1.ConsentStamp{Status: n.Status, Version: w.stamp.GetVersion() + 1, Since: n.Since}
	}
	w.post(func(r *handoffv1.Record) { r.Body = &handoffv1.Record_ConsentNotice{ConsentNotice: n} })
}

// stop is a STOP by the customer for all accounts of the channel.
func (w *world) stop() {
	w.t.Helper()
	w.notice(&handoffv1.ConsentNotice{
		Kind: handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPTED_OUT, Keyword: "STOP", Scope: "channel:sms",
		Source: handoffv1.ConsentSource_CONSENT_SOURCE_KEYWORD,
	})
}

// start subscribes again.
func (w *world) start() {
	w.t.Helper()
	w.stamp = &handoffv1.ConsentStamp{Status: handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED, Version: w.stamp.GetVersion() + 1}
	w.notice(&handoffv1.ConsentNotice{
		Kind: handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPTED_IN, Scope: "channel:sms",
		Status: handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED,
	})
}

func (w *world) conv() *statev1.Conversation {
	s := &statev1.Conversation{}
	w.read(convEntry(w.at), s)
	return s
}

func (w *world) episode() *statev1.Episode {
	e := &statev1.Episode{}
	w.read(episodePrefix+w.at, e)
	return e
}

func (w *world) ticket() *statev1.Ticket {
	k := &statev1.Ticket{}
	w.read(ticketEntry(w.at), k)
	return k
}

func (w *world) read(name string, m proto.Message) {
	w.t.Helper()
	if err := proto.Unmarshal(w.mem[name], m); err != nil {
		w.t.Fatal(err)
	}
}

// episodeFacts are the transitions reported so far.
func (w *world) episodeFacts() (facts []*handoffv1.EpisodeFact) {
	for _, r := range w.facts {
		if e := r.GetFact().GetEpisode(); e != nil {
			facts = append(facts, e)
		}
	}
	return facts
}

// reason of the last fact about an episode.
func (w *world) reason() string {
	for _, r := range slices.Backward(w.facts) {
		if r.GetFact().GetEpisode() != nil {
			return r.GetFact().GetReason()
		}
	}
	return ""
}

// opened brings the conversation to an open ticket, number 1.
func (w *world) opened() *world {
	w.t.Helper()
	w.customer("cancel my order", intent("cancel_order"))
	w.customer("yes", yes)
	w.created()
	w.skip()
	return w
}

const (
	solved  = handoffv1.TicketStatus_TICKET_STATUS_SOLVED
	closing = handoffv1.TicketStatus_TICKET_STATUS_CLOSED
	reopen  = handoffv1.TicketStatus_TICKET_STATUS_OPEN
)
