package scripts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/script"
)

// outbox is what the runners of deliver tell of calls, of all members. The worlds make them.
type outbox struct {
	ctx   context.Context
	fail  context.CancelCauseFunc // ends the run where a partition has no owner for too long
	mu    sync.Mutex
	owned map[int32]*lot // guarded by mu; by partition
}

// lot is a partition's pending calls, as its present owner tells.
type lot struct {
	owner *courier
	read  pipeline.Reader
	calls []pipeline.PendingCall
}

// courier is one member's Caller.
type courier struct{ box *outbox }

var (
	_ pipeline.Caller = (*courier)(nil)
	_ pipeline.Reader = (*outbox)(nil)
)

func newOutbox(ctx context.Context, fail context.CancelCauseFunc) *outbox {
	return &outbox{ctx: ctx, fail: fail, owned: map[int32]*lot{}}
}

// Assigned implements pipeline.Caller.
func (c *courier) Assigned(partition int32, read pipeline.Reader, inherited []pipeline.PendingCall) {
	c.box.mu.Lock()
	defer c.box.mu.Unlock()
	c.box.owned[partition] = &lot{owner: c, read: read, calls: slices.Clone(inherited)}
}

// Committed implements pipeline.Caller.
func (c *courier) Committed(partition int32, stored, ended []pipeline.PendingCall) {
	c.box.mu.Lock()
	defer c.box.mu.Unlock()
	l := c.box.owned[partition]
	if l == nil || l.owner != c {
		return
	}
	for _, s := range stored {
		same := func(o pipeline.PendingCall) bool { return o.Call.ID == s.Call.ID }
		if i := slices.IndexFunc(l.calls, same); i >= 0 {
			l.calls[i] = s
		} else {
			l.calls = append(l.calls, s)
		}
	}
	l.calls = slices.DeleteFunc(l.calls, func(o pipeline.PendingCall) bool {
		return slices.ContainsFunc(ended, func(e pipeline.PendingCall) bool { return e.Call.ID == o.Call.ID })
	})
}

// Revoked implements pipeline.Caller.
func (c *courier) Revoked(_ context.Context, partition int32) {
	c.box.mu.Lock()
	defer c.box.mu.Unlock()
	if l := c.box.owned[partition]; l != nil && l.owner == c {
		delete(c.box.owned, partition)
	}
}

// marked tells whether every partition's owner has told of this mark, and so of all that was committed
// before it. but are those of which no word is awaited.
func (b *outbox) marked(mark string, but func(partition int32) bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n := range int32(partitions) {
		l := b.owned[n]
		if but(n) {
			continue
		}
		if l == nil || !slices.ContainsFunc(l.calls, func(c pipeline.PendingCall) bool { return c.Call.ID == mark }) {
			return false
		}
	}
	return true
}

// calls of a shop, in the order of their creation; of those of one moment under different keys, by key. While
// partitions move, it waits until each has an owner.
func (b *outbox) calls(shop string) []pipeline.PendingCall {
	var all []pipeline.PendingCall
	b.await(func() bool {
		all = all[:0]
		for n := range int32(partitions) {
			l := b.owned[n]
			if l == nil {
				return false
			}
			for _, c := range l.calls {
				if strings.HasPrefix(string(c.Key), shop+"|") {
					all = append(all, c)
				}
			}
		}
		return true
	})
	slices.SortStableFunc(all, func(x, y pipeline.PendingCall) int {
		return cmp.Or(x.Call.Created.Compare(y.Call.Created), cmp.Compare(string(x.Key), string(y.Key)))
	})
	return all
}

// await waits until a condition on the lots holds, a minute at most: then the run is over, or each of hundreds of
// worlds would wait as long.
func (b *outbox) await(holds func() bool) bool {
	for until := time.Now().Add(time.Minute); b.ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
		b.mu.Lock()
		does := holds()
		b.mu.Unlock()
		if does {
			return true
		}
		if time.Now().After(until) {
			b.fail(errors.New("a partition of deliver had no owner for a minute"))
		}
	}
	return false
}

// from reads from the state of a partition's owner, of one who still owns it when the answer is there.
func (b *outbox) from(partition int32, read func(pipeline.Reader) error) error {
	var err error
	if !b.await(func() bool {
		l := b.owned[partition]
		if l == nil {
			return false
		}
		err = read(l.read)
		return l.read.Lease(partition)
	}) {
		return fmt.Errorf("nobody owns partition %d", partition)
	}
	return err
}

// Get implements pipeline.Reader.
func (b *outbox) Get(partition int32, key []byte, name string) (value []byte, ok bool, err error) {
	err = b.from(partition, func(r pipeline.Reader) (err error) {
		value, ok, err = r.Get(partition, key, name)
		return err
	})
	return value, ok, err
}

