package escalate

import (
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// Contract says what the stage reads, posts and keeps.
func (s *Stage) Contract() turn.Contract {
	return turn.Contract{
		Reads: []string{"customer_message", "agent_reply", "bot_reply", "ticket_event", "receipt", "rule_reply", "blocked_text", "consent_notice", "delivery_state", "platform_send", "command_returned", "channel_echo", "desk_failing", "ticket_shared", "dead_letter_resolved"},
		Posts: []turn.Post{
			{Topic: schemas.TopicClassify, Bodies: []string{"asked"}},
			{Topic: schemas.TopicConsent, Bodies: []string{"rule_reply"}},
			{Topic: schemas.TopicDeliver, Bodies: []string{"command", "hold", "text_gate"}},
			{Topic: schemas.TopicAnalytics, Bodies: []string{"fact"}},
			{Topic: schemas.TopicPlatform, Bodies: []string{"fact"}},
			{Topic: schemas.TopicEpisodes, Bodies: []string{"with_people"}},
		},
		Keeps: []turn.Entry{
			{Name: convPrefix, Empty: &statev1.Conversation{}},
			{Name: episodePrefix, Empty: &statev1.Episode{}},
			{Name: expiredEntry(""), Empty: &statev1.Episode{}},
			{Name: ticketPrefix, Empty: &statev1.Ticket{}},
			{Name: "past/", Empty: &statev1.Ticket{}},
			{Name: "thread/", Empty: &statev1.Kept{}},
			{Name: "parked/", Empty: &statev1.Parked{}},
		},
	}
}
