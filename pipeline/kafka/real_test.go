package kafka

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/kafka/kafkatest"
	"github.com/handoff-dev/handoff/schemas"
)

// realBrokers are those that HANDOFF_TEST_KAFKA names, or one of the test's own where it is "start".
func realBrokers(t *testing.T) []string {
	t.Helper()
	brokers := os.Getenv("HANDOFF_TEST_KAFKA")
	switch brokers {
	case "":
		t.Skip("HANDOFF_TEST_KAFKA names no brokers; start has the test start one")
	case "start":
		return kafkatest.ForTest(t, kafkatest.Config{}).Brokers()
	}
	return strings.Split(brokers, ",")
}

// TestRealKafka runs on real brokers: static members that are restarted without a goodbye, a second
// member that comes and goes, timers, counts exactly once.
func TestRealKafka(t *testing.T) { countsOn(t, Connection{Brokers: realBrokers(t)}) }

// TestRealKafkaOldTransactions: the same on a broker whose transactions are still of the version before Kafka 4.
func TestRealKafkaOldTransactions(t *testing.T) {
	if at := os.Getenv("HANDOFF_TEST_KAFKA"); at != "" && at != "start" {
		t.Skip("it would change the version of transactions on a broker that is not the test's own")
	}
	to := Connection{Brokers: realBrokers(t)}
	client, err := to.NewClient("test")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	change := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	change.Feature, change.MaxVersionLevel, change.AllowDowngrade, change.UpgradeType = "transaction.version", 1, true, 2
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.FeatureUpdates = append(req.FeatureUpdates, change)
	resp, err := req.RequestWith(t.Context(), client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the broker has the earlier version", func() bool {
		adds, err := addsGroup(t.Context(), client)
		return err == nil && !adds
	})
	countsOn(t, to)
}

