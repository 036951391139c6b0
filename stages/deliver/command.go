package deliver

import (
	"cmp"
	"fmt"
	"time"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// onCommand stores a command's call, a long text's calls. A command that was seen before is dropped:
// its call is open or ended.
func (s *Stage) onCommand(t *turn.Turn, c *handoffv1.Command) error {
	if t.Seen() {
		return nil
	}
	if actionOf(c) == handoffv1.Action_ACTION_UNSPECIFIED {
		return fmt.Errorf("a command of no known kind")
	}
	if t.Record.GetPutBack() && !t.Record.GetDropped() && (c.GetCreateTicket() != nil || needsTicket(c)) {
		giveBack(t, c)
		return nil
	}
	record := t.Record
	if record.Conversation = placeOf(record).Conversation; record.Conversation == "" {
		return fmt.Errorf("a command without a conversation")
	}
	open := s.open(t, record)
	if record.GetDropped() {
		return s.endDropped(t, open)
	}
	if outcome := prepare(t, open); outcome != nil {
		return s.end(t, open.GetCommandId(), open, ended{outcome: outcome})
	}
	if text := c.GetSendText(); text != nil {
		if parts := schemas.SplitText(text.GetText(), schemas.TextLimit(record.GetChannel())); len(parts) > 1 {
			storeParts(t, open, parts)
			return nil
		}
	}
	store(t, open.GetCommandId(), open)
	return nil
}

// endDropped ends a command that was lost and dropped as one that failed. Of a lost question to the bot escalate
// heard when it was lost.
func (s *Stage) endDropped(t *turn.Turn, open *statev1.OpenCall) error {
	if open.GetRecord().GetCommand().GetAskBot() != nil {
		return nil
	}
	outcome := prepare(t, open)
	if outcome == nil {
		outcome = &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, Meaning: "it could not be processed, and was dropped"}
	}
	return s.end(t, open.GetCommandId(), open, ended{outcome: outcome})
}

// giveBack gives a command to the desk that was lost and put back to escalate: what was decided when it was
// posted may be over, e.g. another ticket may be open by now.
func giveBack(t *turn.Turn, c *handoffv1.Command) {
	r := t.Make(placeOf(t.Record))
	r.Body = &handoffv1.Record_CommandReturned{CommandReturned: &handoffv1.CommandReturned{
		Command: c, CallId: t.HexID(), Action: actionOf(c),
	}}
	t.Emit(schemas.TopicEscalate, r)
}

// open makes the call of a record that holds a command.
func (s *Stage) open(t *turn.Turn, r *handoffv1.Record) *statev1.OpenCall {
	c := r.GetCommand()
	open := turn.New(t, statev1.OpenCall{
		Record: r, CommandId: t.Hex(r.GetId()), Created: t.NowStamp(),
		NotBefore: c.GetNotBefore(), GiveUpAt: c.GetGiveUpAt(),
		Destination: destination(t.Shop, r),
	})
	longest := t.Stamp(t.Now.Add(s.patience(t.Shop, c)))
	if open.GiveUpAt == nil || c.GetSendText() != nil && open.GiveUpAt.AsTime().After(longest.AsTime()) {
		open.GiveUpAt = longest // a text's own time only shortens it, e.g. the end of the channel's window (W3)
	}
	open.Lane = t.Join(r.GetConversation(), "/", open.Destination)
	if c.GetSendText().GetTextClass() == handoffv1.TextClass_TEXT_CLASS_KEYWORD_ANSWER {
		open.Lane += "/keyword"
		if latest := t.Now.Add(s.cfg.KeywordAnswerFor); open.GiveUpAt.AsTime().After(latest) {
			open.GiveUpAt = t.Stamp(latest) // within 5 minutes or never (C2)
		}
	}
	return open
}

// patience is how long a command is tried that does not say so itself.
func (s *Stage) patience(shop *settings.Shop, c *handoffv1.Command) time.Duration {
	switch c.GetAction().(type) {
	case *handoffv1.Command_SendText:
		return s.cfg.TextFor
	case *handoffv1.Command_AskBot:
		return shop.AutoReply.Timeout
	case *handoffv1.Command_FetchTicket:
		return s.cfg.FetchFor
	default:
		return s.cfg.DeskFor
	}
}

