package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Where a write waits, the client knows only that it waits: what the cluster lacks must be asked for. Nothing here is
// asked while writes are acknowledged.

// errLacking is wrapped by errors that say what a cluster lacks to take records.
var errLacking = errors.New("the Kafka cluster takes no records")

// lacksTimeout bounds the look at what a cluster lacks, and silentAfter how long one of its brokers may take to answer.
const (
	lacksTimeout = 5 * time.Second
	silentAfter  = 2 * time.Second
)

// internalTopics are Kafka's own that a transaction is written to.
var internalTopics = []string{"__consumer_offsets", "__transaction_state"}

// WhyNotWritten asks the cluster, within seconds, what keeps records from being written to topics: ones that are missing
// or may not be written, too few replicas in sync, brokers that do not answer. nil where it knows of nothing.
func (c Connection) WhyNotWritten(ctx context.Context, topics ...string) error {
	client, err := c.NewClient("handoff-why", kgo.RetryTimeout(lacksTimeout), kgo.DialTimeout(silentAfter))
	if err != nil {
		return err
	}
	defer client.Close()
	needs := make([]need, len(topics))
	for i, topic := range topics {
		needs[i] = need{topic, false, true}
	}
	ctx, cancel := context.WithTimeout(ctx, lacksTimeout)
	defer cancel()
	if _, err := lookUp(ctx, client, needs); err != nil {
		return err
	}
	return lacks(ctx, client, topics)
}

// lacks says what keeps the cluster from taking records of these topics and from ending transactions, as far as it
// tells; nil where it knows of nothing. The topics are there and may be written.
func lacks(ctx context.Context, client *kgo.Client, topics []string) error {
	ctx, cancel := context.WithTimeout(ctx, lacksTimeout)
	defer cancel()
	topics = slices.Concat(topics, internalTopics)
	req := kmsg.NewPtrMetadataRequest()
	for _, topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		req.Topics = append(req.Topics, t)
	}
	found, err := req.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("%w: %w: %w", errLacking, ErrAway, err)
	}
	var all []string
	if silent := silentBrokers(ctx, client, found.Brokers); len(silent) > 0 {
		all = append(all, fmt.Sprintf("brokers %s do not answer: start them, or see that this machine reaches them", strings.Join(silent, ", ")))
	}
	if few, away := tooFew(found.Topics, leastInSync(ctx, client, topics)); len(few) > 0 {
		all = append(all, fmt.Sprintf("too few replicas are in sync of %s: see that brokers %s are there and follow", strings.Join(few, ", "), joined(away)))
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s: %w", errLacking, strings.Join(all, "; "), kerr.NotEnoughReplicas)
}

// tooFew says which partitions take no records, by topic: those without a leader, and those with fewer replicas in sync
// than there must be. away are the brokers whose replicas are not in sync there.
func tooFew(topics []kmsg.MetadataResponseTopic, least map[string]int) (all []string, away []int32) {
	for _, t := range topics {
		if t.Topic == nil {
			continue
		}
		var partitions []int32
		inSync := math.MaxInt
		for _, p := range t.Partitions {
			if p.Leader >= 0 && len(p.ISR) >= min(least[*t.Topic], len(p.Replicas)) { // as Kafka reckons it
				continue
			}
			partitions, inSync = append(partitions, p.Partition), min(inSync, len(p.ISR))
			for _, broker := range p.Replicas {
				if p.Leader < 0 || !slices.Contains(p.ISR, broker) {
					away = append(away, broker)
				}
			}
		}
		if len(partitions) > 0 {
			all = append(all, fmt.Sprintf("%s (partitions %s have %d, min.insync.replicas is %d)", *t.Topic, joined(partitions), inSync, least[*t.Topic]))
		}
	}
	slices.Sort(all)
	return all, away
}

// joined lists numbers in order, each once.
func joined(numbers []int32) string {
	slices.Sort(numbers)
	var all []string
	for _, n := range slices.Compact(numbers) {
		all = append(all, strconv.Itoa(int(n)))
	}
	return strings.Join(all, ", ")
}

// leastInSync asks for the topics' min.insync.replicas; 0 for those that the cluster does not tell it of.
func leastInSync(ctx context.Context, client *kgo.Client, topics []string) map[string]int {
	least := map[string]int{}
	found, err := kadm.NewClient(client).DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return least
	}
	for _, topic := range found {
		for _, c := range topic.Configs {
			if c.Key == "min.insync.replicas" {
				least[topic.Name], _ = strconv.Atoi(c.MaybeValue()) // 0 where it is no number
			}
		}
	}
	return least
}

// silentBrokers are those that do not answer at once, by id and address.
func silentBrokers(ctx context.Context, client *kgo.Client, brokers []kmsg.MetadataResponseBroker) []string {
	ctx, cancel := context.WithTimeout(ctx, silentAfter)
	defer cancel()
	silent := make([]string, len(brokers))
	var asked sync.WaitGroup
	for i, b := range brokers {
		asked.Go(func() {
			if _, err := client.Broker(int(b.NodeID)).Request(ctx, kmsg.NewPtrApiVersionsRequest()); err != nil {
				silent[i] = fmt.Sprintf("%d (%s:%d)", b.NodeID, b.Host, b.Port)
			}
		})
	}
	asked.Wait()
	return slices.DeleteFunc(silent, func(s string) bool { return s == "" })
}

// slowAfter is how long a write may take before it is asked what the cluster lacks: longer than most failovers of a leader.
const slowAfter = 5 * time.Second

// waits tells that a member waits for the cluster to take records. It counts until a commit is through, or was not told
// again for long: what the member has not committed may be another's meanwhile.
type waits struct {
	why  error
	told time.Time
}

// waitsFor is how long a wait counts that was told: longer than it takes to be told again, for a commit is given up after
// twice the transaction's time-out, and the next one begins to wait.
func (r *Runner) waitsFor() time.Duration { return 3*r.cfg.TransactionTimeout + 2*slowAfter }

// watched does something that ends when the cluster has taken records. Where that takes long the log and Ready tell what
// the cluster lacks, and so does the error if it fails.
func (in *incarnation) watched(client *kgo.Client, what string, do func() error) error {
	ctx, cancel := context.WithCancel(in.ctx)
	defer cancel()
	var why error
	asked := make(chan struct{})
	look := time.AfterFunc(slowAfter, func() {
		defer close(asked)
		found := lacks(ctx, client, in.r.writes())
		if ctx.Err() != nil {
			return // it is done meanwhile
		}
		if why = found; why == nil {
			why = fmt.Errorf("%w, and does not tell why", errLacking)
		}
		in.r.setWaiting(in.member, why)
		in.r.cfg.Logger.Warn("waiting for Kafka to take records; goes on by itself", "member", in.member, "for", what, "error", why)
	})
	err := do()
	if look.Stop() {
		return err
	}
	if err == nil {
		cancel()
	}
	switch <-asked; {
	case why == nil:
	case err == nil:
		in.r.setWaiting(in.member, nil)
	default:
		err = fmt.Errorf("%w (%w)", err, why)
	}
	return err
}

// writes are the topics that the runner writes.
func (r *Runner) writes() (all []string) {
	for _, n := range r.needs() {
		if n.write {
			all = append(all, n.topic)
		}
	}
	return all
}
