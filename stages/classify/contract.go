package classify

import (
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// Contract says what the stage reads, posts and keeps.
func (s *Stage) Contract() turn.Contract {
	return turn.Contract{
		Reads: []string{"customer_message", "asked", "dead_letter_resolved"},
		Posts: []turn.Post{
			{Topic: schemas.TopicConsent, Bodies: []string{"customer_message", "dead_letter_resolved"}},
			{Topic: schemas.TopicDeliver, Bodies: []string{"text_gate"}},
			{Topic: schemas.TopicAnalytics, Bodies: []string{"fact"}},
		},
		Keeps: []turn.Entry{{Name: conversationPrefix, Empty: &statev1.ClassifyConversation{}}},
	}
}
