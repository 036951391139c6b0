package state

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
)

// Config of a Partition.
type Config struct {
	// Stage to run; required.
	Stage pipeline.Stage
	// Partition of the mailbox.
	Partition int32
	// Partitions the mailbox has; required, and refused when the state was written under another count.
	Partitions int32
	// Schema version of the stage's entries; state of a newer one is refused.
	Schema uint32
	// SeenWindow is how long ids given to Seen are remembered; default 31 days.
	SeenWindow time.Duration
	// SeenInMemory is how many ids of one eighth of the window are kept in memory before they are sorted
	// into the backing; default 32768.
	SeenInMemory int
	// CacheBytes bounds the memory of cached state; default 32 MiB.
	CacheBytes int
	// ReplayBytes is how much of a changelog a Replay collects, about, before it writes it; default 8 MiB. Of
	// more than that a file is made, which takes as much memory again.
	ReplayBytes int
	// MaxRecordBytes bounds a produced record, key and value; default schemas.MaxRecordBytes.
	MaxRecordBytes int
	// MaxTimers bounds the timers that fire in one transaction; default 10000.
	MaxTimers int
}

func (c *Config) validate() error {
	if c.Stage == nil || c.Partitions <= 0 || c.Partition < 0 || c.Partition >= c.Partitions {
		return fmt.Errorf("state of partition %d of %d: a stage and a partition below the count are required", c.Partition, c.Partitions)
	}
	if c.SeenWindow <= 0 {
		c.SeenWindow = 31 * 24 * time.Hour
	}
	if c.SeenInMemory <= 0 {
		c.SeenInMemory = spillIDs
	}
	if c.CacheBytes <= 0 {
		c.CacheBytes = 32 << 20
	}
	if c.ReplayBytes <= 0 {
		c.ReplayBytes = loadBytes
	}
	if c.MaxRecordBytes <= 0 {
		c.MaxRecordBytes = schemas.MaxRecordBytes
	}
	if c.MaxTimers <= 0 {
		c.MaxTimers = 10000
	}
	return nil
}

// maxAhead is how far a record's time may be ahead of the wall clock before it is cut.
const maxAhead = time.Minute

var (
	// ErrTooLarge is wrapped by the failure of a record whose effects or state do not fit a record.
	ErrTooLarge = errors.New("record too large")
	// ErrPanic is wrapped by the failure of a record on which the stage panicked.
	ErrPanic = errors.New("stage panicked")
	// ErrFull is returned by Process when the transaction's limit of timers was reached before the
	// record's turn came: commit, and give the record again.
	ErrFull = errors.New("transaction is full")
)

// Failure is a record or timer that the stage could not process: a dead letter.
type Failure struct {
	// Record, nil for a timer. Its memory is the input's.
	Record *pipeline.Record
	// Timer, nil for a record.
	Timer *pipeline.Timer
	// Key of either; a copy.
	Key []byte
	// Next offset of the mailbox when it failed: a timer that is set again and fails again is another
	// dead letter.
	Next int64
	// Cause is the stage's error.
	Cause error
}

// Partition is the single-threaded machine of one partition: it runs the stage on records and due
// timers over an overlay of the backing. It is not safe for concurrent use.
type Partition struct {
	cfg   Config
	back  Backing
	cache cache
	seen  seen
	timer timers

	committed Position // of the last committed transaction
	sealed    Position // of the transaction being committed
	resume    Resume   // of the last committed transaction

	// The open transaction.
	open     Position // Number is still the committed one's
	touched  bool
	fired    int
	written  []written // entries, in the order of their first change
	changed  []int     // open keys that have changes
	emits    []pipeline.Emit
	failures []Failure
	bytes    int
	keys     slab   // memory of its changelog keys
	cursor   Cursor // reads the backing; nil until a key is not cached

	stale  bool  // the backing lacks committed transactions
	failed error // of the backing; nothing goes on after it

	// The record or timer in hand.
	in      pipeline.Input
	due     pipeline.Timer
	fx      pipeline.Effects
	key     int   // among the open keys
	block   block // of it
	journal []undo
	scratch []byte // of blocks
	raw     []byte // of keys
}

