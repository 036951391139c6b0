package main

import (
	"testing"

	"github.com/handoff-dev/handoff/pipeline/kafka/kafkatest"
)

// realBroker is a Kafka of the test's own, without topics. HANDOFF_TEST_KAFKA must be "start": the
// commands are about topics of fixed names, which a cluster that is there already may have.
func realBroker(t *testing.T) string {
	t.Helper()
	return kafkatest.ForTest(t, kafkatest.Config{}).Brokers()[0]
}

// TestRealKafkaInspect: `handoff state`, `handoff lag` and `handoff explain` print of a real broker what they
// print of kfake.
func TestRealKafkaInspect(t *testing.T) {
	h := stageRanOn(t, realBroker(t), "kafka.unique_ids=true")
	t.Run("state get", h.stateGet)
	t.Run("state scan", h.stateScan)
	t.Run("lag", h.lag)
	t.Run("explain", h.explain)
}

// TestRealKafkaReset: `handoff reset` rebuilds, keeps and refuses on a real broker as on kfake.
func TestRealKafkaReset(t *testing.T) {
	resetCommands(t, stageRanOn(t, realBroker(t), "kafka.unique_ids=true"))
}

// TestRealKafkaDlq: `handoff dlq` lists, replays and drops on a real broker, in transactions of its own.
func TestRealKafkaDlq(t *testing.T) {
	dlqCommands(t, stageRanOn(t, realBroker(t), "instance=one", "kafka.session_timeout=6s"))
}
