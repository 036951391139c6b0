package scripts

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/script"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// Invariants that no order of events may break.
const (
	noTextAfterOptOut  = "a text's request started after the opt-out was committed"
	oneOpenTicket      = "a conversation has two open tickets"
	noAutomatedInPause = "an automated reply left while people have the conversation"
	allAnswered        = "an inbound message was answered by nobody and nothing says why"
	goesOn             = "the world does not go on"
	historyGrows       = "consent history shrank or changed"
	noTextUnconfirmed  = "a text's request started to somebody who has yet to confirm"
)

// judge watches a world and keeps its own account of it, from what was committed and what left.
type judge struct {
	detached map[string]bool // by key: somebody wrote that it is a wrong number
	world    *script.World
	// broken is the first invariant that was seen broken, and how.
	broken, how string
	messages    int // inbound ones
	texts       int

	consent map[string]*handoffv1.ConsentChanged // as deliver committed it, by key and scope
	holds   map[string][]handoffv1.TextClass     // by thread
	held    map[string]uint64                    // version of the newest hold, by thread
	state   map[string]handoffv1.EpisodeState    // by thread, as escalate reported it
	// settled facts: what was true when nothing was on its way any more.
	stopped map[string]bool // by thread: STOP was their last word on consent
	people  map[string]bool // by thread: people have the conversation
	tickets map[int]bool    // by index: nobody at the desk changed it since all was quiet

	root    map[string]string                     // record id to that of the outside record it comes from
	inbound map[string]string                     // id of a customer's record to its text
	done    map[string]string                     // to what became of it
	native  map[string]string                     // the provider's id of a customer's message to its record's
	carries map[string][]*handoffv1.ThreadMessage // messages of calls to bot and desk
	lines   map[string][]byte                     // the ledger's, by key and name

	deskDown         bool
	dropped          bool // somebody decided to do without a lost record
	mustConfirm      bool // the shop asked people to confirm at some time
	answersAfterStop bool // the shop let agents answer opted-out people at some time
}

func newJudge() *judge {
	return &judge{
		detached: map[string]bool{}, held: map[string]uint64{},
		consent: map[string]*handoffv1.ConsentChanged{}, holds: map[string][]handoffv1.TextClass{}, state: map[string]handoffv1.EpisodeState{},
		stopped: map[string]bool{}, people: map[string]bool{}, tickets: map[int]bool{},
		root: map[string]string{}, inbound: map[string]string{}, done: map[string]string{}, native: map[string]string{}, lines: map[string][]byte{}, carries: map[string][]*handoffv1.ThreadMessage{},
	}
}

func (j *judge) breaks(invariant, format string, args ...any) {
	if j.broken == "" {
		j.broken, j.how = invariant, fmt.Sprintf(format, args...)
	}
}

// thread names a conversation of a person.
func thread(r *handoffv1.Record) string { return keyOf(r) + " " + r.GetConversation() }

func keyOf(r *handoffv1.Record) string { return string(schemas.KeyOf(r).Bytes()) }

// Committed implements script.Watcher.
func (j *judge) Committed(stage string, r *pipeline.Record, emits []pipeline.Emit) {
	origin := ""
	if r != nil {
		in := decode(r.Key, r.Value)
		origin = j.origin(in)
		if m := in.GetCustomerMessage(); m != nil && stage == schemas.StageClassify {
			if _, again := j.inbound[origin]; !again {
				j.inbound[origin] = m.GetText()
				j.native[thread(in)+m.GetNativeId()] = origin
				j.messages++
			}
		}
		if stage == schemas.StageDeliver {
			j.deliverRead(in)
		}
	}
	for _, e := range emits {
		out := decode(e.Key, e.Value)
		from, id := origin, schemas.HexID(out.GetId())
		if m := out.GetCustomerMessage(); m != nil && j.native[thread(out)+m.GetNativeId()] != "" {
			from = j.native[thread(out)+m.GetNativeId()] // also one that was held, whatever let it go on
		}
		j.root[id] = from
		j.emitted(stage, from, out)
	}
}

