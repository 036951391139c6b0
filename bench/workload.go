package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline/kafka"
)

// Machines that every side has.
const (
	// machineCount counts per key and emits {count|value}.
	machineCount = "count"
	// machineDedupe drops ids seen within the last hour and counts and emits the rest.
	machineDedupe = "dedupe"
)

// workload is the input of a run: a pure function of these numbers, so that results can be checked
// without having kept it.
type workload struct {
	Machine    string
	Records    int // in the topic
	Warm       int // of them, before measuring begins
	Keys       int // different ones, drawn evenly
	Shops      int // that the keys are spread over
	ValueBytes int
	Partitions int
}

const (
	// idBytes of a record's id begin its value.
	idBytes = 16
	// stampAt is where a value has the time at which it should have been sent, in open-loop runs.
	stampAt = idBytes
	// window of the dedupe machine.
	window = time.Hour
	// eventStep is how far event time moves with each record of the dedupe machine: 600 times the wall
	// clock at 250,000 records a second, so that the window holds 1.35 million ids and drops them.
	eventStep = 600 * time.Second / 250_000
	// One record of duplicateOf repeats one of at most duplicateSpan records before it.
	duplicateOf   = 10
	duplicateSpan = 100_000
)

// mix is the finalizer of splitmix64: a bijection whose outputs look drawn.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// origin is the number of the record whose key and id record i has: its own, or that of the earlier
// record it repeats.
func (w workload) origin(i int) int {
	if w.Machine != machineDedupe || i%duplicateOf != duplicateOf-1 {
		return i
	}
	back := 1 + int(mix(uint64(i))%uint64(min(i, duplicateSpan)))
	j := i - back
	if j%duplicateOf == duplicateOf-1 {
		j-- // a repetition itself
	}
	return j
}

// keyOf returns the number of the key of an original record.
func (w workload) keyOf(origin int) int {
	return int(mix(uint64(origin)^0x5bd1e995) % uint64(w.Keys))
}

// appendKey appends the key's bytes: of one length, whatever the number of shops.
func (w workload) appendKey(dst []byte, key int) []byte {
	dst = append(dst, "shop-"...)
	dst = appendPadded(dst, key%max(w.Shops, 1), 4)
	dst = append(dst, '|')
	return appendPadded(dst, key, 8)
}

func appendPadded(dst []byte, n, digits int) []byte {
	var b [20]byte
	s := strconv.AppendInt(b[:0], int64(n), 10)
	for range digits - len(s) {
		dst = append(dst, '0')
	}
	return append(dst, s...)
}

// keyNumber reads what appendKey wrote.
func keyNumber(key []byte) (int, error) {
	if len(key) != len("shop-0000|00000000") {
		return 0, fmt.Errorf("key %q is none of ours", key)
	}
	n := 0
	for _, c := range key[len("shop-0000|"):] {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("key %q is none of ours", key)
		}
		n = n*10 + int(c-'0')
	}
	return n, nil
}

// idSum is what the check adds up: the low half of an id.
func idSum(origin int) uint64 { return mix(uint64(origin)) }

// appendValue appends the value of a record: its id, then text.
func (w workload) appendValue(dst []byte, origin int, text []byte) []byte {
	h := idSum(origin)
	dst = binary.BigEndian.AppendUint64(dst, h)
	dst = binary.BigEndian.AppendUint64(dst, mix(h))
	n := w.ValueBytes - idBytes
	from := int(h % uint64(len(text)-n))
	return append(dst, text[from:from+n]...)
}

// words returns text that compresses about as well as messages in JSON do.
func words() []byte {
	var b []byte
	for i := uint64(0); len(b) < 1<<16; i++ {
		h := mix(i)
		b = append(b, `{"id":"`...)
		b = strconv.AppendUint(b, h, 36)
		b = append(b, `","text":"`...)
		for range 6 {
			h = mix(h)
			b = strconv.AppendUint(b, h%5000, 26)
			b = append(b, ' ')
		}
		b = append(b, `"},`...)
	}
	return b
}

// expected is what the outputs of a checked run must add up to.
type expected struct {
	records int      // that the machine emits
	ids     uint64   // sum over them of idSum
	perKey  []uint32 // the last count of every key; nil where counts are not emitted
}

// expect computes what a side must have emitted for records [0, n).
func (w workload) expect(n int, counts bool) expected {
	var e expected
	if counts {
		e.perKey = make([]uint32, w.Keys)
	}
	for i := range n {
		j := w.origin(i)
		if counts && j != i {
			continue // dropped
		}
		e.records++
		e.ids += idSum(j)
		if counts {
			e.perKey[w.keyOf(j)]++
		}
	}
	return e
}

// distinct is how many of the first n records a counting machine emits.
func (w workload) distinct(n int) int {
	if w.Machine != machineDedupe {
		return n
	}
	return n - n/duplicateOf
}

// fill writes the whole input.
func (w workload) fill(ctx context.Context, brokers []string, topic string, compression kgo.CompressionCodec) error {
	return w.fillRange(ctx, brokers, topic, compression, 0, w.Records)
}

// fillRange writes records [from, to).
func (w workload) fillRange(ctx context.Context, brokers []string, topic string, compression kgo.CompressionCodec, from, to int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kafka.ByKey()),
		kgo.MaxBufferedRecords(200_000), kgo.ProducerBatchMaxBytes(1<<20), kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchCompression(compression), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return fmt.Errorf("configure the filling producer: %w", err)
	}
	defer client.Close()
	var failed firstError
	text := words()
	// Event time ends in the past, whatever the length of the run: a partition's clock never runs ahead
	// of the wall's.
	began := time.Now().Add(-24*time.Hour - time.Duration(w.Records)*eventStep).Truncate(time.Millisecond)
	const chunk = 1024
	size := len("shop-0000|00000000") + w.ValueBytes
	var records []kgo.Record
	var memory []byte
	for i := from; i < to && failed.get() == nil; i++ {
		if len(records) == 0 {
			records, memory = make([]kgo.Record, chunk), make([]byte, 0, chunk*size)
		}
		j := w.origin(i)
		at := len(memory)
		memory = w.appendKey(memory, w.keyOf(j))
		mid := len(memory)
		memory = w.appendValue(memory, j, text)
		r := &records[0]
		records = records[1:]
		r.Key, r.Value = memory[at:mid:mid], memory[mid:len(memory):len(memory)]
		r.Timestamp = began.Add(time.Duration(i) * eventStep)
		client.Produce(ctx, r, failed.promise)
	}
	err = client.Flush(ctx)
	if err = errors.Join(failed.get(), err); err != nil {
		return fmt.Errorf("fill %s: %w", topic, err)
	}
	return nil
}

// firstError keeps the first failure of many promises.
type firstError struct {
	mu  sync.Mutex
	err error // guarded by mu
}

func (f *firstError) promise(_ *kgo.Record, err error) {
	if err != nil {
		f.set(err)
	}
}

func (f *firstError) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *firstError) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
