package httpcall

import "sync"

// IDs remembers what another system calls things, so that a call need not ask each time. It holds two
// generations of at most size ids, the older of which is dropped when the younger is full. Safe for
// concurrent use.
type IDs struct {
	size int

	mu         sync.Mutex
	young, old map[string]int64
}

// NewIDs returns IDs that remember at least the newest size and at most twice as many.
func NewIDs(size int) *IDs { return &IDs{size: size, young: map[string]int64{}} }

// Get gives the id of a name; not ok where it is not known.
func (c *IDs) Get(name string) (id int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id, ok = c.young[name]; !ok {
		id, ok = c.old[name]
	}
	return id, ok
}

// Put remembers the id of a name.
func (c *IDs) Put(name string, id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= c.size {
		c.young, c.old = map[string]int64{}, c.young
	}
	c.young[name] = id
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
