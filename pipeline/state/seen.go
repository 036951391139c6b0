package state

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
)

// id is a seen id: 16 bytes as they are, others hashed.
type id [16]byte

func idOf(b []byte) id {
	if len(b) == len(id{}) {
		return id(b)
	}
	sum := sha256.Sum256(b)
	return id(sum[:16])
}

const (
	// seenBuckets is how many buckets a window has; a whole one is dropped when it has left the window.
	seenBuckets = 8
	// spillIDs is how many ids of a bucket are kept in memory before they become a sorted run.
	spillIDs = 1 << 15
	// processIDs is how many ids all partitions of a stage together keep in memory, about: sixty
	// megabytes. A partition keeps one bucket's share at least, and eight at most.
	processIDs = 1 << 21
	// dropChunks is how many chunks of dropped buckets one transaction deletes from the changelog.
	dropChunks = 256
	// chunkOverhead is what a chunk's record has beside ids: its key, and what the batch adds.
	chunkOverhead = 17 + 128
)

// seen remembers ids for a window, in buckets of receipt time. A transaction's ids of one bucket are
// chunks, records of the changelog, mirrored in the backing until their ids are in a sorted run; see
// runs.go. Nearly every id is new: one look at a word of each bucket's filter says so.
type seen struct {
	back          Backing
	width, window int64
	spill         int  // ids in memory of which a bucket makes a run
	most          int  // ids that stay in memory after a save, in all buckets
	shift         uint // of slabs: 1<<shift ids are the most in one changelog record
	seed          [2]uint64
	buckets       []*bucket // ordered by start
	last          *bucket   // the one that took the last id
	probes        []probe   // of all parts of all buckets
	undo          []*bucket // which took an id, for the input in hand
	retired       []*bucket // their contents are gone from the backing with the next save
	clock, saved  int64     // of the last seal, and of the last one before the last save
}

// probe is a part's filter, beside its neighbours for the look-up of every id.
type probe struct {
	front wordFilter
	part  *part
}

func newSeen(back Backing, cfg *Config) seen {
	window, spill := cfg.SeenWindow.Milliseconds(), cfg.SeenInMemory
	s := seen{back: back, window: window, width: max(window/seenBuckets, 1), spill: spill,
		most: max(min(processIDs/int(max(cfg.Partitions, 1)), 8*spill), spill), shift: 9, seed: [2]uint64{rand.Uint64(), rand.Uint64()}}
	for s.shift > 0 && idBytes<<s.shift > cfg.MaxRecordBytes-chunkOverhead {
		s.shift--
	}
	return s
}

// check tells whether the id is known and remembers it if not. An id from before the window counts as
// of its oldest moment.
func (s *seen) check(raw []byte, at, now int64) (bool, error) {
	x := idOf(raw)
	hash := x.hash()
	front := placeOf(hash)
	for i := range s.probes {
		if !s.probes[i].front.may(front) {
			continue
		}
		p := s.probes[i].part
		if s.left(p.in, now) {
			continue
		}
		if known, err := p.has(s.back, &x, hash); known || err != nil {
			return known, err
		}
	}
	at = min(max(at, now-s.window), now+maxAhead.Milliseconds())
	b := s.bucket(at - at%s.width)
	if b.add(&x, front) {
		s.line()
	}
	s.undo = append(s.undo, b)
	return false, nil
}

// left tells whether the whole bucket is out of the window.
func (s *seen) left(b *bucket, now int64) bool { return b.start+s.width+s.window <= now }

// bucket returns the bucket that starts then.
func (s *seen) bucket(start int64) *bucket {
	if s.last != nil && s.last.start == start {
		return s.last
	}
	at, ok := slices.BinarySearchFunc(s.buckets, start, func(b *bucket, start int64) int { return cmp.Compare(b.start, start) })
	if !ok {
		b := &bucket{start: start, recent: recent{shift: s.shift, seed: s.seed}}
		if at > 0 {
			b.expected = s.buckets[at-1].count
			b.recent.guess = b.expected
		}
		s.buckets = slices.Insert(s.buckets, at, b)
	}
	s.last = s.buckets[at]
	return s.last
}

