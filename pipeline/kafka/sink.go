package kafka

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
)

// SinkConfig of a Runner that writes a mailbox to an outside store.
type SinkConfig struct {
	// Config as a stage's; Stage, Caller, Settings and Schema are not used.
	Config
	// Name of the mailbox and group, e.g. schemas.StageAnalytics; required.
	Name string
	// Sink to write to; required.
	Sink pipeline.Sink
	// A batch of a partition is written when it has BatchRows (default 50000), and at the latest
	// BatchEvery (default 1 s) after its first record was read.
	BatchRows  int
	BatchEvery time.Duration
}

// NewSink returns a runner that writes every record of the mailbox to the sink exactly once: it commits
// the intent to write a range, writes it, and commits the offset after it. Whoever owns the partition
// after a crash writes a stored intent again, exactly that range, before anything else. While the store
// is away a write is tried again for ever, and the lag grows.
func NewSink(cfg SinkConfig) (*Runner, error) {
	if cfg.Sink == nil || cfg.Name == "" {
		return nil, errors.New("configure sink: a sink and its name are required")
	}
	orDefault(&cfg.BatchRows, 50000)
	orDefault(&cfg.BatchEvery, time.Second)
	cfg.Config.Stage = sinkStage{cfg.Name}
	cfg.Config.Caller = nil
	r, err := New(cfg.Config)
	if err != nil {
		return nil, err
	}
	r.sink = &cfg
	return r, nil
}

// sinkStage gives a sink's runner its name; no record reaches it.
type sinkStage struct{ name string }

func (s sinkStage) Name() string { return s.name }

func (s sinkStage) Process(*pipeline.Input, pipeline.State, *pipeline.Effects) error {
	return errors.New("a sink processes no records one by one")
}

// sinkPart is the sink's side of a partition.
type sinkPart struct {
	intent  *pipeline.Intent // stored, not yet written; nil when there is none
	writing bool
	written bool      // the write succeeded, its offset is not committed yet
	since   time.Time // when the first record of the batch to come was queued
}

// intentName is the entry under which a partition's intent is stored, under the empty key.
const intentName = "intent"

// openSink reads the stored intent.
func (p *part) openSink() error {
	if p.in.r.sink == nil {
		return nil
	}
	p.sink = &sinkPart{}
	raw, ok, err := p.opened.Entry(nil, intentName)
	if err != nil {
		return fatal{err}
	}
	if !ok {
		return nil
	}
	var in pipeline.Intent
	if err := json.Unmarshal(raw, &in); err != nil {
		return fatal{fmt.Errorf("stored intent of partition %d: %w", p.id, err)}
	}
	if schema := p.in.r.sink.Sink.Schema(); in.Schema != schema {
		return fatal{fmt.Errorf("the stored intent %s was made under schema %d, this Handoff has %d: run the version that made it until its lag is 0, then upgrade",
			in.Token(), in.Schema, schema)}
	}
	in.Again = true
	p.sink.intent = &in
	return nil
}

// busySink tells whether the partition has anything to do.
func (p *part) busySink() bool {
	return p.sink.written || !p.sink.writing && len(p.queue) > 0
}

// workSink takes the partition one step on: from a batch to a stored intent, from a stored intent to
// the write, from the write to a committed offset. The loop commits after each.
func (p *part) workSink() error {
	s := p.sink
	switch {
	case s.written:
		next := s.intent.To + 1
		s.intent, s.written = nil, false
		p.passBatch(next)
		return p.state.Edit(nil, next, func(st pipeline.State) error {
			st.Delete(intentName)
			return nil
		})
	case s.writing:
	case s.intent != nil:
		return p.writeIntent()
	default:
		return p.makeIntent()
	}
	return nil
}

// passBatch drops what was written from the queue.
func (p *part) passBatch(next int64) {
	n := 0
	for n < len(p.queue) && p.queue[n].Offset < next {
		if !p.queue[n].Attrs.IsControl() {
			p.processed++
		}
		n++
	}
	p.dequeue(n)
	if p.sink.since = (time.Time{}); len(p.queue) > 0 {
		p.sink.since = p.in.r.cfg.Now()
	}
}

