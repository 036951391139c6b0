package episodes

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestTable: what the newest record of a key says is so; nobody is told "in no episode" before the table was
// read, and what is aborted or cannot be read changes nothing.
func TestTable(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, schemas.TopicEpisodes))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	to := kafka.Connection{Brokers: cluster.ListenAddrs()}
	client, err := to.NewClient("test", kgo.TransactionalID("test"), kgo.RecordPartitioner(kafka.ByKey()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	write := func(address string, commit kgo.TransactionEndTry, values ...[]byte) {
		t.Helper()
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			r := &kgo.Record{Topic: schemas.TopicEpisodes, Key: schemas.Key{Shop: "acme", Address: address}.Bytes(), Value: v}
			if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	held := func(address string, conversations ...string) []byte {
		w := &handoffv1.WithPeople{}
		for _, c := range conversations {
			w.Conversations = append(w.Conversations, &handoffv1.HeldConversation{Conversation: c, State: handoffv1.EpisodeState_EPISODE_STATE_OPEN})
		}
		value, err := schemas.Encode(&handoffv1.Record{
			Id: schemas.SourceID("test", "acme", address, "1"), Shop: "acme", Address: address, SettingsVersion: 1,
			EventTime: timestamppb.Now(), ReceivedAt: timestamppb.Now(),
			Body: &handoffv1.Record_WithPeople{WithPeople: w},
		})
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	write("+1", kgo.TryCommit, held("+1", "sms:+9"))
	write("+2", kgo.TryCommit, held("+2", "sms:+9"), held("+2"))
	write("+3", kgo.TryAbort, held("+3", "sms:+9"))

	table, err := Open(Config{Connection: to, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	if _, err := table.Of("acme", "+1"); !errors.Is(err, ErrPending) {
		t.Errorf("before it was read: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- table.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	eventually := func(address, want string) {
		t.Helper()
		var got string
		for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
			w, err := table.Of("acme", address)
			if got = "pending"; err == nil {
				if got = ""; len(w.GetConversations()) > 0 {
					got = w.GetConversations()[0].GetConversation()
				}
			}
			if got == want {
				return
			}
		}
		t.Fatalf("%s: %q, want %q", address, got, want)
	}
	eventually("+1", "sms:+9")
	eventually("+2", "")
	eventually("+3", "")
	eventually("+4", "")
	write("+3", kgo.TryCommit, held("+3", "sms:+8"))
	write("+1", kgo.TryCommit, []byte("\xff no record"))
	write("+2", kgo.TryCommit, held("+2", "sms:+7"))
	eventually("+2", "sms:+7")
	eventually("+3", "sms:+8")
	eventually("+1", "sms:+9")
	write("+1", kgo.TryCommit, held("+1"))
	eventually("+1", "")
	if w, err := table.Of("other", "+2"); err != nil || w != nil {
		t.Errorf("another shop's: %v %v", w, err)
	}
}

// TestEmptyTable: where nobody was ever in an episode the table is read too.
func TestEmptyTable(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, schemas.TopicEpisodes))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	table, err := Open(Config{Connection: kafka.Connection{Brokers: cluster.ListenAddrs()}})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- table.Run(ctx) }()
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if w, err := table.Of("acme", "+1"); err == nil && w == nil {
			break
		} else if time.Now().After(until) {
			t.Fatal(w, err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestNotAllowed: a table that may be looked at and not read is not taken for an empty one.
func TestNotAllowed(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, schemas.TopicEpisodes))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	refused := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	var log strings.Builder
	table, err := Open(Config{Connection: kafka.Connection{Brokers: cluster.ListenAddrs()}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 3*quiet)
	defer cancel()
	if err := table.Run(ctx); err != nil {
		t.Error(err)
	}
	if _, err := table.Of("acme", "+1"); !errors.Is(err, ErrPending) || refused.Hits() == 0 {
		t.Errorf("%v after %d refusals", err, refused.Hits())
	}
	if !strings.Contains(log.String(), "the table of episodes cannot be read") || !strings.Contains(log.String(), "TOPIC_AUTHORIZATION_FAILED") {
		t.Errorf("it says %s", log.String())
	}
}
