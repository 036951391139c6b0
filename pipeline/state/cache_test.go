package state

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/pipeline"
)

// TestCacheForgetsOnlyWhatIsSaved: whatever comes and goes, a cached key has the contents it was given
// last, a key that is open or not saved is never forgotten, and memory keeps to the limit as far as these
// allow.
func TestCacheForgetsOnlyWhatIsSaved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]int{3000, 20_000, 200_000}).Draw(t, "limit")
		c := newCache(limit)
		want := map[string][]byte{} // whole contents of what was cached last
		open := map[string]int{}
		dirty := map[string]bool{}
		entries := func(contents []byte) []byte { return contents[blockHead:] }
		for i := range rapid.IntRange(50, 600).Draw(t, "steps") {
			key := fmt.Appendf(nil, "acme|%d", rapid.IntRange(0, 60).Draw(t, "key"))
			hash := c.hash(key)
			at, _ := c.find(hash, key)
			if n, ok := open[string(key)]; ok && (at == 0 || c.openOf(at, c.block(at)) != n+1) {
				t.Fatalf("step %d: open key %s is lost", i, key)
			}
			if dirty[string(key)] && (at == 0 || c.dirty[c.block(at).dirty()-1] != at) {
				t.Fatalf("step %d: %s is lost and was not saved", i, key)
			}
			if at != 0 {
				b := c.block(at)
				if !bytes.Equal(entries(b[:b.used()]), entries(want[string(key)])) {
					t.Fatalf("step %d: %s has other contents", i, key)
				}
				b.setRecent(true)
			}
			contents := appendStored(newBlock(nil, key), kindEntry, exists, []byte("n"), make([]byte, rapid.IntRange(0, 900).Draw(t, "size")))
			copy(contents[len(contents)-min(len(contents), 4):], fmt.Sprint(i))
			switch {
			case at == 0:
				at = c.put(hash, slices.Clone(contents))
				want[string(key)] = contents
			case rapid.Bool().Draw(t, "change"):
				at = c.replace(at, slices.Clone(contents))
				want[string(key)] = contents
			}
			switch rapid.IntRange(0, 20).Draw(t, "then") {
			case 0:
				c.close()
				clear(open)
				c.settle()
			case 3:
				c.cleaned()
				clear(dirty)
			case 4:
				if len(dirty) < 3 {
					c.soil(at)
					dirty[string(key)] = true
				}
			case 1, 2:
				if len(open) < 3 {
					open[string(key)] = c.opened(at, c.block(at))
				}
			}
		}
		c.close()
		c.cleaned()
		c.settle()
		// While much is not saved nothing is given up; now the next blocks make room, past what was used once more.
		for i := range 8 {
			key := fmt.Appendf(nil, "acme|later %d", i)
			c.put(c.hash(key), appendStored(newBlock(nil, key), kindEntry, exists, []byte("n"), make([]byte, c.segmentBytes()/2)))
			c.settle()
		}
		if most := limit + 3*c.segmentBytes() + 8*1100 + len(c.slots)*slotBytes; c.bytes > most {
			t.Fatalf("%d bytes in segments, the limit is %d", c.bytes, limit)
		}
		n := 0
		for i := range c.slots {
			if s := c.slots[i]; s.place != 0 {
				n++
				at := c.addressOf(s.place)
				key := c.block(at).key()
				if found, j := c.find(c.hash(key), key); found != at || j != i {
					t.Fatalf("slot %d is not found", i)
				}
			}
		}
		if n != c.taken {
			t.Fatalf("%d slots are in use, counted %d", n, c.taken)
		}
	})
}

// TestCacheForgetsFirstWhatCameOnce: keys that come back stay through a flood of keys that come once.
func TestCacheForgetsFirstWhatCameOnce(t *testing.T) {
	p, err := NewPartition(Config{Stage: idle{}, Partitions: 1, CacheBytes: 64 << 10}, Memory())
	if err != nil {
		t.Fatal(err)
	}
	regular := []byte("acme|regular")
	for i := range 20_000 {
		p.touch(regular)
		p.touch(fmt.Appendf(nil, "acme|%d", i))
		if i%100 == 99 {
			p.cache.close()
			p.cache.settle()
		}
		if at, _ := p.cache.find(p.cache.hash(regular), regular); at == 0 {
			t.Fatalf("the key that comes back is forgotten after %d others", i)
		}
	}
	if p.cache.taken > 2000 {
		t.Errorf("%d keys are cached in %d bytes", p.cache.taken, p.cache.bytes)
	}
}

// TestExpectedHashes: a key's hash is taken from what was expected only when it is that key's turn.
func TestExpectedHashes(t *testing.T) {
	c := newCache(1 << 20)
	a, b, other := []byte("acme|a"), []byte("acme|b"), []byte("acme|other")
	c.expect([][]byte{a, b})
	for i, key := range [][]byte{other, a, other, a, b, b, nil} {
		if got, want := c.hashOf(key), c.hash(key); got != want {
			t.Errorf("hash %d, of %q, is %d, want %d", i, key, got, want)
		}
	}
	if c.ahead.next != 2 {
		t.Errorf("%d of 2 expected keys were used", c.ahead.next)
	}
}

// idle is a stage that nothing is given to.
type idle struct{}

func (idle) Name() string                                                     { return "idle" }
func (idle) Process(*pipeline.Input, pipeline.State, *pipeline.Effects) error { return nil }

// TestPlaces: a place tells a segment from the others that are there, also where numbers in the ring begin again.
func TestPlaces(t *testing.T) {
	c := newCache(1 << 20)
	for c.ring < ringSize-3 {
		c.ring++
		c.first++
	}
	for range 6 {
		seen := map[place]bool{}
		for number := c.first; number < c.first+5; number++ {
			for _, offset := range []address{0, 8, maxSegment - 8} {
				at := address(number)<<32 | offset
				p := c.placeOf(at)
				if p == 0 || seen[p] || c.addressOf(p) != at {
					t.Fatalf("ring %d: %x has place %x, which is %x", c.ring, at, p, c.addressOf(p))
				}
				seen[p] = true
			}
		}
		c.addSegment(8)
		c.giveUpOldest()
	}
	if c.ring != 3 {
		t.Fatalf("the ring stands at %d, want 3", c.ring)
	}
	if c.addressOf(0) != 0 {
		t.Fatal("no place has an address")
	}
}
