package state

import (
	"fmt"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
)

// BenchmarkPendingCalls reads a partition's calls when it is opened, each under a key of its own.
func BenchmarkPendingCalls(b *testing.B) {
	store, err := OpenStore(StoreConfig{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	p := &Partition{back: store.Backing("deliver", 0)}
	var raw []byte
	for i := 0; i < b.N; i += 10_000 {
		batch := p.back.Batch()
		for j := i; j < min(i+10_000, b.N); j++ {
			c := pipeline.Call{
				ID: fmt.Sprintf("%032d", j*7919%b.N), Destination: "twilio", Lane: "sms:+15557770000/twilio",
				Created: time.Unix(int64(j), 0), GiveUpAt: time.Unix(int64(j)+86400, 0),
			}
			raw = writeEntry(batch, raw, kindCall, fmt.Appendf(nil, "acme|+1415%07d", j), []byte(c.ID), encodeCall(uint64(b.N-j), &c), true, 0, 0)
		}
		if err := batch.Apply(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	calls, err := p.PendingCalls()
	if err != nil || len(calls) != b.N {
		b.Fatalf("%d calls of %d: %v", len(calls), b.N, err)
	}
}
