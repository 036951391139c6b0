package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/deadletter"
)

// Kinds of state that changelog and store share: the first byte of their keys.
const (
	entries   = 'e'
	timerKind = 't'
	callKind  = 'c'
)

// fold is the state that a changelog amounts to, worked out here with a map: the last value of a key
// counts, a nil one removes it.
type fold struct {
	state     map[string]string
	keys      map[string]bool // ever written under
	positions []state.Position
	end       int64 // offset after the last record folded
}

// folds reads the committed changelog of a stage, each partition up to the offset that upTo gives.
func (c *cluster) folds(stage string, upTo func(partition int32) int64) map[int32]*fold {
	c.t.Helper()
	all := map[int32]*fold{}
	for p := range c.partitions {
		all[p] = &fold{state: map[string]string{}, keys: map[string]bool{}}
	}
	for p, records := range c.read(schemas.Changelog(stage)) {
		f := all[p]
		for i, r := range records {
			if upTo != nil && r.Offset >= upTo(p) {
				break
			}
			f.end = r.Offset + 1
			if bytes.Equal(r.Key, state.PositionKey()) {
				at, err := state.DecodePosition(r.Value)
				if err != nil {
					c.t.Errorf("changelog %d/%d: %v", p, r.Offset, err)
				}
				f.positions = append(f.positions, at)
				continue
			}
			if i == len(records)-1 {
				c.t.Errorf("changelog %d ends with %q, which is no position", p, r.Key)
			}
			if r.Key[0] == entries {
				f.keys[keyOf(r.Key)] = true
			}
			if r.Value == nil {
				delete(f.state, string(r.Key))
			} else {
				f.state[string(r.Key)] = string(r.Value)
			}
		}
	}
	return all
}

// keyOf returns the record key that a changelog key names.
func keyOf(raw []byte) string {
	n, size := binary.Uvarint(raw[1:])
	return string(raw[1+size : 1+size+int(n)])
}

func (f *fold) position() state.Position {
	if len(f.positions) == 0 {
		return state.Position{}
	}
	return f.positions[len(f.positions)-1]
}

// of lists what is under a kind, by key and name.
func (f *fold) of(kind byte) map[string]string {
	found := map[string]string{}
	for k, v := range f.state {
		if k[0] != kind {
			continue
		}
		n, size := binary.Uvarint([]byte(k[1:]))
		rest := k[1+size:]
		found[rest[:n]+" "+rest[n:]] = v
	}
	return found
}

// groupCommitOf is what the group has for a partition.
func (c *cluster) groupCommitOf(stage string, partition int32) (offset int64, number uint64, metadata string) {
	if g := c.GroupInfo(schemas.Mailbox(stage)); g != nil {
		at, ok := g.Commits[schemas.Mailbox(stage)][partition]
		if ok {
			digits := at.Metadata[strings.IndexByte(at.Metadata, ':')+1:]
			number, _ = strconv.ParseUint(digits, 10, 64)
			return at.Offset, number, at.Metadata
		}
	}
	return 0, 0, ""
}

// quiet waits until no transaction is open on the topics: a killed process leaves one, and what was
// written after its first record cannot be read before the broker has ended it.
func (c *cluster) quiet(topics ...string) {
	c.t.Helper()
	for _, topic := range topics {
		eventually(c.t, "no transaction is open on "+topic, func() bool {
			for _, p := range c.PartitionInfos(topic) {
				if p.LastStableOffset < p.HighWatermark {
					return false
				}
			}
			return true
		})
	}
}

// checkPositions verifies that the changelog and the group stand at the same transaction, and that the
// transactions of every partition are one unbroken row: a zombie's would have the number of another.
func (c *cluster) checkPositions(stage string) {
	c.t.Helper()
	c.quiet(schemas.Changelog(stage))
	for p, f := range c.folds(stage, nil) {
		offset, number, metadata := c.groupCommitOf(stage, p)
		if at := f.position(); at.Offset != offset || at.Number != number {
			c.t.Errorf("partition %d: the changelog stands at offset %d of transaction %d, the group at offset %d with metadata %q",
				p, at.Offset, at.Number, offset, metadata)
		}
		last := state.Position{}
		for _, at := range f.positions {
			if at.Number != last.Number+1 || at.Offset < last.Offset || at.Clock < last.Clock {
				c.t.Errorf("partition %d: transaction %+v follows %+v", p, at, last)
			}
			last = at
		}
	}
}

// checkStore verifies that a store has, of every partition, exactly what the committed changelog
// amounts to up to the position that the store has.
func (c *cluster) checkStore(stage string, store *state.Store) {
	c.t.Helper()
	c.quiet(schemas.Changelog(stage))
	resume := map[int32]int64{}
	for p := range c.partitions {
		_, at, err := state.ReadPosition(store.Backing(stage, p))
		if err != nil {
			c.t.Fatal(err)
		}
		resume[p] = at.Next
	}
	for p, f := range c.folds(stage, func(p int32) int64 { return resume[p] }) {
		at, _, err := state.ReadPosition(store.Backing(stage, p))
		if err != nil {
			c.t.Fatal(err)
		}
		if at != f.position() {
			c.t.Errorf("the store of partition %d is at %+v, the changelog up to %d at %+v", p, at, resume[p], f.position())
		}
		if d := difference(c.stored(store, stage, p, f), f.read()); d != "" {
			c.t.Errorf("the store of partition %d is not its changelog up to %d: %s", p, resume[p], d)
		}
	}
}

