package torture

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// restoring is the client id with which changelogs are read.
const restoring = "handoff-restore"

// wire dials brokers and looks at what goes over the connections: traps lie at requests by their name,
// and what a client waits for, up to the next transaction that it commits, is told to the parent.
type wire struct {
	traps  *traps
	steps  *steps
	client string // whose commits are told, and its id as a producer
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
}

func newWire(ts *traps, st *steps, client string) *wire {
	d := &net.Dialer{Timeout: 5 * time.Second}
	return &wire{traps: ts, steps: st, client: client, dial: d.DialContext}
}

// Dial opens a connection that is looked at.
func (w *wire) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := w.dial(ctx, network, address)
	if err != nil {
		w.steps.say("no connection: %v", err)
		return nil, err
	}
	return &watched{Conn: conn, wire: w}, nil
}

// watched is one connection. The client writes a request with one Write; answers come in the order of
// requests.
type watched struct {
	net.Conn
	wire *wire

	mu      sync.Mutex
	waiting []request // guarded by mu; without an answer yet
	head    []byte    // the reader's: beginning of the answer being read
	left    int       // the reader's: bytes of it that are to come
}

// request is what a request frame says of itself.
type request struct {
	name, client string
	key, version int16
	commit       bool // it ends a transaction by a commit
	sent         time.Time
}

// answerHead is how much of an answer is kept: size, correlation, tags, throttle, error code, and the id
// and epoch of a producer.
const answerHead = 4 + 4 + 1 + 4 + 2 + 8 + 2

func (c *watched) Write(b []byte) (int, error) {
	r, ok := parseRequest(b)
	if !ok {
		return c.Conn.Write(b)
	}
	if err := c.wire.step(r, before); err != nil {
		return 0, c.cut(err)
	}
	r.sent = time.Now()
	c.mu.Lock()
	c.waiting = append(c.waiting, r)
	c.mu.Unlock()
	n, err := c.Conn.Write(b)
	if err != nil {
		return n, err
	}
	if err := c.wire.step(r, after); err != nil {
		return n, c.cut(err)
	}
	return n, nil
}

func (c *watched) cut(err error) error {
	_ = c.Close()
	return err
}

func (w *wire) step(r request, moment string) error {
	name := r.name
	if name == "EndTxn" && !r.commit {
		name = "abort"
	}
	return w.traps.step(placeWire, name, r.client, moment)
}

// parseRequest reads the header of a request frame.
func parseRequest(b []byte) (request, bool) {
	if len(b) < 14 || int(binary.BigEndian.Uint32(b)) != len(b)-4 {
		return request{}, false
	}
	r := request{key: int16(binary.BigEndian.Uint16(b[4:])), version: int16(binary.BigEndian.Uint16(b[6:]))}
	r.name = kmsg.NameForKey(r.key)
	n := int(int16(binary.BigEndian.Uint16(b[12:])))
	body := b[14:]
	if n > len(body) {
		return request{}, false
	}
	if n > 0 {
		r.client, body = string(body[:n]), body[n:]
	}
	if kmsg.Key(r.key) == kmsg.EndTxn {
		req := kmsg.NewPtrEndTxnRequest()
		req.Version = r.version
		if req.IsFlexible() && len(body) > 0 {
			body = body[1:] // no tags
		}
		r.commit = req.ReadFrom(body) == nil && req.Commit
	}
	return r, true
}

func (c *watched) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if trapped := c.look(b[:n]); trapped != nil {
		return 0, c.cut(trapped)
	}
	if err != nil {
		c.mu.Lock()
		lost := c.waiting
		c.waiting = nil
		c.mu.Unlock()
		c.wire.steps.unanswered(lost, err)
	}
	return n, err
}

// look follows the answers in what was read.
func (c *watched) look(b []byte) error {
	for len(b) > 0 {
		if len(c.head) < 4 {
			take := min(4-len(c.head), len(b))
			c.head, b = append(c.head, b[:take]...), b[take:]
			if len(c.head) < 4 {
				return nil
			}
			c.left = int(binary.BigEndian.Uint32(c.head))
			if err := c.wire.step(c.first(), answer); err != nil {
				return err
			}
		}
		take := min(c.left, len(b))
		c.head = append(c.head, b[:min(take, answerHead-len(c.head))]...)
		c.left -= take
		b = b[take:]
		if c.left == 0 {
			c.answered()
			c.head = c.head[:0]
		}
	}
	return nil
}

// first request without an answer.
func (c *watched) first() request {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		return request{}
	}
	return c.waiting[0]
}

func (c *watched) answered() {
	c.mu.Lock()
	if len(c.waiting) == 0 {
		c.mu.Unlock()
		return
	}
	r := c.waiting[0]
	c.waiting = c.waiting[1:]
	c.mu.Unlock()
	c.wire.answered(r, c.head[8:])
}

// answered looks at the beginning of an answer, from behind the correlation on.
func (w *wire) answered(r request, body []byte) {
	if !w.steps.on.Load() {
		return
	}
	if resp := kmsg.ResponseForKey(r.key); resp != nil {
		resp.SetVersion(r.version)
		if resp.IsFlexible() && kmsg.Key(r.key) != kmsg.ApiVersions && len(body) > 0 {
			body = body[1:] // no tags
		}
	}
	w.steps.answered(r, body)
	if r.client != w.client || topError(r, body) != 0 || len(body) < 6 {
		return
	}
	switch {
	case kmsg.Key(r.key) == kmsg.InitProducerID && len(body) >= 16:
		w.traps.tell("producer %d %d", binary.BigEndian.Uint64(body[6:]), binary.BigEndian.Uint16(body[14:]))
	case r.commit:
		w.steps.committed()
	}
}
