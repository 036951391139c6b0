package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// wire is the network between a runner's clients and the brokers. Its rules act on single requests: at
// the moment one is about to leave, or when its answer has come, so that what the broker did is known
// and what the client learns of it is not.
type wire struct {
	mu    sync.Mutex
	rules []*rule // guarded by mu
	conns map[*wireConn]struct{}
	down  bool // guarded by mu; nothing can be dialled
}

// rule is about the requests of one kind.
type rule struct {
	key kmsg.Key
	// after the broker's answer came, instead of before the request leaves.
	after bool
	// least is how many bytes the request, or the answer, has at least.
	least int
	// skip that many first, then act on count of them; 0 stands for one, -1 for all.
	skip, count int
	// act is called at the moment; it may block, and with it the request.
	act func()
	// cut ends the connection: the request does not leave, or its answer does not arrive.
	cut bool

	hits atomic.Int64 // acted on
	done atomic.Int64 // of which act has returned
}

func newWire() *wire { return &wire{conns: map[*wireConn]struct{}{}} }

// option makes a client use the wire.
func (w *wire) option() kgo.Opt {
	return kgo.Dialer(func(ctx context.Context, network, host string) (net.Conn, error) {
		w.mu.Lock()
		down := w.down
		w.mu.Unlock()
		if down {
			return nil, errCut
		}
		inner, err := (&net.Dialer{}).DialContext(ctx, network, host)
		if err != nil {
			return nil, err
		}
		c := &wireConn{Conn: inner, w: w, waiting: map[uint32][]*rule{}}
		w.mu.Lock()
		w.conns[c] = struct{}{}
		w.mu.Unlock()
		return c, nil
	})
}

var errCut = errors.New("the line was cut")

// on begins to apply a rule.
func (w *wire) on(r *rule) *rule {
	if r.count == 0 {
		r.count = 1
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rules = append(w.rules, r)
	return r
}

// clear ends all rules.
func (w *wire) clear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rules = nil
}

// sever cuts every connection; while down nothing can be dialled either.
func (w *wire) sever(down bool) {
	w.mu.Lock()
	w.down = down
	var open []*wireConn
	for c := range w.conns {
		open = append(open, c)
	}
	w.mu.Unlock()
	if down {
		for _, c := range open {
			_ = c.Conn.Close()
		}
	}
}

// match returns the rules that act on a request or an answer, and counts them.
func (w *wire) match(key kmsg.Key, after bool, size int, among []*rule) []*rule {
	w.mu.Lock()
	defer w.mu.Unlock()
	if among == nil {
		among = w.rules
	}
	var found []*rule
	for _, r := range among {
		if r.key != key || r.after != after || size < r.least || r.count == 0 {
			continue
		}
		if r.skip > 0 {
			r.skip--
			continue
		}
		if r.count > 0 {
			r.count--
		}
		found = append(found, r)
	}
	return found
}

// expects tells which rules want to see the answer to a request.
func (w *wire) expects(key kmsg.Key) []*rule {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []*rule
	for _, r := range w.rules {
		if r.key == key && r.after {
			found = append(found, r)
		}
	}
	return found
}

// apply acts and tells whether the connection is to be cut.
func apply(rules []*rule) (cut bool) {
	for _, r := range rules {
		r.hits.Add(1)
		if r.act != nil {
			r.act()
		}
		r.done.Add(1)
		cut = cut || r.cut
	}
	return cut
}

// wireConn is one connection. Requests come whole, one a Write; answers are read frame by frame.
type wireConn struct {
	net.Conn
	w *wire

	mu      sync.Mutex
	waiting map[uint32][]*rule // guarded by mu; by correlation id

	frame []byte // the reader's own: what is left of the answer being read
}

func (c *wireConn) Close() error {
	c.w.mu.Lock()
	delete(c.w.conns, c)
	c.w.mu.Unlock()
	return c.Conn.Close()
}

func (c *wireConn) Write(b []byte) (int, error) {
	if len(b) < 12 {
		return c.Conn.Write(b)
	}
	key, id := kmsg.Key(binary.BigEndian.Uint16(b[4:])), binary.BigEndian.Uint32(b[8:])
	if apply(c.w.match(key, false, len(b), nil)) {
		_ = c.Conn.Close()
		return 0, errCut
	}
	if rules := c.w.expects(key); rules != nil {
		c.mu.Lock()
		c.waiting[id] = rules
		c.mu.Unlock()
	}
	return c.Conn.Write(b)
}

func (c *wireConn) Read(b []byte) (int, error) {
	for len(c.frame) == 0 {
		var size [4]byte
		if _, err := io.ReadFull(c.Conn, size[:]); err != nil {
			return 0, err
		}
		c.frame = make([]byte, 4+binary.BigEndian.Uint32(size[:]))
		copy(c.frame, size[:])
		if _, err := io.ReadFull(c.Conn, c.frame[4:]); err != nil {
			return 0, err
		}
		id := binary.BigEndian.Uint32(c.frame[4:])
		c.mu.Lock()
		rules := c.waiting[id]
		delete(c.waiting, id)
		c.mu.Unlock()
		if len(rules) > 0 && apply(c.w.match(rules[0].key, true, len(c.frame), rules)) {
			_ = c.Conn.Close()
			return 0, errCut
		}
	}
	n := copy(b, c.frame)
	c.frame = c.frame[n:]
	return n, nil
}

// NewWire is for the tests of what the package exports.
func NewWire() *wire { return newWire() }

// Option makes a client use the wire.
func (w *wire) Option() kgo.Opt { return w.option() }

// At has act called once: when the request of that kind is about to leave, or was answered, for which skip others
// went before. hits tells whether it was.
func (w *wire) At(key kmsg.Key, skip int, answered bool, act func()) (hits func() int64) {
	return w.on(&rule{key: key, skip: skip, after: answered, act: act}).hits.Load
}
