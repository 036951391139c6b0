package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/kafka/pubsub"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// filingTimeout bounds the wait for Kafka's acknowledgement of what the command line posts.
const filingTimeout = 30 * time.Second

// Filing posts what people and the platform say of consent. Close it.
type Filing struct {
	// Version of the shop's settings to decide by.
	Version uint64
	// Accounts of the shop by that version.
	Accounts []settings.Account

	publisher *pubsub.Publisher
}

// OpenFiling opens what posts to the consent stage for a shop. A shop that has no settings is an error.
func (a *App) OpenFiling(ctx context.Context, shop string) (*Filing, error) {
	table, err := a.askSettings(ctx)
	if err != nil {
		return nil, err
	}
	current, version, err := table.Current(shop)
	defer table.Close()
	if errors.Is(err, pipeline.ErrSettingsPending) {
		return nil, noSettings(shop, table)
	}
	if err != nil {
		return nil, err
	}
	publisher, err := pubsub.NewPublisher(pubsub.PublisherConfig{Connection: a.conn, Timeout: filingTimeout})
	if err != nil {
		return nil, err
	}
	return &Filing{Version: version, Accounts: current.Accounts, publisher: publisher}, nil
}

// File posts records in order and returns when Kafka acknowledged all.
func (f *Filing) File(records ...*handoffv1.Record) error {
	all := make([]*message.Message, 0, len(records))
	for _, r := range records {
		value, err := schemas.EncodeOutside(r)
		if err != nil {
			return err
		}
		all = append(all, newMessage(schemas.HexID(r.GetId()), schemas.KeyOf(r).Bytes(), value, r.GetReceivedAt().AsTime()))
	}
	if err := f.publisher.Publish(schemas.TopicConsent, all...); err != nil {
		return fmt.Errorf("post to consent: %w", err)
	}
	return nil
}

// Close ends it.
func (f *Filing) Close() error { return f.publisher.Close() }
