package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/schemas"
)

// askTimeout bounds a question to the cluster by somebody who waits at a terminal.
const askTimeout = 10 * time.Second

// observer asks the cluster on behalf of people: it changes nothing, waits for nothing longer than
// askTimeout, and says what is wrong in words that help.
type observer struct {
	client  *kgo.Client
	admin   *kadm.Client
	brokers []string
}

func newObserver(c Connection) (*observer, error) {
	client, err := c.NewClient("handoff-inspect", kgo.RetryTimeout(askTimeout*4/5), kgo.DialTimeout(askTimeout/2))
	if err != nil {
		return nil, err
	}
	return &observer{client: client, admin: kadm.NewClient(client), brokers: c.Brokers}, nil
}

func (o *observer) close() { o.client.Close() }

// ErrNotAllowed is wrapped by errors of a cluster that does not take the credentials, or does not let
// them do what was asked.
var ErrNotAllowed = errors.New("the Kafka cluster does not allow it")

// ErrAway is wrapped by errors of a cluster that does not answer.
var ErrAway = errors.New("the Kafka cluster does not answer")

// coordinated asks again as long as the cluster has no coordinator for what is asked: for seconds after the cluster was
// made, and while a broker is replaced. The error is the last answer when ctx ends.
func coordinated(ctx context.Context, fn func(context.Context) error) error {
	for {
		err := fn(ctx)
		if !errors.Is(err, kerr.CoordinatorNotAvailable) && !errors.Is(err, kerr.CoordinatorLoadInProgress) && !errors.Is(err, kerr.NotCoordinator) {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("none of its brokers coordinates the group yet; where that does not end, see that the topic __consumer_offsets has leaders: %w", err)
		}
	}
}

// ask asks something within askTimeout.
func (o *observer) ask(ctx context.Context, what string, fn func(context.Context) error) error {
	asked, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err := coordinated(asked, fn)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var network net.Error
	var shards *kadm.ShardErrors
	if errors.As(err, &shards) && len(shards.Errs) > 0 {
		err = shards.Errs[0].Err // the parts fail for the same reason
	}
	switch {
	case shutOut(err), Refused(err):
		return fmt.Errorf("%s: %w: %w", what, ErrNotAllowed, err)
	case errors.Is(err, kerr.UnknownTopicOrPartition) && !errors.Is(err, errNoTopic):
		return fmt.Errorf("%s: %w: %w", what, errNoTopic, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return fmt.Errorf("%s: %w, asked at %s: it hangs up, as brokers do on a wrong password, and where TLS is set up otherwise than here: %w", what, ErrAway, strings.Join(o.brokers, ", "), err)
	case asked.Err() != nil, errors.As(err, &network), errors.Is(err, kgo.ErrRecordTimeout), kerr.IsRetriable(err):
		return fmt.Errorf("%s: %w, asked at %s: %w", what, ErrAway, strings.Join(o.brokers, ", "), err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// spans asks where a topic's partitions begin and end.
func (o *observer) spans(ctx context.Context, topic string) (all map[int32]span, err error) {
	err = o.ask(ctx, "look at "+topic, func(ctx context.Context) error {
		all, err = spans(ctx, o.admin, topic)
		return err
	})
	return all, err
}

// commitOf asks for the stable commit of a stage's partition.
func (o *observer) commitOf(ctx context.Context, stage string, partition int32) (commit groupCommit, err error) {
	mailbox := schemas.Mailbox(stage)
	err = o.ask(ctx, "ask where group "+mailbox+" stands", func(ctx context.Context) error {
		topics, err := o.admin.ListTopics(ctx, mailbox)
		if err == nil {
			err = topics.Error()
		}
		if err != nil {
			return err
		}
		commit, err = stableCommit(ctx, o.client, mailbox, mailbox, topics[mailbox].ID, partition)
		if errors.Is(err, kerr.GroupIDNotFound) { // it never ran
			return nil
		}
		return err
	})
	return commit, err
}
