package explain

import (
	"fmt"
	"strings"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// tell tells one record, if it means something to people that no other record tells.
func (s *story) tell(e Entry) {
	switch body := e.Record.GetBody().(type) {
	case *handoffv1.Record_Fact:
		s.fact(e, body.Fact)
	case *handoffv1.Record_AgentReply:
		if e.Topic == schemas.TopicConsent { // consent passes the same on to escalate
			a := body.AgentReply
			s.add(e, Line{Stage: schemas.StageDeliver, Kind: "agent", order: order{rank: first}, Link: s.tickets[a.GetTicketId()],
				Text: fmt.Sprintf("%s replied at the help desk on ticket %s", called(a.GetAuthor(), "An agent"), a.GetTicketId()) + saying(a.GetText(), len(a.GetMedia()))})
		}
	case *handoffv1.Record_Hold:
		of := e.Record.GetConversation()
		if body.Hold.GetVersion() <= s.holds[of] {
			return // deliver was told again, behind a lost record
		}
		s.holds[of] = body.Hold.GetVersion()
		text := "The pause ended: people have the conversation no longer."
		if body.Hold.GetHeld() {
			text = "People have the conversation now: no automated text leaves until they give it back."
		}
		s.add(e, Line{Stage: schemas.StageEscalate, Kind: "hold", Text: text})
	case *handoffv1.Record_TextGate:
		text := "The lost record " + body.TextGate.GetDeadLetter() + " was dealt with: it holds back no texts any more."
		if body.TextGate.GetShut() {
			text = "All texts to this person wait, because a record that may have been an opt-out could not be read: " + body.TextGate.GetDeadLetter() + "."
		}
		s.add(e, Line{Stage: schemas.StageDeliver, Kind: "hold", Text: text})
	case *handoffv1.Record_DeskFailing:
		s.failing(e, body.DeskFailing)
	case *handoffv1.Record_Command:
		s.command(e, body.Command)
	case *handoffv1.Record_ConsentImport:
		s.add(e, Line{Stage: schemas.StageConsent, Kind: "consent", order: order{rank: first}, Text: imported(body.ConsentImport)})
	case *handoffv1.Record_LinkRequest:
		s.add(e, Line{Stage: schemas.StageConsent, Kind: "consent", order: order{rank: first},
			Text: fmt.Sprintf("%s asked to link the address with %s as one person's.", called(body.LinkRequest.GetBy(), "Somebody"), body.LinkRequest.GetOther())})
	case *handoffv1.Record_Link:
		if body.Link.GetAsked() {
			s.add(e, Line{Stage: schemas.StageConsent, Kind: "consent", order: order{rank: first},
				Text: fmt.Sprintf("It was asked to link the address with %s as one person's.", body.Link.GetFrom())})
		}
	}
}

// failing tells once that what is to be done outside fails for now, by the call that was tried first.
func (s *story) failing(e Entry, f *handoffv1.DeskFailing) {
	if e.Topic != schemas.TopicDeliver || len(f.GetCallIds()) == 0 || s.told[f.GetCallIds()[0]] {
		return // deliver passes the same on to escalate, and is told again where more waits behind it
	}
	call := f.GetCallIds()[0]
	s.told[call] = true
	what := "What is to be done at the help desk"
	if text := s.texts[call]; text != "" {
		what = "The text " + quoted(text)
	}
	why := f.GetMeaning()
	if f.GetCode() != "" {
		why += " (" + f.GetCode() + ")"
	}
	s.add(e, Line{Stage: schemas.StageDeliver, Kind: "delivery", Text: stop(what + " has to wait, and is tried again" + because(why))})
}

// command tells what was asked of desk and bot; texts are told by their facts.
func (s *story) command(e Entry, c *handoffv1.Command) {
	l := Line{Stage: schemas.StageEscalate, Kind: "note"}
	switch act := c.GetAction().(type) {
	case *handoffv1.Command_AddNote:
		l.Text = stop("A note for the agents: " + quoted(act.AddNote.GetText()))
	case *handoffv1.Command_AskBot:
		l.Kind = "bot"
		l.Text = stop(fmt.Sprintf("The bot was to be asked (turn %d)%s", act.AskBot.GetTurn(), because(act.AskBot.GetNotOffered())))
	case *handoffv1.Command_CreateTicket:
		l.Text = fmt.Sprintf("A ticket was to be created: %s, with the last %s.", quoted(act.CreateTicket.GetSubject()), some(len(act.CreateTicket.GetMessages()), "message"))
		if c.GetEpisode() == 0 { // of a handoff the fact that began it has the reason
			l.Text += " The shop mirrors its conversations to the desk, whether or not anybody is asked for."
		}
		for _, n := range act.CreateTicket.GetNotes() {
			l.Text += stop(" With a note for the agents: " + quoted(n))
		}
	case *handoffv1.Command_AppendMessages:
		l.Text = "To be put on the ticket" + appended(act.AppendMessages.GetMessages())
	case *handoffv1.Command_SetTicketStatus:
		l.Text = "The ticket was to become " + words(act.SetTicketStatus.GetStatus().String(), "TICKET_STATUS_") + "."
	case *handoffv1.Command_AddTags:
		l.Text = "To be tagged: " + strings.Join(act.AddTags.GetTags(), ", ") + "."
	case *handoffv1.Command_RemoveTags:
		l.Text = "Tags to be taken off: " + strings.Join(act.RemoveTags.GetTags(), ", ") + "."
	case *handoffv1.Command_AssignTicket:
		l.Text = "The ticket was to be assigned to " + strings.TrimSpace(act.AssignTicket.GetTeam()+" "+act.AssignTicket.GetAgent()) + "."
	case *handoffv1.Command_SetPriority:
		l.Text = "The ticket was to get the priority " + words(act.SetPriority.GetPriority().String(), "PRIORITY_") + "."
	default:
		return
	}
	s.add(e, l)
}

// appended tells which messages are put on a ticket: the last one, and how many they are.
func appended(messages []*handoffv1.ThreadMessage) string {
	if len(messages) == 0 {
		return "."
	}
	last := messages[len(messages)-1]
	said := saying(last.GetText(), len(last.GetMedia()))
	if len(messages) == 1 {
		return said
	}
	return ": " + count(len(messages), "message") + ", the last" + said
}

// letter tells of a lost record, and what became of it.
func (s *story) letter(l Letter) {
	line := Line{At: l.At.UTC(), Conversation: l.Conversation, Stage: l.Stage, Kind: "lost", Reason: l.Why, Place: l.Place, order: order{rank: last},
		Text: fmt.Sprintf("%s could not process a record (%s): it is dead letter %s.", l.Stage, firstLine(l.Why), l.Place)}
	if l.Resolved == "" {
		line.Text += " Nobody has decided about it yet."
	}
	s.lines = append(s.lines, line)
	if l.Resolved == "" {
		return
	}
	line.At, line.Reason = l.ResolvedAt.UTC(), l.Reason
	line.Text = stop(fmt.Sprintf("Dead letter %s was %s%s%s", l.Place, l.Resolved, by(l.By), because(l.Reason)))
	s.lines = append(s.lines, line)
}
