package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/schemas"
)

// Refused tells whether an error is that the cluster does not let these credentials do something with a topic, a
// group, a transactional id or itself. Trying again mends it once an ACL allows it.
func Refused(err error) bool {
	for _, refusal := range []error{kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed,
		kerr.TransactionalIDAuthorizationFailed, kerr.ClusterAuthorizationFailed} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// need is what a runner does with a topic.
type need struct {
	topic       string
	read, write bool
}

// needs of the runner, each topic once.
func (r *Runner) needs() []need {
	all := []need{{r.mailbox, true, false}, {r.changelog, true, true}}
	if r.sink == nil {
		all = append(all, need{schemas.TopicDeadLetters, false, true})
	}
	for _, topic := range r.cfg.Outputs {
		if i := slices.IndexFunc(all, func(n need) bool { return n.topic == topic }); i >= 0 {
			all[i].write = true
		} else {
			all = append(all, need{topic, false, true})
		}
	}
	return all
}

// lookUp asks for the topics that are needed. The error names all that are missing and all that is refused, so that
// neither comes up one by one, or with the first record that is written there.
func lookUp(ctx context.Context, client *kgo.Client, needs []need) (map[string]kmsg.MetadataResponseTopic, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.IncludeTopicAuthorizedOperations = true
	for _, n := range needs {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(n.topic)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("look up topics: %w", err)
	}
	found := map[string]kmsg.MetadataResponseTopic{}
	for _, t := range resp.Topics {
		if t.Topic != nil {
			found[*t.Topic] = t
		}
	}
	var missing, refused []string
	var failed error
	for _, n := range needs {
		t, answered := found[n.topic]
		err := kerr.ErrorForCode(t.ErrorCode)
		switch {
		case Refused(err):
			refused = append(refused, n.refused(nil)...)
		case !answered, errors.Is(err, kerr.UnknownTopicOrPartition), err == nil && len(t.Partitions) == 0:
			missing = append(missing, n.topic)
		case err != nil:
			failed = errors.Join(failed, fmt.Errorf("look up topic %s: %w", n.topic, err))
		default:
			if allowed := kadm.DecodeACLOperations(t.AuthorizedOperations); len(allowed) > 0 { // or the broker does not tell
				refused = append(refused, n.refused(allowed)...)
			}
		}
	}
	if len(missing) > 0 {
		failed = errors.Join(failed, fmt.Errorf("not there yet: topic %s (handoff topics apply creates it): %w", strings.Join(missing, ", "), kerr.UnknownTopicOrPartition))
	}
	if len(refused) > 0 {
		failed = errors.Join(failed, fmt.Errorf("%w: %s: %w", ErrNotAllowed, strings.Join(refused, "; "), kerr.TopicAuthorizationFailed))
	}
	return found, failed
}

// refused names what is needed and not among what is allowed.
func (n need) refused(allowed []kadm.ACLOperation) (all []string) {
	add := func(needed bool, operation kadm.ACLOperation, name string) {
		if needed && !slices.Contains(allowed, operation) {
			all = append(all, name+" on topic "+n.topic)
		}
	}
	add(n.read, kadm.OpRead, "Read")
	add(n.write, kadm.OpWrite, "Write")
	return all
}
