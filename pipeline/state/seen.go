package state

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
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
	// chunkIDs is how many ids a chunk holds before the next one begins. Rewriting a small one costs
	// less than a record, and a deletion, for every id.
	chunkIDs = 64
	// spillIDs is how many ids of a bucket are kept in memory before they become a sorted run.
	spillIDs = 1 << 15
	// dropChunks is how many chunks of dropped buckets one transaction deletes from the changelog.
	dropChunks = 256
)

// seen remembers ids for a window, in buckets of receipt time. A transaction's ids of one bucket are
// one changelog record, a chunk, mirrored in the backing until its ids are in a sorted run; see runs.go.
type seen struct {
	back          Backing
	width, window int64
	spill         int
	buckets       []*bucket // ordered by start
	txn           []added   // ids of the open transaction, in order
	marked        int       // where those of the input in hand begin
	retired       []*bucket // their contents are gone from the backing with the next save
}

type added struct {
	in *bucket
	id id
}

// check tells whether the id is known and remembers it if not. An id from before the window counts as
// of its oldest moment.
func (s *seen) check(raw []byte, at, now int64) (bool, error) {
	x := idOf(raw)
	for _, b := range s.buckets {
		if known, err := b.has(s.back, x); known || err != nil {
			return known, err
		}
	}
	at = min(max(at, now-s.window), now+maxAhead.Milliseconds())
	b := s.bucket(at - at%s.width)
	b.recent[x] = struct{}{}
	s.txn = append(s.txn, added{b, x})
	return false, nil
}

// bucket returns the bucket that starts then.
func (s *seen) bucket(start int64) *bucket {
	at, ok := slices.BinarySearchFunc(s.buckets, start, func(b *bucket, start int64) int { return cmp.Compare(b.start, start) })
	if !ok {
		s.buckets = slices.Insert(s.buckets, at, newBucket(start))
	}
	return s.buckets[at]
}

func (s *seen) mark() { s.marked = len(s.txn) }

func (s *seen) rollBack() {
	for _, a := range s.txn[s.marked:] {
		delete(a.in.recent, a.id)
	}
	s.txn = s.txn[:s.marked]
}

// seal gives the transaction's chunks to changelog, and deletes chunks of buckets that left the window.
func (s *seen) seal(now int64, changelog func(key, value []byte)) {
	for _, a := range s.txn {
		a.in.fresh = append(a.in.fresh, a.id[:]...)
	}
	for _, b := range s.buckets {
		if len(b.fresh) > 0 {
			b.seal(changelog)
		}
	}
	budget := dropChunks
	for len(s.buckets) > 0 && budget > 0 {
		b := s.buckets[0]
		if b.start+s.width+s.window > now {
			return
		}
		for ; b.dropped <= b.chunk && budget > 0; budget-- {
			changelog(chunkKey(b.start, b.dropped), nil)
			b.dropped++
		}
		if b.dropped > b.chunk {
			s.retired = append(s.retired, b)
			s.buckets = slices.Delete(s.buckets, 0, 1)
		}
	}
}

func (s *seen) committed() {
	clear(s.txn)
	s.txn, s.marked = s.txn[:0], 0
}

// save writes the chunks that changed, makes runs of what is much, and removes retired buckets.
func (s *seen) save(batch Batch) error {
	for _, b := range s.buckets {
		for _, c := range b.unsaved {
			batch.Set(chunkKey(b.start, c.number), c.ids)
		}
		b.unsaved = nil
		if len(b.recent) >= s.spill {
			if err := b.spillInto(s.back, batch); err != nil {
				return fmt.Errorf("sort seen ids: %w", err)
			}
		}
	}
	for _, b := range s.retired {
		for _, kind := range []byte{kindSeen, kindRun, kindIndex} {
			lower := binary.BigEndian.AppendUint64([]byte{kind}, uint64(b.start))
			batch.DeleteRange(lower, after(lower))
		}
	}
	s.retired = nil
	return nil
}

// load reads what the backing has.
func (s *seen) load(back Backing, window time.Duration, spill int) error {
	*s = seen{back: back, spill: spill, window: window.Milliseconds(), width: max(window.Milliseconds()/seenBuckets, 1)}
	var bad error
	read := func(kind byte, size int, take func(b *bucket, rest, value []byte) error) error {
		err := back.Scan([]byte{kind}, []byte{kind + 1}, func(k, v []byte) bool {
			if len(k) != size {
				bad = fmt.Errorf("%w: key %q", ErrFormat, k)
			} else {
				bad = take(s.bucket(int64(binary.BigEndian.Uint64(k[1:]))), k[9:], v)
			}
			return bad == nil
		})
		return cmp.Or(err, bad)
	}
	err := read(kindIndex, 9, func(b *bucket, _, v []byte) error { return b.loadIndex(v) })
	if err == nil {
		err = read(kindRun, 1+8+8+16, func(b *bucket, _, v []byte) error { return b.loadBlock(v) })
	}
	if err == nil {
		err = read(kindSeen, 17, func(b *bucket, rest, v []byte) error { return b.load(binary.BigEndian.Uint64(rest), v) })
	}
	if err != nil {
		return fmt.Errorf("read seen ids: %w", err)
	}
	return nil
}

// bucket is the ids received within one span of time.
type bucket struct {
	start   int64
	recent  map[id]struct{} // not in a run, the open transaction's too
	old     filter          // of ids in runs
	index   index
	fresh   []byte // ids of the transaction being sealed
	tail    []byte // ids of the last chunk
	chunk   uint64 // its number; chunks are numbered from 0
	dropped uint64 // chunks below it are deleted from the changelog
	unsaved []chunk
}

type chunk struct {
	number uint64
	ids    []byte
}

func newBucket(start int64) *bucket { return &bucket{start: start, recent: map[id]struct{}{}} }

// has tells exactly whether the id is in the bucket; the filter only spares looking for most that are
// not.
func (b *bucket) has(back Backing, x id) (bool, error) {
	if _, ok := b.recent[x]; ok {
		return true, nil
	}
	if !b.old.may(x) {
		return false, nil
	}
	return b.inRuns(back, x)
}

// seal adds the fresh ids to the last chunk, or to a new one when that is full.
func (b *bucket) seal(changelog func(key, value []byte)) {
	if len(b.tail) >= chunkIDs*len(id{}) {
		b.chunk++
		b.tail = nil
	}
	b.tail = slices.Concat(b.tail, b.fresh)
	b.fresh = b.fresh[:0]
	changelog(chunkKey(b.start, b.chunk), b.tail)
	if n := len(b.unsaved); n > 0 && b.unsaved[n-1].number == b.chunk {
		b.unsaved = b.unsaved[:n-1]
	}
	b.unsaved = append(b.unsaved, chunk{b.chunk, b.tail})
}

// load adds a stored chunk; chunks come in order.
func (b *bucket) load(number uint64, ids []byte) error {
	if len(ids)%len(id{}) != 0 {
		return fmt.Errorf("%w: chunk of seen ids", ErrFormat)
	}
	for x := range slices.Chunk(ids, len(id{})) {
		b.recent[id(x)] = struct{}{}
	}
	if number >= b.chunk { // below it are chunks whose successors are in runs: they take no more ids
		b.chunk, b.tail = number, slices.Clone(ids)
	}
	return nil
}

func chunkKey(start int64, number uint64) []byte {
	k := binary.BigEndian.AppendUint64([]byte{kindSeen}, uint64(start))
	return binary.BigEndian.AppendUint64(k, number)
}
