package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// chainInput is customers' first texts, each of another person: every one leads to one command, the text
// that offers a person to talk to.
type chainInput struct {
	topic string
}

func (c chainInput) record(i int, due time.Time) (*kgo.Record, error) {
	address := fmt.Sprintf("+1%010d", 2_000_000_000+i)
	r := &handoffv1.Record{
		Id: schemas.SourceID("bench", chainShop, chainAccount, strconv.Itoa(i)), Shop: chainShop, Channel: handoffv1.Channel_CHANNEL_SMS,
		Account: chainAccount, Address: address, Conversation: schemas.Conversation(handoffv1.Channel_CHANNEL_SMS, chainAccount),
		EventTime: timestamppb.New(due), ReceivedAt: timestamppb.New(due), SettingsVersion: 1,
		Body: &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{
			NativeId: strconv.Itoa(i), Text: "Hi, I want to cancel my order " + strconv.Itoa(10000+i) + " please", AddressDisplayed: address}},
	}
	value, err := schemas.EncodeOutside(r)
	if err != nil {
		return nil, err
	}
	return &kgo.Record{Topic: c.topic, Key: schemas.KeyOf(r).Bytes(), Value: value, Timestamp: due}, nil
}

// send produces records [from, to), each when due says; nil means all at once.
func (c chainInput) send(ctx context.Context, brokers []string, from, to int, due func(int) time.Time) error {
	linger := time.Duration(0)
	if due == nil {
		linger = 5 * time.Millisecond
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kafka.ByKey()), kgo.ProducerLinger(linger),
		kgo.MaxBufferedRecords(100_000))
	if err != nil {
		return fmt.Errorf("configure the sender: %w", err)
	}
	defer client.Close()
	var failed firstError
	for i := from; i < to; i++ {
		at := time.Now()
		if due != nil {
			at = due(i)
			select {
			case <-time.After(time.Until(at)):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		r, err := c.record(i, at)
		if err != nil {
			return err
		}
		client.Produce(ctx, r, failed.promise)
	}
	return errors.Join(client.Flush(ctx), failed.get())
}

// arrivals are what a reader of the last topic saw: when how many had come, and their latencies.
type arrivals struct {
	client       *kgo.Client
	commandsOnly bool // texts to send; the topic has other records too
	n            int
	seen         map[string]bool // keys that came: each person has one
}

// openArrivals reads a topic from its beginning, committed records only.
func openArrivals(brokers []string, topic string, commandsOnly bool) (*arrivals, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return nil, fmt.Errorf("configure the reader: %w", err)
	}
	return &arrivals{client: client, commandsOnly: commandsOnly, seen: map[string]bool{}}, nil
}

// until reads until n have come in all. each is called for every one; without it, records are decoded only
// where that tells the wanted from others, since the reader shares its cores with what it watches.
func (a *arrivals) until(ctx context.Context, p *process, n int, each func(received, now time.Time)) error {
	for a.n < n {
		poll, cancel := context.WithTimeout(ctx, time.Second)
		fetches := a.client.PollFetches(poll)
		cancel()
		if err := p.alive(); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d have come: %w", a.n, n, ctx.Err())
		}
		now := time.Now()
		var bad error
		fetches.EachRecord(func(r *kgo.Record) {
			var record *handoffv1.Record
			if a.commandsOnly || each != nil {
				var err error
				if record, err = schemas.Decode(r.Key, r.Value); err != nil {
					bad = err
					return
				}
				if a.commandsOnly && record.GetCommand().GetSendText() == nil {
					return
				}
			}
			if a.seen[string(r.Key)] {
				bad = fmt.Errorf("%s came twice", r.Key)
				return
			}
			a.seen[string(r.Key)] = true
			a.n++
			if each != nil {
				each(record.GetReceivedAt().AsTime(), now)
			}
		})
		if bad != nil {
			return bad
		}
	}
	return nil
}
