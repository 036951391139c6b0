package kafka

import (
	"math/bits"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recordPool keeps the memory of fetched records between a transaction and a later fetch.
type recordPool struct {
	mu    sync.Mutex
	free  [maxPooled + 1][][]kgo.Record // guarded by mu; by the power of two of their capacity
	bytes int                           // guarded by mu; of all
}

const (
	minPooled   = 4  // a batch of fewer than 2^4 records is not worth keeping
	maxPooled   = 17 // nor is one of more than 2^17, which is rare
	pooledLimit = 32 << 20
	recordBytes = 184
)

// GetRecords returns memory for n records.
func (p *recordPool) GetRecords(n int) []kgo.Record {
	class := bits.Len(uint(max(n, 1) - 1))
	if class < minPooled || class > maxPooled {
		return make([]kgo.Record, 0, n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if free := p.free[class]; len(free) > 0 {
		records := free[len(free)-1]
		p.free[class] = free[:len(free)-1]
		p.bytes -= cap(records) * recordBytes
		return records[:0]
	}
	return make([]kgo.Record, 0, 1<<class)
}

// PutRecords takes memory back; its records are zero.
func (p *recordPool) PutRecords(records []kgo.Record) {
	class := bits.Len(uint(cap(records))) - 1
	if cap(records) != 1<<class || class < minPooled || class > maxPooled {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if size := cap(records) * recordBytes; p.bytes+size <= pooledLimit {
		p.free[class] = append(p.free[class], records)
		p.bytes += size
	}
}

var _ kgo.PoolRecords = (*recordPool)(nil)
