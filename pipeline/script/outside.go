package script

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// outside plays the desk, the provider and the bot.
type outside struct {
	tickets  []*ticket
	deskDown bool
	// deskOff is by how much the desk's clock is ahead.
	deskOff  time.Duration
	revoked  bool     // it is away for this shop, whose token it refuses
	refuse   string   // code with which the desk refuses the next ticket
	failText []string // codes of the next texts
	textDown bool
	botAuto  bool
	botDown  bool
	mute     string // how it fails, where it says nothing; "": nothing in time
	says     []byte // what the shop's own classifier answers; nil: nothing in time
	texts    int
	done     map[string]*handoffv1.Outcome // by call id: nothing is done twice
	told     map[string]string             // by lane: the last call that deliver was told of as failing
}

// optedOutCode is the provider's code for a person who opted out there.
const optedOutCode = "21610"

// ticket at the world's desk.
type ticket struct {
	external string
	place    *handoffv1.Record // whose envelope its hints carry
	episode  uint64
	items    []*handoffv1.DeskItem
	status   handoffv1.TicketStatus
	// merged is the number of the ticket that it was merged into; 0 for none.
	merged int
	// reopens: the desk is one whose closed tickets can be opened again.
	reopens bool
}

// over tells that the desk takes nothing on the ticket any more, nor lets anybody change it.
func (t *ticket) over() bool {
	return t.status == handoffv1.TicketStatus_TICKET_STATUS_DELETED || t.merged != 0 ||
		t.status == handoffv1.TicketStatus_TICKET_STATUS_CLOSED && !t.reopens
}

// deskZendesk is the desk whose closed tickets are closed for good.
const deskZendesk = "zendesk"

func newOutside() *outside {
	return &outside{done: map[string]*handoffv1.Outcome{}, told: map[string]string{}}
}

// release starts the first outside call that may start, if any, and posts its result.
func (w *World) release() (bool, error) {
	if w.holding.calls || w.deliver == nil {
		return false, nil
	}
	calls, err := w.calls()
	if err != nil {
		return false, err
	}
	if w.plant == nil && len(w.inbox[w.deliver.mailbox]) == 0 {
		clear(w.ended) // deliver knows of all
	}
	lanes := map[string]laneState{}
	for _, c := range calls {
		lane := string(c.Key) + "\n" + c.Call.Lane
		if at := lanes[lane]; at == laneBusy || at == laneEarly && !c.Call.Passes {
			continue
		}
		if c.Call.NotBefore.After(w.clock) {
			lanes[lane] = laneEarly
			continue
		}
		lanes[lane] = laneBusy
		if w.ended[c.Call.ID] || w.unheard[c.Call.ID] {
			continue
		}
		if o := w.lapsed(c); o != nil && (w.passing || w.plant != nil) {
			w.result(c, o)
			return true, nil
		}
		if _, thinks := w.asked[c.Call.ID]; thinks || w.holding.wire(c.Call.ID) {
			continue
		}
		posted := w.posted
		if outcome := w.try(c); outcome != nil {
			w.end(c, outcome)
			return true, nil
		}
		if w.posted > posted {
			return true, nil
		}
	}
	return false, nil
}

// laneState is what the calls of a lane before the one that is looked at are at.
type laneState int

const (
	_         laneState = iota // there is none
	laneEarly                  // they wait for their time
	laneBusy                   // one is made, or is to be made before
)

// try is how a question to the bot is tried.
type try struct {
	since time.Time // the first time
	down  bool      // nothing takes it
}

// lapsed is the end of a question that the bot did not answer in its time (H11); nil for any other call. Whatever it
// says later, and what is on its way, comes late.
func (w *World) lapsed(c pipeline.PendingCall) *handoffv1.Outcome {
	tried, is := w.tried[c.Call.ID]
	if !is || c.Call.TryFor == 0 || w.clock.Before(tried.since.Add(c.Call.TryFor)) {
		return nil
	}
	o := &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_EXPIRED, Meaning: "the bot did not answer in time"}
	if tried.down {
		o.Code, o.Meaning = "503", "the bot is down"
	}
	return o
}

