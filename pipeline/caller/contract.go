package caller

import (
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
)

// Posts says what a Caller tells deliver of its calls, for tools that draw the topology.
func Posts() []turn.Post {
	return []turn.Post{{Topic: schemas.TopicDeliver, Bodies: []string{"attempt_started", "call_result", "desk_failing"}}}
}
