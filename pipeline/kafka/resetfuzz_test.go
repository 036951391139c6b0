package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/schemas/deadletter"
)

// FuzzResetMark: whatever a group's metadata says, a mark that is read is the one that was written.
func FuzzResetMark(f *testing.F) {
	f.Add(resetMark{from: 3, until: 9, life: 1 << 41, clock: 1_700_000_000_000, at: 5, emit: true}.String())
	f.Add("handoff-reset:1 from=1 until=0 life=1 clock=0 at=0 emit=false keep=false")
	f.Add("handoff:12")
	f.Fuzz(func(t *testing.T, metadata string) {
		m, ok := parseResetMark(metadata)
		if !ok {
			return
		}
		if again, ok := parseResetMark(m.String()); !ok || again != m || m.from > m.until || m.life == 0 {
			t.Errorf("%q is %+v, which reads as %+v %v", metadata, m, again, ok)
		}
		if _, ours := parseMetadata(metadata); ours {
			t.Errorf("%q is a runner's and a reset's", metadata)
		}
	})
}

// FuzzDeadLetter: no record of the topic is taken for both a letter and a resolution, or brings a panic.
func FuzzDeadLetter(f *testing.F) {
	f.Add(deadletter.HeaderStage, "consent", deadletter.HeaderOffset, "12", []byte("value"))
	f.Add(deadletter.HeaderResolves, "0/1", deadletter.HeaderResolution, deadletter.Dropped, []byte(nil))
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string, value []byte) {
		r := &kgo.Record{Value: value, Headers: []kgo.RecordHeader{{Key: name1, Value: []byte(value1)}, {Key: name2, Value: []byte(value2)},
			{Key: deadletter.HeaderPartition, Value: []byte("3")}}}
		l, _, how, err := parseDeadLetter(r)
		if err == nil && (l == nil) == (how == nil) {
			t.Errorf("letter %+v, resolution %+v", l, how)
		}
		if err == nil && l != nil && (l.Stage == "" || l.Name() == "") {
			t.Errorf("a letter without stage or name: %+v", l)
		}
	})
}
