package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
)

// placeAgain is how soon a partition is placed again that the client does not know yet: the group tells
// of it before the client has looked up its offset.
const placeAgain = 5 * time.Millisecond

// place has the client read a partition from where its state stands, whatever it has learned from the
// group, and tells whether it does.
func (in *incarnation) place(p *part) bool {
	topic, at := in.r.mailbox, p.opened.Next()
	in.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {p.id: {Epoch: -1, Offset: at}}})
	placed, known := in.client.CommittedOffsets()[topic][p.id]
	return known && placed.Offset == at
}

// placeLater has a restored partition placed by a later turn of the loop.
func (in *incarnation) placeLater(p *part) {
	in.background.Go(func() {
		select {
		case <-time.After(placeAgain):
			in.tell(event{restored: p})
		case <-p.ctx.Done():
		}
	})
}

// asks are what the restores of an incarnation's partitions ask for together.
type asks struct {
	commits            *asker[map[int32]commitAnswer]
	mailbox, changelog *asker[edges]
}

// edges are where a topic's partitions begin and end: what is committed, and all that is written.
type edges struct {
	spans   map[int32]span
	written map[int32]int64
}

func (in *incarnation) newAsks() asks {
	of := func(topic string) *asker[edges] {
		return &asker[edges]{ask: func(ctx context.Context) (e edges, err error) {
			ends, err := in.admin.ListEndOffsets(ctx, topic)
			if err == nil {
				err = ends.Error()
			}
			if err != nil {
				return e, fmt.Errorf("look up the ends of %s: %w", topic, err)
			}
			e.written = make(map[int32]int64, len(ends[topic]))
			for p, o := range ends[topic] {
				e.written[p] = o.Offset
			}
			e.spans, err = spans(ctx, in.admin, topic)
			return e, err
		}}
	}
	return asks{
		commits: &asker[map[int32]commitAnswer]{ask: func(ctx context.Context) (map[int32]commitAnswer, error) {
			all := make([]int32, in.partitions)
			for p := range all {
				all[p] = int32(p)
			}
			return fetchCommits(ctx, in.client, in.r.mailbox, in.r.mailbox, in.topicID, all)
		}},
		mailbox: of(in.r.mailbox), changelog: of(in.r.changelog),
	}
}

// changelogSpan asks what of a changelog is committed. Where the group has no offset to compare with, all
// of it must be: a transaction that is still open on it may be one whose offset the group had.
func (in *incarnation) changelogSpan(ctx context.Context, partition int32, commit groupCommit) (span, error) {
	all, err := in.asks.changelog.get(ctx, in.ctx)
	if err != nil {
		return span{}, err
	}
	if written := all.written[partition]; !commit.found && all.spans[partition].end < written {
		return span{}, errBehind{fmt.Sprintf("%s/%d: the group has no offset, and a transaction before the changelog's end %d is open: where the state stands is not decided",
			in.r.changelog, partition, written)}
	}
	return all.spans[partition], nil
}

// readable refuses a mailbox that does not have the offset at which the state stands: what was never
// processed is gone, or what comes next would be taken for processed.
func (in *incarnation) readable(p *part, at int64) error {
	mailbox, err := in.asks.mailbox.get(p.ctx, in.ctx)
	if err != nil {
		return err
	}
	from, end := mailbox.spans[p.id].from, mailbox.written[p.id]
	switch stage := in.r.cfg.Stage.Name(); {
	case at < from:
		return fatal{fmt.Errorf("%s/%d: the state stands at offset %d and the topic begins at %d: up to %d records that were never processed are gone from the topic; \"handoff reset %s --keep-state\" goes on at the first that is there",
			in.r.mailbox, p.id, at, from, from-at, stage)}
	case at > end:
		return fatal{fmt.Errorf("%s/%d: the state stands at offset %d and the topic ends at %d: it was made anew or lost its end, and what comes up to there would be taken for processed; \"handoff reset %s --keep-state\" goes on at its end (up to %d records that are in it are passed over if it was made anew)",
			in.r.mailbox, p.id, at, end, stage, end-from)}
	}
	return nil
}

// remember commits the place of a partition that the group has forgotten, with the next transaction.
func (in *incarnation) remember(p *part) error {
	in.r.cfg.Logger.Warn("the group's offset was gone (expired, or the group was deleted): going on where the state stands, and committing that anew",
		"group", in.r.mailbox, "partition", p.id, "offset", p.state.Next(), "transaction", p.state.Position().Number)
	return in.touch(p)
}

// touch has the next transaction commit where a partition stands though nothing was processed.
func (in *incarnation) touch(p *part) error {
	if err := p.state.Edit(nil, p.state.Next(), func(pipeline.State) error { return nil }); err != nil {
		return fatal{err}
	}
	if in.txn.began.IsZero() {
		in.txn.began = in.r.cfg.Now()
	}
	return nil
}

// pass tells the reader of partitions of which markers alone were read: no commit comes that would, and a
// Caller that counts as behind starts no request.
func (in *incarnation) pass(parts []*part) {
	for _, p := range parts {
		if !p.state.Touched() {
			in.r.reader.advanced(p.id, p.state.Next(), p.state.Clock())
		}
	}
}

// settleEvery is how often a quiet partition's offset is brought past the markers that were read.
const settleEvery = 10 * time.Minute

// settle commits offsets past markers, which end every transaction of a producer and open none here.
// Were they left at it, retention would in time remove the marker that the group stands at, and whoever
// comes back could not tell it from a record that was never processed.
func (in *incarnation) settle() error {
	in.settled = in.r.cfg.Now()
	for _, p := range in.order {
		at := p.state.Position()
		if p.state.Touched() || at.Number == 0 || p.state.Next() <= at.Offset || p.sink != nil && p.sink.intent != nil {
			continue
		}
		if err := in.touch(p); err != nil {
			return err
		}
	}
	return nil
}
