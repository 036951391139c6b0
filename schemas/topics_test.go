package schemas

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The values are those of Kafka's own test of its murmur2 (org.apache.kafka.common.utils.UtilsTest).
func TestMurmur2(t *testing.T) {
	for in, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2([]byte(in))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", in, got, want)
		}
	}
}

func TestPartitionIsWithinRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOf(rapid.Byte()).Draw(t, "key")
		n := rapid.IntRange(1, 1000).Draw(t, "n")
		if p := Partition(key, n); p < 0 || int(p) >= n {
			t.Fatalf("partition %d of %d", p, n)
		}
	})
	if got, want := Partition([]byte("foobar"), 64), int32((uint32(0xffffffff-790332482+1)&0x7fffffff)%64); got != want {
		t.Errorf("foobar is on partition %d, want %d", got, want)
	}
}

func TestTopics(t *testing.T) {
	seen := map[string]Topic{}
	for _, topic := range Topics(DemoPartitions) {
		if seen[topic.Name].Name != "" {
			t.Errorf("%s is listed twice", topic.Name)
		}
		seen[topic.Name] = topic
		cfg := topic.Config()
		if topic.Partitions < 1 || topic.Key == "" || topic.Holds == "" || cfg["cleanup.policy"] != string(topic.Cleanup) {
			t.Errorf("%+v with %v", topic, cfg)
		}
		switch topic.Cleanup {
		case CleanupCompact:
			if cfg["delete.retention.ms"] != "604800000" || cfg["retention.ms"] != "" {
				t.Errorf("%s is configured as %v", topic.Name, cfg)
			}
		case CleanupDelete:
			if cfg["retention.ms"] == "" || cfg["retention.ms"] == "0" {
				t.Errorf("%s is configured as %v", topic.Name, cfg)
			}
		}
		if topic.MaxBytes <= MaxRecordBytes {
			t.Errorf("%s takes %d bytes: no room for a largest record's envelope", topic.Name, topic.MaxBytes)
		}
	}
	for _, stage := range []string{StageClassify, StageConsent, StageEscalate, StageDeliver, StageAnalytics} {
		box, log := seen[Mailbox(stage)], seen[Changelog(stage)]
		if box.Partitions == 0 || box.Partitions != log.Partitions || log.Cleanup != CleanupCompact {
			t.Errorf("%s has mailbox %+v and changelog %+v", stage, box, log)
		}
		if stage != StageAnalytics && box.Partitions != DemoPartitions {
			t.Errorf("%s has %d partitions", stage, box.Partitions)
		}
	}
	for _, name := range []string{TopicClassify, TopicConsent, TopicEscalate, TopicDeliver, TopicAnalytics, TopicSettings, TopicDeadLetters, TopicPlatform} {
		if !strings.HasPrefix(name, "handoff.") || seen[name].Name == "" {
			t.Errorf("%s is not listed", name)
		}
	}
}
