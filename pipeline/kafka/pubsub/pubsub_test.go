package pubsub

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/handoff-dev/handoff/pipeline/kafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connection(t *testing.T) kafka.Connection {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(1),
		kfake.GroupMinSessionTimeout(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return kafka.Connection{Brokers: c.ListenAddrs(), Options: []kgo.Opt{kgo.AllowAutoTopicCreation(), kgo.MetadataMinAge(50 * time.Millisecond)}}
}

func TestWatermillSuite(t *testing.T) {
	to := connection(t)
	withGroup := func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
		p, err := NewPublisher(PublisherConfig{Connection: to})
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewSubscriber(SubscriberConfig{Connection: to, Group: group, NackDelay: time.Millisecond,
			SessionTimeout: 6 * time.Second, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { // the suite leaves some open
			if err := errors.Join(p.Close(), s.Close()); err != nil {
				t.Error(err)
			}
		})
		return p, s
	}
	tests.TestPubSub(t, tests.Features{
		ConsumerGroups:                   true,
		ExactlyOnceDelivery:              false, // a crash between Ack and commit delivers again
		GuaranteedOrder:                  true,
		Persistent:                       true,
		NewSubscriberReceivesOldMessages: false, // to a group, consumed messages are not old but gone
		ForceShort:                       true,  // fewer messages, the same assertions
	}, func(t *testing.T) (message.Publisher, message.Subscriber) { return withGroup(t, "test") }, withGroup)
}

// TestRecordForm: key, time, metadata and UUID survive, and records of others are taken.
func TestRecordForm(t *testing.T) {
	m := message.NewMessage("id-1", []byte("payload"))
	m.Metadata = message.Metadata{"key": "shop|a", "at": "2026-03-02T12:00:00.123Z", "correlation_id": "c"}
	r, err := toRecord("topic", m)
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Key) != "shop|a" || r.Timestamp.UnixMilli() != 1772452800123 {
		t.Errorf("key %q, timestamp %d", r.Key, r.Timestamp.UnixMilli())
	}
	back := fromRecord(r)
	if back.UUID != "id-1" || string(back.Payload) != "payload" || len(back.Metadata) != 3 {
		t.Errorf("back: %+v", back)
	}
	for k, v := range m.Metadata {
		if back.Metadata.Get(k) != v {
			t.Errorf("metadata %s is %q, want %q", k, back.Metadata.Get(k), v)
		}
	}
	if other := fromRecord(&kgo.Record{Topic: "t", Partition: 3, Offset: 7}); other.UUID != "t/3/7" {
		t.Errorf("a record of another producer has UUID %q", other.UUID)
	}
	m.Metadata.Set("at", "yesterday")
	if _, err := toRecord("topic", m); err == nil {
		t.Error("a bad time was taken")
	}
}
