package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// whileRunning runs stages on the cluster, does something, and ends them.
func (h *inspected) whileRunning(stages []string, do func()) {
	h.t.Helper()
	ctx, stop := context.WithCancel(h.t.Context())
	a, err := (&session{ctx: ctx, set: h.set}).app()
	if err != nil {
		h.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.RunStages(ctx, stages) }()
	do()
	stop()
	if err := <-ended; err != nil {
		h.t.Fatal(err)
	}
}

// client of the cluster.
func (h *inspected) client() *kgo.Client {
	h.t.Helper()
	brokers := strings.TrimPrefix(h.set[0], "kafka.brokers=")
	client, err := kafka.Connection{Brokers: []string{brokers}}.NewClient("test", kgo.RecordPartitioner(kafka.ByKey()))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(client.Close)
	return client
}

// until waits for a condition.
func (h *inspected) until(what string, ok func() bool) {
	h.t.Helper()
	const patience = 2 * time.Minute // of a machine that does much else
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// gates are the words about a person's texts that deliver was sent, in order.
func (h *inspected) gates() (all []string) {
	h.t.Helper()
	brokers := strings.TrimPrefix(h.set[0], "kafka.brokers=")
	if err := (kafka.Connection{Brokers: []string{brokers}}).ReadTopic(h.t.Context(), schemas.TopicDeliver, func(r *kgo.Record) error {
		rec, err := schemas.Decode(r.Key, r.Value)
		if err != nil {
			return err
		}
		switch body := rec.GetBody().(type) {
		case *handoffv1.Record_TextGate:
			all = append(all, map[bool]string{true: "shut", false: "open"}[body.TextGate.GetShut()])
		case *handoffv1.Record_ConsentChanged:
			all = append(all, body.ConsentChanged.GetStatus().String())
		}
		return nil
	}); err != nil {
		h.t.Fatal(err)
	}
	return all
}

// TestDlqCommands: what consent cannot read is listed, shown, put back once, dropped once, and the
// texts it shut open only when all of it is dealt with.
func TestDlqCommands(t *testing.T) { dlqCommands(t, stageRan(t)) }

func dlqCommands(t *testing.T, h *inspected) {
	t.Helper()
	way := []string{schemas.StageClassify, schemas.StageConsent, schemas.StageEscalate} // of the word that a letter is dealt with
	client := h.client()
	bad := &kgo.Record{Topic: schemas.TopicConsent, Key: []byte(person), Value: []byte("no record")}
	h.whileRunning(way, func() {
		if err := client.ProduceSync(t.Context(), bad).FirstErr(); err != nil {
			t.Fatal(err)
		}
		h.until("a dead letter", func() bool { return len(h.list()) == 1 })
	})
	first := h.list()[0]
	if first.Stage != "consent" || first.Status != "open" || first.What != "unreadable" || !strings.Contains(first.Reason, "not a handoff.v1.Record") {
		t.Errorf("%+v", first)
	}
	if out, _, code := h.at("dlq", "show", first.Place); code != 0 || !strings.Contains(out, `"value": "bm8gcmVjb3Jk"`) {
		t.Errorf("show: %d %s", code, out)
	}
	if out, _, code := h.at("dlq", "replay", "--all", "--stage", "consent", "--dry-run"); code != 0 || !strings.Contains(out, first.Place) || h.list()[0].Status != "open" {
		t.Errorf("dry run: %d %s", code, out)
	}
	h.whileRunning(way, func() {
		if out, problems, code := h.at("dlq", "replay", first.Name); code != 0 || !strings.Contains(out, "replayed: 1") {
			t.Fatalf("replay: %d %s %s", code, out, problems)
		}
		h.until("it failed again", func() bool { return len(h.list()) == 2 })
		// Deliver is told once more what counts before the texts open.
		h.until("the first is resolved", func() bool {
			g := strings.Join(h.gates(), " ")
			return strings.Contains(g, "shut shut CONSENT_STATUS") && strings.HasSuffix(g, " open")
		})
		if out, _, code := h.at("dlq", "replay", first.Place); code != 0 || !strings.Contains(out, "nothing to do") {
			t.Errorf("replay again: %d %s", code, out)
		}
		second := h.list()[1].Place
		if out, problems, code := h.at("dlq", "drop", second, "--reason", "not ours", "--by", "Ann"); code != 0 || !strings.Contains(out, "dropped: 1") {
			t.Errorf("drop: %d %s %s", code, out, problems)
		}
		h.until("the texts are open", func() bool { return strings.Count(strings.Join(h.gates(), " "), "open") == 2 })
	})
	if l := h.list()[1]; l.Status != "dropped" || l.By != "Ann" || l.Why != "not ours" {
		t.Errorf("%+v", l)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"replay", h.list()[1].Place}, 1, "was dropped for good, by Ann"},
		{[]string{"drop", first.Place, "--reason", "late"}, 1, "was put back already"},
		{[]string{"show", "9/9"}, 1, "no such dead letter: 9/9"},
		{[]string{"replay", "9/9", first.Place}, 1, "nothing was done"},
		{[]string{"replay"}, 2, "give places, or --all"},
		{[]string{"replay", "--all"}, 2, "--all needs --stage"},
		{[]string{"drop", first.Place, "--reason", " "}, 2, "must say why"},
		{[]string{"list", "--stage", "nobody"}, 2, "there is no stage"},
		{[]string{"list", "--since", "yesterday"}, 2, "not a time"},
		{[]string{"list", "--since", "0s", "--open"}, 0, ""},
	} {
		out, problems, code := h.at(append([]string{"dlq"}, c.args...)...)
		if code != c.code || !strings.Contains(problems+out, c.says) {
			t.Errorf("dlq %v: %d, want %d; %s%s", c.args, code, c.code, out, problems)
		}
	}
}

