package main

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func testWorkload(machine string) workload {
	return workload{Machine: machine, Records: 20_000, Keys: 500, Shops: 7, ValueBytes: 64, Partitions: 8}
}

// outputs is what a faultless side emits, simulated with maps.
func outputs(w workload) []*kgo.Record {
	text := words()
	seen, counts := map[string]bool{}, map[string]uint64{}
	var all []*kgo.Record
	for i := range w.Records {
		j := w.origin(i)
		key, value := w.appendKey(nil, w.keyOf(j)), w.appendValue(nil, j, text)
		if w.Machine == machineDedupe {
			if seen[string(value[:idBytes])] {
				continue
			}
			seen[string(value[:idBytes])] = true
		}
		counts[string(key)]++
		all = append(all, &kgo.Record{Key: key, Value: append(binary.BigEndian.AppendUint64(nil, counts[string(key)]), value...)})
	}
	return all
}

func TestExpectationIsWhatASimulationEmits(t *testing.T) {
	for _, machine := range []string{machineCount, machineDedupe} {
		w := testWorkload(machine)
		all := outputs(w)
		if len(all) != w.distinct(w.Records) {
			t.Errorf("%s: the simulation emits %d records, distinct says %d", machine, len(all), w.distinct(w.Records))
		}
		got := expected{perKey: make([]uint32, w.Keys)}
		for _, r := range all {
			if err := got.add(r, true); err != nil {
				t.Fatal(err)
			}
		}
		if err := got.compare(w.expect(w.Records, true)); err != nil {
			t.Errorf("%s: %v", machine, err)
		}
	}
}

func TestCheckFindsFaults(t *testing.T) {
	w := testWorkload(machineDedupe)
	for name, spoil := range map[string]func([]*kgo.Record) []*kgo.Record{
		"lost":    func(all []*kgo.Record) []*kgo.Record { return all[:len(all)-1] },
		"doubled": func(all []*kgo.Record) []*kgo.Record { return append(all, all[len(all)-1]) },
		"another id": func(all []*kgo.Record) []*kgo.Record {
			last := *all[len(all)-1]
			last.Value = bytes.Clone(last.Value)
			last.Value[8]++
			return append(all[:len(all)-1], &last)
		},
		"another key": func(all []*kgo.Record) []*kgo.Record {
			last := *all[len(all)-1]
			last.Key = w.appendKey(nil, 0)
			return append(all[:len(all)-1], &last)
		},
	} {
		got := expected{perKey: make([]uint32, w.Keys)}
		var err error
		for _, r := range spoil(outputs(w)) {
			if err = got.add(r, true); err != nil {
				break
			}
		}
		if err == nil {
			err = got.compare(w.expect(w.Records, true))
		}
		if err == nil {
			t.Errorf("%s: not found", name)
		}
	}
}

func TestKeysHaveOneLengthAndReadBack(t *testing.T) {
	for _, shops := range []int{1, 1000} {
		w := workload{Keys: 5_000_000, Shops: shops}
		for _, key := range []int{0, 1, 4_999_999} {
			b := w.appendKey(nil, key)
			if n, err := keyNumber(b); err != nil || n != key || len(b) != len("shop-0000|00000000") {
				t.Errorf("%d of %d shops: %q reads back as %d, %v", key, shops, b, n, err)
			}
		}
	}
}

func TestRepetitionsAreWithinTheWindow(t *testing.T) {
	w := workload{Machine: machineDedupe, Keys: 1000}
	for i := range 300_000 {
		j := w.origin(i)
		if j > i || j < 0 || i-j > duplicateSpan+1 || j != w.origin(j) {
			t.Fatalf("record %d repeats %d", i, j)
		}
	}
	if span := (duplicateSpan + 1) * eventStep; span >= window/2 {
		t.Errorf("repetitions reach %s back, too near the window of %s", span, window)
	}
}
