package state

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
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
		if most := limit + 3*c.segmentBytes() + 8*1100 + len(c.slots)*slotBytes; c.bytes > most {
			t.Fatalf("%d bytes in segments, the limit is %d", c.bytes, limit)
		}
		n := 0
		for i := range c.slots {
			if s := c.slots[i]; s.at != 0 {
				n++
				if at, j := c.find(s.hash, c.block(s.at).key()); at != s.at || j != i {
					t.Fatalf("slot %d is not found", i)
				}
			}
		}
		if n != c.taken {
			t.Fatalf("%d slots are in use, counted %d", n, c.taken)
		}
	})
}
