package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Of TestKilledNodeKeepsCommits: so many producers that some have just committed whenever the node dies.
const (
	committers       = 16
	commitPartitions = 8
	// commitsBeforeKill are acknowledged before the node is killed.
	commitsBeforeKill = 20 * committers
	nodeKills         = 2
)

// TestKilledNodeKeepsCommits: a cluster's only node is killed -9 under transactional producers. Whatever
// they were told was committed must be there, once and in every partition, although every producer's
// first transaction after the restart is aborted. HANDOFF_TEST_KAFKA_VERSION runs another version.
func TestKilledNodeKeepsCommits(t *testing.T) {
	needsJava(t)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c := start(ctx, t, Config{Version: os.Getenv("HANDOFF_TEST_KAFKA_VERSION")})
	createTopic(ctx, t, c, "commits", commitPartitions)
	all := make([]*committer, committers)
	for i := range all {
		all[i] = &committer{id: fmt.Sprintf("committer%d", i), brokers: c.Brokers(), outcomes: map[string]outcome{}}
	}
	for range nodeKills {
		var at atomic.Int64
		life, dies := context.WithCancel(ctx)
		var killed error
		var wait sync.WaitGroup
		for _, p := range all {
			wait.Go(func() {
				p.commit(life, func() {
					// At once, so that of this commit and others the markers are still to be written.
					if at.Add(1) == commitsBeforeKill {
						killed = c.Kill(1)
						dies()
					}
				})
			})
		}
		wait.Wait()
		dies()
		if at.Load() < commitsBeforeKill {
			t.Fatalf("the producers give up after %d commits", at.Load())
		}
		if err := errors.Join(killed, c.Start(ctx, 1)); err != nil {
			t.Fatal(err)
		}
		for _, p := range all {
			if err := p.abort(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen := committed(ctx, t, c)
	for _, p := range all {
		p.check(t, seen)
	}
}

// outcome of a transaction, as its producer knows it.
type outcome int

const (
	unknown outcome = iota
	acknowledged
	aborted
)

// committer commits one transaction after the other, each a record to every partition.
type committer struct {
	id       string
	brokers  []string
	n        int
	outcomes map[string]outcome // by the records' value
}

func (p *committer) client() (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(p.brokers...), kgo.TransactionalID(p.id), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0), kgo.RequestRetries(3), kgo.RecordRetries(3), kgo.MetadataMinAge(250*time.Millisecond))
}

// produce begins a transaction and returns the value of its records.
func (p *committer) produce(ctx context.Context, client *kgo.Client) (value string, err error) {
	if err := client.BeginTransaction(); err != nil {
		return "", err
	}
	p.n++
	value = fmt.Sprintf("%s/%d", p.id, p.n)
	p.outcomes[value] = unknown
	var records []*kgo.Record
	for i := range int32(commitPartitions) {
		records = append(records, &kgo.Record{Topic: "commits", Partition: i, Value: []byte(value)})
	}
	return value, client.ProduceSync(ctx, records...).FirstErr()
}

// commit goes on until ctx ends, which ends it as a crash does.
func (p *committer) commit(ctx context.Context, done func()) {
	client, err := p.client()
	if err != nil {
		return
	}
	// What is on its way to a node that is away waits for it, whatever its context says.
	defer context.AfterFunc(ctx, client.Close)()
	defer client.Close()
	for {
		value, err := p.produce(ctx, client)
		if err != nil || client.EndTransaction(ctx, kgo.TryCommit) != nil {
			return
		}
		p.outcomes[value] = acknowledged
		done()
	}
}

// abort aborts one transaction, as a process does that starts and at once fails again.
func (p *committer) abort(ctx context.Context) error {
	client, err := p.client()
	if err != nil {
		return err
	}
	defer client.Close()
	value, err := p.produce(ctx, client)
	if err == nil {
		err = client.EndTransaction(ctx, kgo.TryAbort)
	}
	p.outcomes[value] = aborted
	return err
}

// check compares what was told with what is there.
func (p *committer) check(t *testing.T, seen map[string]int) {
	t.Helper()
	lost, first := 0, ""
	for value, o := range p.outcomes {
		switch n := seen[value]; {
		case o == acknowledged && n != commitPartitions:
			lost++
			first = fmt.Sprintf("%s is in %d of %d partitions", value, n, commitPartitions)
		case o == aborted && n != 0:
			t.Errorf("%s was aborted and is in %d partitions", value, n)
		case o == unknown && n != 0 && n != commitPartitions:
			t.Errorf("%s is in %d of %d partitions", value, n, commitPartitions)
		}
	}
	if lost > 0 {
		t.Errorf("%d acknowledged commits are not whole: %s", lost, first)
	}
}

// committed reads what is committed: in how many partitions each value is.
func committed(ctx context.Context, t *testing.T, c *Cluster) map[string]int {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...), kgo.ConsumeTopics("commits"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, "commits")
	if err != nil {
		t.Fatal(err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) { left[o.Partition] = o.Offset })
	seen := map[string]int{}
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("partitions cannot be read to their ends: %v", left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			if !r.Attrs.IsControl() {
				seen[string(r.Value)]++
			}
		})
	}
	return seen
}

func createTopic(ctx context.Context, t *testing.T, c *Cluster, name string, partitions int32) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, partitions, -1, nil, name); err != nil {
		t.Fatal(err)
	}
}