func decode(key, value []byte) *handoffv1.Record {
	r := &handoffv1.Record{}
	if err := proto.Unmarshal(value, r); err != nil {
		panic(fmt.Sprintf("record of %s: %v", key, err)) // the world decoded it before
	}
	return r
}

// origin is the outside record that a record comes from; of a call's result that of its command.
func (j *judge) origin(r *handoffv1.Record) string {
	id := schemas.HexID(r.GetId())
	if result := r.GetCallResult(); result != nil {
		id = result.GetCallId()
	}
	if root := j.root[id]; root != "" {
		return root
	}
	return id
}

// deliverRead keeps what deliver has committed of consent and holds.
func (j *judge) deliverRead(in *handoffv1.Record) {
	if c := in.GetConsentChanged(); c != nil {
		name := keyOf(in) + " " + c.GetScope()
		if old := j.consent[name]; old.GetVersion() < c.GetVersion() {
			j.consent[name] = c
		}
	}
	if h := in.GetHold(); h.GetVersion() > j.held[thread(in)] {
		j.held[thread(in)] = h.GetVersion()
		if h.GetHeld() {
			j.holds[thread(in)] = h.GetClasses()
		} else {
			delete(j.holds, thread(in))
		}
	}
}

// emitted notes what a stage made of a message, and how episodes moved.
func (j *judge) emitted(stage, origin string, out *handoffv1.Record) {
	switch {
	case out.GetCommand().GetSendText().GetTextClass() == handoffv1.TextClass_TEXT_CLASS_KEYWORD_ANSWER:
		j.done[origin] = "answered as a keyword"
	case out.GetFact().GetMessage().GetClassification().GetAnswers() == handoffv1.Question_QUESTION_OPT_IN &&
		out.GetFact().GetMessage().GetClassification().GetDirective() == handoffv1.Directive_DIRECTIVE_NO && stage == schemas.StageClassify:
		j.done[origin] = "recorded as a no to the opt-in question" // they are asked nothing more, and answered nothing
	case out.GetFact() != nil && stage != schemas.StageClassify:
		f := out.GetFact()
		if e := f.GetEpisode(); e != nil {
			j.moved(out, e)
		}
		if f.GetReason() != "" || f.GetEpisode() != nil || f.GetConsent() != nil {
			j.done[origin] = "recorded: " + f.GetReason()
			j.reached(j.carries[f.GetDelivery().GetCallId()], "recorded: "+f.GetReason())
			if about := j.root[f.GetDelivery().GetCallId()]; about != "" {
				j.done[about] = "recorded: " + f.GetReason()
			}
		}
	case out.GetCommand() != nil:
		c := out.GetCommand()
		j.carries[schemas.HexID(out.GetId())] = slices.Concat(c.GetAskBot().GetMessages(), c.GetCreateTicket().GetMessages(), c.GetAppendMessages().GetMessages())
	case out.GetConsentNotice() != nil:
		j.done[origin] = "keyword, told to escalate"
	}
}

// moved follows the conversation's newest episode that people have or had.
func (j *judge) moved(out *handoffv1.Record, e *handoffv1.EpisodeFact) {
	at := thread(out)
	switch e.GetTo() {
	case handoffv1.EpisodeState_EPISODE_STATE_REQUESTED, handoffv1.EpisodeState_EPISODE_STATE_OPEN:
		j.state[at] = e.GetTo()
	default:
		j.state[at] = e.GetTo()
		delete(j.people, at)
	}
}

// Lost implements script.Watcher.
func (j *judge) Lost(_ string, r *pipeline.Record) {
	if r == nil {
		return
	}
	lost := decode(r.Key, r.Value)
	j.done[j.origin(lost)] = "a dead letter"
}

