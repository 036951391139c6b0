package httpcall

import "sync"

// IDs remembers what another system calls things, so that a call need not ask each time. It holds two
// generations of at most size ids, the older of which is dropped when the younger is full. Safe for
// concurrent use.
type IDs struct {
	size int

	mu         sync.Mutex
	young, old map[string]known
}

// known is what is remembered of a name.
type known struct {
	id   int64
	note string
}

// NewIDs returns IDs that remember at least the newest size and at most twice as many.
func NewIDs(size int) *IDs { return &IDs{size: size, young: map[string]known{}} }

// Get gives the id of a name; not ok where it is not known.
func (c *IDs) Get(name string) (id int64, ok bool) {
	k, ok := c.get(name)
	return k.id, ok
}

// Note gives what was noted of a name; "" for nothing.
func (c *IDs) Note(name string) string {
	k, _ := c.get(name)
	return k.note
}

func (c *IDs) get(name string) (k known, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, ok = c.young[name]; !ok {
		k, ok = c.old[name]
	}
	return k, ok
}

// Put remembers the id of a name.
func (c *IDs) Put(name string, id int64) { c.PutNoted(name, id, "") }

// PutNoted remembers the id of a name with a note on how it was found.
func (c *IDs) PutNoted(name string, id int64, note string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= c.size {
		c.young, c.old = map[string]known{}, c.young
	}
	c.young[name] = known{id, note}
}

// Forget drops a name and tells whether it was known.
func (c *IDs) Forget(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, young := c.young[name]
	_, old := c.old[name]
	delete(c.young, name)
	delete(c.old, name)
	return young || old
}
