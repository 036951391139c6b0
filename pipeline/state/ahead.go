package state

// AheadKeys is how many keys are looked at together, here and where state is restored.
const AheadKeys = 16

// ahead is what was found out about keys before their turn.
type ahead struct {
	keys   [AheadKeys][]byte
	hashes [AheadKeys]uint64
	next   int // of keys, to come
	n      int
	used   byte // of what was read, so that reading is not left out
}

// Expect names the keys of the records that Process is given next, in order. It changes nothing; a wrong
// guess costs only time. What these keys need from memory is asked for at once, and not by each record
// when its turn comes: waiting for memory is most of what a small record costs.
func (p *Partition) Expect(keys [][]byte) { p.cache.expect(keys[:min(len(keys), AheadKeys)]) }

func (c *cache) expect(keys [][]byte) {
	a := &c.ahead
	a.next, a.n = 0, copy(a.keys[:], keys)
	var used byte
	mask := uint64(len(c.slots) - 1)
	for i, key := range keys {
		a.hashes[i] = c.hash(key)
	}
	// Reads of one loop do not depend on each other, so the processor has them under way together.
	var at [AheadKeys]address
	for i := range keys {
		at[i] = c.addressOf(c.slots[a.hashes[i]&mask].place)
	}
	var open [AheadKeys]int
	for i := range keys {
		if at[i] != 0 {
			b := c.memory(at[i])
			open[i] = block(b).open()
			used += b[min(cacheLine, len(b)-1)]
		}
	}
	for i := range keys {
		if n := open[i]; n > 0 && n <= len(c.open) {
			used += byte(c.open[n-1].at)
		}
	}
	a.used = used
}

// expectOpen is expect for open keys whose blocks are needed next.
func (c *cache) expectOpen(keys []int) {
	var used byte
	for _, i := range keys {
		b := c.memory(c.open[i].at)
		used += b[0] + b[min(cacheLine, len(b)-1)]
	}
	c.ahead.used = used
}

// cacheLine is how many bytes memory is read in, on most machines.
const cacheLine = 64

// hashOf a key whose turn has come.
func (c *cache) hashOf(key []byte) uint64 {
	a := &c.ahead
	if a.next < a.n {
		if k := a.keys[a.next]; len(k) == len(key) && len(k) > 0 && &k[0] == &key[0] {
			a.next++
			return a.hashes[a.next-1]
		}
	}
	return c.hash(key)
}
