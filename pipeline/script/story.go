package script

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/explain"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
)

// remember keeps a record for the story that explain tells.
func (w *World) remember(r pipeline.Record) {
	if slices.Contains(w.telling, r.Topic) {
		w.log = append(w.log, r)
	}
}

// lostStory is what explain tells of a dead letter.
func (w *World) lostStory(l *turn.Lost, why string) {
	told := explain.Letter{Stage: l.Stage, Why: why, Place: l.Name, At: w.clock}
	if r, err := schemas.Decode(l.Key, l.Value); err == nil {
		told.Conversation = r.GetConversation()
	}
	w.lost = append(w.lost, told)
}

// explain tells the story of a person from the records.
func (w *World) explain(c Command) error {
	shop, _, err := w.Current(w.shop)
	if err != nil {
		return err
	}
	key := w.shop + "|" + c.arg("from", "+14155550001")
	var entries []explain.Entry
	for _, r := range w.log {
		if string(r.Key) != key {
			continue
		}
		record, err := schemas.Decode(r.Key, r.Value)
		if err != nil {
			return err
		}
		entries = append(entries, explain.Entry{Topic: r.Topic, Offset: r.Offset, Time: r.Time, Record: record})
	}
	var letters []explain.Letter
	for i, l := range w.letters {
		if string(l.Key) == key {
			letters = append(letters, w.lost[i])
		}
	}
	lines := explain.Tell(entries, letters)
	if since, ok := c.Args["since"]; ok {
		d, err := time.ParseDuration(since)
		if err != nil {
			return fmt.Errorf("since=%s is not a duration; write it like 90s, 30m or 24h", since)
		}
		lines = slices.DeleteFunc(lines, func(l explain.Line) bool { return l.At.Before(w.clock.Add(-d)) })
	}
	if in, ok := c.Args["conversation"]; ok {
		lines = slices.DeleteFunc(lines, func(l explain.Line) bool { return l.Conversation != "" && l.Conversation != in })
	}
	var b strings.Builder
	if err := explain.Write(&b, lines, shop.Location()); err != nil {
		return err
	}
	for line := range strings.Lines(b.String()) {
		w.say("%s", strings.TrimSuffix(line, "\n"))
	}
	return nil
}
