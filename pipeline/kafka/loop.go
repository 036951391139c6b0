package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
)

// idlePoll bounds a poll with nothing to do.
const idlePoll = time.Second

// loop polls, processes and commits until ctx ends or something is not a clean commit.
func (in *incarnation) loop(ctx context.Context) error {
	in.saved = in.r.cfg.Now()
	in.settled = in.saved
	for {
		fetches := in.poll(ctx)
		if err := in.takeEvents(); err != nil {
			return err
		}
		if err := in.take(fetches); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return in.finish()
		}
		if err := in.work(); err != nil {
			return err
		}
		if in.r.cfg.Now().Sub(in.settled) >= in.r.settleEvery {
			if err := in.settle(); err != nil {
				return err
			}
		}
		if in.commitDue() {
			if err := in.commit(); err != nil {
				return err
			}
		}
		if in.txn.began.IsZero() {
			in.client.AllowRebalance()
		}
	}
}

// finish commits what is processed and saves it.
func (in *incarnation) finish() error {
	if err := in.settle(); err != nil {
		return err
	}
	if !in.txn.began.IsZero() {
		if err := in.commit(); err != nil {
			return err
		}
	}
	in.client.AllowRebalance()
	return in.save()
}

// poll returns what came, and waits for it only when there is nothing to do. Rebalances are held off
// from here on until AllowRebalance. What is polled beyond the transaction's bounds waits in its
// partition's queue: offsets are committed by what is processed, not by what is polled.
func (in *incarnation) poll(ctx context.Context) kgo.Fetches {
	wait := in.pollWait()
	poll, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if wait > 0 {
		in.mu.Lock()
		if len(in.events) > 0 {
			cancel()
		}
		in.wake = cancel
		in.mu.Unlock()
		defer func() {
			in.mu.Lock()
			in.wake = nil
			in.mu.Unlock()
		}()
	} else if !in.full() {
		// What is buffered is taken without a wait. An empty answer does not hold rebalances off.
		if fetches := in.client.PollRecords(nil, -1); len(fetches) > 0 { //nolint:staticcheck // A nil context is how kgo is asked not to wait.
			return fetches
		}
	}
	if in.full() {
		cancel()
	}
	fetches := in.client.PollRecords(poll, -1)
	if len(fetches) == 0 {
		// What was there was taken away by a rebalance, and the empty answer holds the next one off as little as
		// those above. A poll that has ended before it begins does.
		cancel()
		fetches = in.client.PollRecords(poll, -1)
	}
	return fetches
}

// pollWait is how long a poll may wait: not at all while anything can be processed.
func (in *incarnation) pollWait() time.Duration {
	if in.r.sink != nil {
		return in.sinkWait()
	}
	wait := idlePoll
	for _, p := range in.order {
		switch {
		case len(p.queue) == 0:
		case p.waiting.IsZero():
			return 0
		default:
			wait = min(wait, heldPoll)
		}
	}
	if !in.txn.began.IsZero() {
		wait = min(wait, max(in.r.cfg.CommitEvery-in.r.cfg.Now().Sub(in.txn.began), 0))
		if in.idle() {
			wait = min(wait, in.pace())
		}
	}
	return wait
}

// idle tells whether nothing more is known to come without a wait.
func (in *incarnation) idle() bool { return in.client.BufferedFetchRecords() == 0 && !in.behind() }

// pace is how long the next commit of an idle stage is put off: as long after the one before as that took. The broker
// still writes the markers of that one, and refuses what comes for the next before it is done; and on a busy machine no
// stage spends more than half of its time on commits that bring little each.
func (in *incarnation) pace() time.Duration {
	return max(min(in.took, in.r.cfg.CommitEvery)-time.Since(in.ended), 0)
}

// behind tells whether more records are known to come without a wait: queued ones, and those that were
// in a partition when it was fetched last.
func (in *incarnation) behind() bool {
	for _, p := range in.order {
		if p.waiting.IsZero() && (len(p.queue) > 0 || p.next < p.stable) {
			return true
		}
	}
	return false
}

// full tells whether so much is polled and not processed that no more should be: what the last transaction took twice
// over, so that a slow stage does not hold in memory what it comes to much later.
func (in *incarnation) full() bool {
	if in.r.sink != nil {
		return false // its partitions are paused one by one
	}
	const least = 4096
	queued := 0
	for _, p := range in.order {
		if p.waiting.IsZero() { // or it is paused by itself
			queued += len(p.queue)
		}
	}
	return queued >= min(max(2*in.did, least), in.r.cfg.CommitRecords)
}

// pauseWaiting fetches no more of a partition whose first record waits for its settings and has many behind it,
// so that the others' are polled meanwhile.
func (in *incarnation) pauseWaiting() {
	for _, p := range in.order {
		many := p.paused || len(p.queue) >= max(in.r.cfg.CommitRecords/len(in.order), 1)
		p.pause(many && !p.waiting.IsZero())
	}
}

