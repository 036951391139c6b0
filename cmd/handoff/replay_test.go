package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/deadletter"
)

// TestRealKafkaReplayAtOnce: processes that put the same dead letters back or drop them at the same time, and some that are
// killed amid it: each letter is dealt with once, and what it says is what was done.
func TestRealKafkaReplayAtOnce(t *testing.T) {
	h := stageRanOn(t, realBroker(t), "instance=one", "kafka.session_timeout=6s")
	const letters = 6 // fewer in a row than stop the stage, also when they fail again
	h.lose(letters)
	var both sync.WaitGroup
	for _, args := range [][]string{{"replay", "--all", "--stage", "consent"}, {"drop", "--all", "--stage", "consent", "--reason", "test"}, {"replay", "--all", "--stage", "consent"}} {
		both.Go(func() {
			code, said := h.alone(append([]string{"dlq"}, args...)...)
			if code != 0 && !strings.Contains(said, "somebody else began to meanwhile") && !strings.Contains(said, "nothing was done") {
				t.Errorf("%v: %d %s", args, code, said)
			}
		})
	}
	both.Wait()
	if code, said := h.alone("dlq", "replay", "--all", "--stage", "consent"); code != 0 {
		t.Errorf("what was left open: %d %s", code, said)
	}
	h.dealtWithOnce(letters)

	h.lose(2 * letters)
	began := time.Now()
	h.alone("dlq", "replay", h.list()[0].Place) // does nothing, and takes about as long
	whole, killed := time.Since(began), 0
	for i := range 5 {
		killed += h.killed(whole*time.Duration(i+2)/7, "dlq", "replay", "--all", "--stage", "consent")
	}
	t.Logf("killed %d times", killed)
	if code, said := h.alone("dlq", "replay", "--all", "--stage", "consent"); code != 0 {
		t.Errorf("after the last kill: %d %s", code, said)
	}
	h.dealtWithOnce(2 * letters)
}

// lose has consent fail on records until there are so many dead letters.
func (h *inspected) lose(n int) {
	h.t.Helper()
	h.whileRunning([]string{schemas.StageConsent}, func() {
		client := h.client()
		for i := len(h.list()); i < n; i++ {
			bad := &kgo.Record{Topic: schemas.TopicConsent, Key: fmt.Appendf(nil, "acme|+1415555%04d", i), Value: []byte("no record")}
			if err := client.ProduceSync(h.t.Context(), bad).FirstErr(); err != nil {
				h.t.Fatal(err)
			}
		}
		h.until("dead letters", func() bool { return len(h.list()) >= n })
	})
}

// alone runs a command in a process of its own.
func (h *inspected) alone(args ...string) (code int, said string) {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.CommandContext(h.t.Context(), self, append(args, h.flags()...)...)
	cmd.Env = append(os.Environ(), commandEnv+"=1")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		h.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// dealtWithOnce makes sure that no dead letter is open, and that those and only those that were put back are in the mailbox
// again, each once.
func (h *inspected) dealtWithOnce(atLeast int) {
	h.t.Helper()
	back := map[string]int{}
	brokers := strings.TrimPrefix(h.set[0], "kafka.brokers=")
	if err := (kafka.Connection{Brokers: []string{brokers}}).ReadTopic(h.t.Context(), schemas.TopicConsent, func(r *kgo.Record) error {
		for _, header := range r.Headers {
			if header.Key == deadletter.HeaderReplay {
				back[string(header.Value)]++
			}
		}
		return nil
	}); err != nil {
		h.t.Fatal(err)
	}
	all := h.list()
	if len(all) < atLeast {
		h.t.Errorf("%d dead letters, want %d", len(all), atLeast)
	}
	for _, l := range all {
		want := map[string]int{"replayed": 1, "dropped": 0, "open": -1}[l.Status]
		if back[l.Place] != want {
			h.t.Errorf("%s is %s and %d times in the mailbox again", l.Place, l.Status, back[l.Place])
		}
	}
}