// Scan implements pipeline.Reader.
func (b *outbox) Scan(partition int32, key []byte, prefix string, fn func(name string, value []byte) bool) error {
	type entry struct {
		name  string
		value []byte
	}
	var all []entry
	err := b.from(partition, func(r pipeline.Reader) error {
		all = all[:0]
		return r.Scan(partition, key, prefix, func(name string, value []byte) bool {
			all = append(all, entry{name, slices.Clone(value)})
			return true
		})
	})
	for _, e := range all {
		if err != nil || !fn(e.name, e.value) {
			break
		}
	}
	return err
}

// Calls implements pipeline.Reader.
func (b *outbox) Calls(partition int32, key []byte) (calls []pipeline.PendingCall, err error) {
	err = b.from(partition, func(r pipeline.Reader) (err error) {
		calls, err = r.Calls(partition, key)
		return err
	})
	return calls, err
}

// Settings implements pipeline.Reader.
func (b *outbox) Settings() pipeline.Settings {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.owned {
		return l.read.Settings()
	}
	return nil
}

// Behind implements pipeline.Reader: worlds ask only when nothing is unread.
func (b *outbox) Behind(int32) time.Duration { return 0 }

// Lease implements pipeline.Reader: each answer was an owner's.
func (b *outbox) Lease(int32) bool { return true }

// losing is which records stages cannot process, because scripts lose them.
type losing struct {
	mu   sync.Mutex
	next map[string]int  // guarded by mu; how many of the next, by stage and shop
	lost map[string]bool // guarded by mu; places of those: what is lost stays so when it is processed again
}

func newLosing() *losing { return &losing{next: map[string]int{}, lost: map[string]bool{}} }

func (l *losing) lose(shop, stage string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next[stage+" "+shop]++
}

// is tells whether this record is to be lost.
func (l *losing) is(stage string, r *pipeline.Record) bool {
	shop, _, _ := strings.Cut(string(r.Key), "|")
	at := fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.next[stage+" "+shop]; n > 0 && !l.lost[at] {
		l.next[stage+" "+shop]--
		l.lost[at] = true
	}
	return l.lost[at]
}

// planted is a stage as it runs in a plant: it loses what scripts lose, and hears ticks. Of a tick with a name
// it makes a call of that name in place of the one before, so that whoever is told of calls hears it.
type planted struct {
	pipeline.Stage
	losing *losing
	holds  *holds
}

// Process implements pipeline.Stage.
func (s planted) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	if in.Record != nil {
		if strings.HasPrefix(string(in.Key), tickKey) {
			return mark(string(in.Record.Value), st, fx)
		}
		if s.holds.waits(s.Name(), in.Record) {
			return pipeline.ErrSettingsPending
		}
		if s.losing.is(s.Name(), in.Record) {
			return script.ErrLost
		}
	}
	return s.Stage.Process(in, st, fx)
}

func mark(name string, st pipeline.State, fx *pipeline.Effects) error {
	if name == "" {
		return nil
	}
	if before, ok := st.Get("mark"); ok {
		fx.EndCall(string(before))
	}
	st.Put("mark", []byte(name))
	fx.Call(pipeline.Call{ID: name, Lane: "mark"})
	return nil
}

// Failed implements pipeline.FailureHandler where the stage does.
func (s planted) Failed(in *pipeline.Input, letter string, cause error, fx *pipeline.Effects) {
	if h, ok := s.Stage.(pipeline.FailureHandler); ok {
		h.Failed(in, letter, cause, fx)
	}
}

// rows is the fifth group's sink: each record of the mailbox once, as the sink's intents have it.
type rows struct {
	mu      sync.Mutex
	written map[string]pipeline.Intent // guarded by mu; by token
	seen    map[string]string          // guarded by mu; place to the token it was written with
	twice   []string                   // guarded by mu; places in two intents
}

func newRows() *rows {
	return &rows{written: map[string]pipeline.Intent{}, seen: map[string]string{}}
}

// Write implements pipeline.Sink.
func (r *rows) Write(_ context.Context, in pipeline.Intent, records []pipeline.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, again := r.written[in.Token()]; again && old == in {
		return nil
	}
	r.written[in.Token()] = in
	for _, record := range records {
		at := fmt.Sprintf("%d/%d", record.Partition, record.Offset)
		if r.seen[at] != "" {
			r.twice = append(r.twice, at+" in "+r.seen[at]+" and "+in.Token())
		}
		r.seen[at] = in.Token()
	}
	return nil
}

// Schema implements pipeline.Sink.
func (r *rows) Schema() uint32 { return 1 }
