package state_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
)

// frugal counts in memory that it made before, so that what is measured is the partition.
type frugal struct {
	values [][]byte
	next   int
}

func (*frugal) Name() string { return "frugal" }

func (s *frugal) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	value := s.values[s.next%len(s.values)]
	s.next++
	if was, ok := st.Get("n"); ok {
		copy(value, was)
	}
	value[0]++
	st.Put("n", value)
	fx.Emit("out", in.Key, value)
	return nil
}

// TestNothingIsAllocatedForARecord: once warm, a partition processes, seals and commits without
// allocating; the little there is belongs to the transaction.
func TestNothingIsAllocatedForARecord(t *testing.T) {
	const records, keys = 1000, 200
	stage := &frugal{values: make([][]byte, records)}
	for i := range stage.values {
		stage.values[i] = make([]byte, 100)
	}
	p, err := state.NewPartition(state.Config{Stage: stage, Partitions: 1}, state.Memory())
	if err != nil {
		t.Fatal(err)
	}
	now := time.UnixMilli(1_700_000_000_000)
	all := make([]pipeline.Record, records)
	for i := range all {
		all[i] = pipeline.Record{Topic: "in", Key: fmt.Appendf(nil, "acme|%d", i%keys), Value: []byte("v"), Time: now}
	}
	offset, changelog := int64(0), int64(0)
	emitted := 0
	transaction := func() {
		for i := range all {
			all[i].Offset = offset
			offset++
			if err := p.Process(&all[i], now, nil, false); err != nil {
				t.Fatal(err)
			}
			emitted += len(p.TakeEmits())
		}
		p.Seal(func(_, _ []byte) { changelog++ })
		p.Committed(changelog)
	}
	transaction()
	if n := testing.AllocsPerRun(20, transaction); n > records/100 {
		t.Errorf("%.0f allocations for a transaction of %d records", n, records)
	}
	if emitted != int(offset) {
		t.Errorf("%d emitted of %d", emitted, offset)
	}
}
