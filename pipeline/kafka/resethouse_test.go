package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
)

// clerk counts what it has not seen, by one or, with the bug, by two; keeps entries that come and go,
// sets timers and tells everything. Values that begin with "bad" fail while fails says so.
type clerk struct {
	bug   bool
	fails *atomic.Bool
	carry bool
}

func (clerk) Name() string { return "keeper" }

func (c clerk) Carry(name string) bool { return c.carry && name == "n" }

func (c clerk) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	tell := func(format string, args ...any) { fx.Emit("out", in.Key, fmt.Appendf(nil, format, args...)) }
	if in.Timer != nil {
		st.Put("fired", []byte(in.Timer.Name))
		tell("timer %s at %d", in.Timer.Name, in.Timer.At.UnixMilli())
		return nil
	}
	if r, err := schemas.Decode(in.Record.Key, in.Record.Value); err == nil {
		if r.GetFireTimer() != nil {
			return turn.Process(decider{}, &pipeline.Input{Key: in.Key, Record: in.Record, Now: in.Now, Settings: oneShop{}}, nil, fx)
		}
		return nil
	}
	value := string(in.Record.Value)
	if strings.HasPrefix(value, "bad") && c.fails != nil && c.fails.Load() {
		return errors.New("as asked")
	}
	if st.Seen(in.Record.Value, in.Record.Time) {
		return nil
	}
	n := 0
	if v, ok := st.Get("n"); ok {
		n, _ = strconv.Atoi(string(v))
	}
	if n++; c.bug {
		n++
	}
	st.Put("n", []byte(strconv.Itoa(n)))
	st.Put(fmt.Sprintf("r/%d", n%4), in.Record.Value)
	if n%5 == 0 {
		st.Delete("r/0")
	}
	if n%3 == 0 {
		fx.SetTimer(fmt.Sprintf("t%d", n), in.Record.Time.Add(time.Millisecond))
	}
	tell("%s is %d", value, n)
	return nil
}

// load posts values from number first on, over keys, every fourth twice.
func (h *house) load(first, n int, at time.Time) {
	h.t.Helper()
	for i := first; i < first+n; i++ {
		key := fmt.Sprintf("shop|%d", i%7)
		h.post(key, fmt.Sprintf("v%d", i), at.Add(time.Duration(i)*time.Millisecond), 0)
		if i%4 == 0 {
			h.post(key, fmt.Sprintf("v%d", i), at.Add(time.Duration(i)*time.Millisecond), 0)
		}
	}
}

// committed offsets of the group, by partition.
func (h *house) committed() map[int32]int64 {
	h.t.Helper()
	all := map[int32]int64{}
	found, err := h.admin.FetchOffsets(h.t.Context(), schemas.Mailbox("keeper"))
	if err != nil {
		return all // the group's coordinator may not be there yet
	}
	found.Each(func(o kadm.OffsetResponse) { all[o.Partition] = o.At })
	return all
}

// ends of a topic's partitions.
func (h *house) ends(topic string) map[int32]int64 {
	h.t.Helper()
	listed, err := h.admin.ListEndOffsets(h.t.Context(), topic)
	if err != nil || listed.Error() != nil {
		h.t.Fatal(err, listed.Error())
	}
	all := map[int32]int64{}
	for p, o := range listed[topic] {
		all[p] = o.Offset
	}
	return all
}

// remove deletes a partition's records before an offset.
func (h *house) remove(topic string, partition int32, before int64) {
	h.t.Helper()
	o := kadm.Offsets{}
	o.Add(kadm.Offset{Topic: topic, Partition: partition, At: before})
	if gone, err := h.admin.DeleteRecords(h.t.Context(), o); err != nil || gone.Error() != nil {
		h.t.Fatal(err, gone.Error())
	}
}

func (h *house) drained() bool {
	h.t.Helper()
	at := h.committed()
	for p, end := range h.ends(schemas.Mailbox("keeper")) {
		if at[p] < end {
			return false
		}
	}
	return true
}

// run runs the stage until everything is processed, and no timer is left.
func (h *house) run(s pipeline.Stage, dir string) {
	h.t.Helper()
	stop := h.runner(s, dir)
	h.until("everything is processed", func() bool { return h.drained() && h.timers() == 0 })
	stop()
	h.empty()
}

// empty waits until the group has no members.
func (h *house) empty() {
	h.t.Helper()
	h.until("the group is empty", func() bool {
		g, err := h.admin.DescribeGroups(h.t.Context(), schemas.Mailbox("keeper"))
		return err == nil && len(g[schemas.Mailbox("keeper")].Members) == 0
	})
}