func countsOn(t *testing.T, to Connection) {
	t.Helper()
	name := "real" + strconv.FormatInt(time.Now().UnixNano(), 36)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	admin, err := NewAdmin(to)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	createReal(ctx, t, admin, name)
	client, err := to.NewClient("test", kgo.RecordPartitioner(ByKey()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	offsets := kadm.NewClient(client)
	perKey := map[string]int{}
	load := func(n int) {
		t.Helper()
		var records []*kgo.Record
		for i := range n {
			key := fmt.Sprintf("shop|%d", i%50)
			perKey[key]++
			records = append(records, &kgo.Record{Topic: schemas.Mailbox(name), Key: []byte(key), Value: []byte("v")})
		}
		if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	drained := func() bool {
		ends, err := offsets.ListEndOffsets(ctx, schemas.Mailbox(name))
		if err != nil {
			t.Fatal(err)
		}
		at, err := offsets.FetchOffsets(ctx, schemas.Mailbox(name))
		if err != nil {
			return false
		}
		all := true
		ends.Each(func(o kadm.ListedOffset) {
			c, ok := at.Lookup(o.Topic, o.Partition)
			all = all && (o.Offset == 0 || ok && c.At == o.Offset)
		})
		return all
	}
	counting := realCounter{counter{name}, name + ".out"}
	dir := t.TempDir()
	store := openStore(t, dir)
	config := func(instance string) Config {
		cfg := configOn(to, counting, store)
		cfg.Instance, cfg.SessionTimeout = instance, 10*time.Second
		return cfg
	}
	one := start(t, config("one"))
	load(1000)
	eventually(t, "all are committed", drained)
	for round := range 3 {
		began := time.Now()
		if err := one.stop(); err != nil {
			t.Fatal(err)
		}
		load(500)
		if round == 1 {
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			store = openStore(t, t.TempDir())
		}
		one = start(t, config("one"))
		eventually(t, "the restarted instance goes on", drained)
		t.Logf("restarted and done in %s", time.Since(began))
	}
	other := openStore(t, t.TempDir())
	cfg := config("two")
	cfg.Store = other
	two := start(t, cfg)
	load(500)
	eventually(t, "two members are done", func() bool { return two.runner.Ready() == nil && drained() })
	load(500)
	eventually(t, "two members are done", drained)
	for _, r := range []*running{two, one} {
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []interface{ Close() error }{store, other} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	checkReal(ctx, t, to, name+".out", perKey)
}

// createReal creates the topics of a stage of that name.
func createReal(ctx context.Context, t *testing.T, admin *Admin, name string) {
	t.Helper()
	const partitions = 4
	var topics []schemas.Topic
	for _, topic := range []string{schemas.Mailbox(name), name + ".out"} {
		topics = append(topics, schemas.Topic{Name: topic, Partitions: partitions, Cleanup: schemas.CleanupDelete, Retention: time.Hour, MaxBytes: maxBatchBytes})
	}
	topics = append(topics, schemas.Topic{Name: schemas.Changelog(name), Partitions: partitions, Cleanup: schemas.CleanupCompact, Tombstones: schemas.ChangelogTombstones, MaxBytes: maxBatchBytes},
		schemas.Topics(partitions)[len(schemas.Topics(partitions))-1])
	if _, err := admin.Apply(ctx, topics, 1); err != nil {
		t.Fatal(err)
	}
}

// realCounter counts into a topic of its own.
type realCounter struct {
	counter
	out string
}

func (c realCounter) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	return c.count(c.out, in, st, fx)
}

// checkReal reads the counts back, committed ones only.
func checkReal(ctx context.Context, t *testing.T, to Connection, topic string, perKey map[string]int) {
	t.Helper()
	client, err := to.NewClient("check", kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	want, got := 0, 0
	for _, n := range perKey {
		want += n
	}
	last := map[string]uint64{}
	for got < want {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d counts came out", got, want)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got++
			n := binary.BigEndian.Uint64(r.Value)
			if n != last[string(r.Key)]+1 {
				t.Errorf("%s counts %d after %d", r.Key, n, last[string(r.Key)])
			}
			last[string(r.Key)] = n
		})
	}
	for key, n := range perKey {
		if last[key] != uint64(n) {
			t.Errorf("%s was counted to %d, want %d", key, last[key], n)
		}
	}
}

// TestRealKafkaGoesOnBesideDeadMember: as TestGoesOnBesideDeadMember, with the broker's own coordinator.
func TestRealKafkaGoesOnBesideDeadMember(t *testing.T) {
	to := Connection{Brokers: realBrokers(t)}
	name := "dead" + strconv.FormatInt(time.Now().UnixNano(), 36)
	admin, err := NewAdmin(to)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	createReal(t.Context(), t, admin, name)
	client, err := to.NewClient("test", kgo.RecordPartitioner(ByKey()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	groups, mailbox := kadm.NewClient(client), schemas.Mailbox(name)
	sum := func() (n int64) {
		at, err := groups.FetchOffsets(t.Context(), mailbox)
		if err != nil {
			t.Fatal(err)
		}
		at.Each(func(o kadm.OffsetResponse) { n += max(o.At, 0) })
		return n
	}
	besideDeadMember(t, configOn(to, realCounter{counter{name}, name + ".out"}, openStore(t, t.TempDir())), groupView{
		load: func(n int) {
			for i := range n {
				client.Produce(t.Context(), &kgo.Record{Topic: mailbox, Key: fmt.Appendf(nil, "shop|%d", i%20), Value: []byte("v")}, nil)
			}
			if err := client.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		sum: sum,
		is: func(state string, members int) bool {
			described, err := groups.DescribeGroups(t.Context(), mailbox)
			if err != nil {
				t.Log("describe the group: ", err) // its coordinator begins
				return false
			}
			return described[mailbox].State == state && len(described[mailbox].Members) == members
		},
		drained: func() bool {
			ends, err := groups.ListEndOffsets(t.Context(), mailbox)
			if err != nil {
				t.Fatal(err)
			}
			var end int64
			ends.Each(func(o kadm.ListedOffset) { end += o.Offset })
			return sum() >= end
		},
	})
}