// tokenRefused is why calls to a desk fail that revoked the shop's token.
const tokenRefused = "the desk refuses the shop's token"

// fails tells deliver that the calls of a lane fail, and why, as whoever makes them does.
func (w *World) fails(c pipeline.PendingCall, r *handoffv1.Record, meaning string) {
	calls, err := w.calls()
	if err != nil {
		w.say("calls: %v", err)
		return
	}
	var ids []string
	for _, other := range calls {
		if string(other.Key) == string(c.Key) && other.Call.Lane == c.Call.Lane {
			ids = append(ids, other.Call.ID)
		}
	}
	lane, last := string(c.Key)+"\n"+c.Call.Lane, ids[len(ids)-1]
	if w.outside.told[lane] == last {
		return
	}
	w.outside.told[lane] = last
	if meaning == tokenRefused {
		w.say("the operator is told: %s", meaning)
	}
	failing := &handoffv1.Record{
		Id:      schemas.SourceID("caller", w.shop, c.Call.Destination, last+"/failing/"+strconv.FormatInt(w.clock.UnixNano(), 10)),
		Channel: r.GetChannel(), Account: r.GetAccount(), Address: r.GetAddress(), Conversation: r.GetConversation(),
		Body: &handoffv1.Record_DeskFailing{DeskFailing: &handoffv1.DeskFailing{CallIds: ids, Meaning: meaning}},
	}
	if err := w.post(schemas.TopicDeliver, failing); err != nil {
		w.say("calls fail: %v", err)
	}
}

// calls returns the pending calls, in the order of their creation.
func (w *World) calls() ([]pipeline.PendingCall, error) {
	if w.plant != nil {
		return w.plant.Calls(w.shop), nil
	}
	return w.deliver.calls()
}

// reader reads what deliver has committed.
func (w *World) reader() pipeline.Reader {
	if w.plant != nil {
		return w.plant.Reader()
	}
	return committed{w.deliver}
}

// end posts a call's end, unless answers are held.
func (w *World) end(c pipeline.PendingCall, o *handoffv1.Outcome) {
	if w.holding.answers {
		w.holding.onWire = append(w.holding.onWire, answer{c, o})
		return
	}
	w.result(c, o)
}

// try asks the gate and makes the call; nil when it has to wait. What was done already, its answer lost,
// is found by looking it up.
func (w *World) try(c pipeline.PendingCall) *handoffv1.Outcome {
	if done := w.outside.done[c.Call.ID]; done != nil {
		return done
	}
	rel, err := w.gate.Release(w.reader(), c, w.clock)
	if err != nil {
		return &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, Meaning: err.Error()}
	}
	if !c.Call.GiveUpAt.IsZero() && !w.clock.Before(c.Call.GiveUpAt) {
		return &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_EXPIRED, Meaning: "given up", BlockReason: handoffv1.BlockReason_BLOCK_REASON_EXPIRED}
	}
	switch rel.Verdict {
	case caller.Wait:
		return nil
	case caller.Refuse:
		return &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED, BlockReason: rel.Reason, Meaning: rel.Meaning}
	case caller.Start:
	}
	rel.Attempt.Number, rel.Attempt.CallID = 1, c.Call.ID
	outcome := w.do(c, rel.Attempt)
	if w.watch != nil {
		w.watch.Called(rel.Attempt, outcome)
	}
	if outcome != nil {
		outcome.ConsentVersion = rel.ConsentVersion
		w.outside.done[c.Call.ID] = outcome
	}
	return outcome
}