// Called implements script.Watcher.
func (j *judge) Called(a caller.Attempt, o *handoffv1.Outcome) {
	did := o.GetStatus() == handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE
	switch act := a.Command.GetAction().(type) {
	case *handoffv1.Command_SendText:
		if o != nil {
			j.textStarted(a, act.SendText)
		}
	case *handoffv1.Command_AskBot:
		j.reached(act.AskBot.GetMessages(), "the bot was asked")
	case *handoffv1.Command_CreateTicket:
		if did {
			j.reached(act.CreateTicket.GetMessages(), "on a ticket")
			j.ticketMade(a)
		}
	case *handoffv1.Command_AppendMessages:
		if did {
			j.reached(act.AppendMessages.GetMessages(), "on a ticket")
		}
	}
}

func (j *judge) reached(messages []*handoffv1.ThreadMessage, whom string) {
	for _, m := range messages {
		if root := j.root[m.GetId()]; root != "" {
			j.done[root] = whom
		}
	}
}

// textStarted judges a text by what was committed when its request started.
func (j *judge) textStarted(a caller.Attempt, t *handoffv1.SendText) {
	j.texts++
	class, at := t.GetTextClass(), thread(a.Record)
	if class != handoffv1.TextClass_TEXT_CLASS_KEYWORD_ANSWER {
		newest := &handoffv1.ConsentChanged{}
		channel, _, _ := strings.Cut(a.Record.GetConversation(), ":")
		for _, scope := range []string{"shop", "channel:" + channel, "account:" + a.Record.GetConversation()} {
			if c := j.consent[keyOf(a.Record)+" "+scope]; c.GetVersion() > newest.GetVersion() {
				newest = c
			}
		}
		if newest.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED &&
			(class != handoffv1.TextClass_TEXT_CLASS_AGENT || !slices.Contains(newest.GetAllowed(), class)) {
			j.breaks(noTextAfterOptOut, "%s got %q (%s) after change %d", at, t.GetText(), class, newest.GetVersion())
		}
		if newest.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_PENDING && class != handoffv1.TextClass_TEXT_CLASS_OPT_IN_QUESTION {
			j.breaks(noTextUnconfirmed, "%s got %q (%s) after change %d", at, t.GetText(), class, newest.GetVersion())
		}
		if j.stopped[at] && (class != handoffv1.TextClass_TEXT_CLASS_AGENT || !j.answersAfterStop) {
			j.breaks(noTextAfterOptOut, "%s got %q (%s) long after their STOP", at, t.GetText(), class)
		}
	}
	if slices.Contains(j.holds[at], class) && !t.GetWhilePaused() || j.people[at] && class == handoffv1.TextClass_TEXT_CLASS_BOT {
		j.breaks(noAutomatedInPause, "%s got %q (%s)", at, t.GetText(), class)
	}
}

// ticketMade judges a ticket that was created by the conversation's others.
func (j *judge) ticketMade(a caller.Attempt) {
	if j.detached[keyOf(a.Record)] {
		return // who has the number now is not put on the ticket of who had it (C15)
	}
	all := j.world.Tickets()
	made := all[len(all)-1]
	for i, t := range all[:len(all)-1] {
		if t.Key == made.Key && t.Conversation == made.Conversation && isOpen(t.Status) && j.tickets[i] {
			j.breaks(oneOpenTicket, "%s: ticket %d is open since long and ticket %d was created (episode %d)", thread(a.Record), i+1, len(all), a.Command.GetEpisode())
		}
	}
	j.tickets[len(all)-1] = true
}

