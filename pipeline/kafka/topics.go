package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/handoff-dev/handoff/schemas"
)

// ErrTopicConfig is wrapped by Run's error for a topic whose configuration the runner cannot work with.
var ErrTopicConfig = errors.New("the configuration of a topic does not do")

// refuseTopics looks once at how the runner's topics are configured: whatever was made by hand has Kafka's
// defaults, and with those the runner would fail again and again (a batch is larger than the topic takes)
// or lose state (a changelog that forgets). It runs beside the members, so that no start waits for it.
//
// A topic that is not there is the members' to tell. Where the cluster does not let it look, nothing is
// refused.
func (r *Runner) refuseTopics(ctx context.Context) error {
	client, err := r.cfg.NewClient("handoff-topics")
	if err != nil {
		return nil //nolint:nilerr // The members cannot make theirs either, and say so.
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	var used []string
	if r.cfg.Settings != nil {
		used = append(used, schemas.TopicSettings)
	}
	for _, n := range r.needs() {
		used = append(used, n.topic)
	}
	for failed := 0; ; {
		found, err := admin.DescribeTopicConfigs(ctx, used...)
		if err == nil {
			return r.judgeTopics(found)
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // It was told to end.
		}
		if Refused(err) {
			r.cfg.Logger.Info("whether topics are configured as they must be is not looked at: it needs DescribeConfigs on them", "topics", used, "error", err)
			return nil
		}
		failed++
		r.cfg.Logger.Debug("look at the topics' configuration", "error", err)
		select {
		case <-time.After(backoff(failed)):
		case <-ctx.Done():
			return nil
		}
	}
}

// judgeTopics returns what is wrong with all of them, as one error.
func (r *Runner) judgeTopics(found kadm.ResourceConfigs) error {
	var all []error
	for _, topic := range found {
		if topic.Err != nil {
			r.cfg.Logger.Debug("look at a topic's configuration", "topic", topic.Name, "error", topic.Err)
			continue
		}
		is := map[string]string{}
		for _, c := range topic.Configs {
			is[c.Key] = c.MaybeValue()
		}
		if most, err := strconv.Atoi(is["max.message.bytes"]); err == nil && most < maxBatchBytes && topic.Name != schemas.TopicSettings {
			all = append(all, r.mend(topic.Name, "takes batches of", "max.message.bytes", is, strconv.Itoa(maxBatchBytes)))
		}
		forgets := strings.Contains(is["cleanup.policy"], string(schemas.CleanupDelete))
		switch kept := r.kept(topic.Name); {
		case kept == "" && strings.Contains(is["cleanup.policy"], string(schemas.CleanupCompact)):
			all = append(all, r.mend(topic.Name, "loses all records of a key but the last, its", "cleanup.policy", is, string(schemas.CleanupDelete)))
		case kept != "" && forgets && (limited(is["retention.ms"]) || limited(is["retention.bytes"])):
			all = append(all, r.mend(topic.Name, "forgets "+kept+", its", "cleanup.policy", is, string(schemas.CleanupCompact)))
		case topic.Name == r.changelog && !forgets && below(is["delete.retention.ms"], schemas.ChangelogTombstones):
			r.cfg.Logger.Warn("a process that was away for long may not hear of what was deleted meanwhile",
				"error", r.mend(topic.Name, "forgets deletions, its", "delete.retention.ms", is, milliseconds(schemas.ChangelogTombstones)))
		case topic.Name == r.mailbox && below(is["retention.ms"], schemas.MailboxRetention):
			r.cfg.Logger.Warn("what the stage has not read by then is gone, and a reset rebuilds state from less",
				"error", r.mend(topic.Name, "forgets records, its", "retention.ms", is, milliseconds(schemas.MailboxRetention)))
		case topic.Name == r.mailbox && limited(is["retention.bytes"]):
			r.cfg.Logger.Warn("what the stage has not read by then is gone, and a reset rebuilds state from less",
				"error", r.mend(topic.Name, "forgets records, its", "retention.bytes", is, "-1"))
		}
	}
	if err := errors.Join(all...); err != nil {
		return fmt.Errorf("run %s: %w", r.cfg.Stage.Name(), err)
	}
	return nil
}

// mend says what is wrong with a topic and what puts it right.
func (r *Runner) mend(topic, what, name string, is map[string]string, want string) error {
	return fmt.Errorf("%w: %s %s %s %s, %s is needed: kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config %s=%s",
		ErrTopicConfig, topic, what, name, is[name], want, r.cfg.Brokers[0], topic, name, want)
}

// limited tells whether a retention ends at all.
func limited(value string) bool {
	n, err := strconv.ParseInt(value, 10, 64)
	return err == nil && n >= 0
}

// below tells whether a time in milliseconds ends before another.
func below(value string, least time.Duration) bool {
	n, err := strconv.ParseInt(value, 10, 64)
	return err == nil && n >= 0 && n < least.Milliseconds()
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// kept is what a topic holds of which the newest must be there for good; "" where every record counts, for a while.
func (r *Runner) kept(topic string) string {
	switch topic {
	case r.changelog:
		return "state"
	case schemas.TopicSettings:
		return "the settings of shops"
	case schemas.TopicEpisodes:
		return "who is in an episode"
	}
	return ""
}
