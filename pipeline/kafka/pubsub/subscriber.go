package pubsub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline/kafka"
)

// SubscriberConfig of a Subscriber.
type SubscriberConfig struct {
	kafka.Connection
	// Group of consumers that share the messages; required.
	Group string
	// NackDelay is how long a message waits before it is delivered again after a Nack; default 100 ms.
	NackDelay time.Duration
	// SessionTimeout of the group; default 45 s.
	SessionTimeout time.Duration
	// Logger; default slog.Default().
	Logger *slog.Logger
}

// Subscriber subscribes to topics as a member of a group, which reads a topic from its beginning. It is
// safe for concurrent use.
type Subscriber struct {
	cfg    SubscriberConfig
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	mu     sync.Mutex
	closed bool           // guarded by mu
	open   sync.WaitGroup // subscriptions; added to under mu
}

// NewSubscriber returns a subscriber; every Subscribe is a member of the group of its own.
func NewSubscriber(cfg SubscriberConfig) (*Subscriber, error) {
	if cfg.Group == "" || len(cfg.Brokers) == 0 {
		return nil, errors.New("configure subscriber: brokers and a group are required")
	}
	if cfg.NackDelay <= 0 {
		cfg.NackDelay = 100 * time.Millisecond
	}
	if cfg.SessionTimeout <= 0 {
		cfg.SessionTimeout = 45 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	s := &Subscriber{cfg: cfg}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Subscribe delivers the topic's messages until ctx or the subscriber ends; the channel is closed then.
// A message that is neither acked nor nacked by then comes again to another member.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("subscribe to %s: %w", topic, ErrClosed)
	}
	sub := &subscription{s: s, topic: topic, out: make(chan *message.Message), workers: map[int32]*worker{}}
	sub.ctx, sub.cancel = context.WithCancel(ctx)
	client, err := s.cfg.NewClient("handoff-subscriber",
		kgo.ConsumerGroup(s.cfg.Group),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(s.cfg.SessionTimeout),
		kgo.HeartbeatInterval(min(3*time.Second, s.cfg.SessionTimeout/6)),
		kgo.AutoCommitMarks(),
		kgo.AutoCommitInterval(time.Second),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsRevoked(sub.onRevoked),
		kgo.OnPartitionsLost(sub.onLost))
	if err != nil {
		sub.cancel()
		return nil, err
	}
	sub.client = client
	s.open.Go(sub.run)
	return sub.out, nil
}

// Close ends all subscriptions and waits for them.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.open.Wait()
	return nil
}

// subscription is one member of the group.
type subscription struct {
	s      *Subscriber
	topic  string
	client *kgo.Client
	ctx    context.Context
	cancel context.CancelFunc
	out    chan *message.Message

	mu      sync.Mutex
	workers map[int32]*worker // guarded by mu
	running sync.WaitGroup
}

// worker delivers one partition's messages.
type worker struct {
	cancel context.CancelFunc
	done   chan struct{}
	more   chan struct{} // has room for one signal

	mu    sync.Mutex
	queue []*kgo.Record // guarded by mu
}

// A partition is not fetched any further while more than queueHigh of its messages wait, until they
// are down to queueLow.
const (
	queueHigh = 1000
	queueLow  = 200
)

func (u *subscription) run() {
	defer close(u.out)
	stop := context.AfterFunc(u.s.ctx, u.cancel)
	defer stop()
	for u.ctx.Err() == nil {
		fetches := u.client.PollRecords(u.ctx, 1000)
		fetches.EachError(func(topic string, p int32, err error) {
			if p >= 0 && u.ctx.Err() == nil {
				u.s.cfg.Logger.Warn("fetch", "topic", topic, "partition", p, "error", err)
			}
		})
		fetches.EachPartition(func(t kgo.FetchTopicPartition) {
			if len(t.Records) > 0 {
				u.deliver(t.Partition, t.Records)
			}
		})
		u.client.AllowRebalance()
	}
	u.running.Wait() // each has ended with ctx, or ends now
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := u.client.CommitMarkedOffsets(ctx); err != nil {
		u.s.cfg.Logger.Warn("commit what was acked; it comes again", "topic", u.topic, "error", err)
	}
	u.client.CloseAllowingRebalance()
}

// deliver hands records to their partition's worker.
func (u *subscription) deliver(partition int32, records []*kgo.Record) {
	u.mu.Lock()
	defer u.mu.Unlock()
	w := u.workers[partition]
	if w == nil {
		w = &worker{done: make(chan struct{}), more: make(chan struct{}, 1)}
		var ctx context.Context
		ctx, w.cancel = context.WithCancel(u.ctx)
		u.workers[partition] = w
		u.running.Go(func() { u.work(ctx, w, partition) })
	}
	w.mu.Lock()
	w.queue = append(w.queue, records...)
	if len(w.queue) > queueHigh {
		u.client.PauseFetchPartitions(map[string][]int32{u.topic: {partition}})
	}
	w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// work delivers one message after the other until the partition leaves.
func (u *subscription) work(ctx context.Context, w *worker, partition int32) {
	defer close(w.done)
	for {
		w.mu.Lock()
		var r *kgo.Record
		if len(w.queue) > 0 {
			r = w.queue[0]
			w.queue[0] = nil
			w.queue = w.queue[1:]
			if len(w.queue) == queueLow {
				u.client.ResumeFetchPartitions(map[string][]int32{u.topic: {partition}})
			}
		}
		w.mu.Unlock()
		if r == nil {
			select {
			case <-w.more:
			case <-ctx.Done():
				return
			}
			continue
		}
		if !u.hand(ctx, r) {
			return
		}
		u.client.MarkCommitRecords(r)
	}
}

// hand delivers a record until it is acked; false when the partition left before.
func (u *subscription) hand(ctx context.Context, r *kgo.Record) bool {
	for {
		m := fromRecord(r)
		mctx, cancel := context.WithCancel(ctx)
		m.SetContext(mctx)
		select {
		case u.out <- m:
		case <-ctx.Done():
			cancel()
			return false
		}
		select {
		case <-m.Acked():
			cancel()
			return true
		case <-m.Nacked():
			cancel()
		case <-ctx.Done():
			cancel()
			return false
		}
		select {
		case <-time.After(u.s.cfg.NackDelay):
		case <-ctx.Done():
			return false
		}
	}
}

// onRevoked stops the partitions' workers and commits what they had acked.
func (u *subscription) onRevoked(ctx context.Context, client *kgo.Client, revoked map[string][]int32) {
	u.stop(client, revoked[u.topic])
	if err := client.CommitMarkedOffsets(ctx); err != nil && u.ctx.Err() == nil {
		u.s.cfg.Logger.Warn("commit what was acked; it comes again", "topic", u.topic, "error", err)
	}
}

func (u *subscription) onLost(_ context.Context, client *kgo.Client, lost map[string][]int32) {
	u.stop(client, lost[u.topic])
}

func (u *subscription) stop(client *kgo.Client, partitions []int32) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, p := range partitions {
		if w := u.workers[p]; w != nil {
			w.cancel()
			<-w.done
			delete(u.workers, p)
			client.ResumeFetchPartitions(map[string][]int32{u.topic: {p}})
		}
	}
}