// nextRelease is when the gate wants to be asked again, or a call is given up.
func (w *World) nextRelease() (next time.Time, ok bool) {
	if w.holding.calls || w.deliver == nil {
		return next, false
	}
	earlier := func(t time.Time) {
		if t.After(w.clock) && (!ok || t.Before(next)) {
			next, ok = t, true
		}
	}
	calls, err := w.calls()
	if err != nil {
		return next, false
	}
	for _, c := range calls {
		if w.unheard[c.Call.ID] {
			continue
		}
		if rel, err := w.gate.Release(w.reader(), c, w.clock); err == nil && rel.Verdict == caller.Wait {
			earlier(rel.Until)
		}
		earlier(c.Call.GiveUpAt)
		if tried, is := w.tried[c.Call.ID]; is && c.Call.TryFor > 0 && !w.ended[c.Call.ID] {
			end := tried.since.Add(c.Call.TryFor)
			if !end.After(w.clock) {
				return w.clock, true // it is over
			}
			earlier(end)
		}
	}
	return next, ok
}

// result posts a call's end to deliver.
func (w *World) result(c pipeline.PendingCall, o *handoffv1.Outcome) {
	w.ended[c.Call.ID] = true
	key, err := schemas.ParseKey(c.Key)
	if err != nil {
		w.say("call %s under a bad key: %v", c.Call.ID, err)
		return
	}
	o.StartedAt, o.EndedAt = timestamppb.New(w.clock), timestamppb.New(w.clock)
	conversation, _, _ := strings.Cut(c.Call.Lane, "/"+c.Call.Destination)
	place, err := turn.PlaceOf(conversation)
	if err != nil {
		w.say("call %s in a bad lane: %v", c.Call.ID, err)
		return
	}
	r := &handoffv1.Record{
		Id: schemas.SourceID("caller", key.Shop, c.Call.Destination, c.Call.ID+"/"+short(o.GetStatus().String(), "OUTCOME_STATUS_")), Address: key.Address,
		Channel: place.Channel, Account: place.Account, Conversation: place.Conversation,
		Body: &handoffv1.Record_CallResult{CallResult: &handoffv1.CallResult{CallId: c.Call.ID, Attempt: 1, Outcome: o}},
	}
	if err := w.post(schemas.TopicDeliver, r); err != nil {
		w.say("result of %s: %v", c.Call.ID, err)
	}
}

func done() *handoffv1.Outcome {
	return &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE}
}

func refused(code, meaning string) *handoffv1.Outcome {
	return &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, Code: code, Meaning: meaning}
}

// do makes one call; nil means the system is down and the call stays.
func (w *World) do(c pipeline.PendingCall, a caller.Attempt) *handoffv1.Outcome {
	switch act := a.Command.GetAction().(type) {
	case *handoffv1.Command_SendText:
		if w.outside.textDown {
			w.fails(c, a.Record, "the provider is down")
			return nil
		}
		return w.text(a, act.SendText)
	case *handoffv1.Command_AskBot:
		return w.ask(c, act.AskBot)
	}
	if w.outside.deskDown {
		meaning := "the desk is down"
		if w.outside.revoked {
			meaning = tokenRefused
		}
		w.fails(c, a.Record, meaning)
		return nil
	}
	if act := a.Command.GetCreateTicket(); act != nil {
		return w.create(a, act)
	}
	number, err := strconv.Atoi(a.TicketID)
	if act := a.Command.GetFetchTicket(); act != nil {
		number, err = strconv.Atoi(act.GetTicketId())
	}
	if err != nil || number < 1 || number > len(w.outside.tickets) {
		return refused("404", "there is no ticket "+strconv.Quote(a.TicketID))
	}
	if a.Command.GetFetchTicket() == nil {
		for w.outside.tickets[number-1].merged != 0 { // as connectors do: what is written to it goes to the one that is left
			number = w.outside.tickets[number-1].merged
		}
	}
	return w.onTicket(number, w.outside.tickets[number-1], a.Command)
}

