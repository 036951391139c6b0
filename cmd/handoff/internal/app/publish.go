package app

import (
	"errors"
	"net"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/kafka"
)

const (
	metaKey  = "key"
	metaTime = "time"
)

type publisher struct{ p *kafka.Producer }

func (a *App) newPublisher() (*publisher, error) {
	p, err := kafka.NewProducer(kafka.ProducerConfig{Connection: a.conn})
	return &publisher{p}, err
}

func newMessage(id string, key, value []byte, at time.Time) *message.Message {
	m := message.NewMessage(id, value)
	m.Metadata.Set(metaKey, string(key))
	m.Metadata.Set(metaTime, at.UTC().Format(time.RFC3339Nano))
	return m
}

func (p *publisher) Publish(topic string, messages ...*message.Message) error {
	emits := make([]pipeline.Emit, len(messages))
	for i, m := range messages {
		at, err := time.Parse(time.RFC3339Nano, m.Metadata.Get(metaTime))
		if err != nil {
			return err
		}
		emits[i] = pipeline.Emit{Topic: topic, Key: []byte(m.Metadata.Get(metaKey)), Value: m.Payload, Time: at}
	}
	return p.p.Produce(messages[0].Context(), emits...)
}

func (p *publisher) Close() error { return nil }

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
