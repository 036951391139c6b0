package deliver

import (
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// Contract says what the stage reads, posts and keeps.
func (s *Stage) Contract() turn.Contract {
	return turn.Contract{
		Reads: []string{"command", "hold", "consent_changed", "text_gate", "ticket_changed", "delivery_state", "attempt_started", "call_result", "desk_failing", "dead_letter_resolved", "channel_echo"},
		Posts: []turn.Post{
			{Topic: schemas.TopicConsent, Bodies: []string{"agent_reply", "bot_reply", "ticket_event", "receipt", "dead_letter_resolved", "channel_echo"}},
			{Topic: schemas.TopicClassify, Bodies: []string{"asked"}},
			{Topic: schemas.TopicEscalate, Bodies: []string{"receipt", "delivery_state", "command_returned", "desk_failing", "ticket_shared"}},
			{Topic: schemas.TopicDeliver, Bodies: []string{"text_gate"}},
			{Topic: schemas.TopicAnalytics, Bodies: []string{"fact"}},
		},
		Keeps: []turn.Entry{
			{Name: callPrefix, Empty: &statev1.OpenCall{}},
			{Name: splitPrefix, Empty: &statev1.SplitText{}},
			{Name: consentPrefix, Empty: &statev1.GateConsent{}},
			{Name: holdPrefix, Empty: &statev1.GateHold{}},
			{Name: shutPrefix, Empty: &statev1.GateShut{}},
			{Name: ticketPrefix, Empty: &statev1.DeskTicket{}},
			{Name: sentPrefix, Empty: &statev1.SentText{}},
		},
	}
}
