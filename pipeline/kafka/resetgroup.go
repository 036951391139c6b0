package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/pipeline/state"
)

// errOvertaken says that another reset of the stage began after this one, and fenced it: what this one did not
// commit before has no effect.
var errOvertaken = errors.New("another reset of this stage began meanwhile and goes on in this one's place")

const (
	// resetProtocol is what a reset joins the group with. Runners do not speak it, so the group takes a reset only
	// while it has no other members, and no runner beside a reset.
	resetProtocol = "handoff-reset"
	// resetSession is how long the group keeps a reset that was killed while it was a member; the next one takes
	// its place at once.
	resetSession = 10 * time.Second
	// resetJoin bounds the join: brokers let a group that was empty wait for more members, 3 s by default.
	resetJoin = 30 * time.Second
)

// fence ends the transactions of other resets of the stage, and of those of this one that an earlier run left open.
func (r *Reset) fence(ctx context.Context) error {
	if r.producer != nil {
		return nil
	}
	producer, err := r.cfg.NewClient("handoff-reset",
		kgo.TransactionalID(r.instance()), kgo.TransactionTimeout(resetTimeout),
		kgo.RecordPartitioner(byKey(r.changelog)), kgo.ProducerBatchMaxBytes(maxBatchBytes))
	if err != nil {
		return err
	}
	if _, _, err := producer.ProducerID(ctx); err != nil {
		producer.Close()
		return fmt.Errorf("fence other resets (transactional id %s): %w", r.instance(), err)
	}
	r.producer = producer
	return nil
}

// commitOf a partition, once it is decided. A reset that was killed while it set offsets leaves that open until
// resetTimeout is over: who is about to run fences it.
func (r *Reset) commitOf(ctx context.Context, partition int32) (groupCommit, error) {
	ask := func() (groupCommit, error) {
		wait, cancel := context.WithTimeout(ctx, resetWait)
		defer cancel()
		commit, err := stableCommit(wait, r.client, r.mailbox, r.mailbox, r.topicID, partition)
		if errors.Is(err, kerr.GroupIDNotFound) { // the stage never ran
			return groupCommit{}, nil
		}
		return commit, err
	}
	commit, err := ask()
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return commit, err
	}
	if r.cfg.WillRun && r.producer == nil {
		if err := r.fence(ctx); err != nil {
			return groupCommit{}, err
		}
		if commit, err = ask(); !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return commit, err
		}
	}
	return groupCommit{}, fmt.Errorf("where group %s stands is not known: a transaction on its offset has not ended for %s. It is of a process that is at work or was killed a moment ago; where that was a reset, running it again ends it", r.mailbox, resetWait)
}

// begin fences other resets and makes sure that nobody runs the stage and that the plan still holds.
func (r *Reset) begin(ctx context.Context) (err error) {
	if err := r.fence(ctx); err != nil {
		return err
	}
	if r.addsGroup, err = addsGroup(ctx, r.client); err != nil {
		return err
	}
	if !r.marked { // members that came since wait for the end
		if err := r.noMembers(ctx, nil); err != nil {
			return err
		}
	}
	return r.unmoved(ctx)
}

// noMembers refuses while the group has members; cause is why that is looked up.
func (r *Reset) noMembers(ctx context.Context, cause error) error {
	members, err := r.Members(ctx)
	switch {
	case err != nil:
		return errors.Join(cause, err)
	case len(members) > 0:
		return fmt.Errorf("%w: group %s has members: %v; stop them (one that was stopped stays until its session ends)", ErrMembers, r.mailbox, members)
	}
	return cause
}

// unmoved makes sure that group and changelog are as they were when the plan was made. Whoever could commit then is
// gone or fenced, so they stay so.
func (r *Reset) unmoved(ctx context.Context) error {
	changelog, err := spans(ctx, r.admin.client, r.changelog)
	if err != nil {
		return err
	}
	for _, p := range r.parts {
		commit, err := r.commitOf(ctx, p.Partition)
		if err != nil {
			return err
		}
		if commit != p.commit {
			return fmt.Errorf("%w: partition %d stood at %d, now at %d", ErrMoved, p.Partition, p.commit.offset, commit.offset)
		}
		since := map[int32]span{p.Partition: {p.read, changelog[p.Partition].end}}
		if err := readSpans(ctx, r.cfg.Connection, r.changelog, true, since, func(int64) {}, func(*kgo.Record) error {
			return fmt.Errorf("%w: partition %d has other state than was read", ErrMoved, p.Partition)
		}); err != nil {
			return err
		}
	}
	return nil
}

// groupOffset of a partition.
type groupOffset struct {
	at       int64
	metadata string
}

