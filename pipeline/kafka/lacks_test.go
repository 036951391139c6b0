package kafka

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestTooFew: what is told names topics, partitions and the brokers to look at, each once and in order, and nothing
// that takes records.
func TestTooFew(t *testing.T) {
	partition := func(id, leader int32, inSync ...int32) kmsg.MetadataResponseTopicPartition {
		return kmsg.MetadataResponseTopicPartition{Partition: id, Leader: leader, Replicas: []int32{1, 2, 3}, ISR: inSync}
	}
	topic := func(name string, partitions ...kmsg.MetadataResponseTopicPartition) kmsg.MetadataResponseTopic {
		return kmsg.MetadataResponseTopic{Topic: &name, Partitions: partitions}
	}
	few, away := tooFew([]kmsg.MetadataResponseTopic{
		topic("well", partition(0, 1, 1, 2), partition(1, 2, 2, 1)),
		topic("short", partition(2, 1, 1), partition(0, 1, 1, 2), partition(1, 2, 2)),
		topic("leaderless", partition(0, -1, 3)),
		topic("not told of", partition(0, 1, 1)),
		topic("more than replicas", partition(0, 1, 1, 2, 3)),
	}, map[string]int{"well": 2, "short": 2, "leaderless": 1, "more than replicas": 4})
	want := "leaderless (partitions 0 have 1, min.insync.replicas is 1), short (partitions 1, 2 have 1, min.insync.replicas is 2)"
	if got := strings.Join(few, ", "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := joined(away); got != "1, 2, 3" {
		t.Errorf("away are %s", got)
	}
	if few, away := tooFew([]kmsg.MetadataResponseTopic{topic("short", partition(0, 1, 1, 2))}, map[string]int{"short": 3}); len(few) != 1 || joined(away) != "3" {
		t.Errorf("%q, away are %v", few, away)
	}
}

// TestWhyNotWritten: of a cluster that is well nothing is said; of a missing topic and a cluster that is away it is.
func TestWhyNotWritten(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(2, "there"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	to := Connection{Brokers: c.ListenAddrs()}
	if err := to.WhyNotWritten(t.Context(), "there"); err != nil {
		t.Errorf("of a cluster that is well: %v", err)
	}
	if err := to.WhyNotWritten(t.Context(), "there", "missing"); err == nil || !strings.Contains(err.Error(), "not there yet: topic missing") {
		t.Errorf("of a missing topic: %v", err)
	}
	if err := (Connection{Brokers: []string{"127.0.0.1:1"}}).WhyNotWritten(t.Context(), "there"); err == nil {
		t.Error("nothing is said of a cluster that is away")
	}
}
