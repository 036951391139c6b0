package zendesk

import "sync"

// idCache remembers ids by name, the newest of two generations of at most
// size entries each, so that it never grows without bound.
type idCache struct {
	size int

	mu         sync.Mutex
	young, old map[string]int64
}

func newIDCache(size int) *idCache {
	return &idCache{size: size, young: map[string]int64{}}
}

func (c *idCache) get(name string) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id, ok := c.young[name]; ok {
		return id, true
	}
	id, ok := c.old[name]
	return id, ok
}

func (c *idCache) put(name string, id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= c.size {
		c.young, c.old = map[string]int64{}, c.young
	}
	c.young[name] = id
}

func (c *idCache) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.young, name)
	delete(c.old, name)
}
