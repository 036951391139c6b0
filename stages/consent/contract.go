package consent

import (
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// Contract says what the stage reads, posts and keeps.
func (s *Stage) Contract() turn.Contract {
	return turn.Contract{
		Reads: []string{"customer_message", "agent_reply", "bot_reply", "rule_reply", "ticket_event", "receipt", "platform_send", "channel_echo", "consent_decision", "consent_import", "link_request", "unlink_request", "link", "linked", "dead_letter_resolved"},
		Posts: []turn.Post{
			{Topic: schemas.TopicConsent, Bodies: []string{"link", "link_request", "linked"}},
			{Topic: schemas.TopicClassify, Bodies: []string{"asked"}},
			{Topic: schemas.TopicEscalate, Bodies: []string{"customer_message", "agent_reply", "bot_reply", "rule_reply", "ticket_event", "consent_notice", "blocked_text", "platform_send", "channel_echo", "dead_letter_resolved"}},
			{Topic: schemas.TopicDeliver, Bodies: []string{"command", "consent_changed", "text_gate"}},
			{Topic: schemas.TopicAnalytics, Bodies: []string{"fact"}},
			{Topic: schemas.TopicPlatform, Bodies: []string{"fact"}},
		},
		Keeps: []turn.Entry{
			{Name: headEntry, Empty: &statev1.LedgerHead{}},
			{Name: linePrefix, Empty: &statev1.LedgerLine{}},
			{Name: scopePrefix, Empty: &statev1.ScopeConsent{}},
			{Name: saidPrefix, Empty: &statev1.OptOutSaid{}},
			{Name: conversationPrefix, Empty: &statev1.ConsentConversation{}},
			{Name: endedPrefix, Empty: &statev1.EndedTicket{}},
			{Name: optInPrefix, Empty: &statev1.OptIn{}},
			{Name: heldPrefix, Empty: &statev1.HeldMessage{}},
			{Name: possiblePrefix, Empty: &statev1.PossibleOptOut{}},
			{Name: subscriberEntry, Empty: &statev1.Subscriber{}},
			{Name: reducedEntry, Empty: &statev1.ReducedLedger{}},
			{Name: personEntry, Empty: &statev1.Person{}},
		},
	}
}