// line puts all filters in a row, newest first.
func (s *seen) line() {
	s.probes = s.probes[:0]
	for _, b := range slices.Backward(s.buckets) {
		for _, p := range slices.Backward(b.parts) {
			s.probes = append(s.probes, probe{p.front, p})
		}
	}
}

func (s *seen) mark() { s.undo = s.undo[:0] }

func (s *seen) rollBack() {
	for _, b := range slices.Backward(s.undo) {
		b.removeLast()
	}
	s.undo = s.undo[:0]
}

// seal gives the transaction's chunks to changelog, and deletes chunks of buckets that left the window.
func (s *seen) seal(now int64, changelog func(key, value []byte)) {
	s.clock = now
	s.mark()
	for _, b := range s.buckets {
		if !s.left(b, now) {
			b.seal(changelog)
		}
	}
	budget := dropChunks
	for len(s.buckets) > 0 && budget > 0 {
		b := s.buckets[0]
		if !s.left(b, now) {
			return
		}
		for ; b.dropped < b.next && budget > 0; budget-- {
			changelog(chunkKey(b.start, b.dropped), nil)
			b.dropped++
		}
		if b.dropped < b.next {
			return
		}
		s.retired = append(s.retired, b)
		s.buckets = slices.Delete(s.buckets, 0, 1)
		s.last = nil
		s.line()
	}
}

func (s *seen) committed() { s.mark() }

// save writes the chunks that changed, makes runs of what is much, and removes retired buckets. Its
// work is in proportion to the ids that came since the last save.
func (s *seen) save(batch Batch) error {
	s.spillMuch(batch)
	for _, b := range s.buckets {
		b.save(batch)
	}
	for _, b := range s.retired {
		if b.kept {
			for _, kind := range []byte{kindSeen, kindRun, kindIndex} {
				lower := binary.BigEndian.AppendUint64([]byte{kind}, uint64(b.start))
				batch.DeleteRange(lower, after(lower))
			}
		}
	}
	s.retired = nil
	s.saved = s.clock
	return nil
}

// spillMuch makes runs of buckets with many ids in memory, but not of those that will have left by the next
// save if time goes on as it did since the last; and of the largest ones while there are too many in all.
func (s *seen) spillMuch(batch Batch) {
	soon := s.clock
	if s.saved > 0 {
		soon += s.clock - s.saved
	}
	for _, b := range s.buckets {
		if b.recent.n >= s.spill && !s.left(b, soon) {
			b.spill(batch)
		}
	}
	for s.inMemory() > s.most {
		s.spillMost(batch)
	}
}

// spillMost makes runs of the bucket with most ids in memory.
func (s *seen) spillMost(batch Batch) {
	slices.MaxFunc(s.buckets, func(a, b *bucket) int { return cmp.Compare(a.recent.n, b.recent.n) }).spill(batch)
}

// inMemory is how many ids are in no run.
func (s *seen) inMemory() (ids int) {
	for _, b := range s.buckets {
		ids += b.recent.n
	}
	return ids
}

// crowded tells whether a save should come soon to make room.
func (s *seen) crowded() bool { return s.inMemory() > 2*s.most }

// bytes is the memory of all ids and filters.
func (s *seen) bytes() (n int) {
	for _, b := range s.buckets {
		n += b.bytes()
	}
	return n
}

func chunkKey(start int64, number uint64) []byte {
	k := append(make([]byte, 0, 17), kindSeen)
	k = binary.BigEndian.AppendUint64(k, uint64(start))
	return binary.BigEndian.AppendUint64(k, number)
}

// chunkNumbers reads the key of a chunk after its kind.
func chunkNumbers(k []byte) (start int64, number uint64, err error) {
	if len(k) != 16 {
		return 0, 0, fmt.Errorf("%w: key %q of seen ids", ErrFormat, k)
	}
	return int64(binary.BigEndian.Uint64(k)), binary.BigEndian.Uint64(k[8:]), nil
}