// written names a change: its open key, and its place among that key's changes.
type written struct{ key, at int }

// undo is what one write replaced; fresh when there was no change of the entry before.
type undo struct {
	written
	value []byte
	ok    bool
	fresh bool
}

// Resume is where to go on reading the changelog for what the backing does not have.
type Resume struct {
	// Next offset of the changelog.
	Next int64
	// At is when the backing was written last.
	At time.Time
}

// NewPartition opens the state that is in the backing. It refuses state of another partition count or
// of a newer schema.
func NewPartition(cfg Config, back Backing) (*Partition, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p := &Partition{cfg: cfg, back: back}
	return p, p.load()
}

// load begins from what is in the backing.
func (p *Partition) load() error {
	pos, resume, err := ReadPosition(p.back)
	if err != nil {
		return err
	}
	if pos.Number > 0 {
		if err := p.accept(pos); err != nil {
			return err
		}
	}
	p.committed, p.open, p.resume = pos, pos, resume
	p.cache = newCache(p.cfg.CacheBytes)
	p.timer = timers{}
	p.written, p.changed, p.journal, p.stale = p.written[:0], p.changed[:0], p.journal[:0], false
	p.clearOutputs()
	if err := p.Close(); err != nil {
		return err
	}
	return p.seen.load(p.back, &p.cfg)
}

// accept refuses a position that this stage must not go on from.
func (p *Partition) accept(pos Position) error {
	if pos.Partitions != p.cfg.Partitions {
		return fmt.Errorf("state of %s was written for %d partitions, the mailbox has %d: the count of a mailbox must never change",
			p.cfg.Stage.Name(), pos.Partitions, p.cfg.Partitions)
	}
	if pos.Schema > p.cfg.Schema {
		return fmt.Errorf("state of %s has schema version %d, this Handoff knows %d: run the newer version",
			p.cfg.Stage.Name(), pos.Schema, p.cfg.Schema)
	}
	return nil
}

// Abort forgets the open transaction, and committed ones that were not saved: those must be replayed
// from the changelog.
func (p *Partition) Abort() error { return p.load() }

// Close lets go of the backing. What is not saved is in the changelog. The partition may be used again.
func (p *Partition) Close() error {
	if p.cursor == nil {
		return nil
	}
	err := p.cursor.Close()
	p.cursor = nil
	return err
}

// SetCacheBytes changes the bound of the cached state's memory; it takes effect as keys come.
func (p *Partition) SetCacheBytes(n int) { p.cache.limit = n }

// CacheBytes is the bound of the cached state's memory.
func (p *Partition) CacheBytes() int { return p.cache.limit }

// Committed position: of the last committed transaction; zero when there was none.
func (p *Partition) Position() Position { return p.committed }

// Resume tells where the changelog goes on after the last committed transaction.
func (p *Partition) Resume() Resume { return p.resume }

// Next offset of the mailbox to process.
func (p *Partition) Next() int64 { return p.open.Offset }

// SetNext sets the offset to process next, for a partition that starts without a position.
func (p *Partition) SetNext(offset int64) { p.open.Offset = offset }

// Touched tells whether the open transaction has anything to commit.
func (p *Partition) Touched() bool { return p.touched }

// Bytes is the size of the open transaction's writes.
func (p *Partition) Bytes() int { return p.bytes }

// Clock of the partition.
func (p *Partition) Clock() time.Time { return time.UnixMilli(p.open.Clock).UTC() }

