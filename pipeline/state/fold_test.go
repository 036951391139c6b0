package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/pipeline"
)

// line is a changelog record.
type line struct{ key, value []byte }

// drawLog draws transactions of few keys and names, so that most are written again or deleted.
func drawLog(t *rapid.T) []line {
	var log []line
	for n := range rapid.IntRange(1, 12).Draw(t, "transactions") {
		for range rapid.IntRange(0, 6).Draw(t, "changes") {
			key := rapid.SampledFrom([]string{"", "a", "a\x00", "a\x00b", "ab", "acme|+1555"}).Draw(t, "key")
			name := rapid.SampledFrom([]string{"x", "x/1", "y"}).Draw(t, "name")
			kind := rapid.SampledFrom([]byte{kindEntry, kindTimer, kindCall}).Draw(t, "kind")
			l := line{key: appendKey(nil, kind, []byte(key), name)}
			if rapid.IntRange(0, 3).Draw(t, "kept") > 0 {
				stamp := uint64(rapid.IntRange(1, 1000).Draw(t, "value"))
				switch kind {
				case kindEntry:
					l.value = fmt.Appendf([]byte{}, "v%d", stamp)
				case kindTimer:
					l.value = binary.BigEndian.AppendUint64(nil, stamp)
				case kindCall:
					l.value = encodeCall(stamp, &pipeline.Call{ID: name, Lane: "l", Created: time.UnixMilli(int64(stamp)).UTC()})
				}
			}
			log = append(log, l)
		}
		log = append(log, line{PositionKey(), Position{Offset: int64(n), Number: uint64(n + 1), Partitions: 1}.Encode()})
	}
	return log
}

// TestFoldIsTheLastOfEachKey: folding a changelog shows the last value of every key that was not deleted
// after it, in memory and on disk, in order.
func TestFoldIsTheLastOfEachKey(t *testing.T) {
	store, err := OpenStore(StoreConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	run := int32(0)
	rapid.Check(t, func(t *rapid.T) {
		log := drawLog(t)
		last, position := map[string][]byte{}, Position{}
		for _, l := range log {
			switch {
			case l.key[0] == kindPos:
				var err error
				if position, err = DecodePosition(l.value); err != nil {
					t.Fatal(err)
				}
			case l.value == nil:
				delete(last, string(l.key))
			default:
				last[string(l.key)] = l.value
			}
		}
		run++
		for _, back := range []Backing{Memory(), store.Backing("fold", run)} {
			fold := NewFold(back, nil)
			for i, l := range log {
				if err := fold.Apply(l.key, l.value, int64(i)); err != nil {
					t.Fatal(err)
				}
				if run%2 == 0 && l.key[0] == kindPos { // finished in between
					if err := fold.Finish(); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := fold.Finish(); err != nil {
				t.Fatal(err)
			}
			if fold.Position() != position {
				t.Fatalf("at %+v, want %+v", fold.Position(), position)
			}
			var got, want []Item
			if err := fold.Each(func(i Item) bool { got = append(got, i); return true }); err != nil {
				t.Fatal(err)
			}
			for key, value := range last {
				item, err := decodeItem(append(appendBytes(nil, key), value...))
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, item)
			}
			order := []ItemKind{Entry, Timer, Call}
			slices.SortFunc(want, func(a, b Item) int {
				if c := bytes.Compare(a.Key, b.Key); c != 0 {
					return c
				}
				if c := slices.Index(order, a.Kind) - slices.Index(order, b.Kind); c != 0 {
					return c
				}
				return strings.Compare(a.Name, b.Name)
			})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

func TestFoldKeepsWhatIsWanted(t *testing.T) {
	fold := NewFold(Memory(), func(kind ItemKind, key []byte, name string) bool {
		return kind == Entry && string(key) == "a" && name != "no"
	})
	for i, l := range []line{
		{appendKey(nil, kindEntry, []byte("a"), "yes"), []byte("1")},
		{appendKey(nil, kindEntry, []byte("a"), "no"), []byte("2")},
		{appendKey(nil, kindEntry, []byte("b"), "yes"), []byte("3")},
		{appendKey(nil, kindTimer, []byte("a"), "yes"), make([]byte, 8)},
		{[]byte{kindSeen, 1}, []byte("4")},
		{PositionKey(), Position{Number: 1}.Encode()},
	} {
		if err := fold.Apply(l.key, l.value, int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := fold.Finish(); err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := fold.Each(func(i Item) bool { got = append(got, string(i.Key)+" "+i.Name+" "+string(i.Value)); return true }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, []string{"a yes 1"}) {
		t.Errorf("kept %q", got)
	}
}

// TestFoldAfterReset: what is from before a reset is void, also what was flushed, and numbers may begin
// anew.
func TestFoldAfterReset(t *testing.T) {
	fold := NewFold(Memory(), nil)
	for i, l := range []line{
		{appendKey(nil, kindEntry, []byte("a"), "old"), []byte("1")},
		{PositionKey(), Position{Number: 9}.Encode()},
		{ResetKey(), []byte{1}},
		{appendKey(nil, kindEntry, []byte("a"), "new"), []byte("2")},
		{PositionKey(), Position{Number: 1}.Encode()},
	} {
		if err := fold.Apply(l.key, l.value, int64(i)); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			if err := fold.Finish(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := fold.Finish(); err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := fold.Each(func(i Item) bool { got = append(got, i.Name); return true }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, []string{"new"}) || fold.Position().Number != 1 {
		t.Errorf("kept %q at %+v", got, fold.Position())
	}
}

func TestFoldRefuses(t *testing.T) {
	at := func(n uint64) line { return line{PositionKey(), Position{Number: n}.Encode()} }
	entry := line{appendKey(nil, kindEntry, []byte("a"), "x"), []byte("1")}
	for name, log := range map[string][]line{
		"no key":             {{nil, []byte("x")}},
		"a kind to come":     {{[]byte("zzz"), nil}},
		"a key cut short":    {{[]byte{kindEntry, 200}, nil}},
		"a bad position":     {{PositionKey(), []byte{99}}},
		"positions go back":  {at(7), at(6)},
		"half a transaction": {entry, at(1), entry},
		"a bad timer":        {{appendKey(nil, kindTimer, []byte("a"), "x"), []byte("1")}, at(1)},
		"a bad call":         {{appendKey(nil, kindCall, []byte("a"), "x"), []byte{77}}, at(1)},
	} {
		fold, err := NewFold(Memory(), nil), error(nil)
		for i, l := range log {
			if err == nil {
				err = fold.Apply(l.key, l.value, int64(i))
			}
		}
		if err == nil {
			err = fold.Finish()
		}
		if err == nil {
			err = fold.Each(func(Item) bool { return true })
		}
		if !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzFold: no changelog record of any form makes reading it panic.
func FuzzFold(f *testing.F) {
	f.Add(appendKey(nil, kindEntry, []byte("a"), "x"), []byte("v"))
	f.Add(appendKey(nil, kindCall, []byte("a"), "x"), encodeCall(1, &pipeline.Call{ID: "x"}))
	f.Add(PositionKey(), Position{Number: 3}.Encode())
	f.Fuzz(func(_ *testing.T, key, value []byte) {
		fold := NewFold(Memory(), nil)
		if fold.Apply(key, value, 0) == nil && fold.Apply(PositionKey(), Position{Number: 1 << 40}.Encode(), 1) == nil && fold.Finish() == nil {
			_ = fold.Each(func(Item) bool { return true })
		}
	})
}
