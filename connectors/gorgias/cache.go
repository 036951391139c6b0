package gorgias

import "sync"

// cacheSize bounds an idCache; when it is full it starts afresh.
const cacheSize = 8192

// idCache remembers ids by name.
type idCache struct {
	mu  sync.Mutex
	ids map[string]int64
}

func (c *idCache) get(name string) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, ok := c.ids[name]
	return id, ok
}

func (c *idCache) put(name string, id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ids) >= cacheSize {
		clear(c.ids)
	}
	c.ids[name] = id
}

// forget tells whether the name was known.
func (c *idCache) forget(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.ids[name]
	delete(c.ids, name)
	return ok
}
