package app

import (
	"errors"
	"net"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/handoff-dev/handoff/pipeline/kafka/pubsub"
)

// newMessage makes what the gateway's publisher writes as one Kafka record.
func newMessage(id string, key, value []byte, at time.Time) *message.Message {
	m := message.NewMessage(id, value)
	m.Metadata.Set(pubsub.MetadataKey, string(key))
	m.Metadata.Set(pubsub.MetadataAt, at.UTC().Format(time.RFC3339Nano))
	return m
}

// ignoreClosed drops the error of closing a listener that its server has closed before.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
