package kafka

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
)

// outbox stores a call for every command and ends it when its result has come. The idempotency key is
// derived of the command, so an attempt made by anybody has the same.
func outbox() pipeline.Stage {
	return &stage{name: "outbox", process: func(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
		verb, id, _ := strings.Cut(string(in.Record.Value), " ")
		if verb == "result" {
			fx.EndCall(id)
			st.Put("done/"+id, []byte("yes"))
			return nil
		}
		fx.Call(pipeline.Call{ID: id, Destination: "provider", Lane: string(in.Key), Body: []byte("text of " + id), Created: in.Now})
		return nil
	}}
}

// provider is the outside system of all callers: it takes a text once by its idempotency key.
type provider struct {
	c  *cluster
	mu sync.Mutex
	// attempts by idempotency key, with the bodies they had; effects by key. Guarded by mu.
	attempts map[string][]string
	effects  map[string]int
	ended    map[string]bool // committed results that a caller was told of
	wrong    []string
	held     chan struct{} // while not nil, answers wait for it
	waiting  int           // calls in flight that wait
}

func newProvider(c *cluster) *provider {
	return &provider{c: c, attempts: map[string][]string{}, effects: map[string]int{}, ended: map[string]bool{}}
}

// outboxCaller makes a process's calls; some of the results are lost with the process.
type outboxCaller struct {
	p     *provider
	tasks sync.WaitGroup
	dead  bool // guarded by p.mu: the process is gone, results are lost
}

func (o *outboxCaller) Assigned(_ int32, _ pipeline.Reader, inherited []pipeline.PendingCall) {
	for _, call := range inherited {
		o.make(call)
	}
}

func (o *outboxCaller) Committed(_ int32, stored, ended []pipeline.PendingCall) {
	o.p.mu.Lock()
	for _, call := range ended {
		o.p.ended[call.Call.ID] = true
	}
	o.p.mu.Unlock()
	for _, call := range stored {
		o.make(call)
	}
}

func (*outboxCaller) Revoked(context.Context, int32) {}

// make attempts a call: the outside does it, and its result is posted unless this process dies first.
func (o *outboxCaller) make(call pipeline.PendingCall) {
	p := o.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended[call.Call.ID] {
		p.wrong = append(p.wrong, "call "+call.Call.ID+" was handed over after its end was committed")
	}
	if len(p.attempts[call.Call.ID]) == 0 {
		p.effects[call.Call.ID]++
	}
	p.attempts[call.Call.ID] = append(p.attempts[call.Call.ID], string(call.Call.Body))
	held := p.held
	if held != nil {
		p.waiting++
	}
	o.tasks.Go(func() {
		if held != nil {
			<-held
		}
		p.mu.Lock()
		dead := o.dead
		p.mu.Unlock()
		if !dead {
			p.c.client.Produce(context.Background(), &kgo.Record{Topic: "handoff.outbox", Key: call.Key, Value: []byte("result " + call.Call.ID)}, nil)
		}
	})
}

func (o *outboxCaller) die() {
	o.p.mu.Lock()
	o.dead = true
	o.p.mu.Unlock()
}

func (p *provider) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held, p.waiting = make(chan struct{}), 0
}

func (p *provider) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.held)
	p.held = nil
}

func (p *provider) inFlight() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting
}

// check verifies that every command was done once, with at least one attempt, all of one body.
func (p *provider) check(commands []string) {
	p.c.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.wrong {
		p.c.t.Error(w)
	}
	for _, id := range commands {
		if p.effects[id] != 1 {
			p.c.t.Errorf("command %s took effect %d times", id, p.effects[id])
		}
		for _, body := range p.attempts[id] {
			if body != "text of "+id {
				p.c.t.Errorf("an attempt of %s had body %q", id, body)
			}
		}
	}
	if len(p.effects) != len(commands) {
		p.c.t.Errorf("%d calls were made under keys of their own, want %d", len(p.effects), len(commands))
	}
}

// TestInvariantOutbox: every call is made at least once, whoever owns its partition and whatever process
// died over it, under the same idempotency key; and no more once its result is committed.
func TestInvariantOutbox(t *testing.T) {
	t.Parallel()
	c := newClusterOf(t, 2, 4, "outbox")
	p := newProvider(c)
	var commands []string
	command := func(n int) {
		t.Helper()
		var records []*kgo.Record
		for range n {
			id := fmt.Sprintf("c%d", len(commands))
			commands = append(commands, id)
			records = append(records, &kgo.Record{Topic: "handoff.outbox", Key: fmt.Appendf(nil, "shop|%d", len(commands)%17), Value: []byte("send " + id)})
		}
		c.produce(records...)
	}
	fs := newMem()
	line := newWire()
	type process struct {
		caller *outboxCaller
		run    *running
		store  *state.Store
	}
	begin := func(onto *wire) process {
		t.Helper()
		store, err := state.OpenStore(state.StoreConfig{Dir: "db", FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		o := &outboxCaller{p: p}
		cfg := c.config(outbox(), store)
		cfg.Caller = o
		if onto != nil {
			cfg.Options = append(cfg.Options, onto.option())
		}
		return process{o, start(t, cfg), store}
	}
	end := func(x process) {
		t.Helper()
		x.caller.die()
		if err := x.run.stop(); err != nil {
			t.Error(err)
		}
		x.caller.tasks.Wait()
		c.checkStore("outbox", x.store)
		if err := x.store.Close(); err != nil {
			t.Error(err)
		}
	}
	first := begin(line)
	command(50)
	line.on(&rule{key: kmsg.EndTxn, after: true, cut: true, skip: 2, count: 2})
	command(50)
	eventually(t, "all are committed", func() bool { return c.drained("outbox") })
	// A process dies with calls in flight, and the next has its store, or nothing.
	for _, lost := range []bool{false, true} {
		p.hold()
		command(30)
		eventually(t, "calls are in flight", func() bool { return p.inFlight() >= 30 })
		first.caller.die()
		p.release()
		end(first)
		if lost {
			fs = newMem()
		}
		first = begin(nil)
	}
	// A rebalance moves partitions with calls in flight; both owners make them and post results.
	p.hold()
	command(30)
	eventually(t, "calls are in flight", func() bool { return p.inFlight() >= 30 })
	had := p.inFlight()
	fs = newMem()
	second := begin(nil)
	eventually(t, "the other member makes calls it inherited", func() bool { return p.inFlight() > had })
	p.release()
	command(30)
	open := func() (n int) {
		for _, f := range c.folds("outbox", nil) {
			n += len(f.of(callKind))
		}
		return n
	}
	eventually(t, "no call is open", func() bool { return c.drained("outbox") && open() == 0 })
	end(second)
	end(first)
	p.check(commands)
	c.checkPositions("outbox")
}
