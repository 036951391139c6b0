package torture

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/deadletter"
)

// TestMain lets this binary be a member, as the command itself is.
func TestMain(m *testing.M) {
	if os.Getenv(asMember) != "" {
		os.Exit(Main(nil))
	}
	os.Exit(m.Run())
}

// small is a run of few rounds on kfake.
func small(t *testing.T, args ...string) (*torture, *bytes.Buffer) {
	t.Helper()
	tt, err := parse(append([]string{"-kfake", "-rate", "150", "-dir", t.TempDir()}, args...))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	tt.out = io.MultiWriter(&out, t.Output())
	return tt, &out
}

// TestOnKfake runs the whole of it on a Kafka in memory.
func TestOnKfake(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	tt, out := small(t, "-rounds", "3", "-match", "graceful|error answer wire EndTxn|kill after sink")
	if err := tt.run(ctx); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "3 rounds") || !strings.Contains(last, " 0 lost, 0 doubled, 0 wrong") {
		t.Errorf("the last line is %q", last)
	}
	if tt.records == 0 || tt.missed != 0 {
		t.Errorf("%d records, %d traps missed", tt.records, tt.missed)
	}
}

// TestFindsFaults has members do something wrong: it must be found, and said with how to replay it.
func TestFindsFaults(t *testing.T) {
	for fault, found := range map[string]func(*torture) int{
		"lose":   func(tt *torture) int { return tt.lost },
		"double": func(tt *torture) int { return tt.doubled },
		"rows":   func(tt *torture) int { return tt.doubled },
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			tt, out := small(t, "-rounds", "1", "-match", "kill after sink", "-fault", fault)
			tt.patience = 15 * time.Second
			if err := tt.run(ctx); !errors.Is(err, errFindings) {
				t.Fatalf("run: %v", err)
			}
			if found(tt) == 0 || !strings.Contains(out.String(), fmt.Sprintf("replay: make torture-runtime SEED=%d ROUNDS=1", tt.seed)) {
				t.Errorf("%d lost, %d doubled, %d wrong", tt.lost, tt.doubled, tt.wrong)
			}
		})
	}
}

