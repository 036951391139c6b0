package explain

import (
	"fmt"
	"strings"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

func place(e Entry) string { return fmt.Sprintf("%s/%d/%d", e.Topic, e.Partition, e.Offset) }

// tell tells one record, if it means something to people that no other record tells.
func (s *story) tell(e Entry) {
	switch body := e.Record.GetBody().(type) {
	case *handoffv1.Record_Fact:
		s.fact(e, body.Fact)
	case *handoffv1.Record_AgentReply:
		if e.Topic == schemas.TopicConsent { // consent passes the same on to escalate
			a := body.AgentReply
			s.add(e, Line{Stage: schemas.StageDeliver, Kind: "agent", order: first, Link: s.tickets[a.GetTicketId()],
				Text: fmt.Sprintf("%s replied at the help desk on ticket %s: %q", called(a.GetAuthor(), "An agent"), a.GetTicketId(), a.GetText()) + attached(len(a.GetMedia()))})
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
		s.add(e, Line{Stage: schemas.StageConsent, Kind: "consent", order: first, Text: imported(body.ConsentImport)})
	case *handoffv1.Record_LinkRequest:
		s.add(e, Line{Stage: schemas.StageConsent, Kind: "consent", order: first,
			Text: fmt.Sprintf("%s asked to link the address with %s as one person's.", called(body.LinkRequest.GetBy(), "Somebody"), body.LinkRequest.GetOther())})
	case *handoffv1.Record_Link:
		if body.Link.GetAsked() {
			s.add(e, Line{Stage: schemas.StageConsent, Kind: "consent", order: first,
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
		what = fmt.Sprintf("The text %q", text)
	}
	why := f.GetMeaning()
	if f.GetCode() != "" {
		why += " (" + f.GetCode() + ")"
	}
	s.add(e, Line{Stage: schemas.StageDeliver, Kind: "delivery", Text: what + " has to wait, and is tried again" + because(why) + "."})
}

// command tells what was asked of desk and bot; texts are told by their facts.
func (s *story) command(e Entry, c *handoffv1.Command) {
	l := Line{Stage: schemas.StageEscalate, Kind: "note"}
	switch act := c.GetAction().(type) {
	case *handoffv1.Command_AddNote:
		l.Text = fmt.Sprintf("A note for the agents: %q", act.AddNote.GetText())
	case *handoffv1.Command_AskBot:
		l.Kind = "bot"
		l.Text = fmt.Sprintf("The bot was to be asked (turn %d)%s.", act.AskBot.GetTurn(), because(act.AskBot.GetNotOffered()))
	case *handoffv1.Command_CreateTicket:
		l.Text = fmt.Sprintf("A ticket was to be created: %q, with the last %s.", act.CreateTicket.GetSubject(), some(len(act.CreateTicket.GetMessages()), "message"))
		for _, n := range act.CreateTicket.GetNotes() {
			l.Text += fmt.Sprintf(" With a note for the agents: %q", n)
		}
	case *handoffv1.Command_AppendMessages:
		l.Text = "To be put on the ticket: " + count(len(act.AppendMessages.GetMessages()), "message")
		if m := act.AppendMessages.GetMessages(); len(m) > 0 {
			l.Text += fmt.Sprintf(", the last: %q", m[len(m)-1].GetText())
		}
		l.Text += "."
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

// letter tells of a lost record, and what became of it.
func (s *story) letter(l Letter) {
	line := Line{At: l.At.UTC(), Conversation: l.Conversation, Stage: l.Stage, Kind: "lost", Reason: l.Why, Place: l.Place, order: 1 + len(stages),
		Text: fmt.Sprintf("%s could not process a record (%s): it is dead letter %s.", l.Stage, firstLine(l.Why), l.Place)}
	if l.Resolved == "" {
		line.Text += " Nobody has decided about it yet."
	}
	s.lines = append(s.lines, line)
	if l.Resolved == "" {
		return
	}
	line.At, line.Reason = l.ResolvedAt.UTC(), l.Reason
	line.Text = fmt.Sprintf("Dead letter %s was %s%s%s.", l.Place, l.Resolved, by(l.By), because(l.Reason))
	s.lines = append(s.lines, line)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func by(who string) string {
	if who == "" {
		return ""
	}
	return " by " + who
}

// because puts a reason behind a sentence.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + strings.TrimSuffix(reason, ".")
}

func called(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}

// words turns an enum's name into words: "OUTCOME_STATUS_DONE" into "done".
func words(name, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, prefix)), "_", " ")
}

// some is count, without the number where there is only one.
func some(n int, of string) string {
	if n == 1 {
		return of
	}
	return count(n, of)
}

// count says how many of something there are.
func count(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}
