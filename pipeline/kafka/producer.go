package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
)

// ProducerConfig of a Producer.
type ProducerConfig struct {
	Connection
	// MaxRecords and MaxBytes bound what waits for the broker; defaults 10000 and 64 MiB.
	MaxRecords int
	MaxBytes   int
	// Timeout is how long a record waits for the broker; default 10 s.
	Timeout time.Duration
}

// Producer posts records from outside any transaction: the gateway's and the caller's. It is
// idempotent, waits for all replicas, and is safe for concurrent use.
type Producer struct {
	client  *kgo.Client
	timeout time.Duration
}

var (
	// ErrBufferFull says that too much waits for the broker already; nothing of the call was taken.
	ErrBufferFull = errors.New("the buffer for Kafka is full")
	// ErrUnacknowledged says that the broker did not acknowledge in time. The record may have arrived,
	// or may not: whoever posts it again must use the same id.
	ErrUnacknowledged = errors.New("not acknowledged by Kafka")
	// ErrRefused says that the broker will never take the record.
	ErrRefused = errors.New("refused by Kafka")
)

// NewProducer returns a producer; it connects with the first record.
func NewProducer(cfg ProducerConfig) (*Producer, error) {
	orDefault(&cfg.MaxRecords, 10000)
	orDefault(&cfg.MaxBytes, 64<<20)
	orDefault(&cfg.Timeout, 10*time.Second)
	client, err := kgo.NewClient(cfg.options("handoff-producer",
		kgo.RecordPartitioner(byKey("")),
		kgo.ProducerBatchMaxBytes(maxBatchBytes),
		kgo.MaxBufferedRecords(cfg.MaxRecords),
		kgo.MaxBufferedBytes(cfg.MaxBytes),
		kgo.ProducerLinger(0))...)
	if err != nil {
		return nil, fmt.Errorf("configure producer: %w", err)
	}
	return &Producer{client: client, timeout: cfg.Timeout}, nil
}

// Close waits for what is buffered until ctx ends, and ends the client.
func (p *Producer) Close(ctx context.Context) error {
	err := p.client.Flush(ctx)
	p.client.Close()
	if err != nil {
		return fmt.Errorf("flush producer: %w", err)
	}
	return nil
}

// Buffered is how many records wait for the broker.
func (p *Producer) Buffered() int64 { return p.client.BufferedProduceRecords() }

// Produce posts the records and returns once all are acknowledged; a zero Time means now. Records of
// one partition keep their order. The error is the first record's and wraps ErrBufferFull,
// ErrUnacknowledged or ErrRefused.
func (p *Producer) Produce(ctx context.Context, records ...pipeline.Emit) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	for i := range records {
		if n := len(records[i].Key) + len(records[i].Value); n > schemas.MaxRecordBytes {
			return fmt.Errorf("%w: a record to %s has %d bytes, at most %d fit", ErrRefused, records[i].Topic, n, schemas.MaxRecordBytes)
		}
	}
	// The client's own limit on waiting counts from a record's timestamp, which here is of the outside
	// event; so the wait is bounded by ctx, and results that come later have room in the channel.
	results := make(chan error, len(records))
	for i := range records {
		e := &records[i]
		r := &kgo.Record{Topic: e.Topic, Key: e.Key, Value: e.Value, Timestamp: e.Time}
		p.client.TryProduce(ctx, r, func(r *kgo.Record, err error) {
			if err != nil {
				err = produceError(r.Topic, err)
			}
			results <- err
		})
	}
	var first error
	for range records {
		select {
		case err := <-results:
			if first == nil {
				first = err
			}
		case <-ctx.Done():
			if first == nil {
				first = produceError(records[0].Topic, ctx.Err())
			}
			return first
		}
	}
	return first
}
