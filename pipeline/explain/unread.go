package explain

import (
	"fmt"
	"slices"
	"time"

	"github.com/handoff-dev/handoff/schemas"
)

// Unread is a customer's message that no stage has read yet.
type Unread struct {
	Conversation string
	// At is when it was received.
	At time.Time
	// Place of the record: topic/partition/offset.
	Place string
}

// TellUnread tells how many messages of each conversation nobody has read yet, at the time of the first.
func TellUnread(waiting []Unread) []Line {
	var lines []Line
	count := map[string]int{}
	for _, m := range waiting {
		count[m.Conversation]++
	}
	for _, m := range waiting {
		if slices.ContainsFunc(lines, func(l Line) bool { return l.Conversation == m.Conversation }) {
			continue
		}
		text := "A message of the customer's that came then is not read yet: classify has not come to it."
		if n := count[m.Conversation]; n > 1 {
			text = fmt.Sprintf("%d messages of the customer's are not read yet, the first came then: classify has not come to them.", n)
		}
		lines = append(lines, Line{At: m.At.UTC(), Conversation: m.Conversation, Stage: schemas.StageClassify, Kind: "unread", Text: text, Place: m.Place})
	}
	return lines
}
