package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/explain"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas"
)

// Story tells what happened with a person, from what is committed now in the partition of their key of each
// topic. It is empty where nothing is known of them.
func (a *App) Story(ctx context.Context, key schemas.Key) ([]explain.Line, error) {
	var entries []explain.Entry
	for _, topic := range explain.Topics() {
		err := a.conn.ReadKey(ctx, topic, key.Bytes(), func(r *kgo.Record) error {
			record, err := schemas.Decode(r.Key, r.Value)
			if err != nil {
				return nil //nolint:nilerr // the stage made a dead letter of it, which is told
			}
			entries = append(entries, explain.Entry{Topic: topic, Partition: r.Partition, Offset: r.Offset, Time: r.Timestamp, Record: record})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	lost, err := a.conn.DeadLettersOf(ctx, key.Bytes())
	if err != nil {
		return nil, err
	}
	var letters []explain.Letter
	for i := range lost.All {
		letters = append(letters, told(&lost.All[i]))
	}
	return explain.Tell(entries, letters), nil
}

// told is a dead letter as the story has it.
func told(l *kafka.DeadLetter) explain.Letter {
	out := explain.Letter{Stage: l.Stage, Why: l.Reason, Place: l.Place(), At: l.Failed}
	if out.At.IsZero() {
		out.At = l.Time
	}
	if r, err := schemas.Decode(l.Key, l.Value); err == nil {
		out.Conversation = r.GetConversation()
	}
	if how := l.Resolution; how != nil {
		out.Resolved, out.By, out.Reason, out.ResolvedAt = how.How, how.By, how.Why, how.At
	}
	return out
}

// ShopZone is the time zone of a shop's settings; UTC where the shop has none.
func (a *App) ShopZone(ctx context.Context, shop string) (*time.Location, error) {
	table, err := kafka.OpenSettings(ctx, kafka.SettingsConfig{Connection: a.conn, Logger: a.log})
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	defer table.Close()
	s, _, err := table.Current(shop)
	if errors.Is(err, pipeline.ErrSettingsPending) {
		return time.UTC, nil
	}
	if err != nil {
		return nil, err
	}
	return s.Location(), nil
}

// Conversations of a story.
func Conversations(lines []explain.Line) []string {
	var all []string
	for _, l := range lines {
		if l.Conversation != "" && !slices.Contains(all, l.Conversation) {
			all = append(all, l.Conversation)
		}
	}
	return all
}
