package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/schemas"
)

// workload makes inputs: the same from the same seed, but for their times.
type workload struct {
	random     *rand.Rand
	topic      string
	partitions int
	keys       int
	n          int
	recent     []kgo.Record // to be repeated
}

func newWorkload(seed uint64, epoch int, stage string, partitions int) *workload {
	random := rand.New(rand.NewPCG(seed, uint64(epoch)))
	return &workload{random: random, topic: schemas.Mailbox(stage), partitions: partitions, keys: 20 + random.IntN(200)}
}

// weights of kinds, in a thousand; duplicates and records on wrong partitions are the rest.
func weights() []struct {
	kind   string
	weight int
} {
	return []struct {
		kind   string
		weight int
	}{
		{kindCount, 560}, {kindTimer, 110}, {kindFar, 50}, {kindStop, 30}, {kindCall, 60}, {kindFan, 50}, {kindClear, 20},
		{kindFail, 1}, {kindPanic, 1}, {kindLarge, 1}, {kindGarbage, 1},
	}
}

// next input.
func (w *workload) next() *kgo.Record {
	w.n++
	pick := w.random.IntN(1000)
	for _, k := range weights() {
		if pick < k.weight {
			return w.input(k.kind)
		}
		pick -= k.weight
	}
	if pick == 0 && w.partitions > 1 {
		r := w.input(kindCount)
		r.Partition = (r.Partition + 1) % int32(w.partitions)
		return r
	}
	return w.again()
}

func (w *workload) key() []byte {
	n := w.random.IntN(w.keys)
	if w.random.IntN(3) == 0 {
		n = w.random.IntN(1 + n/8) // some keys are busier than others
	}
	return fmt.Appendf(nil, "shop|%d", n)
}

func (w *workload) input(kind string) *kgo.Record {
	v := input{Kind: kind, ID: fmt.Sprintf("%s%d", kind, w.n)}
	switch kind {
	case kindTimer:
		v.Arg = w.random.IntN(1500)
	case kindFar:
		v.Arg = w.random.IntN(100000)
	case kindFan:
		v.Arg = 1 + w.random.IntN(4)
	}
	value, err := json.Marshal(v)
	if err != nil || kind == kindGarbage {
		value = fmt.Appendf(nil, "garbage %d", w.n)
	}
	key := w.key()
	r := &kgo.Record{Topic: w.topic, Key: key, Value: value, Partition: schemas.Partition(key, w.partitions)}
	kept := *r // the client writes to what it is given
	if len(w.recent) < 60 {
		w.recent = append(w.recent, kept)
	} else {
		w.recent[w.random.IntN(len(w.recent))] = kept
	}
	return r
}

// again repeats an input, sometimes under another key.
func (w *workload) again() *kgo.Record {
	if len(w.recent) == 0 {
		return w.input(kindCount)
	}
	was := w.recent[w.random.IntN(len(w.recent))]
	r := &kgo.Record{Topic: w.topic, Key: was.Key, Value: was.Value, Partition: was.Partition}
	if w.random.IntN(8) == 0 {
		r.Key = w.key()
		r.Partition = schemas.Partition(r.Key, w.partitions)
	}
	return r
}

// traffic posts a workload all the time, except while it is paused.
type traffic struct {
	w      *workload
	client *kgo.Client
	rate   int // records a second

	posted atomic.Int64 // acknowledged
	mu     sync.Mutex
	paused bool  // guarded by mu
	failed error // guarded by mu; the first
}

func newTraffic(brokers []string, w *workload, rate int) (*traffic, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(2*time.Millisecond),
		kgo.MetadataMinAge(250*time.Millisecond), kgo.MaxBufferedRecords(1<<20))
	if err != nil {
		return nil, fmt.Errorf("configure the traffic's client: %w", err)
	}
	return &traffic{w: w, client: client, rate: rate}, nil
}

// run posts until ctx ends.
func (t *traffic) run(ctx context.Context) {
	const tick = 20 * time.Millisecond
	again := time.NewTicker(tick)
	defer again.Stop()
	due := 0.0
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		due = t.burst(due + float64(t.rate)*tick.Seconds()*t.w.random.ExpFloat64())
	}
}

// burst posts as many as are due, unless it is paused, and returns what is left of due.
func (t *traffic) burst(due float64) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	// While brokers are away nothing more is made: what waits would come with times of long ago.
	if t.paused || t.client.BufferedProduceRecords() > int64(t.rate) {
		return 0
	}
	for ; due >= 1; due-- {
		t.post(t.w.next())
	}
	return due
}

func (t *traffic) post(r *kgo.Record) {
	r.Timestamp = time.Now().Truncate(time.Millisecond)
	t.client.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
		if err == nil {
			t.posted.Add(1)
			return
		}
		go t.fail(err) // the client may call back from within Produce
	})
}

func (t *traffic) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == nil {
		t.failed = err
	}
}

// pause stops posting and waits until everything is acknowledged.
func (t *traffic) pause(ctx context.Context) error {
	t.mu.Lock()
	t.paused = true
	t.mu.Unlock()
	if err := t.client.Flush(ctx); err != nil {
		return fmt.Errorf("flush the traffic: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed != nil {
		return fmt.Errorf("post the traffic: %w", t.failed)
	}
	return nil
}

func (t *traffic) resume() {
	t.mu.Lock()
	t.paused = false
	t.mu.Unlock()
}
