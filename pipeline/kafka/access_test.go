package kafka

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// TestNotAllowedSaysWhat: whatever is refused to a stage, it is not ready and says so with the resource's name and what to
// do, and it processes everything once it is allowed.
func TestNotAllowedSaysWhat(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault kfake.Fault
		says  string
	}{
		"the group":            {kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.GroupAuthorizationFailed, Count: -1}, "group handoff.count: the group lost this member: GROUP_AUTHORIZATION_FAILED"},
		"the transactional id": {kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.TransactionalIDAuthorizationFailed, Count: -1}, "fence earlier transactions of count-"},
		"topics":               {kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "out", Err: kerr.TopicAuthorizationFailed, Count: -1}, "does not allow it: Write on topic out: TOPIC_AUTHORIZATION_FAILED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newCluster(t, 2, "count")
			h := k.Fault(c.fault)
			store := openStore(t, t.TempDir())
			cfg := k.config(counter{"count"}, store)
			cfg.Outputs = []string{"out"}
			run := start(t, cfg)
			eventually(t, "it says what is refused", func() bool {
				err := run.runner.Ready()
				return Refused(err) && strings.Contains(err.Error(), c.says) && strings.Contains(err.Error(), "handoff acls run count")
			})
			h.Remove()
			goesOn(t, k, run, store)
		})
	}
}

// TestMissingTopics: all that are missing are named at once, the dead letters' too, and waited for.
func TestMissingTopics(t *testing.T) {
	t.Parallel()
	k := newCluster(t, 2, "count")
	store := openStore(t, t.TempDir())
	cfg := k.config(counter{"count"}, store)
	cfg.Outputs = []string{"later"}
	if _, err := kadm.NewClient(k.client).DeleteTopics(t.Context(), schemas.TopicDeadLetters); err != nil {
		t.Fatal(err)
	}
	run := start(t, cfg)
	eventually(t, "it says what is missing", func() bool {
		err := run.runner.Ready()
		return err != nil && strings.Contains(err.Error(), "not there yet: topic handoff.dead-letters, later (handoff topics apply creates it)")
	})
	for _, topic := range []string{schemas.TopicDeadLetters, "later"} {
		if err := k.CreateTopic(topic, 1, roomy()); err != nil {
			t.Fatal(err)
		}
	}
	goesOn(t, k, run, store)
}

// goesOn has a stage that waited process something, and end.
func goesOn(t *testing.T, k *cluster, run *running, store *state.Store) {
	t.Helper()
	k.load("count", 100, 10)
	eventually(t, "all is committed", func() bool { return k.drained("count") })
	if err := run.stop(); err != nil {
		t.Error(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

// TestSettingsNotAllowed: a table that may be looked at and not read is not taken for an empty one.
func TestSettingsNotAllowed(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	c.produce(settingsRecord(t, "acme|1", 1, "shop: acme"))
	h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: schemas.TopicSettings, Err: kerr.TopicAuthorizationFailed, Count: -1})
	defer h.Remove()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := OpenSettings(ctx, SettingsConfig{Connection: Connection{Brokers: c.ListenAddrs()}, Logger: c.config(nil, nil).Logger})
	if err == nil {
		s.Close()
	}
	if !Refused(err) || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "read handoff.settings/0") {
		t.Errorf("OpenSettings: %v", err)
	}
}