func (w *World) text(a caller.Attempt, t *handoffv1.SendText) *handoffv1.Outcome {
	if len(w.outside.failText) > 0 {
		code := w.outside.failText[0]
		w.outside.failText = w.outside.failText[1:]
		o := refused(code, "provider error "+code)
		o.ProviderOptedOut = code == optedOutCode
		w.say("text to %s failed with %s: %s", a.Record.GetAddress(), code, withMedia(t))
		return o
	}
	w.outside.texts++
	from := ""
	if a.Record.GetAccount() != w.account().Account {
		from = " from " + a.Record.GetAccount()
	}
	w.say("text to %s%s [%s]: %s", a.Record.GetAddress(), from, kindOf(t), withMedia(t))
	o := done()
	o.ProviderId, o.Segments = fmt.Sprintf("SMout%d", w.outside.texts), segments(t.GetText())
	return o
}

func (w *World) ask(c pipeline.PendingCall, q *handoffv1.AskBot) *handoffv1.Outcome {
	var last *handoffv1.ThreadMessage
	if n := len(q.GetMessages()); n > 0 {
		last = q.GetMessages()[n-1]
	}
	began, again := w.tried[c.Call.ID]
	if !again {
		began.since = w.clock
	}
	began.down = w.outside.botDown
	if w.tried[c.Call.ID] = began; began.down {
		return nil
	}
	w.say("bot asked (turn %d): %s", q.GetTurn(), withMedia(last))
	if w.outside.botAuto {
		o := done()
		o.BotReply = &handoffv1.BotReply{Turn: q.GetTurn(), Text: "Bot: " + last.GetText()}
		return o
	}
	w.asked[c.Call.ID] = pending{call: c, turn: q.GetTurn()}
	w.order = append(w.order, c.Call.ID)
	return nil
}

func (w *World) create(a caller.Attempt, c *handoffv1.CreateTicket) *handoffv1.Outcome {
	if code := w.outside.refuse; code != "" {
		w.say("ticket refused by the desk with %s", code)
		return refused(code, "the desk refused the ticket")
	}
	t := &ticket{external: c.GetExternalId(), place: a.Record, episode: a.Command.GetTicketEpisode(), status: handoffv1.TicketStatus_TICKET_STATUS_OPEN}
	page := "agent/tickets"
	if a.Shop.Desk.Kind != deskZendesk {
		page, t.reopens = "app/ticket", true
	}
	w.outside.tickets = append(w.outside.tickets, t)
	number := len(w.outside.tickets)
	who := c.GetRequesterName()
	if who == "" {
		who = a.Record.GetAddress()
	}
	line := fmt.Sprintf("ticket %d created: %q for %s", number, c.GetSubject(), who)
	if len(c.GetTags()) > 0 {
		line += ", tags " + strings.Join(c.GetTags(), " ")
	}
	if c.GetFollowUpOf() != "" {
		line += ", follows up ticket " + c.GetFollowUpOf()
	}
	w.say("%s", line)
	for _, m := range c.GetMessages() {
		w.say("  %s %s: %s", m.GetAt().AsTime().Format("15:04:05"), authorName(m), withMedia(m))
	}
	for _, n := range c.GetNotes() {
		w.say("  note: %s", n)
	}
	if s := c.GetStatus(); s != handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED {
		t.status = s
		if s != handoffv1.TicketStatus_TICKET_STATUS_OPEN {
			w.say("  status: %s", statusName(s))
		}
	}
	o := done()
	o.TicketId, o.TicketUrl = strconv.Itoa(number), fmt.Sprintf("https://acme.%s.com/%s/%d", a.Shop.Desk.Kind, page, number)
	return o
}