// Process runs the stage on the record, after the timers that are due before it. It returns an error
// only when the record was not consumed: pipeline.ErrSettingsPending (unless giveUp, which makes that
// a failure of the record), ErrFull, or an error of the backing, after which the partition is unusable.
func (p *Partition) Process(r *pipeline.Record, wall time.Time, settings pipeline.Settings, giveUp bool) error {
	at := min(r.Time.UnixMilli(), wall.Add(maxAhead).UnixMilli())
	if err := p.fire(max(at, p.open.Clock), settings, giveUp); err != nil {
		return err
	}
	clock := max(at, p.open.Clock)
	p.in = pipeline.Input{Key: r.Key, Record: r, Now: time.UnixMilli(clock).UTC(), Settings: settings}
	if err := p.step(giveUp); err != nil {
		return err
	}
	p.open.Clock = clock
	p.consumed(r.Offset)
	return nil
}

// Reject makes the record a dead letter without running the stage on it.
func (p *Partition) Reject(r *pipeline.Record, cause error, settings pipeline.Settings) error {
	p.in = pipeline.Input{Key: r.Key, Record: r, Now: p.Clock(), Settings: settings}
	p.begin()
	p.fail(cause)
	p.consumed(r.Offset)
	return p.failed
}

// Edit changes state outside any record, under key, and moves the offset: for what is not a stage. An
// error of fn undoes what it did.
func (p *Partition) Edit(key []byte, offset int64, fn func(st pipeline.State) error) error {
	p.in = pipeline.Input{Key: key, Now: p.Clock()}
	p.begin()
	if err := fn((*view)(p)); err != nil {
		p.rollBack()
		return err
	}
	p.open.Offset, p.touched = offset, true
	return p.failed
}

func (p *Partition) consumed(offset int64) {
	p.open.Offset, p.touched = offset+1, true
}

// Advance moves the clock to wall, once the partition was read to its end at that time, and fires what
// is due. Errors are Process's.
func (p *Partition) Advance(wall time.Time, settings pipeline.Settings, giveUp bool) error {
	now := wall.UnixMilli()
	if now <= p.open.Clock {
		now = p.open.Clock
	}
	if err := p.fire(now, settings, giveUp); err != nil {
		return err
	}
	p.open.Clock = now
	return nil
}

// fire runs the stage on every timer due at or before now, in the order of time, key and name.
func (p *Partition) fire(now int64, settings pipeline.Settings, giveUp bool) error {
	for {
		t, ok := p.nextDue(now)
		if p.failed != nil {
			return p.failed
		}
		if !ok {
			return nil
		}
		if p.fired >= p.cfg.MaxTimers {
			return ErrFull
		}
		p.due = pipeline.Timer{Name: t.name, At: time.UnixMilli(t.at).UTC()}
		p.in = pipeline.Input{Key: []byte(t.key), Timer: &p.due, Now: p.due.At, Settings: settings}
		p.timer.pop()
		if err := p.step(giveUp); err != nil {
			p.timer.push(t)
			return err
		}
		p.fired++
		p.open.Clock = max(p.open.Clock, t.at)
		p.touched = true
	}
}

// step runs the stage on the input in hand and keeps all of what it did, or none and a dead letter. A
// timer is removed by either. The error is ErrSettingsPending or the backing's, and nothing was kept.
func (p *Partition) step(giveUp bool) error {
	p.begin()
	err := p.run()
	if err == nil {
		err = p.checkSizes()
	}
	if p.failed != nil {
		return p.failed
	}
	if err == nil {
		p.keep()
		return p.failed
	}
	p.rollBack()
	if errors.Is(err, pipeline.ErrSettingsPending) && !giveUp {
		return err
	}
	p.begin()
	p.fail(err)
	return p.failed
}

// begin points the overlay at the input's key; a timer is gone before the stage sees it fire.
func (p *Partition) begin() {
	p.journal = p.journal[:0]
	p.seen.mark()
	p.fx.Reset()
	p.touch(p.in.Key)
	if p.in.Timer != nil {
		p.set(kindTimer, p.in.Timer.Name, nil, false)
	}
}

// run calls the stage; a panic is its error.
func (p *Partition) run() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v\n%s", ErrPanic, r, debug.Stack())
		}
	}()
	return p.cfg.Stage.Process(&p.in, (*view)(p), &p.fx)
}