// heldPoll is how often is looked again whether the settings that records wait for are there.
const heldPoll = 20 * time.Millisecond

// takeEvents applies what the group and restores told, in order.
func (in *incarnation) takeEvents() error {
	in.mu.Lock()
	events, ends := in.events, in.ends
	in.events = nil
	in.mu.Unlock()
	for _, e := range events {
		switch {
		case e.err != nil:
			return e.err
		case e.restored != nil:
			if err := in.started(e.restored); err != nil {
				return err
			}
		case e.written != nil:
			e.written.sink.writing, e.written.sink.written = false, true
		}
		for _, id := range e.revoked {
			in.drop(id)
		}
		if len(e.assigned) > 0 {
			in.assign(e.assigned)
		}
	}
	for _, p := range in.order {
		if end, ok := ends.offset[p.id]; ok {
			p.end, p.endAt = end, ends.at
		}
	}
	in.shareCache()
	in.removeLeft()
	in.tellReady()
	return nil
}

// shareCache gives every partition its part of the bound, which is for all that the members own together.
func (in *incarnation) shareCache() {
	owned, bytes := in.r.owned.Load(), in.r.cacheBytes.Load()
	if owned == in.sharedBy && bytes == in.shared {
		return
	}
	in.sharedBy, in.shared = owned, bytes
	for _, p := range in.order {
		p.state.SetCacheBytes(int(bytes) / int(owned))
	}
}

// assign begins to restore partitions.
func (in *incarnation) assign(partitions []int32) {
	in.r.setReady(in.member, errors.New("restoring partitions"))
	for _, id := range partitions {
		if in.parts[id] != nil {
			continue
		}
		in.r.claim(id, in)
		p := newPart(in, id)
		in.parts[id] = p
		in.background.Go(func() {
			err := in.restore(p)
			if err == nil {
				err = p.open()
			}
			if p.ctx.Err() != nil || errors.Is(err, errTaken) {
				return // taken away meanwhile
			}
			if err != nil {
				err = fmt.Errorf("restore partition %d: %w", id, err)
			}
			in.tell(event{restored: p, err: err})
		})
	}
}

// drop forgets a partition that was taken away. Its local state stays for a while.
func (in *incarnation) drop(id int32) {
	p := in.parts[id]
	if p == nil {
		return
	}
	p.cancel()
	delete(in.parts, id)
	in.reorder()
	if p.state != nil {
		in.r.copied(id, p.state.Resume().Next)
		if err := p.state.Close(); err != nil {
			in.r.cfg.Logger.Error("let go of a partition's state", "partition", id, "error", err)
		}
	}
	in.client.ResumeFetchPartitions(map[string][]int32{in.r.mailbox: {id}})
	in.r.metrics.forget(id)
	in.r.leave(id, in)
}

// removeLeft removes local state of partitions that left long ago.
func (in *incarnation) removeLeft() {
	in.r.mu.Lock()
	defer in.r.mu.Unlock()
	if !in.heartbeat.good() {
		// Who is out of its group does not know yet what it will be assigned.
		for id := range in.r.left {
			in.r.left[id] = in.r.cfg.Now()
		}
		return
	}
	for id, since := range in.r.left {
		if in.r.cfg.Now().Sub(since) < in.r.cfg.KeepRevoked {
			continue
		}
		delete(in.r.left, id)
		delete(in.r.copies.at, id)
		if err := in.r.cfg.Store.Backing(in.r.cfg.Stage.Name(), id).Clear(); err != nil {
			in.r.cfg.Logger.Error("remove state of a partition that left", "partition", id, "error", err)
		}
	}
}

func (in *incarnation) reorder() {
	before := len(in.order)
	in.order = in.order[:0]
	for id := range in.partitions {
		if p := in.parts[id]; p != nil && p.state != nil {
			in.order = append(in.order, p)
		}
	}
	in.r.owned.Add(int32(len(in.order) - before))
	in.sharedBy = 0 // new ones have no part of it yet
	in.shareCache()
}

// started lets a restored partition be fetched, from the offset its state stands at.
func (in *incarnation) started(p *part) error {
	if in.parts[p.id] != p {
		return nil
	}
	if !in.place(p) {
		in.placeLater(p)
		return nil
	}
	p.begin()
	in.reorder()
	if p.forgotten {
		if err := in.remember(p); err != nil {
			return err
		}
	}
	in.client.ResumeFetchPartitions(map[string][]int32{in.r.mailbox: {p.id}})
	in.r.reader.own(p.id, in.heartbeat, p.state.Next(), p.state.Clock())
	calls := p.calls
	p.calls = nil
	in.r.metrics.setPending(p.id, len(calls))
	if c := in.r.cfg.Caller; c != nil {
		in.r.calling.Lock()
		c.Assigned(p.id, in.r.reader, calls)
		in.r.calling.Unlock()
	}
	return nil
}

func (in *incarnation) tellReady() {
	if len(in.order) == len(in.parts) {
		in.r.setReady(in.member, nil)
	}
}

