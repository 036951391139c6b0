package kafka

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// reader is what a Caller reads of its stage.
type reader struct {
	r     *Runner
	mu    sync.RWMutex
	owned map[int32]*progress // guarded by mu
}

// progress of a partition, as the reader sees it.
type progress struct {
	by    *heartbeats // of the incarnation that owns it
	back  state.Backing
	next  int64     // committed offset
	read  time.Time // clock of the last record committed
	atEnd time.Time // last moment of which is known that everything received by then was processed
}

func newReader(r *Runner) *reader { return &reader{r: r, owned: map[int32]*progress{}} }

func (v *reader) own(partition int32, by *heartbeats, next int64, clock time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.owned[partition] = &progress{by: by, back: v.r.cfg.Store.Backing(v.r.cfg.Stage.Name(), partition), next: next, read: clock}
}

// disown tells whether the partition was owned by the incarnation of these heartbeats.
func (v *reader) disown(partition int32, by *heartbeats) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	p := v.owned[partition]
	if p == nil || p.by != by {
		return false
	}
	delete(v.owned, partition)
	return true
}

// advanced notes what was committed.
func (v *reader) advanced(partition int32, next int64, clock time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if p := v.owned[partition]; p != nil {
		p.next = max(p.next, next)
		if clock.After(p.read) {
			p.read = clock
		}
	}
}

// ended notes where the partitions ended.
func (v *reader) ended(e ends) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, p := range v.owned {
		end, ok := e.offset[id]
		if !ok {
			continue
		}
		v.r.metrics.setLag(id, max(end-p.next, 0))
		if p.next >= end {
			p.atEnd = e.at
		}
	}
}

func (v *reader) of(partition int32) *progress {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.owned[partition]
}

func (v *reader) Get(partition int32, key []byte, name string) ([]byte, bool, error) {
	p := v.of(partition)
	if p == nil {
		return nil, false, nil
	}
	return state.ReadEntry(p.back, key, name)
}

func (v *reader) Scan(partition int32, key []byte, prefix string, fn func(name string, value []byte) bool) error {
	p := v.of(partition)
	if p == nil {
		return nil
	}
	return state.ScanEntries(p.back, key, prefix, fn)
}

func (v *reader) Calls(partition int32, key []byte) ([]pipeline.PendingCall, error) {
	p := v.of(partition)
	if p == nil {
		return nil, nil
	}
	return state.ReadCalls(p.back, partition, key)
}

func (v *reader) Settings() pipeline.Settings {
	if v.r.cfg.Settings == nil {
		return noSettings{}
	}
	return v.r.cfg.Settings
}

// fresh is how long an answer about the end of a partition counts as being of now.
const fresh = 1500 * time.Millisecond

// Behind is at most what the oldest unread record's age is: records come in the order of their times,
// so an unread one is no older than the last that was read, nor than a moment at which none was unread.
func (v *reader) Behind(partition int32) time.Duration {
	now := v.r.cfg.Now()
	v.mu.RLock()
	defer v.mu.RUnlock()
	p := v.owned[partition]
	if p == nil {
		return 0
	}
	since := p.atEnd
	if now.Sub(since) < fresh {
		return 0
	}
	if p.read.After(since) {
		since = p.read
	}
	return max(now.Sub(since), 0)
}

func (v *reader) Lease(partition int32) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	p := v.owned[partition]
	return p != nil && p.by.good()
}

// heartbeats watches a client's membership in its group.
type heartbeats struct {
	now  func() time.Time
	life time.Duration
	last atomic.Int64 // of a heartbeat that was answered, Unix ns; when it was sent
	why  atomic.Pointer[error]
}

func newHeartbeats(now func() time.Time, session time.Duration) *heartbeats {
	return &heartbeats{now: now, life: session / 2}
}

// good tells whether the group still counts on this member, as far as is known here.
func (h *heartbeats) good() bool {
	last := h.last.Load()
	return last != 0 && h.now().Sub(time.Unix(0, last)) < h.life
}

func (h *heartbeats) lost() { h.last.Store(0) }

// answered notes that the group took what this member sent then.
func (h *heartbeats) answered(sent time.Time) { h.last.Store(sent.UnixNano()) }

// OnBrokerE2E counts answered heartbeats and syncs from when they were sent.
func (h *heartbeats) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	switch kmsg.Key(key) {
	case kmsg.Heartbeat, kmsg.SyncGroup:
		if e2e.Err() == nil {
			h.answered(h.now().Add(-e2e.DurationE2E()))
		}
	}
}

// OnGroupManageError ends the lease: the group does not know this member as it thinks.
func (h *heartbeats) OnGroupManageError(err error) {
	h.lost()
	h.why.Store(&err)
}

// cause is why the group was lost last; nil where that is not known.
func (h *heartbeats) cause() error {
	if err := h.why.Load(); err != nil {
		return *err
	}
	return nil
}

var (
	_ kgo.HookBrokerE2E        = (*heartbeats)(nil)
	_ kgo.HookGroupManageError = (*heartbeats)(nil)
	_ pipeline.Reader          = (*reader)(nil)
)

// noSettings is the table of a stage that reads none.
type noSettings struct{}

func (noSettings) At(string, uint64) (*settings.Shop, error) {
	return nil, pipeline.ErrSettingsPending
}

func (noSettings) Current(string) (*settings.Shop, uint64, error) {
	return nil, 0, pipeline.ErrSettingsPending
}
