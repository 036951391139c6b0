package kafka

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// probe exercises every effect: it drops ids it has seen, counts per key and emits the count, lists its
// last record under a name of its own, sets a timer with every third record, stores a call with every
// fifth and ends it with the next.
type probe struct{}

func (probe) Name() string { return "probe" }

func (probe) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	if in.Timer != nil {
		fx.Emit("out", append([]byte(nil), in.Key...), fmt.Appendf(nil, "timer %s at %d now %d", in.Timer.Name, in.Timer.At.UnixMilli(), in.Now.UnixMilli()))
		return nil
	}
	value := string(in.Record.Value)
	if value == "poison" {
		st.Put("poisoned", []byte("yes"))
		fx.Emit("out", in.Key, []byte("never"))
		return fmt.Errorf("poison")
	}
	if value == "panic" {
		panic("as asked")
	}
	if st.Seen(in.Record.Value, in.Record.Time) {
		return nil
	}
	var n uint64
	if v, ok := st.Get("n"); ok {
		n = binary.BigEndian.Uint64(v)
	}
	n++
	st.Put("n", binary.BigEndian.AppendUint64(nil, n))
	listed := 0
	st.Scan("r/", func(string, []byte) bool { listed++; return true })
	st.Put(fmt.Sprintf("r/%d", n%4), []byte(value))
	if n%7 == 0 {
		st.Delete("r/0")
	}
	if n%3 == 0 {
		fx.SetTimer(fmt.Sprintf("t%d", n), in.Record.Time.Add(time.Duration(n%2)*time.Millisecond))
	}
	if n%5 == 0 {
		fx.Call(pipeline.Call{ID: string(in.Key) + value, Lane: "lane", Created: in.Now, Body: []byte(value)})
		st.Put("call", []byte(value))
	}
	if open, ok := st.Get("call"); ok && n%5 == 1 {
		fx.EndCall(string(in.Key) + string(open))
	}
	fx.Emit("out", append([]byte(nil), in.Key...), fmt.Appendf(nil, "%s is number %d of %d", value, n, listed))
	return nil
}

// want runs the model: the same stage over the mailbox as it is, single-threaded, in memory, without
// Kafka. It returns what must come out of each partition of the mailbox, and every timer once.
func (c *cluster) want(stage pipeline.Stage) (records map[string][]string, timers map[string]int) {
	c.t.Helper()
	records, timers = map[string][]string{}, map[string]int{}
	for p, mailbox := range c.read(schemas.Mailbox(stage.Name())) {
		part, err := state.NewPartition(state.Config{Stage: stage, Partition: p, Partitions: c.partitions}, state.Memory())
		if err != nil {
			c.t.Fatal(err)
		}
		collect := func() {
			for _, e := range part.TakeEmits() {
				if isTimer(e.Value) {
					timers[string(e.Key)+" "+string(e.Value)]++
				} else {
					records[string(e.Key)] = append(records[string(e.Key)], string(e.Value))
				}
			}
			part.TakeFailures()
			part.Seal(func(_, _ []byte) {})
			part.Committed(0)
			if err := part.Save(time.Now()); err != nil {
				c.t.Fatal(err)
			}
		}
		for _, r := range mailbox {
			in := pipeline.Record{Topic: r.Topic, Partition: p, Offset: r.Offset, Key: r.Key, Value: r.Value, Time: r.Timestamp}
			if err := part.Process(&in, time.Now().Add(time.Hour), noSettings{}, true); err != nil {
				c.t.Fatal(err)
			}
			collect()
		}
		if err := part.Advance(time.Now().Add(time.Hour), noSettings{}, true); err != nil {
			c.t.Fatal(err)
		}
		collect()
	}
	return records, timers
}

func isTimer(value []byte) bool { return len(value) > 6 && string(value[:6]) == "timer " }

// check compares what came out with the model: per key the same in the same order, every timer once.
func (c *cluster) check(stage pipeline.Stage) {
	c.t.Helper()
	want, wantTimers := c.want(stage)
	got, gotTimers := map[string][]string{}, map[string]int{}
	for _, records := range c.read("out") {
		for _, r := range records {
			if isTimer(r.Value) {
				gotTimers[string(r.Key)+" "+string(r.Value)]++
			} else {
				got[string(r.Key)] = append(got[string(r.Key)], string(r.Value))
			}
		}
	}
	bad := 0
	fail := func(format string, args ...any) {
		if bad++; bad <= 10 {
			c.t.Errorf(format, args...)
		}
	}
	for key := range want {
		if fmt.Sprint(got[key]) != fmt.Sprint(want[key]) {
			fail("%s: got %d records, want %d\n got %.300q\nwant %.300q", key, len(got[key]), len(want[key]), got[key], want[key])
		}
	}
	if len(got) != len(want) {
		fail("got %d keys, want %d", len(got), len(want))
	}
	for timer, n := range wantTimers {
		if gotTimers[timer] != n {
			fail("%s came %d times, want %d", timer, gotTimers[timer], n)
		}
	}
	if len(gotTimers) != len(wantTimers) {
		fail("got %d timers, want %d", len(gotTimers), len(wantTimers))
	}
}

// probeLoad posts n records of keys from number first on, some of them twice. Timestamps are of now, so
// that what timers decide is the same whenever they fire.
func (c *cluster) probeLoad(first, n, keys int) {
	c.t.Helper()
	var records []*kgo.Record
	now := time.Now().Truncate(time.Millisecond)
	for i := first; i < first+n; i++ {
		r := &kgo.Record{Topic: schemas.Mailbox("probe"), Key: fmt.Appendf(nil, "shop|%d", i%keys), Value: fmt.Appendf(nil, "v%d", i), Timestamp: now}
		records = append(records, r)
		if i%4 == 0 {
			records = append(records, &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Timestamp: now})
		}
	}
	c.produce(records...)
}
