package kafka_test

import (
	"context"
	"errors"
	"os/exec"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/pipeline/kafka/kafkatest"
	"github.com/handoff-dev/handoff/schemas"
)

// realHouse is a house on a real broker of its own; ctx bounds the start.
func realHouse(ctx context.Context, t *testing.T) *house {
	t.Helper()
	c, err := kafkatest.Start(ctx, kafkatest.Config{Java: []string{"-XX:TieredStopAtLevel=1"}, Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return furnish(t, nil, c.Brokers(), kafka.NewBlackBox(t))
}

// TestResetOnRealKafka: refused while the stage runs; interrupted, waited for, finished; again from
// local state and from none; after something else has set the offsets.
func TestResetOnRealKafka(t *testing.T) {
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	if testing.Short() {
		t.Skip("starts a broker")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	h := realHouse(ctx, t)
	h.load(0, 100, began)
	dir := t.TempDir()
	stop := h.runner(clerk{bug: true}, dir)
	h.until("everything is processed", func() bool { return h.drained() && h.timers() == 0 })
	if _, err := h.reset(h.resetConfig(clerk{})); !errors.Is(err, kafka.ErrMembers) {
		t.Errorf("reset of a running stage: %v", err)
	}
	stop()
	h.empty()
	out := len(h.out())

	// Ended in the midst of the records.
	short, end := context.WithCancel(ctx)
	cfg := h.resetConfig(clerk{})
	seen := int64(0)
	cfg.Progress = func(what, _ string, _ int64) (func(int64), func()) {
		return func(n int64) {
			if what == "process handoff.keeper again" {
				if seen += n; seen > 60 {
					end()
				}
			}
		}, func() {}
	}
	r, err := kafka.OpenReset(short, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run(short); !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	stop = h.waiting(clerk{}, dir)
	if _, err := h.reset(h.resetConfig(clerk{})); err != nil {
		t.Fatal(err)
	}
	h.compare("after the reset", h.fresh(clerk{}, nil))
	if n := len(h.out()); n != out {
		t.Errorf("%d outputs, want %d", n, out)
	}
	h.load(50, 100, began)
	h.until("who waited goes on", func() bool { return h.drained() && h.timers() == 0 })
	stop()
	h.run(clerk{}, dir)
	h.compare("on the old local state", h.fresh(clerk{}, nil))

	offsets := kadm.Offsets{}
	for p := range int32(keeperPartitions) {
		offsets.Add(kadm.Offset{Topic: schemas.Mailbox("keeper"), Partition: p, At: 3, LeaderEpoch: -1})
	}
	if err := h.admin.CommitAllOffsets(ctx, schemas.Mailbox("keeper"), offsets); err != nil {
		t.Fatal(err)
	}
	if err := h.refused(clerk{}, dir); err == nil {
		t.Fatal("the stage started from an offset that something else has set")
	}
	cfg = h.resetConfig(nil)
	cfg.KeepState = true
	if _, err := h.reset(cfg); err != nil {
		t.Fatal(err)
	}
	h.load(150, 20, began)
	h.run(clerk{}, t.TempDir())
	h.compare("put back, restored from the changelog alone", h.fresh(clerk{}, nil))
}
