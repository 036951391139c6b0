package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/schemas"
)

// Admin manages the topics.
type Admin struct {
	client  *kadm.Client
	brokers []string
}

// NewAdmin returns an admin; nothing is asked yet.
func NewAdmin(c Connection) (*Admin, error) {
	client, err := kgo.NewClient(c.options("handoff-admin")...)
	if err != nil {
		return nil, fmt.Errorf("configure admin client: %w", err)
	}
	return &Admin{client: kadm.NewClient(client), brokers: c.Brokers}, nil
}

// Close ends the client.
func (a *Admin) Close() { a.client.Close() }

// Ping returns nil when a broker answers. Else the error wraps ErrAway or ErrNotAllowed, within seconds.
func (a *Admin) Ping(ctx context.Context) error {
	o := &observer{admin: a.client, brokers: a.brokers}
	return o.ask(ctx, "reach Kafka", func(ctx context.Context) error {
		_, err := a.client.BrokerMetadata(ctx)
		return err
	})
}

// TopicState is what Apply found or did about one topic.
type TopicState struct {
	Topic string
	// Created says that it was missing.
	Created bool
	// Differing configuration of a topic that was there: reported, not changed.
	Differing []ConfigDifference
}

// ConfigDifference is one configuration that is not as the catalogue has it.
type ConfigDifference struct {
	Name, Is, Want string
}

// ErrPartitionCount is wrapped by Apply's error for topics whose partition count is not the catalogue's.
var ErrPartitionCount = errors.New("the partition count of a topic is fixed at its creation")

// Apply creates missing topics and reports differing configuration of others. It changes nothing that
// is there, and creates nothing while any partition count differs. replication 0 means the brokers'
// default.
func (a *Admin) Apply(ctx context.Context, topics []schemas.Topic, replication int16) ([]TopicState, error) {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Name
	}
	have, err := a.client.ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	var wrong []error
	for _, t := range topics {
		if d, ok := have[t.Name]; ok && d.Err == nil && len(d.Partitions) != t.Partitions {
			wrong = append(wrong, fmt.Errorf("%s has %d partitions, asked for %d: %w", t.Name, len(d.Partitions), t.Partitions, ErrPartitionCount))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	states := make([]TopicState, 0, len(topics))
	for _, t := range topics {
		d, ok := have[t.Name]
		s := TopicState{Topic: t.Name}
		switch {
		case ok && d.Err == nil:
			s.Differing, err = a.differing(ctx, t)
		case !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			s.Created = true
			err = a.create(ctx, t, replication)
		default:
			err = fmt.Errorf("look up %s: %w", t.Name, d.Err)
		}
		if err != nil {
			return states, err
		}
		states = append(states, s)
	}
	return states, a.waitFor(ctx, topics)
}

func (a *Admin) create(ctx context.Context, t schemas.Topic, replication int16) error {
	if replication <= 0 {
		replication = -1
	}
	configs := map[string]*string{}
	for k, v := range t.Config() {
		configs[k] = &v
	}
	_, err := a.client.CreateTopic(ctx, int32(t.Partitions), replication, configs, t.Name)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("create %s: %w", t.Name, err)
	}
	return nil
}

func (a *Admin) differing(ctx context.Context, t schemas.Topic) ([]ConfigDifference, error) {
	found, err := a.client.DescribeTopicConfigs(ctx, t.Name)
	if err != nil {
		return nil, fmt.Errorf("read configuration of %s: %w", t.Name, err)
	}
	r, err := found.On(t.Name, nil)
	if err == nil {
		err = r.Err
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration of %s: %w", t.Name, err)
	}
	var all []ConfigDifference
	for name, want := range t.Config() {
		is := "(none)"
		for _, c := range r.Configs {
			if c.Key == name {
				is = c.MaybeValue()
			}
		}
		if is != want {
			all = append(all, ConfigDifference{Name: name, Is: is, Want: want})
		}
	}
	slices.SortFunc(all, func(x, y ConfigDifference) int { return strings.Compare(x.Name, y.Name) })
	return all, nil
}

// waitFor waits until the brokers know all topics: a creation is answered before it has spread.
func (a *Admin) waitFor(ctx context.Context, topics []schemas.Topic) error {
	for {
		have, err := a.client.ListTopics(ctx)
		if err != nil {
			return fmt.Errorf("list topics: %w", err)
		}
		missing := ""
		for _, t := range topics {
			if d, ok := have[t.Name]; !ok || d.Err != nil || len(d.Partitions) != t.Partitions {
				missing = t.Name
			}
		}
		if missing == "" {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait for topic %s: %w", missing, ctx.Err())
		}
	}
}
