package kafka

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline/state"
)

// TestEnqueue: what comes again, because the client has fetched it again, is not taken again.
func TestEnqueue(t *testing.T) {
	s, err := state.NewPartition(state.Config{Stage: counter{"count"}, Partitions: 1, MaxRecordBytes: 1 << 20}, state.Memory())
	if err != nil {
		t.Fatal(err)
	}
	p := &part{state: s, next: 5}
	for _, poll := range [][]int64{{3, 4, 5, 6}, {6, 7}, {4}, {7, 9}} {
		var records []*kgo.Record
		for _, offset := range poll {
			records = append(records, &kgo.Record{Offset: offset})
		}
		p.enqueue(records)
	}
	var taken []int64
	for _, r := range p.queue {
		taken = append(taken, r.Offset)
	}
	if got := fmt.Sprint(taken); got != "[5 6 7 9]" || p.next != 10 {
		t.Errorf("%s are taken, next is %d, want 5, 6, 7, 9 and 10", got, p.next)
	}
}