// bench is a mailbox run through the stage on one thread, without Kafka: books that balance.
func bench(t *testing.T, partitions, facts int) (*model, *tape, *tape, *tape, map[int32]committedAt) {
	t.Helper()
	const name, n = "bench", 4000
	w := newWorkload(7, 0, name, partitions)
	m := newModel(name, partitions)
	m.age = time.Minute
	out, letters, changelog := newTape(nil, ""), newTape(nil, ""), newTape(nil, "")
	group := map[int32]committedAt{}
	mailbox := map[int32][]*kgo.Record{}
	now := time.Now().Truncate(time.Millisecond)
	for i := range n {
		r := w.next()
		r.Timestamp, r.Offset = now.Add(time.Duration(i)*time.Millisecond), int64(len(mailbox[r.Partition]))
		mailbox[r.Partition] = append(mailbox[r.Partition], r)
	}
	of := &stage{name: name, facts: "facts", partitions: partitions}
	put := func(to *tape, p int32, r *kgo.Record) {
		r.Partition, r.Offset = p, int64(len(to.records[p]))
		to.records[p] = append(to.records[p], r)
		to.next[p] = r.Offset + 1
	}
	for p := range int32(partitions) {
		part, err := state.NewPartition(state.Config{Stage: of, Partition: p, Partitions: int32(partitions), MaxRecordBytes: largest}, state.Memory())
		if err != nil {
			t.Fatal(err)
		}
		commit := func() {
			for _, e := range part.TakeEmits() {
				put(out, schemas.Partition(e.Key, facts), &kgo.Record{Key: e.Key, Value: e.Value})
			}
			for _, f := range part.TakeFailures() {
				h := func(k string, v any) kgo.RecordHeader { return kgo.RecordHeader{Key: k, Value: fmt.Append(nil, v)} }
				put(letters, 0, &kgo.Record{Key: f.Key, Headers: []kgo.RecordHeader{h(deadletter.HeaderStage, name), h(deadletter.HeaderReason, f.Cause),
					h(deadletter.HeaderPartition, p), h(deadletter.HeaderOffset, f.Record.Offset)}})
			}
			pos := part.Seal(func(key, value []byte) {
				put(changelog, p, &kgo.Record{Key: bytes.Clone(key), Value: bytes.Clone(value)})
			})
			part.Committed(changelog.next[p])
			group[p] = committedAt{pos.Offset, pos.Number}
		}
		for _, r := range mailbox[p] {
			m.take(r)
			in := pipeline.Record{Topic: r.Topic, Partition: p, Offset: r.Offset, Key: r.Key, Value: r.Value, Time: r.Timestamp}
			if schemas.Partition(r.Key, partitions) != p {
				err = part.Reject(&in, errors.New("wrong partition"), nil)
			} else {
				err = part.Process(&in, now.Add(time.Hour), nil, true)
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.Offset%7 == 0 {
				commit()
			}
		}
		if err := part.Advance(now.Add(time.Hour), nil, true); err != nil {
			t.Fatal(err)
		}
		commit()
	}
	return m, out, letters, changelog, group
}

// TestBooks: what one thread makes is as the model has it, and whatever is taken away, added, moved or
// changed in it is found as what it is.
func TestBooks(t *testing.T) {
	const partitions, facts = 3, 2
	for name, c := range map[string]struct {
		spoil                func(out, letters, changelog *tape, group map[int32]committedAt)
		lost, doubled, wrong bool
	}{
		"nothing": {spoil: func(_, _, _ *tape, _ map[int32]committedAt) {}},
		"an output lost": {lost: true, spoil: func(out, _, _ *tape, _ map[int32]committedAt) {
			out.records[0] = append(out.records[0][:100:100], out.records[0][101:]...)
		}},
		"an output doubled": {doubled: true, spoil: func(out, _, _ *tape, _ map[int32]committedAt) {
			out.records[1] = append(out.records[1], out.records[1][50])
		}},
		"an output changed": {lost: true, doubled: true, spoil: func(out, _, _ *tape, _ map[int32]committedAt) {
			r := *out.records[0][10]
			r.Value = bytes.Replace(r.Value, []byte(`"s":"`), []byte(`"s":"x`), 1)
			out.records[0][10] = &r
		}},
		"outputs of a key in another order": {wrong: true, spoil: func(out, _, _ *tape, _ map[int32]committedAt) {
			all := out.records[0]
			for i := range all {
				for j := i + 1; j < len(all); j++ {
					var a, b output
					if json.Unmarshal(all[i].Value, &a) == nil && json.Unmarshal(all[j].Value, &b) == nil && a.Timer+b.Timer == "" &&
						a.Partition == b.Partition && a.Offset != b.Offset && bytes.Equal(all[i].Key, all[j].Key) {
						all[i], all[j] = all[j], all[i]
						return
					}
				}
			}
		}},
		"a dead letter lost": {lost: true, spoil: func(_, letters, _ *tape, _ map[int32]committedAt) {
			letters.records[0] = letters.records[0][1:]
		}},
		"a dead letter doubled": {doubled: true, spoil: func(_, letters, _ *tape, _ map[int32]committedAt) {
			letters.records[0] = append(letters.records[0], letters.records[0][0])
		}},
		"a transaction's number twice": {wrong: true, spoil: func(_, _, changelog *tape, _ map[int32]committedAt) {
			changelog.records[0] = append(changelog.records[0], changelog.records[0][len(changelog.records[0])-1])
		}},
		"a deletion lost": {wrong: true, spoil: func(_, _, changelog *tape, _ map[int32]committedAt) {
			changelog.records[0] = withoutLast(changelog.records[0], func(r *kgo.Record) bool {
				return r.Value == nil && r.Key[0] == 'e' && bytes.Contains(r.Key, []byte("far"))
			})
		}},
		"a group behind its changelog": {lost: true, spoil: func(_, _, _ *tape, group map[int32]committedAt) {
			group[1] = committedAt{group[1].offset - 1, group[1].number - 1}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m, out, letters, changelog, group := bench(t, partitions, facts)
			c.spoil(out, letters, changelog, group)
			f := &findings{}
			compareOutputs(f, m, out, facts)
			compareLetters(f, m, letters)
			compareState(f, m, changelog, group, false)
			// A timer's end that is not there and an open call are told as lost; nothing answers calls here.
			if f.lost > 0 != c.lost || f.doubled > 0 != c.doubled || f.wrong > 0 != c.wrong {
				t.Errorf("%d lost, %d doubled, %d wrong: %q", f.lost, f.doubled, f.wrong, f.said)
			}
		})
	}
}

func withoutLast(records []*kgo.Record, match func(*kgo.Record) bool) []*kgo.Record {
	for i := len(records) - 1; i >= 0; i-- {
		if match(records[i]) {
			return append(records[:i:i], records[i+1:]...)
		}
	}
	return records
}

// TestWire: traps lie at requests by name, client and moment; a commit that the broker refused is none.
func TestWire(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	var told []string
	tell := func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) }
	st := &steps{tell: tell}
	ts := &traps{tell: tell, hit: st.begin}
	st.begin()
	w := newWire(ts, st, "me")
	w.dial = func(context.Context, string, string) (net.Conn, error) { return here, nil }
	conn, err := w.Dial(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	end := func(commit bool, code int16) error {
		t.Helper()
		req := kmsg.NewPtrEndTxnRequest()
		req.Version, req.TransactionalID, req.Commit = 3, "tx", commit
		frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, req, 5)
		go func() { _, _ = io.ReadFull(there, make([]byte, len(frame))) }()
		if _, err := conn.Write(frame); err != nil {
			t.Fatal(err)
		}
		resp := kmsg.NewPtrEndTxnResponse()
		resp.Version, resp.ErrorCode = 3, code
		body := resp.AppendTo([]byte{0, 0, 0, 5, 0})
		answer := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
		go func() {
			_, _ = there.Write(answer[:6])
			_, _ = there.Write(answer[6:])
		}()
		_, err := io.ReadFull(conn, make([]byte, len(answer)))
		return err
	}
	if err := errors.Join(end(false, 0), end(true, 47), end(true, 0), end(true, 0)); err != nil {
		t.Fatal(err)
	}
	said := strings.Join(told, "\n")
	for text, want := range map[string]int{"\ncommit": 1, "EndTxn answered to me": 2, "INVALID_PRODUCER_EPOCH": 1} {
		if n := strings.Count(said, text); n != want {
			t.Errorf("%q is told %d times, want %d:\n%s", text, n, want, said)
		}
	}
	ts.lay(trap{Place: placeWire, What: "EndTxn", Client: "other", Moment: answer, Act: actError})
	ts.lay(trap{Place: placeWire, What: "EndTxn", Client: "me", Moment: answer, Act: actError})
	if err := end(true, 0); !errors.As(err, new(errTrap)) {
		t.Errorf("read: %v", err)
	}
	if len(ts.laid) != 1 || ts.laid[0].Client != "other" {
		t.Errorf("left: %v", ts.laid)
	}
}

func FuzzRequest(f *testing.F) {
	req := kmsg.NewPtrEndTxnRequest()
	req.Version, req.Commit = 3, true
	f.Add(kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, req, 5))
	f.Add([]byte{0, 0, 0, 10, 0, 26, 0, 3, 0, 0, 0, 1, 255, 255})
	f.Fuzz(func(t *testing.T, frame []byte) {
		if r, ok := parseRequest(frame); ok && len(r.client) > len(frame) {
			t.Errorf("%+v", r)
		}
	})
}
