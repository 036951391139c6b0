package app

import (
	"bytes"
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
	unread, err := a.unread(ctx, key)
	if err != nil {
		return nil, err
	}
	var entries []explain.Entry
	for _, topic := range explain.Topics() {
		err := a.conn.ReadKey(ctx, topic, key.Bytes(), func(r *kgo.Record) error {
			record, err := schemas.Decode(r.Key, bytes.Clone(r.Value))
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
	return append(explain.Tell(entries, letters), unread...), nil
}

// unread tells how many messages of a person no stage has read yet, of each conversation: they lie behind
// where classify's group stands. It is asked before the story is read, so that none is left out of both.
func (a *App) unread(ctx context.Context, key schemas.Key) ([]explain.Line, error) {
	lag, err := kafka.OpenLag(a.conn)
	if err != nil {
		return nil, err
	}
	defer lag.Close()
	stands, err := lag.Read(ctx, []string{schemas.StageClassify})
	if err != nil {
		return nil, err
	}
	at := stands[0].Partitions[schemas.Partition(key.Bytes(), len(stands[0].Partitions))]
	if at.Records == 0 {
		return nil, nil
	}
	var waiting []explain.Unread
	err = a.conn.ReadKey(ctx, schemas.TopicClassify, key.Bytes(), func(r *kgo.Record) error {
		record, err := schemas.Decode(r.Key, bytes.Clone(r.Value))
		if err != nil || r.Offset < at.Committed || record.GetCustomerMessage() == nil {
			return nil //nolint:nilerr // what cannot be decoded will be a dead letter, which is told then
		}
		waiting = append(waiting, explain.Unread{Conversation: record.GetConversation(), At: record.GetReceivedAt().AsTime(),
			Place: fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)})
		return nil
	})
	return explain.TellUnread(waiting), err
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
	table, err := a.askSettings(ctx)
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
