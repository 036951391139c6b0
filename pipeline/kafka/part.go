package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// part is one assigned partition. The loop owns it, and one worker while it works.
type part struct {
	in        *incarnation
	id        int32
	ctx       context.Context // ends when the partition leaves
	cancel    context.CancelFunc
	state     *state.Partition // nil until restored
	opened    *state.Partition // what the restore will make it
	calls     []pipeline.PendingCall
	first     int64 // where the mailbox begins, for a partition without state; -1 for others
	forgotten bool  // the group has no offset any more, though there is a state

	queue  []*kgo.Record // polled, not processed
	done   []*kgo.Record // processed in the open transaction
	room   []*kgo.Record // memory for the next queue
	next   int64         // offset after the last one queued
	stable int64         // last stable offset as of the last fetch
	end    int64         // last stable offset as of endAt
	endAt  time.Time

	wall      time.Time     // of this turn of the loop
	share     int           // records to process in this turn at most
	bytes     int           // of changes after which this turn ends
	slice     time.Duration // time to process them in at most
	processed int           // records since the loop last looked
	full      bool          // commit before going on
	waiting   time.Time     // since when the first of queue, or a timer, waits for its settings
	paused    bool          // not fetched: its queue is long
	nextDue   int64         // earliest timer, Unix ms
	record    pipeline.Record
	keys      [state.AheadKeys][]byte
	produce   slab
	position  *kgo.Record // of the transaction being committed
	sink      *sinkPart   // nil for a stage
}

func newPart(in *incarnation, id int32) *part {
	p := &part{in: in, id: id, first: -1, nextDue: 1<<63 - 1, end: -1}
	p.ctx, p.cancel = context.WithCancel(in.ctx)
	return p
}

// open reads the restored state, beside the loop.
func (p *part) open() error {
	cfg := p.in.r.cfg.partitionConfig(p.id, p.in.partitions)
	s, err := state.NewPartition(cfg, p.in.r.backing(p.id, p.in))
	if err != nil {
		return fatal{err}
	}
	if p.first >= 0 {
		s.SetNext(p.first)
	}
	if p.calls, err = s.PendingCalls(); err != nil {
		return fatal{err}
	}
	p.opened = s
	return p.openSink()
}

// begin makes the opened state the loop's.
func (p *part) begin() {
	p.state, p.next = p.opened, p.opened.Next()
	p.lookAhead()
}

// lookAhead notes when the next timer is due.
func (p *part) lookAhead() {
	p.nextDue = 1<<63 - 1
	if at, ok := p.state.NextTimer(); ok {
		p.nextDue = at.UnixMilli()
	}
}

// busy tells whether there is anything to do.
func (p *part) busy() bool {
	if p.sink != nil {
		return p.busySink()
	}
	return len(p.queue) > 0 || p.atEnd()
}

// atEnd tells whether everything was read as of endAt, and the clock may follow the wall to there.
func (p *part) atEnd() bool {
	return len(p.queue) == 0 && p.end >= 0 && p.state.Next() >= p.end && p.endAt.After(p.state.Clock())
}

// work processes the queue, then fires timers if the end is read. A returned error ends the
// incarnation; a record that waits stays in the queue.
func (p *part) work() error {
	if p.sink != nil {
		return p.workSink()
	}
	p.full = false
	taken := 0
	queue := p.queue[:min(len(p.queue), p.share)]
	until := p.in.r.cfg.Now().Add(p.slice)
	for i, r := range queue {
		if i > 0 && p.state.Bytes() >= p.bytes {
			break
		}
		if i%state.AheadKeys == 0 {
			if i > 0 && p.in.r.cfg.Now().After(until) {
				break
			}
			p.expect(queue[i:])
		}
		if err := p.process(r); err != nil {
			return p.afterError(taken, err)
		}
		taken++
	}
	p.dequeue(taken)
	if p.atEnd() {
		err := p.state.Advance(p.endAt, p.in.settings(), p.gaveUp())
		if err := p.output(); err != nil {
			return err
		}
		if err != nil {
			return p.afterError(0, err)
		}
		p.waiting = time.Time{}
	}
	p.lookAhead()
	return nil
}

// expect tells the state whose turn comes.
func (p *part) expect(queue []*kgo.Record) {
	n := min(len(queue), state.AheadKeys)
	for i, r := range queue[:n] {
		p.keys[i] = r.Key
	}
	p.state.Expect(p.keys[:n])
}

// dequeue drops the first n of the queue. Its memory is used again once it is empty.
func (p *part) dequeue(n int) {
	p.done = append(p.done, p.queue[:n]...)
	clear(p.queue[:n])
	p.queue = p.queue[n:]
	if len(p.queue) == 0 {
		p.queue = p.room[:0]
	}
}