// destination names the connector that does what a record commands; empty when the shop has none.
func destination(shop *settings.Shop, r *handoffv1.Record) string {
	switch r.GetCommand().GetAction().(type) {
	case *handoffv1.Command_SendText:
		if a := shop.Account(r.GetChannel(), r.GetAccount()); a != nil {
			return a.Provider
		}
		return ""
	case *handoffv1.Command_AskBot:
		if shop.AutoReply.URL == "" {
			return ""
		}
		return Bot
	default:
		return shop.Desk.Kind
	}
}

// prepare notes what the call is about. It returns the outcome of a call that need not or cannot be
// made, else nil.
func prepare(t *turn.Turn, open *statev1.OpenCall) *handoffv1.Outcome {
	c := open.GetRecord().GetCommand()
	if open.GetDestination() == "" {
		return &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, Meaning: noDestination(open.GetRecord())}
	}
	if c.GetCreateTicket() == nil {
		return nil
	}
	name, ticket := ticketName(open.GetRecord().GetConversation(), ticketEpisode(c)), &statev1.DeskTicket{}
	t.Get(name, ticket)
	switch {
	case ticket.GetTicketId() != "":
		return &handoffv1.Outcome{
			Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE, Found: true,
			TicketId: ticket.GetTicketId(), TicketUrl: ticket.GetUrl(),
		}
	case ticket.GetCreating() != "":
		return &handoffv1.Outcome{
			Status:  handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED,
			Meaning: "the episode's ticket is being created by an earlier command",
		}
	}
	ticket.Desk, ticket.Creating, ticket.Failed = open.GetDestination(), open.GetCommandId(), ""
	t.Put(name, ticket)
	return nil
}

// noDestination says what the shop lacks.
func noDestination(r *handoffv1.Record) string {
	switch r.GetCommand().GetAction().(type) {
	case *handoffv1.Command_SendText:
		return fmt.Sprintf("the shop has no account %s any more", r.GetAccount())
	case *handoffv1.Command_AskBot:
		return "the shop has no bot"
	default:
		return "the shop has no help desk"
	}
}

// ticketEpisode is the episode whose ticket a command is about: its own where it names no other.
func ticketEpisode(c *handoffv1.Command) uint64 { return cmp.Or(c.GetTicketEpisode(), c.GetEpisode()) }

// store makes an open call real: its entry, and the runner's pending call.
func store(t *turn.Turn, id string, open *statev1.OpenCall) {
	t.Put(t.Join(callPrefix, id), open)
	t.Call(pending(id, open))
}

// storeParts stores a long text as several calls on one lane, in order (W10). The first has the
// command's id, and the attachments.
func storeParts(t *turn.Turn, whole *statev1.OpenCall, parts []string) {
	split := &statev1.SplitText{}
	for i, text := range parts {
		open := whole.CloneVT()
		open.Part, open.Parts = uint32(i+1), uint32(len(parts))
		send := open.GetRecord().GetCommand().GetSendText()
		send.Text = text
		if i > 0 {
			open.Record.Id = schemas.EffectID(whole.GetRecord().GetId(), schemas.StageDeliver+"/part", i)
			send.Media = nil
		}
		id := schemas.HexID(open.GetRecord().GetId())
		split.Calls = append(split.Calls, id)
		store(t, id, open)
	}
	t.Put(splitPrefix+whole.GetCommandId(), split)
}

// actionOf names a command's kind.
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
	case *handoffv1.Command_RemoveTags:
		return handoffv1.Action_ACTION_REMOVE_TAGS
	case *handoffv1.Command_AssignTicket:
		return handoffv1.Action_ACTION_ASSIGN_TICKET
	case *handoffv1.Command_SetPriority:
		return handoffv1.Action_ACTION_SET_PRIORITY
	case *handoffv1.Command_FetchTicket:
		return handoffv1.Action_ACTION_FETCH_TICKET
	case *handoffv1.Command_AskBot:
		return handoffv1.Action_ACTION_ASK_BOT
	}
	return handoffv1.Action_ACTION_UNSPECIFIED
}
