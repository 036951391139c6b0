// Package pubsub is a Watermill publisher and subscriber on franz-go. It passes Watermill's own suite.
//
// A message's metadata "key" is the record's key, and by it its partition; "at" is its timestamp (RFC
// 3339); the rest travels in headers, the UUID too. Delivery is at least once: a message is committed
// after its Ack, and delivered again after a Nack. Messages of one partition come in order, one at a
// time; partitions do not wait for each other.
package pubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline/kafka"
)

// Metadata that is part of the record itself.
const (
	// MetadataKey is the record's key.
	MetadataKey = "key"
	// MetadataAt is the record's timestamp, RFC 3339 with fractions of seconds.
	MetadataAt = "at"
)

// headerUUID is the header that Watermill's Kafka tools keep the message's UUID in.
const headerUUID = "_watermill_message_uuid"

// ErrClosed is returned after Close.
var ErrClosed = errors.New("closed")

// Publisher publishes Watermill messages. It is safe for concurrent use.
type Publisher struct {
	client  *kgo.Client
	timeout time.Duration
	mu      sync.RWMutex
	closed  bool // guarded by mu; a Publish holds mu for reading
}

// PublisherConfig of a Publisher.
type PublisherConfig struct {
	kafka.Connection
	// Timeout is how long Publish waits for the broker; default 10 s. Where the broker has a message and does not answer,
	// Publish returns only when it is known whether that was written, later than Timeout.
	Timeout time.Duration
}

// NewPublisher returns a publisher; it connects with the first message.
func NewPublisher(cfg PublisherConfig) (*Publisher, error) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	client, err := cfg.NewClient("handoff-publisher", kgo.RecordPartitioner(kafka.ByKey()), kgo.ProducerLinger(0))
	if err != nil {
		return nil, err
	}
	return &Publisher{client: client, timeout: cfg.Timeout}, nil
}

// Publish returns once all messages are acknowledged by all replicas, in order. After an error some may
// have arrived.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return fmt.Errorf("publish to %s: %w", topic, ErrClosed)
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.timeout)
	defer cancel()
	records := make([]*kgo.Record, len(messages))
	for i, m := range messages {
		r, err := toRecord(topic, m)
		if err != nil {
			return fmt.Errorf("publish to %s: %w", topic, err)
		}
		records[i] = r
	}
	if err := p.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("publish to %s: %w", topic, err)
	}
	return nil
}

// Close waits for running Publish calls.
func (p *Publisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		p.client.Close()
	}
	return nil
}

func toRecord(topic string, m *message.Message) (*kgo.Record, error) {
	r := &kgo.Record{Topic: topic, Value: m.Payload, Headers: []kgo.RecordHeader{{Key: headerUUID, Value: []byte(m.UUID)}}}
	for k, v := range m.Metadata {
		switch k {
		case MetadataKey:
			r.Key = []byte(v)
		case MetadataAt:
			at, err := time.Parse(time.RFC3339Nano, v)
			if err != nil {
				return nil, fmt.Errorf("message %s: metadata %q: %w", m.UUID, MetadataAt, err)
			}
			r.Timestamp = at
		default:
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
		}
	}
	return r, nil
}

// fromRecord is toRecord's reverse. A record of another producer has no UUID; its place is one.
func fromRecord(r *kgo.Record) *message.Message {
	m := message.NewMessage("", r.Value)
	if r.Key != nil {
		m.Metadata.Set(MetadataKey, string(r.Key))
	}
	m.Metadata.Set(MetadataAt, r.Timestamp.UTC().Format(time.RFC3339Nano))
	for _, h := range r.Headers {
		if h.Key == headerUUID {
			m.UUID = string(h.Value)
		} else {
			m.Metadata.Set(h.Key, string(h.Value))
		}
	}
	if m.UUID == "" {
		m.UUID = fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)
	}
	return m
}
