package torture

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/schemas"
)

// model is what must have happened once everything is drained: the meaning of every input, worked out
// over plain maps, one mailbox partition after the other. It shares no code with the stage or with the
// state store.
type model struct {
	stage      string
	partitions int

	keys     map[string]*modelKey
	outputs  map[source][]modelOutput // in order
	timers   map[string]int           // every firing, by key, name, times
	dead     map[letter]string        // dead letters and a part of their reason
	calls    map[string]string        // every call ever stored and its body
	seen     map[int32]map[string]bool
	next     map[int32]int64 // offset after the last record
	records  int
	age      time.Duration // of the oldest record
	rejected int
}

// source is where outputs come from and go to: among them order is kept.
type source struct {
	partition int32
	key       string // that they go to
}

type modelOutput struct {
	offset  int64
	ordinal int
	says    string
}

type letter struct {
	partition int32
	offset    int64
}

// modelKey is the state of one key.
type modelKey struct {
	partition int32
	entries   map[string]string
	timers    map[string]int64 // due, ms
	calls     map[string]string
}

func newModel(stage string, partitions int) *model {
	return &model{stage: stage, partitions: partitions, keys: map[string]*modelKey{}, outputs: map[source][]modelOutput{},
		timers: map[string]int{}, dead: map[letter]string{}, calls: map[string]string{}, seen: map[int32]map[string]bool{}, next: map[int32]int64{}}
}

// inputOf is one record being worked out.
type inputOf struct {
	m       *model
	r       *kgo.Record
	k       *modelKey
	ordinal int
}

func (i *inputOf) says(key, format string, args ...any) {
	to := source{i.r.Partition, key}
	i.m.outputs[to] = append(i.m.outputs[to], modelOutput{i.r.Offset, i.ordinal, fmt.Sprintf(format, args...)})
	i.ordinal++
}

func (i *inputOf) dies(reason string) {
	i.m.dead[letter{i.r.Partition, i.r.Offset}] = reason
	i.ordinal = failedOrdinal
	i.says(string(i.r.Key), "failed %s/%d/%d", schemas.Mailbox(i.m.stage), i.r.Partition, i.r.Offset)
}

// take works out the next record of a partition.
func (m *model) take(r *kgo.Record) {
	m.records++
	m.next[r.Partition] = r.Offset + 1
	i := &inputOf{m: m, r: r}
	if schemas.Partition(r.Key, m.partitions) != r.Partition {
		m.rejected++
		i.dies("wrong partition")
		return
	}
	var v input
	if json.Unmarshal(r.Value, &v) != nil {
		i.dies("garbage")
		return
	}
	i.k = m.keys[string(r.Key)]
	if i.k == nil {
		i.k = &modelKey{partition: r.Partition, entries: map[string]string{}, timers: map[string]int64{}, calls: map[string]string{}}
		m.keys[string(r.Key)] = i.k
	}
	if v.Kind == kindResult {
		i.result(v)
		return
	}
	ids := m.seen[r.Partition]
	if ids == nil {
		ids = map[string]bool{}
		m.seen[r.Partition] = ids
	}
	if ids[v.ID] {
		i.says(string(r.Key), "again %s", v.ID)
		return
	}
	if i.means(v) {
		ids[v.ID] = true
	}
}

func (i *inputOf) result(v input) {
	if i.k.entries["call/"+v.ID] == "" {
		i.says(string(i.r.Key), "late %s", v.ID)
		return
	}
	delete(i.k.entries, "call/"+v.ID)
	delete(i.k.calls, v.ID)
	i.says(string(i.r.Key), "ended %s", v.ID)
}

// means does what the input asks for; false when it must have failed without a trace.
func (i *inputOf) means(v input) bool {
	key, k, at := string(i.r.Key), i.k, i.r.Timestamp.UnixMilli()
	switch v.Kind {
	case kindCount:
		i.count(v)
	case kindTimer:
		due := at + int64(v.Arg)
		i.m.timers[fmt.Sprintf("%s t%s: fired for %d, now %d", key, v.ID, due, due)]++
		due += second.Milliseconds()
		i.m.timers[fmt.Sprintf("%s u%s: fired for %d, now %d", key, v.ID, due, due)]++
		i.says(key, "set %s", v.ID)
	case kindFar:
		k.timers["far"] = at + far.Milliseconds() + int64(v.Arg)
		k.entries["far"] = v.ID
	case kindStop:
		_, had := k.entries["far"]
		delete(k.timers, "far")
		delete(k.entries, "far")
		i.says(key, "stopped %v", had)
	case kindCall:
		k.entries["call/"+v.ID] = "open"
		k.calls[v.ID] = "body of " + v.ID
		i.m.calls[v.ID] = "body of " + v.ID
	case kindFan:
		for n := range v.Arg {
			i.says(fmt.Sprintf("other|%d", (len(v.ID)*31+v.Arg*7+n)%50), "fan %s", v.ID)
		}
	case kindClear:
		var names []string
		for _, name := range slices.Sorted(maps.Keys(k.entries)) {
			if strings.HasPrefix(name, "r/") {
				names = append(names, name)
				delete(k.entries, name)
			}
		}
		i.says(key, "cleared %s", strings.Join(names, ","))
	case kindFail:
		i.dies(errAsAsked.Error())
		return false
	case kindPanic:
		i.dies("as asked")
		return false
	case kindLarge:
		i.dies("too large")
		return false
	default:
		i.dies("garbage")
		return false
	}
	return true
}

func (i *inputOf) count(v input) {
	n := 1
	if was, ok := i.k.entries["n"]; ok {
		_, _ = fmt.Sscan(was, &n) // it was written below
		n++
	}
	i.k.entries["n"] = fmt.Sprint(n)
	i.k.entries[fmt.Sprintf("r/%d", n%4)] = v.ID
	if n%7 == 0 {
		delete(i.k.entries, "r/2")
	}
	var listed []string
	for _, name := range slices.Sorted(maps.Keys(i.k.entries)) {
		if strings.HasPrefix(name, "r/") {
			listed = append(listed, name+"="+i.k.entries[name])
		}
	}
	i.says(string(i.r.Key), "count %d: %s", n, strings.Join(listed, " "))
}