// take sorts polled records to their partitions' queues.
func (in *incarnation) take(fetches kgo.Fetches) error {
	var failed error
	fetches.EachPartition(func(t kgo.FetchTopicPartition) {
		if t.Partition < 0 || failed != nil {
			return // the poll's own end
		}
		if err := t.Err; err != nil {
			failed = in.fetchError(t.Partition, err)
		}
		p := in.parts[t.Partition]
		if p == nil || p.state == nil {
			if len(t.Records) > 0 && failed == nil {
				// It was paused before it was fetched; going on would skip these records.
				failed = fmt.Errorf("records of %s/%d came before it was restored", t.Topic, t.Partition)
			}
			return
		}
		p.stable = max(t.LastStableOffset, p.stable)
		p.enqueue(t.Records)
	})
	return failed
}

// fetchError decides what a partition's fetch error means: nil when the client goes on by itself.
func (in *incarnation) fetchError(partition int32, err error) error {
	var lost *kgo.ErrDataLoss
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil
	case errors.Is(err, kgo.ErrClientClosed):
		return err
	case errors.As(err, &lost), isOutOfRange(err):
		return fatal{fmt.Errorf("%s/%d: what comes next is not in the topic (%w): records that were never processed are gone from the topic, or it lost its end or was made anew; \"handoff reset %s --keep-state\" tells which, and goes on at the first that is there",
			in.r.mailbox, partition, err, in.r.cfg.Stage.Name())}
	}
	return fmt.Errorf("fetch %s/%d: %w", in.r.mailbox, partition, err)
}

// work processes everything queued and fires what is due.
func (in *incarnation) work() error {
	busy := make([]*part, 0, len(in.order))
	for _, p := range in.order {
		if p.busy() {
			busy = append(busy, p)
		}
	}
	if in.r.sink != nil {
		in.sinkPressure()
	} else {
		in.pauseWaiting()
	}
	if len(busy) == 0 {
		return nil
	}
	wall := in.r.cfg.Now()
	share := max((in.r.cfg.CommitRecords-in.txn.records)/len(busy), 64)
	bytes := max(in.r.cfg.CommitBytes-in.bytes(), 0) / len(busy)
	slice := in.slice(wall, len(busy))
	for _, p := range busy {
		p.wall, p.share, p.bytes, p.slice = wall, share, p.state.Bytes()+bytes, slice
	}
	if err := in.workers.each(busy, (*part).work); err != nil {
		return err
	}
	in.pass(busy)
	next := int64(1<<63 - 1)
	for _, p := range in.order {
		next = min(next, p.nextDue)
		in.txn.records += p.processed
		p.processed = 0
		if in.txn.began.IsZero() && p.state.Touched() {
			in.txn.began = wall
		}
	}
	in.nextDue.Store(next)
	return nil
}

// slice is the time that each of so many partitions has, one after the other on the workers, of what is left until
// the transaction should end: a stage that is slow makes smaller transactions, not longer ones.
func (in *incarnation) slice(now time.Time, busy int) time.Duration {
	left := in.lasts()
	if began := in.txn.began; !began.IsZero() {
		left = max(left-now.Sub(began), 0)
	}
	turns := (busy + in.workers.n - 1) / in.workers.n
	return left / time.Duration(turns)
}

// lasts is how long a transaction is at most: CommitEvery, and longer where commits take so long that little else
// would be done.
func (in *incarnation) lasts() time.Duration {
	const commits = 4 // of the time of a commit
	return min(max(in.r.cfg.CommitEvery, commits*in.took), in.r.cfg.TransactionTimeout/2)
}

// commitDue tells whether the open transaction should end now.
func (in *incarnation) commitDue() bool {
	cfg := &in.r.cfg
	if in.txn.began.IsZero() {
		return false
	}
	if in.r.sink != nil {
		return true
	}
	if in.txn.records >= cfg.CommitRecords || cfg.Now().Sub(in.txn.began) >= in.lasts() {
		return true
	}
	for _, p := range in.order {
		if p.full {
			return true
		}
	}
	return in.bytes() >= cfg.CommitBytes || in.idle() && in.pace() == 0
}

// bytes of the open transaction's changes.
func (in *incarnation) bytes() int {
	n := 0
	for _, p := range in.order {
		n += p.state.Bytes()
	}
	return n
}

// save writes committed state to the store.
func (in *incarnation) save() error {
	now := in.r.cfg.Now()
	in.saved = now
	stale := make([]*part, 0, len(in.order))
	for _, p := range in.order {
		if p.state.Unsaved() {
			stale = append(stale, p)
		}
	}
	if len(stale) == 0 {
		return nil
	}
	err := in.workers.each(stale, func(p *part) error { return p.state.Save(now) })
	if err != nil && !errors.Is(err, errTaken) {
		return fatal{err}
	}
	return err
}

// settings of all shops, or a table that knows none.
func (in *incarnation) settings() pipeline.Settings {
	if in.r.cfg.Settings == nil {
		return noSettings{}
	}
	return in.r.cfg.Settings
}