// before notes what a command may change by itself.
func (j *judge) before(c script.Command) {
	switch c.Name {
	case "customer":
		j.detached["acme|"+c.Args["from"]] = j.detached["acme|"+c.Args["from"]] || c.Input == "wrong number"
		if mayStart(c) {
			maps.DeleteFunc(j.stopped, func(at string, _ bool) bool { return strings.HasPrefix(at, "acme|"+c.Args["from"]+" ") })
		}
	case "import": // the newer change wins
		if c.Words[0] != "unsubscribed" {
			maps.DeleteFunc(j.stopped, func(at string, _ bool) bool { return strings.HasPrefix(at, "acme|"+c.Args["from"]+" ") })
		}
	case "rules":
		j.mustConfirm = j.mustConfirm || c.Words[0] == "double-opt-in"
	case "settings":
		j.mustConfirm = j.mustConfirm || strings.Contains(c.Input, "double_opt_in: true")
		j.answersAfterStop = j.answersAfterStop || strings.Contains(c.Input, "answer_after_stop: true")
	case "drop":
		j.dropped = true
	case "desk": // what is told of a ticket is known only when all is quiet again
		if c.Args["status"] != "" {
			clear(j.tickets)
		}
		if len(c.Words) > 0 {
			j.deskDown = c.Words[0] == "down" || j.deskDown && c.Words[0] != "up"
		}
	}
}

// after judges what holds after each command, and what is settled by it. open tells that dead letters
// wait for a decision.
func (j *judge) after(c script.Command, open bool) {
	j.history()
	if open || !j.world.Quiet() {
		return
	}
	if c.Name == "customer" && isStop(c) {
		j.stopped[personAt(c)] = true
	}
	for at, s := range j.state {
		if s == handoffv1.EpisodeState_EPISODE_STATE_REQUESTED || s == handoffv1.EpisodeState_EPISODE_STATE_OPEN {
			j.people[at] = true
			if j.holds[at] == nil && !j.dropped {
				j.breaks(noAutomatedInPause, "nothing holds automated texts to %s, whose episode is %s", at, s)
			}
		}
	}
	if j.deskDown {
		return // what its agents did is not known here
	}
	newest := map[string]int{}
	for i, t := range j.world.Tickets() {
		newest[t.Key+" "+t.Conversation] = i
	}
	for _, i := range newest {
		j.tickets[i] = isOpen(j.world.Tickets()[i].Status)
	}
}

func isOpen(s handoffv1.TicketStatus) bool {
	switch s {
	case handoffv1.TicketStatus_TICKET_STATUS_NEW, handoffv1.TicketStatus_TICKET_STATUS_OPEN,
		handoffv1.TicketStatus_TICKET_STATUS_PENDING, handoffv1.TicketStatus_TICKET_STATUS_ON_HOLD:
		return true
	default:
		return false
	}
}

func isStop(c script.Command) bool { return c.Input == "STOP" && c.Args["id"] == "" }

// mayStart tells whether a message can subscribe its writer, wherever they wrote it.
func mayStart(c script.Command) bool {
	return c.Args["opt-out-type"] != "" || slices.Contains([]string{"START", "unstop", "yes", "yes please, order 4412", "👍"}, c.Input)
}

// personAt is the thread a customer command writes in.
func personAt(c script.Command) string {
	to := c.Args["to"]
	if to == "" {
		to = "+15557770000"
	}
	return "acme|" + c.Args["from"] + " sms:" + to
}

// history compares the ledger with what it was: lines come, none changes or goes.
func (j *judge) history() {
	for _, from := range people {
		key, n, known := "acme|"+from, 0, 0
		for name := range j.lines {
			if strings.HasPrefix(name, key) {
				known++
			}
		}
		err := j.world.Entries(schemas.StageConsent, []byte(key), "line/", func(name string, value []byte) bool {
			n++
			old, ok := j.lines[key+" "+name]
			if ok && !bytes.Equal(old, value) {
				j.breaks(historyGrows, "%s of %s changed", name, key)
			}
			if ok {
				known--
			}
			j.lines[key+" "+name] = bytes.Clone(value)
			return true
		})
		if err != nil || known > 0 {
			j.breaks(historyGrows, "%d lines of %s are gone (%v)", known, key, err)
		}
	}
}

// end judges what must have happened when everything was let go on.
func (j *judge) end() {
	for _, id := range slices.Sorted(maps.Keys(j.inbound)) {
		if j.done[id] == "" {
			j.breaks(allAnswered, "%q", j.inbound[id])
		}
	}
}
