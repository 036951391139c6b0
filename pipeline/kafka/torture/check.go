package torture

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/deadletter"
)

// findings are what is not as the model has it. Lost is what is missing: it may still come.
type findings struct {
	lost, doubled, wrong int
	said                 []string // the first few, in words
	unmarked             []string // transactions that the broker forgot to end
}

func (f *findings) clean() bool { return f.lost+f.doubled+f.wrong == 0 }

func (f *findings) say(format string, args ...any) {
	const most = 12
	if len(f.said) < most {
		f.said = append(f.said, fmt.Sprintf(format, args...))
	}
}

func (f *findings) lose(n int, format string, args ...any) {
	f.lost += n
	f.say("lost: "+format, args...)
}

func (f *findings) double(n int, format string, args ...any) {
	f.doubled += n
	f.say("doubled: "+format, args...)
}

func (f *findings) bad(format string, args ...any) {
	f.wrong++
	f.say("wrong: "+format, args...)
}

// books are everything that one epoch wrote down, as far as it was read.
type books struct {
	stage      string
	partitions int
	facts      int // partitions of the facts
	outside    string
	compacted  bool // changelogs are
	admin      *kadm.Client

	mailbox, out, changelog, letters *tape
}

func newBooks(brokers []string, admin *kadm.Client, stage string, partitions, facts int, outside string, compacted bool) *books {
	return &books{stage: stage, partitions: partitions, facts: facts, outside: outside, compacted: compacted, admin: admin,
		mailbox: newTape(brokers, schemas.Mailbox(stage)), out: newTape(brokers, schemas.Mailbox(factsOf(stage))),
		changelog: newTape(brokers, schemas.Changelog(stage)), letters: newTape(brokers, schemas.TopicDeadLetters)}
}

// audit reads everything on and compares it with the model.
func (b *books) audit(ctx context.Context, posted int64) (*findings, *model, error) {
	// Results are posted while this reads: what the mailbox has last is read first, and found missing.
	for _, t := range []*tape{b.mailbox, b.out, b.changelog, b.letters} {
		if err := t.wind(ctx, b.admin); err != nil {
			return nil, nil, err
		}
	}
	f, m := &findings{}, newModel(b.stage, b.partitions)
	for _, t := range []*tape{b.mailbox, b.out, b.changelog} {
		f.unmarked = append(f.unmarked, t.unmarked...)
	}
	for p := range int32(b.partitions) {
		if records := b.mailbox.records[p]; len(records) > 0 {
			m.age = max(m.age, time.Since(records[0].Timestamp))
		}
		for _, r := range b.mailbox.records[p] {
			m.take(r)
		}
	}
	if got := b.inputs(); got < posted {
		f.bad("%d records were acknowledged to the traffic, %d are in the mailbox", posted, got)
	}
	compareOutputs(f, m, b.out, b.facts)
	compareLetters(f, m, b.letters)
	group, err := groupAt(ctx, b.admin, b.stage)
	if err != nil {
		return nil, nil, err
	}
	compareState(f, m, b.changelog, group, b.compacted)
	if err := b.compareRows(f); err != nil {
		return nil, nil, err
	}
	return f, m, b.compareCalls(f, m)
}

// inputs in the mailbox that are not results of calls.
func (b *books) inputs() (n int64) {
	for _, records := range b.mailbox.records {
		for _, r := range records {
			var v input
			if json.Unmarshal(r.Value, &v) != nil || v.Kind != kindResult {
				n++
			}
		}
	}
	return n
}