// setMarks puts the plan into the open transaction, as metadata of the group's offsets where they stand. The group
// takes it only while nobody runs the stage, and nobody can begin to before the transaction is decided: who joins
// later is told no offset until then.
func (r *Reset) setMarks(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, resetJoin)
	defer cancel()
	for {
		as, err := r.join(wait)
		if err == nil {
			err = r.commitOffsets(wait, as, func(p *PartitionReset) groupOffset {
				o := groupOffset{at: p.Until, metadata: p.mark.String()}
				if p.commit.found {
					o.at = p.commit.offset
				}
				return o
			})
		}
		r.leave(ctx, as)
		switch {
		case errors.Is(err, kerr.InconsistentGroupProtocol):
			return r.noMembers(ctx, fmt.Errorf("join group %s: %w", r.mailbox, err))
		case errors.Is(err, kerr.FencedInstanceID), errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.RebalanceInProgress):
			// Another reset took this one's place in the group. Which of them was overtaken, the transaction tells.
		default:
			return err
		}
		select {
		case <-time.After(offsetsAgain):
		case <-wait.Done():
			return fmt.Errorf("set the offsets of group %s: %w (%w)", r.mailbox, err, wait.Err())
		}
	}
}

// membership of the group; the zero value is none.
type membership struct {
	id         string
	generation int32
}

// ID names a reset of the stage, whoever runs it: its transactions, and it as a static member of the group.
func (c ResetConfig) ID() string { return resetProtocol + "-" + c.Name }

func (r *Reset) instance() string { return r.cfg.ID() }

// join makes this reset the group's only member.
func (r *Reset) join(ctx context.Context) (membership, error) {
	instance := r.instance()
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name = resetProtocol
	subscription := kmsg.NewConsumerMemberMetadata()
	protocol.Metadata = subscription.AppendTo(nil)
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.InstanceID, req.ProtocolType = r.mailbox, &instance, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(resetSession.Milliseconds()), int32(resetSession.Milliseconds())
	req.Protocols = append(req.Protocols, protocol)
	joined, err := req.RequestWith(ctx, r.client)
	if err == nil {
		err = kerr.ErrorForCode(joined.ErrorCode)
	}
	if err != nil {
		return membership{}, fmt.Errorf("join group %s: %w", r.mailbox, err)
	}
	as := membership{joined.MemberID, joined.Generation}
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.InstanceID, sync.MemberID, sync.Generation = r.mailbox, &instance, as.id, as.generation
	sync.ProtocolType, sync.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr(resetProtocol)
	synced, err := sync.RequestWith(ctx, r.client)
	if err == nil {
		err = kerr.ErrorForCode(synced.ErrorCode)
	}
	if err != nil {
		return as, fmt.Errorf("join group %s: %w", r.mailbox, err)
	}
	return as, nil
}

// leave ends the membership. Where that fails, the group ends it after resetSession.
func (r *Reset) leave(ctx context.Context, as membership) {
	if as.id == "" {
		return
	}
	instance := r.instance()
	out := kmsg.NewLeaveGroupRequestMember()
	out.MemberID, out.InstanceID = as.id, &instance
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = r.mailbox
	req.Members = append(req.Members, out)
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWait)
	defer cancel()
	_, _ = req.RequestWith(wait, r.client)
}

// finish ends the reset: the group goes on where the new state stands. Since the marks no runner goes on, whoever is
// in the group: those that wait for the end may be, so this is no member's commit.
func (r *Reset) finish(ctx context.Context) error {
	for _, p := range r.parts {
		if p.Nothing {
			continue
		}
		// A transaction needs a record, so one position is written once more.
		again := &kgo.Record{Topic: r.changelog, Partition: p.Partition, Key: state.PositionKey(), Value: p.Position.Encode()}
		return r.transact(ctx, func(produce func(*kgo.Record)) error {
			produce(again)
			return nil
		}, func(ctx context.Context) error {
			return r.commitOffsets(ctx, membership{generation: -1}, func(p *PartitionReset) groupOffset {
				return groupOffset{p.Position.Offset, offsetMetadata(p.Position.Number)}
			})
		})
	}
	return nil
}

// commitOffsets puts the group's offset of every partition that is reset into the open transaction, so that a reset
// that was overtaken sets none.
func (r *Reset) commitOffsets(ctx context.Context, as membership, of func(*PartitionReset) groupOffset) error {
	t := kmsg.NewTxnOffsetCommitRequestTopic()
	t.Topic, t.TopicID = r.mailbox, r.topicID
	for _, p := range r.parts {
		if p.Nothing {
			continue
		}
		at := of(p)
		o := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		o.Partition, o.Offset, o.LeaderEpoch, o.Metadata = p.Partition, at.at, -1, &at.metadata
		t.Partitions = append(t.Partitions, o)
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group = r.instance(), r.mailbox
	req.Topics = append(req.Topics, t)
	if err := putOffsets(ctx, r.producer, r.addsGroup, req, func(req *kmsg.TxnOffsetCommitRequest) error {
		if req.MemberID, req.Generation = as.id, as.generation; as.id != "" {
			req.InstanceID = kmsg.StringPtr(r.instance())
		}
		return nil
	}); err != nil {
		return fmt.Errorf("set the offsets of group %s: %w", r.mailbox, err)
	}
	return nil
}
