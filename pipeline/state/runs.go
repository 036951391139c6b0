package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// Ids that no longer fit memory are in sorted runs in the backing, blocks of blockIDs under the first
// id of each. A run is never rewritten: its filter stays in memory, so that a look-up reads a block of
// the right run. Runs are local: the changelog has chunks.
const (
	blockIDs = 128
	// runIDs is how many ids a run has at most; more become several.
	runIDs = 1 << 17
)

// run is sorted ids in the backing.
type run struct {
	number uint64
	n      int
	firsts []id // of each block
	filter lineFilter
}

// encodeIndex tells which runs the bucket has, and which chunks they hold: the last one's number.
func (b *bucket) encodeIndex() []byte {
	v := binary.AppendUvarint(nil, b.nextRun)
	v = binary.AppendUvarint(v, b.inRuns-1)
	for _, r := range b.runs {
		v = binary.AppendUvarint(v, r.number)
		v = binary.AppendUvarint(v, 0) // was a level of merging
		v = binary.AppendUvarint(v, uint64(r.n))
	}
	return v
}

func (b *bucket) indexKey() []byte {
	return binary.BigEndian.AppendUint64([]byte{kindIndex}, uint64(b.start))
}

// loadIndex begins a bucket that has runs; their filters are not there yet.
func (b *bucket) loadIndex(v []byte) error {
	r := reader{b: v}
	b.nextRun, b.inRuns = r.uvarint(), r.uvarint()+1
	for len(r.b) > 0 && !r.bad {
		number, _, n := r.uvarint(), r.uvarint(), r.uvarint()
		if r.bad || n > maxRun {
			return fmt.Errorf("%w: index of seen ids", ErrFormat)
		}
		b.runs = append(b.runs, &run{number: number, n: int(n)})
		b.count += int(n)
	}
	if r.bad {
		return fmt.Errorf("%w: index of seen ids", ErrFormat)
	}
	// The next chunk must have a number of its own, also when all of them were spilled.
	b.next, b.kept = b.inRuns, true
	return nil
}

// maxRun is more ids than any run has.
const maxRun = 1 << 28

func (b *bucket) runKey(number uint64, first []byte) []byte {
	k := make([]byte, 0, 1+8+8+idBytes)
	k = binary.BigEndian.AppendUint64(append(k, kindRun), uint64(b.start))
	k = binary.BigEndian.AppendUint64(k, number)
	return append(k, first...)
}

// has looks the id up in the run.
func (r *run) has(back Backing, in *bucket, x *id) (bool, error) {
	at := firstAfter(len(r.firsts), func(i int) bool { return bytes.Compare(r.firsts[i][:], x[:]) > 0 })
	if at == 0 {
		return false, nil
	}
	block, ok, err := back.Get(in.runKey(r.number, r.firsts[at-1][:]))
	if err != nil {
		return false, fmt.Errorf("look up a seen id: %w", err)
	}
	if !ok || len(block)%idBytes != 0 {
		return false, fmt.Errorf("%w: block of seen ids", ErrFormat)
	}
	at = firstAfter(len(block)/idBytes, func(i int) bool { return bytes.Compare(block[i*idBytes:(i+1)*idBytes], x[:]) > 0 })
	return at > 0 && [idBytes]byte(block[(at-1)*idBytes:]) == *x, nil
}

// firstAfter returns the first of n for which after holds, n when there is none; it holds for all that
// follow. Unlike the library's searches it makes nothing escape.
func firstAfter(n int, after func(i int) bool) int {
	lo, hi := 0, n
	for lo < hi {
		if mid := (lo + hi) / 2; after(mid) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// spill makes runs of the ids in memory. All of them are committed.
func (b *bucket) spill(batch Batch) {
	for from := 0; from < b.recent.n; from += runIDs {
		r := b.writeRun(batch, b.recent.sorted(from, min(from+runIDs, b.recent.n)))
		b.runs = append(b.runs, r)
		for _, p := range b.parts[b.fed:] {
			p.runs = append(p.runs, r)
		}
	}
	b.fed = max(len(b.parts)-1, 0)
	if b.kept && b.inRuns < b.next {
		batch.DeleteRange(chunkKey(b.start, b.inRuns), chunkKey(b.start, b.next))
	}
	b.inRuns = b.next
	batch.Set(b.indexKey(), b.encodeIndex())
	// What was spilled is read from runs from now on, and the next chunk is a new one.
	b.recent.reset()
	b.open, b.from, b.sealed, b.unsaved, b.kept = false, 0, 0, nil, true
	for _, p := range b.parts {
		p.from = 0
	}
}

// writeRun writes blocks and, beside the index, what is needed to find them: the first id of each, and
// the hash of every id.
func (b *bucket) writeRun(batch Batch, ids []wide) *run {
	r := &run{number: b.nextRun, n: len(ids), filter: newLineFilter(len(ids)), firsts: make([]id, 0, len(ids)/blockIDs+1)}
	b.nextRun++
	blocks := (len(ids) + blockIDs - 1) / blockIDs
	head := make([]byte, blocks*idBytes, blocks*idBytes+4*len(ids)) // first ids, then hashes
	block := make([]byte, 0, blockIDs*idBytes)
	for part := range slices.Chunk(ids, blockIDs) {
		block = block[:0]
		for _, w := range part {
			x := w.id()
			block = append(block, x[:]...)
			hash := x.hash()
			head = binary.LittleEndian.AppendUint32(head, hash)
			r.filter.add(hash)
		}
		copy(head[len(r.firsts)*idBytes:], block[:idBytes])
		r.firsts = append(r.firsts, id(block))
		batch.Set(b.runKey(r.number, block[:idBytes]), block)
	}
	batch.Set(b.headKey(r.number), head)
	return r
}

func (b *bucket) headKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64(b.indexKey(), number)
}

// loadHead fills a run of the index.
func (b *bucket) loadHead(number uint64, head []byte) error {
	at := slices.IndexFunc(b.runs, func(r *run) bool { return r.number == number })
	if at < 0 {
		return fmt.Errorf("%w: head of an unknown run of seen ids", ErrFormat)
	}
	r := b.runs[at]
	firsts := (r.n + blockIDs - 1) / blockIDs * idBytes
	if len(head) != firsts+4*r.n {
		return fmt.Errorf("%w: head of seen ids", ErrFormat)
	}
	r.firsts = make([]id, firsts/idBytes)
	for i := range r.firsts {
		r.firsts[i] = id(head[i*idBytes:])
	}
	r.filter = newLineFilter(r.n)
	front := b.parts[0].front
	for h := head[firsts:]; len(h) > 0; h = h[4:] {
		hash := binary.LittleEndian.Uint32(h)
		r.filter.add(hash)
		front.add(placeOf(hash))
	}
	return nil
}

// loadBlocks fills a run that has no head, from its blocks: an earlier version wrote it.
func (b *bucket) loadBlocks(back Backing, r *run) error {
	r.filter = newLineFilter(r.n)
	front := b.parts[0].front
	lower := b.runKey(r.number, nil)
	bad := false
	err := back.Scan(lower, after(lower), func(_, v []byte) bool {
		if bad = len(v) == 0 || len(v)%idBytes != 0; bad {
			return false
		}
		r.firsts = append(r.firsts, id(v[:idBytes]))
		for c := range slices.Chunk(v, idBytes) {
			x := id(c)
			hash := x.hash()
			r.filter.add(hash)
			front.add(placeOf(hash))
		}
		return true
	})
	if err == nil && bad {
		err = fmt.Errorf("%w: block of seen ids", ErrFormat)
	}
	return err
}
