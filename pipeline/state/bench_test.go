package state_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
)

// benchCount keeps the count of a key before a body, and emits both.
type benchCount struct{}

func (*benchCount) Name() string { return "count" }

func (s *benchCount) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	var n uint64
	if v, ok := st.Get("n"); ok {
		n = binary.BigEndian.Uint64(v)
	}
	value := make([]byte, 8+len(in.Record.Value))
	binary.BigEndian.PutUint64(value, n+1)
	copy(value[8:], in.Record.Value)
	st.Put("n", value)
	fx.Emit("out", in.Key, value)
	return nil
}

// BenchmarkPartition is what one record costs in a partition: processed, sealed into the changelog,
// committed, and saved every so often, on Pebble.
func BenchmarkPartition(b *testing.B) {
	for _, keys := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) { benchPartition(b, keys) })
	}
}

func benchPartition(b *testing.B, keys int) {
	const perTransaction = 5000
	store, err := state.OpenStore(state.StoreConfig{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
	}()
	p, err := state.NewPartition(state.Config{Stage: &benchCount{}, Partitions: 1, Schema: 1}, store.Backing("count", 0))
	if err != nil {
		b.Fatal(err)
	}
	all := make([][]byte, keys)
	for i := range all {
		all[i] = fmt.Appendf(nil, "shop|%d", i)
	}
	value := make([]byte, 200)
	now := time.UnixMilli(1_700_000_000_000)
	r := pipeline.Record{Topic: "in", Value: value, Time: now}
	changelog := int64(0)
	sunk := 0
	emit := func(key, value []byte) { changelog++; sunk += len(key) + len(value) }
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		r.Key, r.Offset = all[i*7919%keys], int64(i)
		if err := p.Process(&r, now, nil, false); err != nil {
			b.Fatal(err)
		}
		for _, e := range p.TakeEmits() {
			sunk += len(e.Value)
		}
		if i%perTransaction != perTransaction-1 {
			continue
		}
		p.Seal(emit)
		p.Committed(changelog)
		if i/perTransaction%16 == 15 || p.Crowded() {
			if err := p.Save(now); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkReplay restores a partition: counts of 600,000 keys, each changed twice, in the order of nothing.
// An operation is a changelog record.
func BenchmarkReplay(b *testing.B) {
	const keys, perTransaction = 600_000, 5000
	var position []byte
	changelog := make([][2][]byte, 0, 2*keys)
	for i := range 2 * keys {
		key := fmt.Appendf(nil, "e\x12shop-0000|%08dn", i*7919%keys)
		changelog = append(changelog, [2][]byte{key, {byte(i), byte(i >> 8)}})
	}
	now := time.UnixMilli(1_700_000_000_000)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		store, err := state.OpenStore(state.StoreConfig{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		r, err := state.NewReplay(state.Config{Stage: &benchCount{}, Partitions: 8, Schema: 1, ReplayBytes: 64 << 20}, store.Backing("count", 0))
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		for i, kv := range changelog {
			if err := r.Apply(kv[0], kv[1], int64(i), now); err != nil {
				b.Fatal(err)
			}
			if i%perTransaction == perTransaction-1 {
				position = state.Position{Number: uint64(i), Partitions: 8, Schema: 1, Clock: now.UnixMilli()}.Encode()
				if err := r.Apply(state.PositionKey(), position, int64(i), now); err != nil {
					b.Fatal(err)
				}
			}
		}
		if err := r.Finish(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(changelog)), "ns/record")
}