// pause has the client fetch no more of the partition, or go on.
func (p *part) pause(is bool) {
	if is == p.paused {
		return
	}
	p.paused = is
	if it := map[string][]int32{p.in.r.mailbox: {p.id}}; is {
		p.in.client.PauseFetchPartitions(it)
	} else {
		p.in.client.ResumeFetchPartitions(it)
	}
}

// recycle gives the memory of processed records back, once nothing they caused is in flight. A sink's
// are still being written, or were given to it.
func (p *part) recycle() {
	if p.sink == nil {
		for _, r := range p.done {
			r.Recycle()
		}
	}
	clear(p.done)
	p.done = p.done[:0]
}

// enqueue adds polled records that are not known yet.
func (p *part) enqueue(records []*kgo.Record) {
	if !p.state.Touched() {
		p.recycle() // markers alone open no transaction
	}
	empty := len(p.queue) == 0
	for _, r := range records {
		if r.Offset >= p.next {
			p.queue = append(p.queue, r)
			p.next = r.Offset + 1
		} else {
			r.Recycle()
		}
	}
	if empty {
		p.room = p.queue
	}
}

// process runs the stage on one record.
func (p *part) process(r *kgo.Record) error {
	if r.Attrs.IsControl() {
		p.state.SetNext(r.Offset + 1)
		return nil
	}
	p.record = pipeline.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Time: r.Timestamp}
	var err error
	if right := schemas.Partition(r.Key, int(p.in.partitions)); right != p.id {
		err = p.state.Reject(&p.record, wrongPartition(right), p.in.settings())
	} else {
		err = p.state.Process(&p.record, p.wall, p.in.settings(), p.gaveUp())
	}
	failed := p.output() // timers that fired before the record may have output even if it has to wait
	if err != nil {
		return err
	}
	p.waiting = time.Time{}
	p.processed++
	return failed
}

// wrongPartition is why a record is refused whose key belongs to another partition.
func wrongPartition(right int32) error {
	return fmt.Errorf("record on the wrong partition: its key belongs to partition %d; its producer does not use %s", right, schemas.Partitioner)
}

// gaveUp tells whether the first in line has waited for its settings for too long.
func (p *part) gaveUp() bool {
	return !p.waiting.IsZero() && p.wall.Sub(p.waiting) > p.in.r.cfg.SettingsWait
}

// afterError keeps what is not processed for the next turn, if the error is one to wait for.
func (p *part) afterError(taken int, err error) error {
	p.dequeue(taken)
	switch {
	case errors.Is(err, pipeline.ErrSettingsPending):
		if p.waiting.IsZero() {
			p.waiting = p.wall
		}
		return nil
	case errors.Is(err, state.ErrFull):
		p.full = true
		return nil
	case errors.Is(err, ErrFailing):
		return err
	}
	return fatal{err}
}

// output produces what the last inputs emitted, and their dead letters.
func (p *part) output() error {
	emits := p.state.TakeEmits()
	failures := p.state.TakeFailures()
	if len(failures) == 0 {
		p.in.r.failures.succeeded()
	}
	for i := range emits {
		e := &emits[i]
		r := p.produce.next()
		r.Topic, r.Key, r.Value, r.Timestamp = e.Topic, e.Key, e.Value, e.Time
		if err := p.in.send(r); err != nil {
			return err
		}
	}
	for i := range failures {
		if err := p.in.send(p.deadLetter(&failures[i])); err != nil {
			return err
		}
		p.in.r.metrics.deadLetters.Inc()
		if p.in.r.failures.failed(p.in.r.cfg.Now()) {
			p.in.r.failing.Store(true)
		}
	}
	return nil
}

// seal produces the changelog of the open transaction, the position last.
func (p *part) seal() error {
	var failed error
	now := p.in.r.cfg.Now()
	p.state.Seal(func(key, value []byte) {
		r := p.produce.next()
		r.Topic, r.Partition, r.Key, r.Value, r.Timestamp = p.in.r.changelog, p.id, key, value, now
		if err := p.in.send(r); err != nil {
			failed = err
		}
		p.position = r
	})
	return failed
}

// slab hands out records that are used again once their transaction has ended.
type slab struct {
	chunks [][]kgo.Record
	used   int
}

const slabChunk = 512

func (s *slab) next() *kgo.Record {
	chunk, at := s.used/slabChunk, s.used%slabChunk
	if chunk == len(s.chunks) {
		s.chunks = append(s.chunks, make([]kgo.Record, slabChunk))
	}
	s.used++
	return &s.chunks[chunk][at]
}

// reset takes all records back; none may be in flight. What a far larger transaction needed is let go bit by bit.
func (s *slab) reset() {
	for i := range s.chunks {
		clear(s.chunks[i][:min(max(s.used-i*slabChunk, 0), slabChunk)])
	}
	if last := len(s.chunks) - 1; last > 4*(s.used/slabChunk+1) {
		s.chunks[last] = nil
		s.chunks = s.chunks[:last]
	}
	s.used = 0
}
