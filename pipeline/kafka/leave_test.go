package kafka

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/schemas"
)

// TestStopBesideDeadMember: a join waits at the broker for every member there was, a dead one too, until
// its session ends. Whoever is told to stop meanwhile does not wait for that.
func TestStopBesideDeadMember(t *testing.T) {
	c := newCluster(t, 4, "count")
	store := openStore(t, t.TempDir())
	cfg := c.config(counter{"count"}, store)
	cfg.DrainWait, cfg.SessionTimeout = time.Second, 10*time.Second
	run := start(t, cfg)
	members := func(n int) func() bool {
		return func() bool {
			g := c.GroupInfo(schemas.Mailbox("count"))
			return g != nil && len(g.Members) == n && g.State == "Stable"
		}
	}
	eventually(t, "the runner is alone in its group", members(1))
	var frozen atomic.Bool
	dead := joinGroup(t, c.ListenAddrs(), schemas.Mailbox("count"), 30*time.Second, &frozen)
	eventually(t, "there are two members", members(2))
	frozen.Store(true)
	joinGroup(t, c.ListenAddrs(), schemas.Mailbox("count"), 30*time.Second, new(atomic.Bool)) // whose coming makes all of them join again
	eventually(t, "the group waits for the dead one", func() bool {
		g := c.GroupInfo(schemas.Mailbox("count"))
		return g != nil && g.State == "PreparingRebalance"
	})
	// The runner joins with its next heartbeat.
	select {
	case <-time.After(cfg.SessionTimeout/6 + 500*time.Millisecond):
	case <-dead.Context().Done():
	}
	began := time.Now()
	if err := run.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %s to stop", took)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

// TestGoesOnBesideDeadMember: while a join waits for a dead member, what this member has is processed and committed, and
// when the join is over, too, without starting over.
func TestGoesOnBesideDeadMember(t *testing.T) {
	c := newCluster(t, 4, "count")
	perKey := map[string]int{}
	besideDeadMember(t, c.config(counter{"count"}, openStore(t, t.TempDir())), groupView{
		load: func(n int) {
			for key, more := range c.load("count", n, 20) {
				perKey[key] += more
			}
		},
		sum: func() (n int64) {
			for p := range c.partitions {
				n += c.committed("count", p)
			}
			return n
		},
		is: func(state string, members int) bool {
			g := c.GroupInfo(schemas.Mailbox("count"))
			return g != nil && g.State == state && len(g.Members) == members
		},
		drained: func() bool { return c.drained("count") },
	})
	c.checkCounts(perKey)
}

// groupView is what besideDeadMember does and sees of a group from outside.
type groupView struct {
	load    func(n int)
	sum     func() int64 // of the committed offsets
	is      func(state string, members int) bool
	drained func() bool
}

func besideDeadMember(t *testing.T, cfg Config, group groupView) {
	t.Helper()
	registry := prometheus.NewRegistry()
	cfg.Registerer = registry
	cfg.SessionTimeout = 30 * time.Second // kfake forgets a member whose join waits for longer
	run := start(t, cfg)
	eventually(t, "the runner is alone in its group", func() bool { return group.is("Stable", 1) && run.runner.Ready() == nil })
	var frozen atomic.Bool
	mailbox := schemas.Mailbox(cfg.Stage.Name())
	joinGroup(t, cfg.Brokers, mailbox, 8*time.Second, &frozen)
	eventually(t, "there are two members", func() bool { return group.is("Stable", 2) })
	frozen.Store(true)
	third := joinGroup(t, cfg.Brokers, mailbox, 30*time.Second, new(atomic.Bool)) // whose coming makes all of them join again
	eventually(t, "the group waits for the dead one", func() bool { return group.is("PreparingRebalance", 3) })

	commits, longest := 0, time.Duration(0)
	last, at, began := group.sum(), time.Now(), time.Now()
	restarts := counted(t, registry, "handoff_runner_restarts_total")
	for group.is("PreparingRebalance", 3) {
		if time.Since(began) > 30*time.Second {
			t.Fatal("the group waits for ever")
		}
		group.load(20)
		if now := group.sum(); now != last {
			last, at = now, time.Now()
			commits++
		}
		longest = max(longest, time.Since(at))
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("the group waited %s: %d looks found new commits, the longest time without one was %s", time.Since(began), commits, longest)
	if commits < 10 || longest > 3*time.Second {
		t.Errorf("while the group waited %d looks found new commits, %s the longest time without one", commits, longest)
	}
	eventually(t, "the join is over", func() bool { return group.is("Stable", 2) })
	third.Close()
	group.load(200)
	eventually(t, "it goes on after the join", group.drained)
	if n := counted(t, registry, "handoff_runner_restarts_total"); n != restarts {
		t.Errorf("it started over %v times", n-restarts)
	}
	if err := run.stop(); err != nil {
		t.Error(err)
	}
	if err := cfg.Store.Close(); err != nil {
		t.Error(err)
	}
}

// joinGroup makes a member of a mailbox's group; it is as good as dead while frozen.
func joinGroup(t *testing.T, brokers []string, mailbox string, session time.Duration, frozen *atomic.Bool) *kgo.Client {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.WithContext(ctx), kgo.ConsumerGroup(mailbox), kgo.ConsumeTopics(mailbox),
		kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.SessionTimeout(session),
		kgo.DisableAutoCommit(), kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			return freezing{conn, frozen}, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		client.Close()
	})
	return client
}

// freezing drops what is written while frozen.
type freezing struct {
	net.Conn
	frozen *atomic.Bool
}

func (f freezing) Write(b []byte) (int, error) {
	if f.frozen.Load() {
		return len(b), nil
	}
	return f.Conn.Write(b)
}
