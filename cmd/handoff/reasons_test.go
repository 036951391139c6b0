package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// badRecord is one that a stage cannot process, for a reason that it must tell.
type badRecord struct {
	topic  string
	change func(*handoffv1.Record) // of a message that all would process
	raw    []byte                  // instead of it
	aside  bool                    // on another partition than its key's
	reason string
	mended bool // it is processed once it is put back
}

func badRecords() []badRecord {
	command := func(body *handoffv1.Command) func(*handoffv1.Record) {
		return func(r *handoffv1.Record) { r.Body = &handoffv1.Record_Command{Command: body} }
	}
	return []badRecord{
		{topic: schemas.TopicConsent, raw: []byte("no record"), reason: "bad record: not a handoff.v1.Record"},
		{topic: schemas.TopicConsent, aside: true, reason: "record on the wrong partition", mended: true},
		{topic: schemas.TopicConsent, change: func(r *handoffv1.Record) { r.Id = nil }, reason: "bad record: id has 0 bytes"},
		{topic: schemas.TopicConsent, change: func(r *handoffv1.Record) { r.Address = "+14155559999" }, reason: "bad record: filed under a key that is not that of its shop and address"},
		{topic: schemas.TopicConsent, change: func(r *handoffv1.Record) { r.ReceivedAt = nil }, reason: "bad record: no received_at"},
		{topic: schemas.TopicConsent, change: func(r *handoffv1.Record) { r.Body = nil }, reason: "bad record: no body, or one of a newer version"},
		{topic: schemas.TopicConsent, change: func(r *handoffv1.Record) { r.Conversation = "" }, reason: "bad record: no conversation"},
		{topic: schemas.TopicConsent, change: command(&handoffv1.Command{}), reason: "bad record: consent does not read *handoffv1.Record_Command"},
		{topic: schemas.TopicClassify, change: func(r *handoffv1.Record) {
			r.GetCustomerMessage().Text = strings.Repeat("long ", schemas.MaxRecordBytes/5-40)
		}, reason: "record too large"},
		{topic: schemas.TopicEscalate, change: func(r *handoffv1.Record) { r.Conversation = "" }, reason: "a *handoffv1.Record_CustomerMessage without a conversation cannot be handled"},
		{topic: schemas.TopicDeliver, change: command(&handoffv1.Command{}), reason: "a command of no known kind"},
		{topic: schemas.TopicDeliver, change: func(*handoffv1.Record) {}, reason: "deliver does not read a *handoffv1.Record_CustomerMessage"},
	}
}

// record to post, the n-th; partitions is how many its topic has.
func (b *badRecord) record(t *testing.T, n, partitions int) *kgo.Record {
	t.Helper()
	address := fmt.Sprintf("+1415557%04d", n)
	key := []byte("acme|" + address)
	out := &kgo.Record{Topic: b.topic, Key: key, Value: b.raw, Partition: schemas.Partition(key, partitions)}
	if b.aside {
		out.Partition = (out.Partition + 1) % int32(partitions)
	}
	if b.raw != nil {
		return out
	}
	r := &handoffv1.Record{
		Id: schemas.EffectID([]byte("made"), "reason", n), Shop: "acme", Address: address, Channel: handoffv1.Channel_CHANNEL_SMS, Account: "+15557770000",
		Conversation: "sms:+15557770000", SettingsVersion: 1, ReceivedAt: timestamppb.Now(), EventTime: timestamppb.Now(),
		Body: &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{Text: "hello", NativeId: fmt.Sprint(n)}},
	}
	if b.change != nil {
		b.change(r)
	}
	value, err := schemas.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	out.Value = value
	return out
}

// TestDeadLetterReasons: every kind of bad record becomes a dead letter that tells where it was and why; the log tells it
// too, and nobody's number. What is right once it is put back is processed then; what is not becomes another letter.
func TestDeadLetterReasons(t *testing.T) { deadLetterReasons(t, stageRan(t), badRecords()) }

// TestRealKafkaDeadLetterReasons: the same on a real broker, and of a record whose settings come too late.
func TestRealKafkaDeadLetterReasons(t *testing.T) {
	h := stageRanOn(t, realBroker(t), "instance=one", "kafka.session_timeout=6s")
	deadLetterReasons(t, h, append(badRecords(), badRecord{topic: schemas.TopicConsent, mended: true,
		change: func(r *handoffv1.Record) { r.SettingsVersion = 2 }, reason: "settings of acme, version 2: settings version not read yet"}))
}

func deadLetterReasons(t *testing.T, h *inspected, all []badRecord) {
	var log bytes.Buffer
	deciding := []string{schemas.StageClassify, schemas.StageConsent, schemas.StageEscalate, schemas.StageDeliver}
	brokers := strings.TrimPrefix(h.set[0], "kafka.brokers=")
	client, err := kafka.Connection{Brokers: []string{brokers}}.NewClient("test", kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(schemas.MaxRecordBytes+1<<10))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	posted := make([]*kgo.Record, len(all))
	h.whileLogging(&log, deciding, func() {
		for n := range all {
			posted[n] = all[n].record(t, n, 4)
			if err := client.ProduceSync(t.Context(), posted[n]).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		h.until("all are dead letters", func() bool { return len(h.list()) == len(all) })
	})
	for _, l := range h.list() {
		n := slices.IndexFunc(posted, func(r *kgo.Record) bool {
			return l.Name == fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)
		})
		if n < 0 {
			t.Errorf("%+v was not posted", l)
			continue
		}
		if !strings.Contains(l.Reason, all[n].reason) || l.Status != "open" {
			t.Errorf("%s: %q, want %q", l.Name, l.Reason, all[n].reason)
		}
		if !strings.Contains(log.String(), l.Name) {
			t.Errorf("the log does not tell of %s", l.Name)
		}
	}
	if strings.Contains(log.String(), "+1415557") || strings.Contains(log.String(), "+1415555") {
		t.Errorf("somebody's number is in the log:\n%s", log.String())
	}
	shop := filepath.Join(t.TempDir(), "acme.yaml")
	if err := os.WriteFile(shop, []byte(acmeSettings+"bot_name: Max\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, problems, code := h.at("settings", "apply", "-f", shop); code != 0 {
		t.Fatal(problems)
	}
	again := 0
	for _, b := range all {
		if !b.mended {
			again++
		}
	}
	h.whileLogging(&log, deciding, func() {
		for _, stage := range deciding {
			if _, problems, code := h.at("dlq", "replay", "--all", "--stage", stage); code != 0 {
				t.Errorf("replay of %s: %s", stage, problems)
			}
		}
		h.until("what fails again is a letter again, and all is read", func() bool {
			_, _, code := h.at("lag", "--fail-above", "0", schemas.StageClassify, schemas.StageConsent, schemas.StageEscalate)
			return code == 0 && len(h.list()) >= len(all)+again
		})
	})
	if n := len(h.list()); n != len(all)+again {
		t.Errorf("%d dead letters, want %d: what is in order now failed again", n, len(all)+again)
	}
}

// whileLogging is whileRunning with what the stages log.
func (h *inspected) whileLogging(log *bytes.Buffer, stages []string, do func()) {
	h.t.Helper()
	quiet := h.set
	h.set = append(slices.Clone(h.set), "log.level=warn")
	defer func() { h.set = quiet }()
	_, problems, _ := captured(h.t, func() int {
		h.whileRunning(stages, do)
		return 0
	})
	log.WriteString(problems)
}
