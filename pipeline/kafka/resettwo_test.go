package kafka_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/pipeline/kafka"
)

// TestTwoResets: whenever a second reset begins while one is at work, the second is carried out whole, and the first ends
// and says so: state, offsets and outputs are those of the second alone.
func TestTwoResets(t *testing.T) {
	for _, at := range meetings {
		t.Run(at.name, func(t *testing.T) {
			h := newHouse(t)
			h.load(0, 120, began)
			h.run(clerk{}, t.TempDir())
			h.twoResets(at, 1000)
		})
	}
}

// meeting is a moment of a reset in which another begins.
type meeting struct {
	name     string
	key      kmsg.Key
	skip     int
	answered bool
}

var meetings = []meeting{
	{"others are fenced", kmsg.InitProducerID, 0, true},
	{"before it joins the group", kmsg.JoinGroup, 0, false},
	{"it has joined the group", kmsg.JoinGroup, 0, true},
	{"before the marks", kmsg.TxnOffsetCommit, 0, false},
	{"the marks are in the transaction", kmsg.TxnOffsetCommit, 0, true},
	{"it has begun", kmsg.EndTxn, 0, true},
	{"in the midst of the records", kmsg.EndTxn, 5, false},
	{"before the end", kmsg.TxnOffsetCommit, 1, false},
	{"before the end is committed", kmsg.TxnOffsetCommit, 1, true},
}

// twoResets has a second reset begin and end in the midst of one with the bug. What is loaded then has numbers from next
// on: later ones than before, for whether an older timer has fired by then would be a matter of chance.
func (h *house) twoResets(at meeting, next int) {
	t := h.t
	t.Helper()
	out := len(h.out())
	second := h.resetConfig(clerk{})
	second.Start.Earliest = true
	var failed error
	wire := kafka.NewWire()
	hits := wire.At(at.key, at.skip, at.answered, func() { _, failed = h.reset(second) })
	first := h.resetConfig(clerk{bug: true})
	first.Start.Earliest = true
	first.Options = append([]kgo.Opt{wire.Option()}, first.Options...)
	_, err := h.reset(first)
	if hits() == 0 {
		t.Fatal("the second did not begin")
	}
	if failed != nil {
		t.Errorf("the second: %v", failed)
	}
	if err == nil || !strings.Contains(err.Error(), "another reset of this stage began meanwhile") && !errors.Is(err, kafka.ErrMoved) {
		t.Errorf("the first: %v", err)
	}
	h.compare("after the second", h.fresh(clerk{}, nil))
	if n := len(h.out()); n != out {
		t.Errorf("%d outputs, want %d", n, out)
	}
	h.load(next, 40, began)
	h.run(clerk{}, t.TempDir())
	h.compare("after going on", h.fresh(clerk{}, nil))
}

// TestRealKafkaTwoResets: the same on a real broker, in the moments in which the group is asked.
func TestRealKafkaTwoResets(t *testing.T) {
	if os.Getenv("HANDOFF_TEST_KAFKA") != "start" {
		t.Skip("HANDOFF_TEST_KAFKA=start has the test start a broker")
	}
	h := realHouse(context.Background(), t)
	h.load(0, 120, began)
	h.run(clerk{}, t.TempDir())
	for i, at := range meetings {
		if at.key == kmsg.InitProducerID || at.key == kmsg.EndTxn || !at.answered {
			continue
		}
		began := time.Now()
		h.twoResets(at, 1000*(i+1))
		t.Logf("%s: %s", at.name, time.Since(began).Truncate(time.Millisecond))
	}
}
