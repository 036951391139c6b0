package state

import (
	"math/rand/v2"
	"testing"
	"time"
)

// metered counts what batches set.
type metered struct {
	Backing
	bytes int
}

func (m *metered) Batch() Batch { return meteredBatch{m.Backing.Batch(), m} }

type meteredBatch struct {
	Batch
	of *metered
}

func (b meteredBatch) Set(key, value []byte) {
	b.of.bytes += len(key) + len(value)
	b.Batch.Set(key, value)
}

const innerNow = 1_700_000_000_000

func openSeen(t *testing.T, back Backing, spill int) *seen {
	t.Helper()
	s := new(seen)
	if err := s.load(back, &Config{SeenWindow: time.Hour, SeenInMemory: spill, MaxRecordBytes: 1 << 20, Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	return s
}

func saveSeen(t *testing.T, s *seen) {
	t.Helper()
	s.seal(innerNow, func(_, _ []byte) {})
	s.committed()
	batch := s.back.Batch()
	if err := s.save(batch); err != nil {
		t.Fatal(err)
	}
	if err := batch.Apply(); err != nil {
		t.Fatal(err)
	}
}

func checkSeen(t *testing.T, s *seen, n uint64, want bool) {
	t.Helper()
	x := loadID(n)
	if got, err := s.check(x[:], innerNow, innerNow); err != nil || got != want {
		t.Fatalf("id %d: %v %v, want %v", n, got, err, want)
	}
}

// TestSeenUndone: inputs of any size that are undone, where filters, slabs and the index change hands.
func TestSeenUndone(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := openSeen(t, Memory(), 400)
		var known []bool // of every id that was given
		for range 200 {
			s.mark()
			n, undone := r.IntN(300), r.IntN(5) < 3
			for range n {
				checkSeen(t, s, uint64(len(known)), false)
				known = append(known, !undone)
			}
			if undone {
				s.rollBack()
			} else if r.IntN(10) == 0 {
				saveSeen(t, s)
			}
		}
		for range 2 {
			s.mark()
			for i, known := range known {
				checkSeen(t, s, uint64(i), known)
			}
			s.rollBack()
		}
	}
}

// TestSeenSaves: a save writes in proportion to the ids since the last one however many there are
// already, leaves no chunk beside its run, and keeps memory within its bounds; so does a load.
func TestSeenSaves(t *testing.T) {
	const spill, each, rounds = 500, 300, 900
	back := &metered{Backing: Memory()}
	s := openSeen(t, back, spill)
	for round := range uint64(rounds) {
		for i := range uint64(each) {
			s.mark()
			checkSeen(t, s, round*each+i, false)
		}
		back.bytes = 0
		saveSeen(t, s)
		runs := 16 * len(s.buckets[0].runs) // the index
		if most := (each+s.most)*24 + runs + 1000; back.bytes > most {
			t.Fatalf("save %d wrote %d bytes, at most %d are in proportion", round, back.bytes, most)
		}
		if n := s.inMemory(); n > s.most {
			t.Fatalf("%d ids in memory after save %d", n, round)
		}
	}
	if perID := float64(s.bytes()) / (rounds * each); perID > 6 {
		t.Errorf("%.1f bytes of memory for an id", perID)
	}
	chunked := 0
	if err := back.Scan([]byte{kindSeen}, []byte{kindSeen + 1}, func(_, v []byte) bool { chunked += len(v) / idBytes; return true }); err != nil {
		t.Fatal(err)
	}
	if chunked != s.inMemory() {
		t.Errorf("%d ids are in chunks, %d in memory", chunked, s.inMemory())
	}
	// The same ids as a changelog has them.
	restored := Memory()
	batch := restored.Batch()
	for number := range uint64(rounds) {
		var ids []byte
		for i := range uint64(each) {
			x := loadID(number*each + i)
			ids = append(ids, x[:]...)
		}
		batch.Set(chunkKey(innerNow-innerNow%s.width, number), ids)
	}
	if err := batch.Apply(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l := openSeen(t, restored, spill)
		if n := l.inMemory(); n > 2*l.most {
			t.Fatalf("%d ids in memory after a load", n)
		}
		if l.buckets[0].next != rounds {
			t.Fatalf("the next chunk is %d, want %d", l.buckets[0].next, rounds)
		}
		for i := range uint64(rounds*each + 10) {
			checkSeen(t, l, i, i < rounds*each)
		}
	}
}

// TestSeenAllocates nothing for an id, but for the room it takes.
func TestSeenAllocates(t *testing.T) {
	s := openSeen(t, Memory(), 1<<20)
	n := uint64(0)
	give := func() {
		for range 1000 {
			x := loadID(n)
			n++
			s.mark()
			if known, err := s.check(x[:], innerNow, innerNow); known || err != nil {
				t.Fatal(n, err)
			}
			if known, err := s.check(x[:], innerNow, innerNow); !known || err != nil {
				t.Fatal(n, err)
			}
		}
	}
	give()
	if got := testing.AllocsPerRun(50, give); got > 20 {
		t.Errorf("%.0f allocations for 1000 ids", got)
	}
}

// TestSeenFilters have what was added, and little else, for hashes and for counters alike.
func TestSeenFilters(t *testing.T) {
	const ids = 100_000
	for name, of := range map[string]func(n uint64) id{
		"hashes":   loadID,
		"counters": func(n uint64) (x id) { x[9], x[13], x[14], x[15] = 7, byte(n>>16), byte(n>>8), byte(n); return x },
	} {
		words, lines := newWordFilter(ids), newLineFilter(ids)
		for n := range uint64(ids) {
			x := of(n)
			words.add(placeOf(x.hash()))
			lines.add(x.hash())
		}
		falseWords, falseLines := 0, 0
		for n := range uint64(2 * ids) {
			x := of(n)
			word, line := words.may(placeOf(x.hash())), lines.may(x.hash())
			switch {
			case n < ids && !(word && line):
				t.Fatalf("%s: id %d is missing", name, n)
			case n >= ids && word:
				falseWords++
			}
			if n >= ids && line {
				falseLines++
			}
		}
		if falseWords > ids*15/1000 || falseLines > ids*2/1000 {
			t.Errorf("%s: of %d unknown ids %d and %d were taken for known ones", name, ids, falseWords, falseLines)
		}
	}
}

// TestSeenChangelog: what an id costs there, with one in a transaction and with thousands; and how many
// records stay after compaction.
func TestSeenChangelog(t *testing.T) {
	for _, c := range []struct {
		transaction int
		most        float64 // bytes an id, written
		kept        float64 // and after compaction
	}{{1, 155, 17.5}, {10, 40, 17.5}, {6000, 16.1, 16.1}} {
		s := openSeen(t, Memory(), 1<<20)
		log, written, n := map[string]int{}, 0, uint64(0)
		for n < 12_000 {
			for range c.transaction {
				s.mark()
				checkSeen(t, s, n, false)
				n++
			}
			s.seal(innerNow, func(k, v []byte) {
				log[string(k)] = len(k) + len(v)
				written += len(k) + len(v)
			})
			s.committed()
		}
		kept := 0
		for _, bytes := range log {
			kept += bytes
		}
		if w, k := float64(written)/float64(n), float64(kept)/float64(n); w > c.most || k > c.kept {
			t.Errorf("%d ids in a transaction: %.1f bytes written and %.1f kept for each, at most %.1f and %.1f", c.transaction, w, k, c.most, c.kept)
		}
	}
}