// compareOutputs: of every input exactly its outputs, among those to one key in order; every timer once.
func compareOutputs(f *findings, m *model, out *tape, facts int) {
	got, timers := map[source][]modelOutput{}, map[string]int{}
	for p := range int32(facts) {
		for _, r := range out.records[p] {
			var o output
			if err := json.Unmarshal(r.Value, &o); err != nil {
				f.bad("facts/%d/%d: %v", p, r.Offset, err)
				continue
			}
			if schemas.Partition(r.Key, facts) != p {
				f.bad("facts/%d/%d: key %s is of another partition", p, r.Offset, r.Key)
			}
			if o.Timer != "" {
				timers[fmt.Sprintf("%s %s: %s", r.Key, o.Timer, o.Says)]++
				continue
			}
			from := source{o.Partition, string(r.Key)}
			got[from] = append(got[from], modelOutput{o.Offset, o.Ordinal, o.Says})
		}
	}
	for from, want := range m.outputs {
		compareOrdered(f, from, got[from], want)
		delete(got, from)
	}
	for from, extra := range got {
		f.double(len(extra), "%v: outputs that nothing makes, the first %+v", from, extra[0])
	}
	for timer, n := range timers {
		if want := m.timers[timer]; n > want {
			f.double(n-want, "timer %s came %d times, want %d", timer, n, want)
		}
	}
	for timer, want := range m.timers {
		if n := timers[timer]; n < want {
			f.lose(want-n, "timer %s came %d times, want %d", timer, n, want)
		}
	}
}

