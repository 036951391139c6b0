package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// Ids that no longer fit memory are in sorted runs in the backing, blocks of blockIDs under the first
// id of each. Runs of a level are merged into one of the next when there are mergeRuns of them, so that
// a look-up reads few blocks and an id is rewritten few times. Runs are local: the changelog has chunks.
const (
	blockIDs  = 256
	mergeRuns = 8
)

// index says which runs a bucket has, and which chunks they hold.
type index struct {
	runs []run
	next uint64 // number of the next run
	upTo uint64 // chunks up to this one are in runs
}

type run struct {
	number uint64
	level  int
	ids    int
}

func (x *index) encode() []byte {
	v := binary.AppendUvarint(nil, x.next)
	v = binary.AppendUvarint(v, x.upTo)
	for _, r := range x.runs {
		v = binary.AppendUvarint(v, r.number)
		v = binary.AppendUvarint(v, uint64(r.level))
		v = binary.AppendUvarint(v, uint64(r.ids))
	}
	return v
}

func (b *bucket) loadIndex(v []byte) error {
	r := reader{b: v}
	x := index{next: r.uvarint(), upTo: r.uvarint()}
	for len(r.b) > 0 && !r.bad {
		x.runs = append(x.runs, run{number: r.uvarint(), level: int(r.uvarint()), ids: int(r.uvarint())})
	}
	if r.bad {
		return fmt.Errorf("%w: index of seen ids", ErrFormat)
	}
	// The next chunk must have a number of its own, also when all of them were spilled.
	b.index, b.chunk = x, x.upTo+1
	return nil
}

// loadBlock adds a stored block's ids to the filter.
func (b *bucket) loadBlock(ids []byte) error {
	if len(ids)%len(id{}) != 0 {
		return fmt.Errorf("%w: block of seen ids", ErrFormat)
	}
	for x := range slices.Chunk(ids, len(id{})) {
		b.old.add(id(x))
	}
	return nil
}

func (b *bucket) runKey(number uint64, first []byte) []byte {
	k := binary.BigEndian.AppendUint64([]byte{kindRun}, uint64(b.start))
	k = binary.BigEndian.AppendUint64(k, number)
	return append(k, first...)
}

// inRuns looks the id up in every run.
func (b *bucket) inRuns(back Backing, x id) (bool, error) {
	for _, r := range b.index.runs {
		block, err := back.Before(b.runKey(r.number, nil), b.runKey(r.number, x[:]))
		if err != nil {
			return false, fmt.Errorf("look up a seen id: %w", err)
		}
		n := len(block) / len(x)
		at, found := find(n, func(i int) int { return bytes.Compare(block[i*len(x):(i+1)*len(x)], x[:]) })
		if found && at < n {
			return true, nil
		}
	}
	return false, nil
}

// find is a binary search among n.
func find(n int, compare func(i int) int) (int, bool) {
	lo, hi := 0, n
	for lo < hi {
		mid := (lo + hi) / 2
		switch c := compare(mid); {
		case c == 0:
			return mid, true
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return lo, false
}

// spillInto makes a run of the ids in memory, and merges runs. No transaction is open.
func (b *bucket) spillInto(back Backing, batch Batch) error {
	ids := make([]id, 0, len(b.recent))
	for x := range b.recent {
		ids = append(ids, x)
		b.old.add(x)
	}
	level := 0
	for {
		var merged []run
		for _, r := range b.index.runs {
			if r.level == level {
				merged = append(merged, r)
			}
		}
		if len(merged) < mergeRuns-1 {
			break
		}
		for _, r := range merged {
			lower := b.runKey(r.number, nil)
			if err := back.Scan(lower, after(lower), func(_, v []byte) bool {
				for x := range slices.Chunk(v, len(id{})) {
					ids = append(ids, id(x))
				}
				return true
			}); err != nil {
				return err
			}
			batch.DeleteRange(lower, after(lower))
		}
		b.index.runs = slices.DeleteFunc(b.index.runs, func(r run) bool { return r.level == level })
		level++
	}
	slices.SortFunc(ids, func(x, y id) int { return bytes.Compare(x[:], y[:]) })
	for block := range slices.Chunk(ids, blockIDs) {
		v := make([]byte, 0, len(block)*len(id{}))
		for _, x := range block {
			v = append(v, x[:]...)
		}
		batch.Set(b.runKey(b.index.next, block[0][:]), v)
	}
	b.index.runs = append(b.index.runs, run{number: b.index.next, level: level, ids: len(ids)})
	b.index.next++
	b.index.upTo = b.chunk
	lower := binary.BigEndian.AppendUint64([]byte{kindSeen}, uint64(b.start))
	batch.DeleteRange(lower, after(lower))
	batch.Set(binary.BigEndian.AppendUint64([]byte{kindIndex}, uint64(b.start)), b.index.encode())
	// What was spilled is read from runs from now on, and the next chunk is a new one.
	b.recent = map[id]struct{}{}
	b.chunk++
	b.tail = nil
	return nil
}

// filter is a Bloom filter that grows: blocks of doubling size, sixteen bits an id, four probes within
// one cache line. Ids are hashes, so their own bits are the probes.
type filter struct {
	parts []filterPart
}

type filterPart struct {
	lines [][8]uint64
	room  int
}

const (
	firstLines = 1 << 10
	idsPerLine = 32
)

func (f *filter) add(x id) {
	n := len(f.parts)
	if n == 0 || f.parts[n-1].room == 0 {
		lines := firstLines << n
		f.parts = append(f.parts, filterPart{lines: make([][8]uint64, lines), room: lines * idsPerLine})
		n++
	}
	p := &f.parts[n-1]
	p.room--
	line, probes := p.place(x)
	for i := range 4 {
		bit := probes >> (i * 9) & 511
		line[bit>>6] |= 1 << (bit & 63)
	}
}

func (f *filter) may(x id) bool {
	for i := range f.parts {
		if f.parts[i].may(x) {
			return true
		}
	}
	return false
}

func (p *filterPart) may(x id) bool {
	line, probes := p.place(x)
	for i := range 4 {
		if bit := probes >> (i * 9) & 511; line[bit>>6]&(1<<(bit&63)) == 0 {
			return false
		}
	}
	return true
}

// place mixes the id, since an id that is no hash (a caller's own sixteen bytes) must work too.
func (p *filterPart) place(x id) (line *[8]uint64, probes uint64) {
	h := binary.LittleEndian.Uint64(x[:8])*0x9e3779b97f4a7c15 ^ binary.LittleEndian.Uint64(x[8:])
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	h ^= h >> 32
	probes = h * 0xa0761d6478bd642f
	return &p.lines[h%uint64(len(p.lines))], probes ^ probes>>29
}
