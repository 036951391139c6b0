package kafka

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestLease: a request may start only while the group is known to count on the member: for half a session
// after the heartbeat that was answered last was sent, and not after a word that it is lost.
func TestLease(t *testing.T) {
	var wall clock
	h := newHeartbeats(wall.now, 10*time.Second)
	good := func(when string, want bool) {
		t.Helper()
		if h.good() != want {
			t.Errorf("%s: the lease is %v, want %v", when, !want, want)
		}
	}
	answered := func(key kmsg.Key, e2e kgo.BrokerE2E) { h.OnBrokerE2E(kgo.BrokerMetadata{}, int16(key), e2e) }
	good("at first", false)
	answered(kmsg.Metadata, kgo.BrokerE2E{})
	answered(kmsg.Heartbeat, kgo.BrokerE2E{ReadErr: errors.New("cut")})
	good("after what is no heartbeat, and one without an answer", false)
	answered(kmsg.Heartbeat, kgo.BrokerE2E{TimeToRead: 3 * time.Second})
	good("after a heartbeat that took 3 s", true)
	wall.forward(2500 * time.Millisecond)
	good("half a session after it was sent", false)
	for name, lose := range map[string]func(){"lost": h.lost, "not known to its group": func() { h.OnGroupManageError(errors.New("unknown member")) }} {
		answered(kmsg.SyncGroup, kgo.BrokerE2E{})
		good("after a rebalance", true)
		lose()
		good(name, false)
	}
}