// listed is what the test reads of a letter.
type listed struct{ Place, Name, Stage, Status, What, Reason, By, Why string }

func (h *inspected) list() (all []listed) {
	h.t.Helper()
	out, problems, code := h.at("dlq", "list", "--format", "json")
	if code != 0 {
		h.t.Fatal(problems)
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		h.t.Fatal(err)
	}
	return all
}

// TestResetCommand: the plan first, then the reset; what must not be reset is refused with its reason.
func TestResetCommand(t *testing.T) { resetCommands(t, stageRan(t)) }

func resetCommands(t *testing.T, h *inspected) {
	before, _, _ := h.at("state", "get", "consent", person)
	if !strings.Contains(before, "UNSUBSCRIBED") {
		t.Fatalf("before: %s", before)
	}
	for _, args := range [][]string{{"reset", "consent"}, {"reset", "consent", "--dry-run"}} {
		out, problems, code := h.at(args...)
		if code != 0 || !strings.Contains(out, "Nothing was changed. Say --yes to do it.") || !strings.Contains(out, "0 to 1") {
			t.Errorf("%v: %d %s%s", args, code, out, problems)
		}
	}
	out, problems, code := h.at("reset", "consent", "--yes")
	if code != 0 || !strings.Contains(out, "Done: 1 records processed again, 0 outputs produced.") {
		t.Fatalf("reset: %d %s%s", code, out, problems)
	}
	after, _, _ := h.at("state", "get", "consent", person)
	if !strings.Contains(after, "UNSUBSCRIBED") || !strings.Contains(after, `"version":"2"`) && !strings.Contains(after, `"version": "2"`) {
		t.Errorf("the ledger does not count on from where it was: %s", after)
	}
	h.unfinishedReset()
	h.whileRunning([]string{schemas.StageClassify, schemas.StageConsent}, func() {
		send(t, h.client(), "START", 3, time.Now())
		h.until("consent goes on", func() bool {
			return strings.HasSuffix(strings.Join(h.gates(), " "), "CONSENT_STATUS_SUBSCRIBED")
		})
		if _, problems, code := h.at("reset", "consent", "--yes"); code != 1 || !strings.Contains(problems, "the stage is running") {
			t.Errorf("while it runs: %d %s", code, problems)
		}
	})
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"deliver", "--yes"}, 2, "would send texts twice"},
		{[]string{"analytics", "--yes"}, 2, "rows apart by partition and offset"},
		{[]string{"classify", "--emit", "--yes"}, 2, "consent would handle every message a second time"},
		{[]string{"escalate", "--emit"}, 2, "would reach customers days late"},
		{[]string{"consent", "--emit"}, 0, "All other outputs are discarded."},
		{[]string{"nobody"}, 2, "there is no stage"},
		{[]string{"consent", "--to-offset", "x"}, 2, "give partition:offset"},
		{[]string{"consent", "--to-offset", "1:0", "--to-earliest"}, 2, "can't be used together"},
		{[]string{"consent", "--keep-state", "--emit"}, 2, "goes with none of"},
		{[]string{"consent", "--to-time", "1s", "--yes"}, 1, "--accept-loss"},
		{[]string{"escalate", "--to-time", "2999-01-01", "--yes"}, 1, "cannot begin there: 2999-01-01T00:00:00Z is in the future"},
		{[]string{"escalate", "--partition", "7"}, 1, "has no partition 7"},
		{[]string{"consent", "--keep-state", "--yes"}, 0, "Done: 0 records"},
	} {
		out, problems, code := h.at(append([]string{"reset"}, c.args...)...)
		if code != c.code || !strings.Contains(out+problems, c.says) {
			t.Errorf("reset %v: %d, want %d; %s%s", c.args, code, c.code, out, problems)
		}
	}
	h.whileRunning([]string{schemas.StageConsent}, func() {
		h.until("consent starts after all", func() bool {
			out, _, _ := h.at("lag", "consent")
			return strings.Contains(out, "Stable")
		})
	})
}