func (w *World) onTicket(number int, t *ticket, c *handoffv1.Command) *handoffv1.Outcome {
	if t.over() && c.GetFetchTicket() == nil {
		o := refused("422", "the ticket is "+statusName(t.status)+" for good")
		o.TicketGone = true
		return o
	}
	switch act := c.GetAction().(type) {
	case *handoffv1.Command_AppendMessages:
		for _, m := range act.AppendMessages.GetMessages() {
			w.say("ticket %d <- %s: %s", number, authorName(m), withMedia(m))
		}
		w.setStatus(number, t, act.AppendMessages.GetStatus())
	case *handoffv1.Command_AddNote:
		w.say("ticket %d note: %s", number, act.AddNote.GetText())
	case *handoffv1.Command_SetTicketStatus:
		w.setStatus(number, t, act.SetTicketStatus.GetStatus())
	case *handoffv1.Command_AddTags:
		w.say("ticket %d tags: %s", number, strings.Join(act.AddTags.GetTags(), " "))
	case *handoffv1.Command_RemoveTags:
		w.say("ticket %d tags taken off: %s", number, strings.Join(act.RemoveTags.GetTags(), " "))
	case *handoffv1.Command_AssignTicket:
		return w.assign(number, t, act.AssignTicket)
	case *handoffv1.Command_SetPriority:
		w.say("ticket %d priority: %s", number, short(act.SetPriority.GetPriority().String(), "PRIORITY_"))
	case *handoffv1.Command_FetchTicket:
		o := done()
		o.TicketId, o.Items = strconv.Itoa(number), t.after(act.FetchTicket.GetAfter())
		return o
	}
	o := done()
	o.TicketId = strconv.Itoa(number)
	return o
}

// noTeam is the team that the world's desk does not have.
const noTeam = "Nobody"

// assign assigns a ticket on Handoff's behalf; the desk tells of it like of any change.
func (w *World) assign(number int, t *ticket, a *handoffv1.AssignTicket) *handoffv1.Outcome {
	if a.GetTeam() == noTeam {
		return refused("404", "the desk has no team "+noTeam)
	}
	who := strings.TrimSpace(a.GetTeam() + " " + a.GetAgent())
	w.say("ticket %d assigned: %s", number, who)
	t.add(w.deskTime(), &handoffv1.DeskItem{Assignee: who, ByHandoff: true})
	w.hint(number, t)
	o := done()
	o.TicketId = strconv.Itoa(number)
	return o
}

// setStatus sets a ticket's status on Handoff's behalf; the desk tells of it like of any change.
func (w *World) setStatus(number int, t *ticket, s handoffv1.TicketStatus) {
	if s == handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED || s == t.status {
		return
	}
	w.say("ticket %d status: %s", number, statusName(s))
	t.status = s
	t.add(w.deskTime(), &handoffv1.DeskItem{Status: s, NativeStatus: statusName(s), ByHandoff: true})
	w.hint(number, t)
}

// hint tells deliver that a ticket changed, as the desk's webhook would.
func (w *World) hint(number int, t *ticket) {
	r := &handoffv1.Record{
		Id:      schemas.SourceID(w.deskKind(), w.shop, strconv.Itoa(number), fmt.Sprintf("hint/%d", len(t.items))),
		Channel: t.place.GetChannel(), Account: t.place.GetAccount(), Address: t.place.GetAddress(), Conversation: t.place.GetConversation(),
		Body: &handoffv1.Record_TicketChanged{TicketChanged: &handoffv1.TicketChanged{Desk: w.deskKind(), TicketId: strconv.Itoa(number), Episode: t.episode}},
	}
	if err := w.post(schemas.TopicDeliver, r); err != nil {
		w.say("hint for ticket %d: %v", number, err)
	}
}

// deskTime is the time by the desk's clock.
func (w *World) deskTime() time.Time { return w.clock.Add(w.outside.deskOff) }

// add appends an item to the ticket's history.
func (t *ticket) add(at time.Time, i *handoffv1.DeskItem) {
	i.Cursor = strconv.Itoa(len(t.items) + 1)
	i.NativeId, i.At = "i"+i.Cursor, timestamppb.New(at)
	t.items = append(t.items, i)
}

// after returns the items behind a cursor.
func (t *ticket) after(cursor string) []*handoffv1.DeskItem {
	n, err := strconv.Atoi(cursor)
	if err != nil || n > len(t.items) {
		n = 0
	}
	return t.items[n:]
}

func segments(text string) uint32 {
	n, _ := schemas.Segments(text)
	return uint32(n)
}