// read lists what a partition's state can be asked for: entries, calls, and when its first timer is due.
func (f *fold) read() map[string]string {
	found := map[string]string{}
	for k, v := range f.of(entries) {
		found["entry "+k] = v
	}
	for k := range f.of(callKind) {
		found["call "+k] = "open"
	}
	first := int64(0)
	for _, v := range f.of(timerKind) {
		if at := int64(binary.BigEndian.Uint64([]byte(v))); first == 0 || at < first {
			first = at
		}
	}
	if first != 0 {
		found["first timer"] = strconv.FormatInt(first, 10)
	}
	return found
}

// stored is the same of a store, whose layout is its own affair; entries are looked up under every key
// that the changelog ever had, so that one that should be gone shows.
func (c *cluster) stored(store *state.Store, stage string, p int32, f *fold) map[string]string {
	c.t.Helper()
	back := store.Backing(stage, p)
	found := map[string]string{}
	for key := range f.keys {
		if err := state.ScanEntries(back, []byte(key), "", func(name string, value []byte) bool {
			found["entry "+key+" "+name] = string(value)
			return true
		}); err != nil {
			c.t.Fatal(err)
		}
	}
	part, err := state.NewPartition(state.Config{Stage: &mill{}, Partition: p, Partitions: c.partitions, Schema: f.position().Schema}, back)
	if err != nil {
		c.t.Fatal(err)
	}
	calls, err := part.PendingCalls()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, call := range calls {
		found["call "+string(call.Key)+" "+call.Call.ID] = "open"
	}
	if at, ok := part.NextTimer(); ok {
		found["first timer"] = strconv.FormatInt(at.UnixMilli(), 10)
	}
	return found
}

// difference of two maps, the first few of it.
func difference[V comparable](got, want map[string]V) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if v, ok := got[k]; !ok {
			all = append(all, fmt.Sprintf("%.120q is missing, want %.120v", k, want[k]))
		} else if v != want[k] {
			all = append(all, fmt.Sprintf("%.120q is %.120v, want %.120v", k, v, want[k]))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[k]; !ok {
			all = append(all, fmt.Sprintf("%.120q is %.120v, want nothing", k, got[k]))
		}
	}
	if n := len(all); n > 5 {
		all = append(all[:5], fmt.Sprintf("and %d more", n-5))
	}
	return strings.Join(all, "; ")
}

// model runs the stage over the mailbox as it is, one record after the other.
func (c *cluster) model(stage pipeline.Stage) *plain {
	c.t.Helper()
	m := newPlain(stage)
	for _, records := range c.read(schemas.Mailbox(stage.Name())) {
		m.process(records)
	}
	m.advance(time.Now().Add(time.Hour))
	return m
}

// checkOutputs compares what came out with the model: per key the same in the same order, every timer
// and every dead letter once; and the state that is left.
func (c *cluster) checkOutputs(stage pipeline.Stage) {
	c.t.Helper()
	c.quiet("out", schemas.TopicDeadLetters, schemas.Changelog(stage.Name()))
	want := c.model(stage)
	out, timers, dead := map[string][]string{}, map[string]int{}, map[string]int{}
	for _, records := range c.read("out") {
		for _, r := range records {
			if isTimer(r.Value) {
				timers[string(r.Key)+" "+string(r.Value)]++
			} else {
				out[string(r.Key)] = append(out[string(r.Key)], string(r.Value))
			}
		}
	}
	for _, r := range c.flat(schemas.TopicDeadLetters) {
		dead[fmt.Sprintf("%s/%s/%s", header(r, deadletter.HeaderTopic), header(r, deadletter.HeaderPartition), header(r, deadletter.HeaderOffset))]++
	}
	for key := range want.out {
		if !slices.Equal(out[key], want.out[key]) {
			c.t.Errorf("%s: %d records came out, want %d: %s", key, len(out[key]), len(want.out[key]), firstDifference(out[key], want.out[key]))
		}
	}
	if len(out) != len(want.out) {
		c.t.Errorf("records of %d keys came out, want %d", len(out), len(want.out))
	}
	if d := difference(timers, want.timers); d != "" {
		c.t.Errorf("timers: %s", d)
	}
	if d := difference(dead, want.dead); d != "" {
		c.t.Errorf("dead letters: %s", d)
	}
	c.checkState(stage.Name(), want)
}

func firstDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("the %d. is %.200q, want %.200q", i, got[i], want[i])
		}
	}
	return "one begins with the other"
}