// unfinishedReset marks consent's partition as a reset does that was killed behind its first step: the stage refuses to
// start, and who asks for the lag is told so, though all is read. The command that is named finishes it.
func (h *inspected) unfinishedReset() {
	t := h.t
	t.Helper()
	admin, p := kadm.NewClient(h.client()), schemas.Partition([]byte(person), 4)
	until, life := h.committedAt(schemas.TopicConsent, p), time.Now().UnixMilli()
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: schemas.TopicConsent, Partition: p, At: until, LeaderEpoch: -1,
		Metadata: fmt.Sprintf("handoff-reset:1 from=0 until=%d life=%d clock=0 at=%d emit=false keep=false", until, life, life)})
	if err := admin.CommitAllOffsets(t.Context(), schemas.TopicConsent, offsets); err != nil {
		t.Fatal(err)
	}
	const says = "and the stage processes nothing before it is"
	if out, _, code := h.at("lag", "consent"); code != 0 || !strings.Contains(out, says) || !strings.Contains(out, "handoff reset consent --yes") {
		t.Errorf("lag: %d %s", code, out)
	}
	if out, _, _ := h.at("lag", "consent", "--format", "json"); !strings.Contains(out, `"reset_unfinished":true`) || !strings.Contains(out, `"reset_began":"2`) {
		t.Errorf("lag as JSON: %s", out)
	}
	if _, problems, code := h.at("lag", "consent", "--fail-above", "100"); code != exitBehind || !strings.Contains(problems, says) {
		t.Errorf("lag with a limit: %d %s", code, problems)
	}
	if out, problems, code := h.at("reset", "consent", "--yes"); code != 0 || !strings.Contains(out, "unfinished since") {
		t.Errorf("reset: %d %s%s", code, out, problems)
	}
	if out, _, code := h.at("lag", "consent", "--fail-above", "100"); code != 0 || strings.Contains(out, says) {
		t.Errorf("lag after it: %d %s", code, out)
	}
}

