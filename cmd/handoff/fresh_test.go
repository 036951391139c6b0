package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestWithoutTopics: on a cluster that has no topics yet every command says so at once, and what makes them.
func TestWithoutTopics(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	h := &inspected{t: t, set: []string{"kafka.brokers=" + c.ListenAddrs()[0], "state_dir=" + filepath.Join(t.TempDir(), "state")}}
	shop := filepath.Join(t.TempDir(), "acme.yaml")
	if err := os.WriteFile(shop, []byte("shop: acme\nname: Acme\nsupport_contact: help@acme.example\naccounts:\n- {channel: sms, account: \"+15557770000\", provider: twilio, user: AC1, secret: \"env:TOKEN\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"lag"}, {"dlq", "list"}, {"dlq", "show", "0/0"}, {"dlq", "replay", "0/0"}, {"dlq", "drop", "0/0", "--reason", "why"}, {"state", "get", "consent", person},
		{"state", "scan", "consent"}, {"reset", "consent"}, {"reset", "consent", "--yes"}, {"settings", "apply", "-f", shop}, {"explain", "acme", "+14155550001"},
	} {
		began := time.Now()
		_, problems, code := h.at(args...)
		if code != exitFailed || strings.Count(problems, "there is no such topic (handoff topics apply creates it)") != 1 || strings.Count(problems, "\n") != 1 {
			t.Errorf("%v: %d %s", args, code, problems)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("%v took %s", args, took)
		}
	}
}

// TestLagOfANewCluster: a cluster that was just made has no coordinator of groups for a while. That is waited for, and
// told where it does not end.
func TestLagOfANewCluster(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	h := &inspected{t: t, set: []string{"kafka.brokers=" + c.ListenAddrs()[0], "kafka.partitions=1", "kafka.replication=1", "state_dir=" + filepath.Join(t.TempDir(), "state")}}
	if _, problems, code := h.at("topics", "apply"); code != 0 {
		t.Fatal(problems)
	}
	none := func(count int) *kfake.FaultHandle {
		return c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeGroups}, Err: kerr.CoordinatorNotAvailable, Count: count})
	}
	for _, args := range [][]string{{"lag", "classify"}, {"reset", "consent"}} {
		f := none(3)
		if _, problems, code := h.at(args...); code != 0 || f.Hits() != 3 {
			t.Errorf("%v: %d after %d answers: %s", args, code, f.Hits(), problems)
		}
	}
	defer none(-1).Remove()
	if _, problems, code := h.at("lag", "classify"); code != exitFailed || !strings.Contains(problems, "none of its brokers coordinates the group yet") {
		t.Errorf("it never has one: %d %s", code, problems)
	}
}