// checkState compares the state in the changelog with the model's.
func (c *cluster) checkState(stage string, want *plain) {
	c.t.Helper()
	wantEntries, wantTimers, wantCalls := map[string]string{}, map[string]int64{}, map[string]bool{}
	for key, k := range want.keys {
		for name, value := range k.entries {
			wantEntries[key+" "+name] = value
		}
		for name, at := range k.timers {
			wantTimers[key+" "+name] = at.UnixMilli()
		}
		for id := range k.calls {
			wantCalls[key+" "+id] = true
		}
	}
	gotEntries, gotTimers, gotCalls := map[string]string{}, map[string]int64{}, map[string]bool{}
	for _, f := range c.folds(stage, nil) {
		maps.Copy(gotEntries, f.of(entries))
		for k, v := range f.of(timerKind) {
			gotTimers[k] = int64(binary.BigEndian.Uint64([]byte(v)))
		}
		for k := range f.of(callKind) {
			gotCalls[k] = true
		}
	}
	if d := difference(gotEntries, wantEntries); d != "" {
		c.t.Errorf("entries: %s", d)
	}
	if d := difference(gotTimers, wantTimers); d != "" {
		c.t.Errorf("timers that are set: %s", d)
	}
	if d := difference(gotCalls, wantCalls); d != "" {
		c.t.Errorf("open calls: %s", d)
	}
}

// size of a topic, in offsets.
func (c *cluster) size(topic string) (n int64) {
	for _, p := range c.PartitionInfos(topic) {
		n += p.LastStableOffset
	}
	return n
}

// settled waits until every timer that the model fires came out; all records are there by then.
func (c *cluster) settled(stage pipeline.Stage) {
	c.t.Helper()
	eventually(c.t, "all are committed", func() bool { return c.drained(stage.Name()) })
	missing := c.model(stage).timers
	for deadline := time.Now().Add(patience); ; {
		at := c.size("out")
		for _, r := range c.flat("out") {
			delete(missing, string(r.Key)+" "+string(r.Value))
		}
		if len(missing) == 0 {
			return
		}
		for c.size("out") == at {
			if time.Now().After(deadline) {
				c.t.Fatalf("not within %s: %d timers fire: %q; %s", patience, len(missing), slices.Sorted(maps.Keys(missing)), c.unstable("out"))
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// unstable tells where a topic ends, and where an open transaction keeps what is in it from its readers.
func (c *cluster) unstable(topic string) string {
	var all strings.Builder
	for _, p := range c.PartitionInfos(topic) {
		fmt.Fprintf(&all, "%s/%d ends at %d, stable to %d; ", topic, p.Partition, p.HighWatermark, p.LastStableOffset)
	}
	return all.String()
}

// auditor is a Caller that compares, whenever a partition begins, where the store stands with where the
// group stands, and the calls it is given with those in the store.
type auditor struct {
	c     *cluster
	stage string
	store *state.Store
	// applied is called once a transaction with calls is committed and in the store; nil for nothing.
	applied atomic.Pointer[func()]

	mu      sync.Mutex
	resumes int      // guarded by mu; with something to go on from
	wrong   []string // guarded by mu
}

func (a *auditor) Assigned(p int32, _ pipeline.Reader, inherited []pipeline.PendingCall) {
	a.mu.Lock()
	defer a.mu.Unlock()
	offset, number, metadata := a.c.groupCommitOf(a.stage, p)
	back := a.store.Backing(a.stage, p)
	at, _, err := state.ReadPosition(back)
	if err != nil || at.Offset != offset || at.Number != number {
		a.wrong = append(a.wrong, fmt.Sprintf("partition %d goes on at %+v (%v), the group is at offset %d with %q", p, at, err, offset, metadata))
	}
	if number > 0 {
		a.resumes++
	}
	stored := 0
	if err := back.Scan([]byte{callKind}, []byte{callKind + 1}, func(_, _ []byte) bool { stored++; return true }); err != nil || stored != len(inherited) {
		a.wrong = append(a.wrong, fmt.Sprintf("partition %d: %d calls are stored, %d handed over (%v)", p, stored, len(inherited), err))
	}
}

func (a *auditor) Committed(int32, []pipeline.PendingCall, []pipeline.PendingCall) {
	if fn := a.applied.Swap(nil); fn != nil {
		(*fn)()
	}
}

func (*auditor) Revoked(context.Context, int32) {}

// check reports what was wrong at any resume, and returns how many there were.
func (a *auditor) check() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, w := range a.wrong {
		a.c.t.Error(w)
	}
	return a.resumes
}

// everWritten lists the values a topic has had written to it, by aborted transactions too.
func (c *cluster) everWritten(topic string) map[string]bool {
	c.t.Helper()
	all := map[string]bool{}
	for _, records := range c.readAs(topic, kgo.ReadUncommitted()) {
		for _, r := range records {
			all[string(r.Value)] = true
		}
	}
	return all
}
