package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// folded returns the counts of all keys as FoldChangelog shows them, and the positions.
func folded(t *testing.T, c *cluster, stage string) (map[string]int, []state.Position) {
	t.Helper()
	counts, positions := map[string]int{}, []state.Position{}
	for p := range c.partitions {
		fold := state.NewFold(state.Memory(), nil)
		var read, of int64
		if err := FoldChangelog(t.Context(), Connection{Brokers: c.ListenAddrs()}, stage, p, fold, func(n, all int64) { read, of = read+n, all }); err != nil {
			t.Fatal(err)
		}
		if read != of {
			t.Errorf("partition %d: told of %d offsets of %d", p, read, of)
		}
		err := fold.Each(func(i state.Item) bool {
			if want := schemas.Partition(i.Key, int(c.partitions)); want != p {
				t.Errorf("%s is on partition %d, want %d", i.Key, p, want)
			}
			counts[string(i.Key)] = int(binary.BigEndian.Uint64(i.Value))
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		positions = append(positions, fold.Position())
	}
	return counts, positions
}

// TestFoldChangelog: what people are shown is what was committed, while the stage runs and after, and
// nothing of an open or aborted transaction.
func TestFoldChangelog(t *testing.T) {
	c := newCluster(t, 3, "count")
	if counts, positions := folded(t, c, "count"); len(counts) != 0 || positions[0] != (state.Position{}) {
		t.Errorf("before the first record: %v at %v", counts, positions)
	}
	store := openStore(t, t.TempDir())
	run := start(t, c.config(counter{"count"}, store))
	want := c.load("count", 500, 40)
	eventually(t, "all is committed", func() bool { return c.drained("count") })
	check := func(when string) {
		t.Helper()
		got, positions := folded(t, c, "count")
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
		for p, pos := range positions {
			if pos.Offset != c.committed("count", int32(p)) {
				t.Errorf("%s: partition %d stands at %d, its group at %d", when, p, pos.Offset, c.committed("count", int32(p)))
			}
		}
	}
	check("while it runs")
	if err := run.stop(); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	check("after it ended")

	// Somebody's transaction that is open, then aborted.
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("other"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for p := range c.partitions {
		r := &kgo.Record{Topic: schemas.Changelog("count"), Partition: p, Key: []byte("e\x01k" + "n"), Value: make([]byte, 8)}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	check("with an open transaction")
	if err := client.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	check("with an aborted one")
}

// TestFoldChangelogIsWhole: a changelog that ends before its group's commit is not shown as if it were all.
func TestFoldChangelogIsWhole(t *testing.T) {
	c := newCluster(t, 1, "count")
	store := openStore(t, t.TempDir())
	run := start(t, c.config(counter{"count"}, store))
	c.load("count", 10, 3)
	eventually(t, "all is committed", func() bool { return c.drained("count") })
	if err := run.stop(); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	// The group says it stands further on.
	c.ControlKey(kmsg.OffsetFetch.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
		of := req.(*kmsg.OffsetFetchRequest)
		metadata := offsetMetadata(1000)
		if len(of.Groups) == 0 {
			for _, t := range of.Topics {
				resp.Topics = append(resp.Topics, kmsg.OffsetFetchResponseTopic{Topic: t.Topic, Partitions: []kmsg.OffsetFetchResponseTopicPartition{{Offset: 99, Metadata: &metadata}}})
			}
			return resp, nil, true
		}
		for _, g := range of.Groups {
			rg := kmsg.OffsetFetchResponseGroup{Group: g.Group}
			for _, t := range g.Topics {
				rg.Topics = append(rg.Topics, kmsg.OffsetFetchResponseGroupTopic{Topic: t.Topic, TopicID: t.TopicID, Partitions: []kmsg.OffsetFetchResponseGroupTopicPartition{{Offset: 99, Metadata: &metadata}}})
			}
			resp.Groups = append(resp.Groups, rg)
		}
		return resp, nil, true
	})
	err := foldChangelog(t.Context(), Connection{Brokers: c.ListenAddrs()}, "count", 0, state.NewFold(state.Memory(), nil), nil, time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "its group stands at 1000") {
		t.Errorf("a changelog behind its group: %v", err)
	}
}

// TestObserverErrors: what is wrong is said in words that help, within a bound.
func TestObserverErrors(t *testing.T) {
	c := newCluster(t, 2, "count")
	to := Connection{Brokers: c.ListenAddrs()}
	fold := func(ctx context.Context, to Connection, stage string, partition int32) error {
		return FoldChangelog(ctx, to, stage, partition, state.NewFold(state.Memory(), nil), nil)
	}
	lag := func(ctx context.Context, to Connection, stage string) error {
		l, err := OpenLag(to)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, err = l.Read(ctx, []string{stage})
		return err
	}
	if err := fold(t.Context(), to, "count", 2); !errors.Is(err, ErrNoPartition) || !strings.Contains(err.Error(), "has 2 partitions, 0 to 1") {
		t.Errorf("a partition that is not there: %v", err)
	}
	for _, err := range []error{fold(t.Context(), to, "nothing", 0), lag(t.Context(), to, "nothing")} {
		if err == nil || !strings.Contains(err.Error(), "handoff topics apply creates it") {
			t.Errorf("topics that are not there: %v", err)
		}
	}
	away := Connection{Brokers: []string{"127.0.0.1:1"}}
	for _, err := range []error{fold(t.Context(), away, "count", 0), lag(t.Context(), away, "count")} {
		if !errors.Is(err, ErrAway) || !strings.Contains(err.Error(), "127.0.0.1:1") {
			t.Errorf("a cluster that is away: %v", err)
		}
	}
	h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch, kmsg.DescribeGroups}, Err: kerr.GroupAuthorizationFailed, Count: -1})
	for _, err := range []error{fold(t.Context(), to, "count", 0), lag(t.Context(), to, "count")} {
		if !errors.Is(err, ErrNotAllowed) || !Refused(err) {
			t.Errorf("groups that may not be looked at: %v", err)
		}
	}
	h.Remove()
	h = c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	for _, err := range []error{fold(t.Context(), to, "count", 0), lag(t.Context(), to, "count")} {
		if !errors.Is(err, ErrNotAllowed) {
			t.Errorf("topics that may not be looked at: %v", err)
		}
	}
	h.Remove()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := fold(ended, to, "count", 0); !errors.Is(err, context.Canceled) || errors.Is(err, ErrAway) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestLag(t *testing.T) {
	c := newCluster(t, 3, "count", "other")
	l, err := OpenLag(Connection{Brokers: c.ListenAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	read := func() *StageLag {
		t.Helper()
		all, err := l.Read(t.Context(), []string{"count", "other"})
		if err != nil {
			t.Fatal(err)
		}
		if all[0].Stage != "count" || all[1].Stage != "other" || len(all[0].Partitions) != 3 || all[1].Records() != 0 || !all[1].Oldest().IsZero() {
			t.Fatalf("read %+v", all)
		}
		return &all[0]
	}
	if s := read(); s.State != "Dead" || s.Records() != 0 || s.Partitions[0].Committed != -1 || len(s.Members) != 0 {
		t.Errorf("before anything ran: %+v", s)
	}
	long := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	key := []byte("shop|1")
	at := schemas.Partition(key, 3)
	c.produce(&kgo.Record{Topic: "handoff.count", Key: key, Value: []byte("v"), Timestamp: long},
		&kgo.Record{Topic: "handoff.count", Key: key, Value: []byte("v")})
	if s := read(); s.Records() != 2 || !s.Oldest().Equal(long) || s.Partitions[at].Records != 2 || s.Partitions[at].End != 2 {
		t.Errorf("with two unread: %+v", s)
	}
	store := openStore(t, t.TempDir())
	cfg := c.config(counter{"count"}, store)
	run := start(t, cfg)
	eventually(t, "it is read", func() bool { return c.drained("count") })
	s := read()
	if s.State != "Stable" || s.Records() != 0 || !s.Oldest().IsZero() || len(s.Members) != 1 || len(s.Members[0].Partitions) != 3 || s.Members[0].Host == "" {
		t.Errorf("while it runs: %+v", s)
	}
	for _, p := range s.Partitions {
		if p.Owner != s.Members[0].Instance || p.Owner == "" {
			t.Errorf("partition %d is owned by %q, want %q", p.Partition, p.Owner, s.Members[0].Instance)
		}
	}
	if err := run.stop(); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if s := read(); s.State != "Empty" || s.Records() != 0 || s.Partitions[at].Committed != 2 || s.Partitions[at].Owner != "" {
		t.Errorf("after it ended: %+v", s)
	}

	// A transaction of a stage before it: its marker is no lag, its open records are not there yet.
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("before"), kgo.RecordPartitioner(byKey("")))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	transaction := func(end kgo.TransactionEndTry) {
		t.Helper()
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "handoff.count", Key: key, Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if s := read(); s.Records() != 0 {
			t.Errorf("with an open transaction: %+v", s)
		}
		if err := client.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	transaction(kgo.TryAbort)
	if s := read(); s.Records() != 0 || !s.Oldest().IsZero() {
		t.Errorf("with an aborted transaction: %+v", s)
	}
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "handoff.count", Key: key, Value: []byte("v"), Timestamp: long}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := client.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if s := read(); s.Records() == 0 || !s.Oldest().Equal(long) {
		t.Errorf("with a committed transaction: %+v", s)
	}
}

// TestLagOfDeleted: records that retention took before they were read are told, and no unread ones.
func TestLagOfDeleted(t *testing.T) {
	c := newCluster(t, 1, "count")
	store := openStore(t, t.TempDir())
	run := start(t, c.config(counter{"count"}, store))
	c.load("count", 3, 1)
	eventually(t, "it is read", func() bool { return c.drained("count") })
	if err := run.stop(); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	c.load("count", 10, 1)
	deleted, err := kadm.NewClient(c.client).DeleteRecords(t.Context(), kadm.Offsets{"handoff.count": {0: {Topic: "handoff.count", At: 8}}})
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	l, err := OpenLag(Connection{Brokers: c.ListenAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	all, err := l.Read(t.Context(), []string{"count"})
	if err != nil {
		t.Fatal(err)
	}
	if s := all[0]; s.Gone() != 5 || s.Records() != 5 || s.Oldest().IsZero() {
		t.Errorf("after a deletion: %+v", s)
	}
}
