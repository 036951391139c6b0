package explain

import (
	"fmt"
	"strings"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// blocked says in words why a text was not sent.
var blocked = map[handoffv1.BlockReason]string{
	handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT:       "the customer opted out",
	handoffv1.BlockReason_BLOCK_REASON_NEVER_CONFIRMED: "the customer never confirmed their subscription",
	handoffv1.BlockReason_BLOCK_REASON_NO_RECORD:       "there is no subscriber record for this address",
	handoffv1.BlockReason_BLOCK_REASON_PAUSED:          "people have the conversation",
	handoffv1.BlockReason_BLOCK_REASON_GATE_SHUT:       "a message that may have been an opt-out could not be read",
	handoffv1.BlockReason_BLOCK_REASON_EXPIRED:         "its time ran out",
	handoffv1.BlockReason_BLOCK_REASON_WINDOW:          "the channel's time for answers was over",
	handoffv1.BlockReason_BLOCK_REASON_COUNTRY:         "the shop does not text that country",
	handoffv1.BlockReason_BLOCK_REASON_OVERTAKEN:       "what it says was over before it left",
	handoffv1.BlockReason_BLOCK_REASON_QUIET_HOURS:     "it would have reached the customer in quiet hours",
}

// actions says in words what a call does.
var actions = map[handoffv1.Action]string{
	handoffv1.Action_ACTION_SEND_TEXT:         "send the text",
	handoffv1.Action_ACTION_CREATE_TICKET:     "create the ticket",
	handoffv1.Action_ACTION_APPEND_MESSAGES:   "put messages on the ticket",
	handoffv1.Action_ACTION_ADD_NOTE:          "write the note",
	handoffv1.Action_ACTION_SET_TICKET_STATUS: "set the ticket's status",
	handoffv1.Action_ACTION_ADD_TAGS:          "tag the ticket",
	handoffv1.Action_ACTION_FETCH_TICKET:      "look at the ticket",
	handoffv1.Action_ACTION_ASK_BOT:           "ask the bot",
	handoffv1.Action_ACTION_REMOVE_TAGS:       "take tags off the ticket",
	handoffv1.Action_ACTION_ASSIGN_TICKET:     "assign the ticket",
	handoffv1.Action_ACTION_SET_PRIORITY:      "set the ticket's priority",
}

// outcomes says in words how a call ended.
var outcomes = map[handoffv1.OutcomeStatus]string{
	handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE:    "done",
	handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED:  "it was refused",
	handoffv1.OutcomeStatus_OUTCOME_STATUS_UNKNOWN: "there was no answer, so whether it is done is not known",
	handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED: "not done",
	handoffv1.OutcomeStatus_OUTCOME_STATUS_EXPIRED: "given up",
}

// delivery tells how an outside call ended, what the provider said later, or why none was made.
func (s *story) delivery(d *handoffv1.DeliveryFact, reason string) string {
	if d.GetDelivery() != handoffv1.DeliveryStatus_DELIVERY_STATUS_UNSPECIFIED {
		return stop(fmt.Sprintf("The provider reports the text%s as %s%s%s", s.text(d), words(d.GetDelivery().String(), "DELIVERY_STATUS_"), code(d), because(reason)))
	}
	why := reason
	if b := blocked[d.GetBlockReason()]; b != "" && why == "" {
		why = b
	}
	switch d.GetAction() {
	case handoffv1.Action_ACTION_SEND_TEXT:
		return s.textEnded(d, why)
	case handoffv1.Action_ACTION_ASK_BOT:
		return s.botEnded(d, why)
	case handoffv1.Action_ACTION_FETCH_TICKET:
		if d.GetStatus() == handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE {
			return "" // what it brought is told by itself
		}
	case handoffv1.Action_ACTION_UNSPECIFIED, handoffv1.Action_ACTION_CREATE_TICKET, handoffv1.Action_ACTION_APPEND_MESSAGES,
		handoffv1.Action_ACTION_ADD_NOTE, handoffv1.Action_ACTION_SET_TICKET_STATUS, handoffv1.Action_ACTION_ADD_TAGS:
	default:
	}
	text := stop(fmt.Sprintf("At %s, to %s: %s%s%s", called(d.GetDestination(), "the help desk"), called(actions[d.GetAction()], "do something"),
		called(outcomes[d.GetStatus()], "not known"), code(d), because(why)))
	if d.GetTicketId() != "" {
		text += " Ticket " + d.GetTicketId() + "."
	}
	return text
}

// botEnded tells how a turn of the bot ended, or that it is not asked about a message.
func (s *story) botEnded(d *handoffv1.DeliveryFact, why string) string {
	turn, asked := s.turns[d.GetCallId()]
	switch {
	case d.GetStatus() == handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE && asked:
		return fmt.Sprintf("The bot answered (turn %d).", turn)
	case d.GetStatus() == handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE:
		return "The bot answered."
	case asked:
		return stop(fmt.Sprintf("Turn %d has no answer of the bot%s", turn, because(why)))
	}
	return stop("The bot does not answer this" + because(why))
}

func (s *story) textEnded(d *handoffv1.DeliveryFact, why string) string {
	switch d.GetStatus() {
	case handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE:
		text := fmt.Sprintf("The text%s was taken by %s (%s, %s).", s.text(d), d.GetDestination(), count(int(d.GetSegments()), "segment"), count(int(d.GetCredits()), "credit"))
		if d.GetCrossed() {
			text += " Its request was on the way when the customer opted out."
		}
		return text
	case handoffv1.OutcomeStatus_OUTCOME_STATUS_UNKNOWN:
		return fmt.Sprintf("Whether the text%s arrived is not known: %s did not answer, and it is not sent again.", s.text(d), d.GetDestination())
	default:
		if strings.HasPrefix(why, "bot's answer") { // escalate's words, which have its text too
			return stop("The " + strings.Replace(why, " not sent, ", " was not sent, ", 1))
		}
		if said, ok := strings.CutPrefix(why, "no answer to "); ok { // consent's words: what was written, and why
			if at := strings.LastIndex(said, ": "); at >= 0 {
				why = "to " + quoted(said[:at]) + " there is none, " + said[at+2:]
			}
		}
		return stop(fmt.Sprintf("%s was not sent%s%s", s.named(d), code(d), because(why)))
	}
}

// named names a text that was not sent: by what it says, else by whose it is.
func (s *story) named(d *handoffv1.DeliveryFact) string {
	if t := s.text(d); t != "" {
		return "The text" + t
	}
	switch d.GetTextClass() {
	case handoffv1.TextClass_TEXT_CLASS_AGENT:
		return "The agent's reply"
	case handoffv1.TextClass_TEXT_CLASS_BOT:
		return "The bot's answer"
	case handoffv1.TextClass_TEXT_CLASS_KEYWORD_ANSWER:
		return "An answer"
	default:
		return "A text"
	}
}

// text is what a call sends, in quotes.
func (s *story) text(d *handoffv1.DeliveryFact) string {
	if t := s.texts[d.GetCallId()]; t != "" {
		return " " + quoted(t)
	}
	return ""
}

func code(d *handoffv1.DeliveryFact) string {
	if d.GetCode() == "" {
		return ""
	}
	return " (" + d.GetCode() + ")"
}