// state that the changelog has, by partition and changelog key; seen ids and positions left out.
func (h *house) state() map[string]string {
	h.t.Helper()
	all := map[string]string{}
	for _, r := range h.records(schemas.Changelog("keeper")) {
		fold(all, r.Partition, r.Key, r.Value)
	}
	return all
}

func fold(all map[string]string, partition int32, key, value []byte) {
	at := fmt.Sprintf("%d/%s", partition, key)
	switch {
	case key[0] == state.ResetKey()[0]:
		maps.DeleteFunc(all, func(k, _ string) bool { return strings.HasPrefix(k, fmt.Sprintf("%d/", partition)) })
	case key[0] == 'p' || key[0] == 's':
	case value == nil:
		delete(all, at)
	default:
		all[at] = string(value)
	}
}

func (h *house) timers() (n int) {
	for k := range h.state() {
		if _, key, _ := strings.Cut(k, "/"); key[0] == 't' {
			n++
		}
	}
	return n
}

// fresh is the state of a stage that processes the mailbox from offsets on, for the first time.
func (h *house) fresh(s pipeline.Stage, from map[int32]int64) map[string]string {
	h.t.Helper()
	all, parts := map[string]string{}, map[int32]*state.Partition{}
	seal := func(p int32) {
		parts[p].TakeEmits()
		parts[p].TakeFailures()
		parts[p].Seal(func(key, value []byte) { fold(all, p, key, value) })
		parts[p].Committed(0)
		if err := parts[p].Save(time.Now()); err != nil {
			h.t.Fatal(err)
		}
	}
	for _, r := range h.records(schemas.Mailbox("keeper")) {
		if r.Offset < from[r.Partition] {
			continue
		}
		p := parts[r.Partition]
		if p == nil {
			var err error
			if p, err = state.NewPartition(state.Config{Stage: s, Partition: r.Partition, Partitions: keeperPartitions}, state.Memory()); err != nil {
				h.t.Fatal(err)
			}
			parts[r.Partition] = p
		}
		in := pipeline.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Time: r.Timestamp}
		if err := p.Process(&in, time.Now(), oneShop{}, true); err != nil {
			h.t.Fatal(err)
		}
		seal(r.Partition)
	}
	for id, p := range parts {
		if err := p.Advance(time.Now(), oneShop{}, true); err != nil {
			h.t.Fatal(err)
		}
		seal(id)
	}
	return all
}

func (h *house) resetConfig(s pipeline.Stage) kafka.ResetConfig {
	return kafka.ResetConfig{Connection: h.conn, Name: "keeper", Stage: s, Settings: oneShop{}, Dir: h.t.TempDir(), CommitRecords: 10, WillRun: true}
}

// reset plans and runs.
func (h *house) reset(cfg kafka.ResetConfig) (kafka.ResetResult, error) {
	h.t.Helper()
	r, err := kafka.OpenReset(h.t.Context(), cfg)
	if err != nil {
		return kafka.ResetResult{}, err
	}
	result, err := r.Run(h.t.Context())
	if err := r.Close(); err != nil {
		h.t.Error(err)
	}
	return result, err
}

func (h *house) compare(what string, want map[string]string) {
	h.t.Helper()
	got := h.state()
	for k, v := range want {
		if got[k] != v {
			h.t.Errorf("%s: %q is %q, want %q", what, k, got[k], v)
		}
	}
	for k, v := range got {
		if _, ok := want[k]; !ok {
			h.t.Errorf("%s: %q is %q, want none", what, k, v)
		}
	}
}

// refused runs the stage and returns why it ends.
func (h *house) refused(s pipeline.Stage, dir string) error {
	h.t.Helper()
	store, err := state.OpenStore(state.StoreConfig{Dir: dir})
	if err != nil {
		h.t.Fatal(err)
	}
	defer store.Close()
	r, err := kafka.New(kafka.Config{Connection: h.conn, Stage: s, Store: store, SessionTimeout: 6 * time.Second,
		TransactionTimeout: 2 * time.Second, CommitEvery: 10 * time.Millisecond, RestoreWait: 200 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(h.box, nil))})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	err = r.Run(ctx)
	h.empty()
	return err
}

// waiting runs the stage, which waits for the end of a reset and says so; stop ends it.
func (h *house) waiting(s pipeline.Stage, dir string) (stop func()) {
	h.t.Helper()
	r, stop := h.launch(s, dir)
	var err error
	h.until("the stage waits for the reset", func() bool {
		err = r.Ready()
		return errors.Is(err, kafka.ErrResetUnfinished)
	})
	if !strings.Contains(err.Error(), "handoff reset keeper --yes") {
		h.t.Errorf("it waits: %v", err)
	}
	return stop
}

var began = time.Now().Add(-time.Hour).Truncate(time.Millisecond)