// compareOrdered counts what is missing and what is too much, and looks at the order of the rest.
func compareOrdered(f *findings, from source, got, want []modelOutput) {
	count := map[modelOutput]int{}
	for _, o := range want {
		count[o]++
	}
	for _, o := range got {
		if count[o]--; count[o] < 0 {
			f.double(1, "%v %+v", from, o)
		}
	}
	off := false
	for o, n := range count {
		off = off || n != 0
		if n > 0 {
			f.lose(n, "%v %+v", from, o)
		}
	}
	if off {
		return
	}
	for i := range want {
		if got[i] != want[i] {
			f.bad("order of %v: %+v where %+v belongs", from, got[i], want[i])
			return
		}
	}
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// compareLetters: every failed input is a dead letter once, with its reason.
func compareLetters(f *findings, m *model, letters *tape) {
	got := map[letter]int{}
	for _, records := range letters.records {
		for _, r := range records {
			if header(r, deadletter.HeaderStage) != m.stage {
				continue // of another epoch
			}
			var l letter
			if _, err := fmt.Sscan(header(r, deadletter.HeaderPartition), &l.partition); err != nil {
				f.bad("dead letter: partition: %v", err)
			}
			if _, err := fmt.Sscan(header(r, deadletter.HeaderOffset), &l.offset); err != nil {
				f.bad("dead letter: offset: %v", err)
			}
			got[l]++
			if reason := header(r, deadletter.HeaderReason); m.dead[l] == "" || !strings.Contains(reason, m.dead[l]) {
				f.bad("dead letter of %v says %.80q, want %q", l, reason, m.dead[l])
			}
		}
	}
	for l := range m.dead {
		switch n := got[l]; {
		case n == 0:
			f.lose(1, "dead letter of %v", l)
		case n > 1:
			f.double(n-1, "dead letter of %v", l)
		}
	}
}

// fold is what a changelog says up to some offset.
type fold struct {
	entries  map[string]string // raw keys and values, positions apart
	position state.Position
}

func foldUp(f *findings, records []*kgo.Record, end int64, compacted bool) fold {
	to := fold{entries: map[string]string{}}
	for _, r := range records {
		if r.Offset >= end {
			break
		}
		switch {
		case len(r.Key) == 0:
			f.bad("changelog/%d/%d has no key", r.Partition, r.Offset)
		case string(r.Key) == string(state.PositionKey()):
			p, err := state.DecodePosition(r.Value)
			if err != nil {
				f.bad("changelog/%d/%d: %v", r.Partition, r.Offset, err)
			}
			// Two owners would both take the next number.
			if p.Number != to.position.Number+1 && !compacted || p.Number <= to.position.Number {
				f.bad("changelog/%d/%d: transaction %d comes after %d", r.Partition, r.Offset, p.Number, to.position.Number)
			}
			to.position = p
		case r.Value == nil:
			delete(to.entries, string(r.Key))
		default:
			to.entries[string(r.Key)] = string(r.Value)
		}
	}
	return to
}

// entryKey reads a changelog key: kind, key and name.
func entryKey(raw string) (kind byte, key, name string, ok bool) {
	n, size := binary.Uvarint([]byte(raw[1:]))
	rest := raw[1:]
	if size <= 0 || n > uint64(len(rest)-size) {
		return 0, "", "", false
	}
	rest = rest[size:]
	return raw[0], rest[:n], rest[n:], true
}

// compareState: the changelog's state is the model's, and group and position agree.
func compareState(f *findings, m *model, changelog *tape, group map[int32]committedAt, compacted bool) {
	got := map[int32]fold{}
	for p := range int32(m.partitions) {
		at := foldUp(f, changelog.records[p], 1<<62, compacted)
		got[p] = at
		if next := m.next[p]; next > 0 && at.position.Offset != next {
			f.lose(1, "position of partition %d is %d, the mailbox ends at %d", p, at.position.Offset, next)
		}
		if c, ok := group[p]; (ok || at.position.Number > 0) && (c.offset != at.position.Offset || c.number != at.position.Number) {
			f.lose(1, "partition %d: the group stands at %+v, the changelog at %+v", p, c, at.position)
		}
	}
	want := map[int32]map[string]string{}
	for key, k := range m.keys {
		if want[k.partition] == nil {
			want[k.partition] = map[string]string{}
		}
		k.raw(key, want[k.partition])
	}
	for p, at := range got {
		compareFold(f, p, at, want[p])
		compareSeen(f, p, at, m)
	}
}

// raw adds the changelog records of a key; a call's value is not spelled out.
func (k *modelKey) raw(key string, to map[string]string) {
	name := func(kind byte, name string) string {
		b := binary.AppendUvarint([]byte{kind}, uint64(len(key)))
		return string(b) + key + name
	}
	for n, v := range k.entries {
		to[name('e', n)] = v
	}
	for n, due := range k.timers {
		to[name('t', n)] = string(binary.BigEndian.AppendUint64(nil, uint64(due)))
	}
	for id, body := range k.calls {
		to[name('c', id)] = body
	}
}

func compareFold(f *findings, p int32, at fold, want map[string]string) {
	for raw, value := range at.entries {
		if raw[0] == 's' {
			continue
		}
		kind, key, name, ok := entryKey(raw)
		if !ok {
			f.bad("changelog of partition %d: key %q", p, raw)
			continue
		}
		w, ok := want[raw]
		// Of a timer or a call that is on its way the model already has the end.
		switch on := kind == 't' && name != "far" || kind == 'c'; {
		case !ok && (on || strings.HasPrefix(name, "fired/") || strings.HasPrefix(name, "call/")):
			f.lose(1, "partition %d: %c %s %s is still there", p, kind, key, name)
		case !ok:
			f.bad("partition %d: %c %s %s is there with %.40q", p, kind, key, name, value)
		case kind == 'c' && !strings.Contains(value, w), kind != 'c' && value != w:
			f.bad("partition %d: %c %s %s is %.40q, want %.40q", p, kind, key, name, value, w)
		}
	}
	for raw, value := range want {
		if _, ok := at.entries[raw]; !ok {
			f.lose(1, "partition %d: state %q with %.40q", p, raw, value)
		}
	}
}

// compareSeen: as many ids are remembered as were given. They leave with their buckets, so that there
// may be fewer once an epoch is older than the window.
func compareSeen(f *findings, p int32, at fold, m *model) {
	n := 0
	for raw, value := range at.entries {
		if raw[0] == 's' {
			n += len(value) / 16
		}
	}
	switch want := len(m.seen[p]); {
	case n > want:
		f.bad("partition %d remembers %d ids, %d were given", p, n, want)
	case n < want && m.age < seenWindow:
		f.lose(want-n, "partition %d remembers %d ids, %d were given", p, n, want)
	}
}

// compareRows: the outside store has every fact once.
func (b *books) compareRows(f *findings) error {
	rows, err := readTable(b.rows())
	if err != nil {
		return err
	}
	type place struct {
		partition int32
		offset    int64
	}
	got := map[place]int{}
	sums := map[place]uint64{}
	for _, r := range rows {
		got[place{r.Partition, r.Offset}]++
		sums[place{r.Partition, r.Offset}] = r.Sum
	}
	for p, records := range b.out.records {
		for _, r := range records {
			at := place{p, r.Offset}
			switch n := got[at]; {
			case n == 0:
				f.lose(1, "row of facts/%d/%d", p, r.Offset)
			case n > 1:
				f.double(n-1, "row of facts/%d/%d", p, r.Offset)
			case sums[at] != sum(r.Key, r.Value):
				f.bad("row of facts/%d/%d has another content", p, r.Offset)
			}
			delete(got, at)
		}
	}
	// What was written while this read on is not on the tape yet.
	for at := range got {
		if at.offset < b.out.next[at.partition] {
			f.double(1, "row %v of no fact", at)
		}
	}
	return nil
}

func (b *books) rows() string { return b.outside + "/rows" }

// compareCalls: every call that was stored was made, with one body, and no other was.
func (b *books) compareCalls(f *findings, m *model) error {
	made, err := readCalls(b.outside + "/calls")
	if err != nil {
		return err
	}
	for id, body := range m.calls {
		if made[id][body] == 0 {
			f.lose(1, "call %s", id)
		}
	}
	for key, k := range m.keys {
		for id := range k.calls {
			f.lose(1, "result of call %s of %s", id, key)
		}
	}
	for id, bodies := range made {
		if _, ok := m.calls[id]; !ok {
			f.lose(1, "call %s was made before what stores it is read", id) // stays so if it was never committed
		} else if len(bodies) != 1 {
			f.bad("call %s was made with %d bodies", id, len(bodies))
		}
	}
	return nil
}

// auditStore compares a member's local state with the changelog up to where the state says it stands.
// Nobody may have the store open.
func (b *books) auditStore(ctx context.Context, f *findings, dir string) error {
	if err := b.changelog.wind(ctx, b.admin); err != nil {
		return err
	}
	store, err := state.OpenStore(state.StoreConfig{Dir: dir})
	if err != nil {
		return err
	}
	defer store.Close()
	for p := range int32(b.partitions) {
		back := store.Backing(b.stage, p)
		pos, resume, err := state.ReadPosition(back)
		if err != nil {
			return fmt.Errorf("local state of partition %d: %w", p, err)
		}
		if pos.Number == 0 {
			continue
		}
		at := foldUp(f, b.changelog.records[p], resume.Next, b.compacted)
		if b.compacted && resume.Next < b.changelog.next[p]-1 {
			continue // what came between may be compacted away
		}
		if at.position != pos {
			f.bad("local state of partition %d stands at %+v, the changelog at %+v there", p, pos, at.position)
		}
		if err := b.compareStore(f, p, back, resume.Next); err != nil {
			return err
		}
	}
	return nil
}

// compareStore replays the changelog into memory and holds it against the local state.
func (b *books) compareStore(f *findings, p int32, local state.Backing, end int64) error {
	want := state.Memory()
	replay, err := state.NewReplay(state.Config{Stage: &stage{name: b.stage}, Partition: p, Partitions: int32(b.partitions)}, want)
	if err != nil {
		return err
	}
	for _, r := range b.changelog.records[p] {
		if r.Offset >= end {
			break
		}
		if err := replay.Apply(r.Key, r.Value, r.Offset, r.Timestamp); err != nil {
			return err
		}
	}
	if err := replay.Finish(); err != nil {
		return err
	}
	entries := map[string]string{}
	if err := want.Scan(nil, nil, func(key, value []byte) bool {
		entries[string(key)] = string(value)
		return true
	}); err != nil {
		return err
	}
	err = local.Scan(nil, nil, func(key, value []byte) bool {
		w, ok := entries[string(key)]
		delete(entries, string(key))
		if !arranged(key[0]) && (!ok || w != string(value)) {
			f.bad("local state of partition %d: %q is %.40q, the changelog says %.40q", p, key, value, w)
		}
		return true
	})
	for key, value := range entries {
		if !arranged(key[0]) {
			f.bad("local state of partition %d lacks %q, which the changelog says is %.40q", p, key, value)
		}
	}
	return err
}

// arranged tells whether records of a kind are where and how the local state likes: seen ids and their
// index, and the time of the last write.
func arranged(kind byte) bool { return strings.IndexByte("srxw", kind) >= 0 }
