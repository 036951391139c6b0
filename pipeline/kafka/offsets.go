package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// errRevoked: what a transaction has of a partition that was taken away, its new owner makes again.
var errRevoked = errors.New("partitions were taken away amid a transaction")

// errNotMember: the group has put this member out.
var errNotMember = errors.New("the group does not know this member any more")

// commitOffsets puts the touched partitions' offsets into the open transaction, as the member and in the
// generation in which the group knows this client.
//
// The client's own way would wait while a join is under way, and a join waits for every member, for a dead one
// until its session ends: all of a stage would stand still meanwhile. The group takes offsets during a join too,
// for the generation before it. Once it is over, its answer may still be on the way here; then the generation is
// read again.
//
// That another owner does not process the same is up to the generation: who lets go of a partition does so
// before it joins, so the next owner is of a later generation than the one that is read here, before it is
// looked whether anything was taken away. And it is told no offset while a transaction has one that is not
// decided.
func (in *incarnation) commitOffsets(ctx context.Context, touched []*part) error {
	var asked time.Time
	err := putOffsets(ctx, in.client, in.addsGroup, in.offsetCommit(touched), func(req *kmsg.TxnOffsetCommitRequest) error {
		asked = in.r.cfg.Now()
		req.MemberID, req.Generation = in.client.GroupMetadata()
		switch {
		case in.revoked():
			return errRevoked
		case !in.isStill(req.MemberID, req.Generation):
			return errNotMember
		}
		return nil
	}, kerr.IllegalGeneration, kerr.RebalanceInProgress) // a join has ended there and not yet here
	if err != nil {
		return fmt.Errorf("commit offsets: %w", err)
	}
	in.heartbeat.answered(asked)
	return nil
}

// putOffsets puts offsets into the client's open transaction. Before each try of it, as says in whose name that is, or
// refuses; it is tried again while the end of the transaction before is still being written, and on errors that are to be
// over soon.
func putOffsets(ctx context.Context, client *kgo.Client, addsGroup bool, req *kmsg.TxnOffsetCommitRequest, as func(*kmsg.TxnOffsetCommitRequest) error, soonOver ...error) error {
	id, epoch, err := client.ProducerID(ctx)
	if err != nil {
		return err
	}
	req.ProducerID, req.ProducerEpoch = id, epoch
	if !addsGroup {
		if err := addGroup(ctx, client, req); err != nil {
			return err
		}
	}
	soonOver = append(soonOver, kerr.ConcurrentTransactions)
	for {
		if err := as(req); err != nil {
			return err
		}
		answer, err := req.RequestWith(ctx, client)
		if err == nil {
			err = refusal(answer)
		}
		if !slices.ContainsFunc(soonOver, func(over error) bool { return errors.Is(err, over) }) {
			return err
		}
		select {
		case <-time.After(offsetsAgain):
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		}
	}
}

// offsetsAgain is how long what is soon over may be given before offsets are committed again.
const offsetsAgain = 10 * time.Millisecond

// offsetCommit names every touched partition, whether it read anything or not, with the number of its
// transaction.
func (in *incarnation) offsetCommit(touched []*part) *kmsg.TxnOffsetCommitRequest {
	t := kmsg.NewTxnOffsetCommitRequestTopic()
	t.Topic, t.TopicID = in.r.mailbox, in.topicID
	for _, p := range touched {
		o := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		o.Partition, o.Offset, o.LeaderEpoch = p.id, p.state.Next(), -1
		metadata := offsetMetadata(p.state.Position().Number + 1)
		o.Metadata = &metadata
		t.Partitions = append(t.Partitions, o)
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.InstanceID = in.id, in.r.mailbox, in.instance
	req.Topics = append(req.Topics, t)
	return req
}

// refusal is the first error of an answer.
func refusal(resp *kmsg.TxnOffsetCommitResponse) error {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("%s/%d: %w", t.Topic, p.Partition, err)
			}
		}
	}
	return nil
}

// revoked tells whether partitions were taken away and the loop does not know it yet. None are amid a
// transaction, for polls hold rebalances off while one is open.
func (in *incarnation) revoked() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, e := range in.events {
		if len(e.revoked) > 0 || e.err != nil {
			return true
		}
	}
	return false
}

// isStill tells whether the group knows this client as the member to which it gave the first partitions. Offsets of no
// member at all it would take without a look at whose partitions they are.
func (in *incarnation) isStill(member string, generation int32) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return member != "" && generation >= 0 && member == in.known
}

// addGroup makes the group's offsets a part of the transaction, for a broker that does not do it by itself.
func addGroup(ctx context.Context, client *kgo.Client, offsets *kmsg.TxnOffsetCommitRequest) error {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = offsets.TransactionalID, offsets.ProducerID, offsets.ProducerEpoch, offsets.Group
	resp, err := req.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("add offsets to the transaction: %w", err)
	}
	return nil
}

// addsGroup tells whether a cluster adds groups to transactions by itself: since transaction.version 2 (KIP-890).
func addsGroup(ctx context.Context, client *kgo.Client) (bool, error) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "handoff", "1"
	resp, err := req.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return false, fmt.Errorf("ask the broker for its versions: %w", err)
	}
	for _, f := range resp.FinalizedFeatures {
		if f.Name == "transaction.version" {
			return f.MaxVersionLevel >= 2, nil
		}
	}
	return false, nil
}

// abort ends the open transaction without effect.
func (in *incarnation) abort(ctx context.Context) error {
	if err := in.client.AbortBufferedRecords(ctx); err != nil {
		return err
	}
	return in.client.EndTransaction(ctx, kgo.TryAbort)
}

// metadataPrefix marks offset commits of this runner.
const metadataPrefix = "handoff:"

func offsetMetadata(number uint64) string { return metadataPrefix + strconv.FormatUint(number, 10) }

// parseMetadata returns the transaction number; ok is false when something else committed the offset.
func parseMetadata(s string) (number uint64, ok bool) {
	rest, ok := strings.CutPrefix(s, metadataPrefix)
	if !ok {
		return 0, false
	}
	number, err := strconv.ParseUint(rest, 10, 64)
	return number, err == nil
}
