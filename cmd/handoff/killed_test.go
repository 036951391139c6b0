package main

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/schemas"
)

// commandEnv has the test binary run a command line, its arguments, instead of tests.
const commandEnv = "HANDOFF_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(commandEnv) != "" {
		os.Exit(run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// TestRealKafkaResetKilled: `handoff reset` is killed again and again, a little later each time; the next one finishes, and
// the stage keeps what it kept. With --emit deliver is told the same once more, and nothing is put out else.
func TestRealKafkaResetKilled(t *testing.T) {
	h := stageRanOn(t, realBroker(t), "kafka.unique_ids=true")
	people := 40
	h.whileRunning([]string{schemas.StageClassify, schemas.StageConsent}, func() {
		client := h.client()
		for i := range people {
			send(t, client, []string{"START", "STOP"}[i%2], 100+i, time.Now())
		}
		h.until("consent has read it all", func() bool {
			_, _, code := h.at("lag", "--fail-above", "0", "classify", "consent")
			return code == 0 && len(h.gates()) >= people
		})
	})
	before, told := h.ledgers(), len(h.gates())
	for _, args := range [][]string{{"reset", "consent", "--yes"}, {"reset", "consent", "--yes", "--emit"}} {
		began := time.Now()
		if out, problems, code := h.at(args...); code != 0 {
			t.Fatalf("%v: %d %s%s", args, code, out, problems)
		}
		whole, killed := time.Since(began), 0
		for i := range 6 {
			killed += h.killed(whole*time.Duration(i+1)/7, args...)
		}
		t.Logf("%v takes %s; killed %d times", args, whole, killed)
		if out, problems, code := h.at(args...); code != 0 {
			t.Fatalf("%v: %d %s%s", args, code, out, problems)
		}
		if after := h.ledgers(); after != before {
			t.Errorf("%v: consent keeps\n%s\nand kept before\n%s", args, after, before)
		}
		if len(args) == 3 {
			if n := len(h.gates()); n != told {
				t.Errorf("%v: deliver was told %d times, %d before", args, n, told)
			}
		}
	}
	if last := h.gates(); len(last) <= told || last[len(last)-1] != last[told-1] {
		t.Errorf("deliver was told %d times, %d before; %s last, and before %s", len(last), told, last[len(last)-1], last[told-1])
	}
	h.whileRunning([]string{schemas.StageClassify, schemas.StageConsent}, func() {
		n := len(h.gates())
		send(t, h.client(), "START", 1000, time.Now())
		h.until("consent goes on", func() bool { return len(h.gates()) > n })
	})
}

// killed runs a command in a process of its own and kills it after so long; it returns 1, or 0 where it had ended.
func (h *inspected) killed(after time.Duration, args ...string) int {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.Command(self, append(args, h.flags()...)...)
	cmd.Env = append(os.Environ(), commandEnv+"=1")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	kill := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	err = cmd.Wait()
	if kill.Stop() && err != nil {
		h.t.Errorf("%v: %v: %s", args, err, said.String())
	}
	if err != nil {
		return 1
	}
	return 0
}

// varies: versions of ledgers count on through resets, and the time at which a ledger is looked at again is reckoned
// from when the record was processed.
var varies = regexp.MustCompile(`line/\d+|"version":"\d+"|"due":"[^"]+"`)

// ledgers is what consent keeps, without what varies.
func (h *inspected) ledgers() string {
	return varies.ReplaceAllString(h.kept("consent"), "varies")
}