// fail records the input in hand as a dead letter, with what the stage wants done about it.
func (p *Partition) fail(cause error) {
	f := Failure{Record: p.in.Record, Key: append([]byte(nil), p.in.Key...), Next: p.open.Offset, Cause: cause}
	if p.in.Timer != nil {
		t := *p.in.Timer
		f.Timer = &t
	}
	p.failures = append(p.failures, f)
	h, ok := p.cfg.Stage.(pipeline.FailureHandler)
	if !ok {
		return
	}
	defer func() {
		if r := recover(); r != nil {
			p.fx.Reset()
			p.failures[len(p.failures)-1].Cause = errors.Join(cause, fmt.Errorf("%w on the failure: %v", ErrPanic, r))
		}
	}()
	h.Failed(&p.in, f.Name(p.cfg.Stage.Name(), p.cfg.Partition), cause, &p.fx)
	if err := p.checkSizes(); err != nil {
		p.failures[len(p.failures)-1].Cause = errors.Join(cause, fmt.Errorf("effects of the failure: %w", err))
		p.fx.Reset()
		return
	}
	p.keep()
}

// Name of the dead letter: "<topic>/<partition>/<offset>" of a record,
// "<mailbox>/<partition>/timer/<name>/<milliseconds>/<next offset>" of a timer.
func (f *Failure) Name(stage string, partition int32) string {
	if f.Timer != nil {
		return fmt.Sprintf("%s/%d/timer/%s/%d/%d", schemas.Mailbox(stage), partition, f.Timer.Name, f.Timer.At.UnixMilli(), f.Next)
	}
	return fmt.Sprintf("%s/%d/%d", f.Record.Topic, f.Record.Partition, f.Record.Offset)
}

// rollBack undoes what the input in hand did to the overlay.
func (p *Partition) rollBack() {
	for i := len(p.journal) - 1; i >= 0; i-- {
		u := &p.journal[i]
		k := &p.cache.open[u.key]
		if !u.fresh {
			c := &k.changes[u.at]
			c.value, c.ok = u.value, u.ok
			continue
		}
		k.drop()
		p.written = p.written[:len(p.written)-1]
		if u.at == 0 {
			p.changed = p.changed[:len(p.changed)-1]
		}
	}
	p.journal = p.journal[:0]
	p.seen.rollBack()
	p.fx.Reset()
}

// checkSizes refuses effects and state that would not fit a record.
func (p *Partition) checkSizes() error {
	const overhead = 128 // of a record in a batch
	limit := p.cfg.MaxRecordBytes - overhead
	for i := range p.fx.Emits {
		if e := &p.fx.Emits[i]; len(e.Key)+len(e.Value) > limit {
			return fmt.Errorf("%w: %d bytes to %s, at most %d fit", ErrTooLarge, len(e.Key)+len(e.Value), e.Topic, limit)
		}
	}
	for i := range p.fx.Calls {
		if c := &p.fx.Calls[i]; len(c.Body)+len(c.Lane)+len(p.in.Key) > limit-overhead {
			return fmt.Errorf("%w: call %s to %s has %d bytes", ErrTooLarge, c.ID, c.Destination, len(c.Body))
		}
	}
	for i := range p.fx.Timers {
		if name := p.fx.Timers[i].Name; len(name) > maxName {
			return fmt.Errorf("%w: a timer's name has %d bytes, at most %d fit", ErrTooLarge, len(name), maxName)
		}
	}
	for i := range p.journal {
		u := &p.journal[i]
		c := &p.cache.open[u.key].changes[u.at]
		if size := len(c.raw) + len(c.value); size > limit || c.kind == kindEntry && len(c.name) > maxName {
			return fmt.Errorf("%w: state entry %.40q has %d bytes", ErrTooLarge, c.name, size)
		}
	}
	return nil
}

// maxName bounds the names of entries and timers.
const maxName = 512