// TestResetEscalate: built again by the same version, from all records, from an offset or from a time before the
// conversation began, escalate keeps what it kept; nothing is put out a second time. From behind the conversation it
// knows nothing of it, and goes on.
func TestResetEscalate(t *testing.T) {
	h := stageRan(t)
	client := h.client()
	stages := []string{schemas.StageClassify, schemas.StageConsent, schemas.StageEscalate}
	h.whileRunning(stages, func() {
		for i, text := range []string{"START", "My order came broken, I want to cancel it", "yes", "it is order 7"} {
			send(t, client, text, 10+i, time.Now())
		}
		h.until("escalate read it all", func() bool {
			_, _, code := h.at("lag", "--fail-above", "0", "classify", "consent", "escalate")
			return code == 0 && h.committedAt(schemas.TopicEscalate, schemas.Partition([]byte(person), 4)) > 3 && h.count(schemas.TopicDeliver) > 3
		})
	})
	before, put := h.kept("escalate"), h.count(schemas.TopicDeliver)
	p := schemas.Partition([]byte(person), 4)
	for _, args := range [][]string{{}, {"--to-offset", fmt.Sprintf("%d:0", p)}, {"--to-time", "1h"}} {
		out, problems, code := h.at(append([]string{"reset", "escalate", "--yes"}, args...)...)
		if code != 0 || strings.Contains(out, "Done: 0 records") {
			t.Fatalf("%v: %d %s%s", args, code, out, problems)
		}
		if after := h.kept("escalate"); after != before {
			t.Errorf("%v: escalate keeps\n%s\nand kept before\n%s", args, after, before)
		}
		if n := h.count(schemas.TopicDeliver); n != put {
			t.Errorf("%v: deliver was sent %d records, and %d before", args, n, put)
		}
	}
	// From behind all of it nothing of it is known any more.
	end := h.committedAt(schemas.TopicEscalate, p)
	if out, problems, code := h.at("reset", "escalate", "--yes", "--to-offset", fmt.Sprintf("%d:%d", p, end)); code != 0 || !strings.Contains(out, "PARTIAL") {
		t.Fatalf("from the end: %d %s%s", code, out, problems)
	}
	if left := h.kept("escalate"); strings.Contains(left, `"kind":"entry"`) {
		t.Errorf("from the end: it keeps %s", left)
	}
	if _, problems, code := h.at("reset", "escalate", "--yes", "--to-offset", fmt.Sprintf("%d:%d", p, end+1)); code != 1 || !strings.Contains(problems, "was not processed yet") {
		t.Errorf("from beyond the end: %d %s", code, problems)
	}
	h.whileRunning(stages, func() {
		send(t, client, "I want to talk to a person", 20, time.Now())
		h.until("it goes on", func() bool {
			return h.committedAt(schemas.TopicEscalate, p) > end && strings.Contains(h.kept("escalate"), `"kind":"entry"`)
		})
	})
}

// kept is what a stage keeps, without where it stands.
func (h *inspected) kept(stage string) string {
	h.t.Helper()
	out, problems, code := h.at("state", "scan", stage, "--format", "json", "--limit", "0")
	if code != 0 {
		h.t.Fatalf("state scan: %d %s", code, problems)
	}
	var items []string
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, `{"kind":"position"`) {
			items = append(items, line)
		}
	}
	return strings.Join(items, "")
}

// count is how many records are in a topic.
func (h *inspected) count(topic string) (n int) {
	h.t.Helper()
	brokers := strings.TrimPrefix(h.set[0], "kafka.brokers=")
	if err := (kafka.Connection{Brokers: []string{brokers}}).ReadTopic(h.t.Context(), topic, func(*kgo.Record) error {
		n++
		return nil
	}); err != nil {
		h.t.Fatal(err)
	}
	return n
}

// committedAt is where a mailbox's group stands.
func (h *inspected) committedAt(mailbox string, partition int32) int64 {
	h.t.Helper()
	at, err := kadm.NewClient(h.client()).FetchOffsets(h.t.Context(), mailbox)
	if err != nil {
		h.t.Fatal(err)
	}
	return at[mailbox][partition].At
}