// makeIntent stores what will be written, once there is enough or it has waited long enough.
func (p *part) makeIntent() error {
	s, cfg := p.sink, p.in.r.sink
	skip := 0
	for skip < len(p.queue) && p.queue[skip].Attrs.IsControl() {
		p.state.SetNext(p.queue[skip].Offset + 1)
		skip++
	}
	p.dequeue(skip)
	if len(p.queue) == 0 {
		// Markers at the end are not worth a transaction, and no lag either; nor is there a batch to be
		// due, for which the loop would wait no time at all.
		s.since = time.Time{}
		p.in.r.reader.advanced(p.id, p.state.Next(), p.state.Clock())
		return nil
	}
	now := p.in.r.cfg.Now()
	if s.since.IsZero() {
		s.since = now
	}
	if len(p.queue) < cfg.BatchRows && now.Sub(s.since) < cfg.BatchEvery {
		return nil
	}
	in := pipeline.Intent{Topic: p.in.r.mailbox, Partition: p.id, From: p.queue[0].Offset, Schema: cfg.Sink.Schema()}
	for _, r := range p.queue {
		if in.Rows == cfg.BatchRows {
			break
		}
		if !r.Attrs.IsControl() {
			in.To, in.Rows = r.Offset, in.Rows+1
		}
	}
	raw, err := json.Marshal(in)
	if err != nil {
		return fatal{fmt.Errorf("store intent: %w", err)}
	}
	s.intent = &in
	return p.state.Edit(nil, p.state.Next(), func(st pipeline.State) error {
		st.Put(intentName, raw)
		return nil
	})
}

// writeIntent starts the write of a committed intent once all its records are here.
func (p *part) writeIntent() error {
	s := p.sink
	if len(p.queue) == 0 || p.queue[len(p.queue)-1].Offset < s.intent.To {
		return nil
	}
	records := make([]pipeline.Record, 0, s.intent.Rows)
	for _, r := range p.queue {
		if r.Offset > s.intent.To {
			break
		}
		if !r.Attrs.IsControl() && r.Offset >= s.intent.From {
			records = append(records, pipeline.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Time: r.Timestamp})
		}
	}
	if len(records) != s.intent.Rows {
		return fatal{fmt.Errorf("intent %s has %d rows, but %d records are in its range: the topic lost records, or they were deleted",
			s.intent.Token(), s.intent.Rows, len(records))}
	}
	s.writing = true
	p.in.background.Go(func() { p.in.tell(event{written: p, err: p.write(*s.intent, records)}) })
	return nil
}

// write tries until it succeeds, cannot succeed, or the partition leaves.
func (p *part) write(in pipeline.Intent, records []pipeline.Record) error {
	r := p.in.r
	for try := 1; ; try++ {
		began := time.Now()
		err := r.sink.Sink.Write(p.ctx, in, records)
		switch {
		case err == nil:
			r.metrics.writes.Observe(time.Since(began).Seconds())
			return nil
		case p.ctx.Err() != nil:
			return nil //nolint:nilerr // Whoever owns it now writes it.
		case errors.Is(err, pipeline.ErrPermanent):
			return fatal{fmt.Errorf("write %s: %w", in.Token(), err)}
		}
		in.Again = true
		r.metrics.writeErrors.Inc()
		if try == 1 {
			r.cfg.Logger.Warn("the store does not take a batch; trying again until it does", "intent", in.Token(), "error", err)
		}
		select {
		case <-time.After(backoff(try)):
		case <-p.ctx.Done():
			return nil
		}
	}
}

// sinkPressure stops fetching partitions whose queue has enough for two batches, until it is down.
func (in *incarnation) sinkPressure() {
	for _, p := range in.order {
		switch limit := 2 * in.r.sink.BatchRows; {
		case len(p.queue) >= limit:
			p.pause(true)
		case len(p.queue) < limit/2:
			p.pause(false)
		}
	}
}

// sinkWait is how long a poll may wait before a batch is due.
func (in *incarnation) sinkWait() time.Duration {
	wait := idlePoll
	now := in.r.cfg.Now()
	for _, p := range in.order {
		if s := p.sink; s.intent == nil && !s.since.IsZero() {
			wait = min(wait, in.r.sink.BatchEvery-now.Sub(s.since))
		} else if s.intent != nil && !s.writing {
			return 0
		}
	}
	return max(wait, 0)
}
