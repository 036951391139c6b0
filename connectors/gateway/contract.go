package gateway

import (
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
)

// Posts says what the gateway posts, for tools that draw the topology: what webhooks become, and what the
// platform's calls do.
func Posts() []turn.Post { return append(webhookPosts(), platformPosts()...) }

// platformPosts says what the platform's own calls become.
func platformPosts() []turn.Post {
	return []turn.Post{{Topic: schemas.TopicConsent, Bodies: []string{"consent_decision", "consent_import", "link_request", "unlink_request"}}}
}

// webhookPosts says what webhooks become.
func webhookPosts() []turn.Post {
	return []turn.Post{
		{Topic: schemas.TopicClassify, Bodies: []string{"customer_message"}},
		{Topic: schemas.TopicConsent, Bodies: []string{"platform_send"}},
		{Topic: schemas.TopicDeliver, Bodies: []string{"channel_echo", "delivery_state", "ticket_changed"}},
	}
}
