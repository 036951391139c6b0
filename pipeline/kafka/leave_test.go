package kafka

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

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
	dead := c.member(t, &frozen)
	eventually(t, "there are two members", members(2))
	frozen.Store(true)
	c.member(t, new(atomic.Bool)) // whose coming makes all of them join again
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

// member joins the group of "count" with a session of half a minute; it is as good as dead while frozen.
func (c *cluster) member(t *testing.T, frozen *atomic.Bool) *kgo.Client {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.WithContext(ctx), kgo.ConsumerGroup(schemas.Mailbox("count")),
		kgo.ConsumeTopics(schemas.Mailbox("count")), kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.SessionTimeout(30*time.Second),
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
