package kafka

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/pipeline/state"
)

// faults of the broker, each hit some times while records flow.
func faults() map[string]kfake.Fault {
	return map[string]kfake.Fault{
		"produce refused":              {Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition, Count: 3},
		"produce fails for good":       {Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.PolicyViolation, Count: 2, TxnID: ""},
		"offset commit refused":        {Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.IllegalGeneration, Count: 2},
		"offset commit not known":      {Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.UnknownServerError, Count: 2},
		"end of transaction not known": {Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.UnknownServerError, Count: 2},
		"end applied but timed out":    {Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.RequestTimedOut, Count: 2},
		"end fenced":                   {Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.ProducerFenced, Count: 1},
		"coordinator moves":            {Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.NotCoordinator, Count: 2},
		"fetch fails":                  {Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.UnknownServerError, Count: 2},
		"heartbeat: member unknown":    {Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID, Count: 1},
		"offset fetch not known":       {Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.UnknownServerError, Count: 1},
		"ends not known":               {Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.UnknownServerError, Count: 2},
		"producer id not given":        {Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.CoordinatorLoadInProgress, Count: 2},
	}
}

func TestFaults(t *testing.T) {
	for name, fault := range faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 3, "probe")
			store := openStore(t, t.TempDir())
			run := start(t, c.config(probe{}, store))
			c.probeLoad(0, 600, 40)
			eventually(t, "the first are committed", func() bool { return c.drained("probe") })
			if fault.Keys[0] == kmsg.Produce || fault.Keys[0] == kmsg.Fetch {
				fault.Topic = "out"
				if fault.Keys[0] == kmsg.Fetch {
					fault.Topic = "handoff.probe"
				}
			}
			h := c.Fault(fault)
			c.probeLoad(600, 600, 40)
			eventually(t, "the fault is hit", func() bool {
				if h.Hits() > 0 || fault.Keys[0] == kmsg.InitProducerID || fault.Keys[0] == kmsg.OffsetFetch {
					return true
				}
				return false
			})
			eventually(t, "all are committed", func() bool { return c.drained("probe") })
			h.Remove()
			c.probeLoad(1200, 100, 40)
			c.settled()
			if err := run.stop(); err != nil {
				t.Fatal(err)
			}
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			c.check(probe{})
		})
	}
}

// size of a topic, in offsets.
func (c *cluster) size(topic string) (n int64) {
	for _, p := range c.PartitionInfos(topic) {
		n += p.LastStableOffset
	}
	return n
}

// settled waits until every timer that the model fires came out; all records are there by then.
func (c *cluster) settled() {
	c.t.Helper()
	eventually(c.t, "all are committed", func() bool { return c.drained("probe") })
	_, want := c.want(probe{})
	for {
		n, at := 0, c.size("out")
		for _, r := range c.flat("out") {
			if isTimer(r.Value) {
				n++
			}
		}
		if n >= len(want) {
			return
		}
		eventually(c.t, "more timers fire", func() bool { return c.size("out") != at })
	}
}

// TestRestarts starts the runner over and over at random moments, with and without its local state.
func TestRestarts(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	c := newCluster(t, 4, "probe")
	dir := t.TempDir()
	const rounds = 12
	for i := range rounds {
		if i%4 == 3 {
			dir = t.TempDir() // the machine is lost
		}
		store := openStore(t, dir)
		run := start(t, c.config(probe{}, store))
		c.probeLoad(i*300, 300, 50)
		time.Sleep(time.Duration(random.IntN(150)) * time.Millisecond)
		if i == rounds-1 {
			c.settled()
		}
		if err := run.stop(); err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c.check(probe{})
}

// TestRebalance moves partitions between two runners while records flow.
func TestRebalance(t *testing.T) {
	c := newCluster(t, 6, "probe")
	stores := [2]*state.Store{openStore(t, t.TempDir()), openStore(t, t.TempDir())}
	one := start(t, c.config(probe{}, stores[0]))
	c.probeLoad(0, 500, 60)
	for i := range 3 {
		two := start(t, c.config(probe{}, stores[1]))
		c.probeLoad(500+i*600, 300, 60)
		eventually(t, "two members share the partitions", func() bool {
			g := c.GroupInfo("handoff.probe")
			return g != nil && len(g.Members) == 2 && g.Members[0].NumAssigned() == 3 && g.Members[1].NumAssigned() == 3
		})
		c.probeLoad(800+i*600, 300, 60)
		if err := two.stop(); err != nil {
			t.Fatal(err)
		}
	}
	c.settled()
	if err := one.stop(); err != nil {
		t.Fatal(err)
	}
	for _, s := range stores {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c.check(probe{})
}
