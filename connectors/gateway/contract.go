package gateway

import (
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
)

// Posts says what webhooks become, for tools that draw the topology.
func Posts() []turn.Post {
	return []turn.Post{
		{Topic: schemas.TopicClassify, Bodies: []string{"customer_message"}},
		{Topic: schemas.TopicConsent, Bodies: []string{"platform_send"}},
		{Topic: schemas.TopicDeliver, Bodies: []string{"delivery_state", "ticket_changed"}},
	}
}
