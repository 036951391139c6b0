package kafka

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/handoff-dev/handoff/schemas"
)

// TestTopicsMadeByHand: topics with Kafka's defaults are refused, and the error says what puts them right.
func TestTopicsMadeByHand(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		topic   string
		configs map[string]string
		refused string // empty: it runs
	}{
		"a mailbox of small batches": {schemas.Mailbox("count"), map[string]string{"max.message.bytes": "1048588"},
			"handoff.count takes batches of max.message.bytes 1048588, 1310720 is needed: kafka-configs.sh --bootstrap-server"},
		"a changelog of small batches": {schemas.Changelog("count"), map[string]string{"max.message.bytes": "1048588"},
			"--entity-type topics --entity-name handoff.count.changelog --add-config max.message.bytes=1310720"},
		"an output of small batches":       {"out", map[string]string{"max.message.bytes": "1000"}, "out takes batches of max.message.bytes 1000"},
		"dead letters of small batches":    {schemas.TopicDeadLetters, map[string]string{"max.message.bytes": "1000"}, schemas.TopicDeadLetters + " takes"},
		"a changelog that forgets by time": {schemas.Changelog("count"), map[string]string{"retention.ms": "604800000"}, "handoff.count.changelog forgets state, its cleanup.policy delete, compact is needed"},
		"a changelog that forgets by size": {schemas.Changelog("count"), map[string]string{"retention.bytes": "100000", "cleanup.policy": "compact,delete"}, "forgets state"},
		"a changelog that keeps all":       {schemas.Changelog("count"), map[string]string{"retention.ms": "-1"}, ""},
		"a mailbox that is compacted":      {schemas.Mailbox("count"), map[string]string{"cleanup.policy": "compact"}, "handoff.count loses all records of a key but the last, its cleanup.policy compact, delete is needed"},
		"settings that are forgotten":      {schemas.TopicSettings, map[string]string{"cleanup.policy": "delete"}, "handoff.settings forgets the settings of shops, its cleanup.policy delete, compact is needed"},
		"a compacted changelog":            {schemas.Changelog("count"), map[string]string{"retention.ms": "1000", "cleanup.policy": "compact"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newCluster(t, 2, "count")
			var changes []kadm.AlterConfig
			for key, value := range c.configs {
				changes = append(changes, kadm.AlterConfig{Name: key, Value: &value})
			}
			if done, err := kadm.NewClient(k.client).AlterTopicConfigs(t.Context(), changes, c.topic); err != nil || done[0].Err != nil {
				t.Fatal(err, done)
			}
			store := openStore(t, t.TempDir())
			cfg := k.config(counter{"count"}, store)
			cfg.Outputs, cfg.Settings = []string{"out"}, k.settings()
			defer cfg.Settings.Close()
			run := start(t, cfg)
			if c.refused == "" {
				k.load("count", 100, 10)
				eventually(t, "all is committed", func() bool { return k.drained("count") })
				if err := run.stop(); err != nil {
					t.Error(err)
				}
			} else {
				select {
				case err := <-run.done:
					if !errors.Is(err, ErrTopicConfig) || !strings.Contains(err.Error(), c.refused) {
						t.Errorf("Run: %v, want %q", err, c.refused)
					}
				case <-time.After(patience):
					t.Error("it runs")
				}
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
