package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// The longest a server takes to act on a request after it began: longer than the caller waits for the
// answer, shorter than it waits before it looks.
const slowest = 14 * time.Second

// remote is an outside system with faults: a request's effect and its answer come apart.
type remote struct {
	retry  func(*handoffv1.Command) caller.Retry
	rnd    func(n int) int
	faults int // of ten requests

	mu      sync.Mutex
	effects map[string]int // by call
	order   []string
	starts  []start
}

// start of a request.
type start struct {
	call string
	at   time.Time
}

func (s *remote) Retry(c *handoffv1.Command) caller.Retry { return s.retry(c) }
func (s *remote) KeyLife() time.Duration                  { return 2 * time.Hour }
func (s *remote) Limit(*settings.Shop) caller.Limit       { return caller.Limit{} }

// act has the effect of a request, once per call where the system knows calls.
func (s *remote) act(a caller.Attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.retry(a.Command) == caller.Idempotent && s.effects[a.CallID] > 0 {
		return
	}
	s.effects[a.CallID]++
	s.order = append(s.order, a.CallID)
}

func (s *remote) Do(ctx context.Context, a caller.Attempt) (*handoffv1.Outcome, error) {
	s.mu.Lock()
	s.starts = append(s.starts, start{a.CallID, time.Now()})
	fault := s.rnd(10) < s.faults
	kind := s.rnd(5)
	delay := time.Duration(s.rnd(int(slowest)))
	s.mu.Unlock()
	answer := &handoffv1.Outcome{ProviderId: "P" + a.CallID, TicketId: "T" + a.CallID}
	if !fault {
		s.act(a)
		return answer, nil
	}
	switch kind {
	case 0: // refused before it had an effect
		return nil, &caller.Error{Kind: caller.Retryable, Code: "503"}
	case 1:
		return nil, &caller.Error{Kind: caller.Limited, RetryAfter: 3 * time.Second}
	case 2: // lost on the way there
		<-ctx.Done()
		return nil, ctx.Err()
	case 3: // lost on the way back
		s.act(a)
		return nil, errors.New("connection reset")
	default: // slow: the effect comes when it comes, whoever still listens
		acted := make(chan struct{})
		time.AfterFunc(delay, func() { s.act(a); close(acted) })
		select {
		case <-acted:
			return answer, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *remote) Lookup(_ context.Context, a caller.Attempt) (*handoffv1.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rnd(10) < s.faults/2 {
		return nil, errors.New("the look-up failed")
	}
	if s.effects[a.CallID] == 0 {
		return nil, nil
	}
	return &handoffv1.Outcome{ProviderId: "P" + a.CallID, TicketId: "T" + a.CallID}, nil
}

// process is a running process: a caller, whose word counts until it is killed.
type process struct {
	w      *world
	k      *caller.Caller
	killed chan struct{}
	posted chan struct{}
}

// Post implements caller.Poster.
func (p *process) Post(_ context.Context, _ string, _, value []byte) error {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	select {
	case <-p.killed:
		return errors.New("killed")
	default:
		p.w.inbox = append(p.w.inbox, value)
		select {
		case p.posted <- struct{}{}:
		default:
		}
		return nil
	}
}

// plant is a world whose calls are made, with processes that come and go.
type plant struct {
	*world
	systems map[string]caller.Destination
	process *process
	number  int
	posted  chan struct{}
	turn    sync.Mutex // commits, and the change from one process to the next
}

// pump commits what is posted.
func (p *plant) pump() {
	p.turn.Lock()
	defer p.turn.Unlock()
	p.world.now = time.Now()
	p.drain()
}

// start starts a process.
func (p *plant) start() {
	p.number++
	run := &process{w: p.world, killed: make(chan struct{}), posted: p.posted}
	k, err := caller.New(caller.Config{
		Gate: p.stage, Destinations: p.systems, Poster: run, Partitions: 1,
		Incarnation: fmt.Sprint("process", p.number), Log: slog.New(slog.DiscardHandler),
		Held: 1 + p.number%2, // so that most calls are read back
	})
	if err != nil {
		p.t.Fatal(err)
	}
	run.k = k
	p.turn.Lock()
	defer p.turn.Unlock()
	p.process = run
	p.mu.Lock()
	inherited := slices.Clone(p.calls)
	p.committed = func(stored, ended []pipeline.PendingCall) { k.Committed(0, stored, ended) }
	p.mu.Unlock()
	k.Assigned(0, reader{p.world}, inherited)
}

// kill ends the process at once: nothing more is posted, what runs is abandoned.
func (p *plant) kill() {
	p.turn.Lock()
	p.mu.Lock()
	p.committed = nil
	close(p.process.killed)
	p.mu.Unlock()
	p.turn.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.process.k.Close(ctx) // it says that requests were running, as they may
}

// TestFaultsAndKills lets processes die while systems fail, and then looks at what the systems hold
// and what the receipts say.
func TestFaultsAndKills(t *testing.T) {
	runs := 150
	if testing.Short() {
		runs = 20
	}
	for seed := range runs {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { faultsAndKills(t, uint64(seed)) })
		})
	}
}

func faultsAndKills(t *testing.T, seed uint64) {
	source := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	rnd := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return source.IntN(n)
	}
	always := func(r caller.Retry) func(*handoffv1.Command) caller.Retry {
		return func(*handoffv1.Command) caller.Retry { return r }
	}
	system := func(retry func(*handoffv1.Command) caller.Retry) *remote {
		return &remote{retry: retry, rnd: rnd, faults: 4, effects: map[string]int{}}
	}
	twilio, sms := system(always(caller.Queryable)), system(always(caller.Blind))
	desk := system(func(c *handoffv1.Command) caller.Retry {
		if c.GetCreateTicket() != nil {
			return caller.Idempotent
		}
		return caller.Queryable
	})
	posted := make(chan struct{}, 1)
	p := &plant{world: newWorld(t), systems: map[string]caller.Destination{"twilio": twilio, "sms": sms, "zendesk": desk}, posted: posted}
	p.world.now = time.Now()
	stop := startPump(p)
	p.start()
	p.consent("channel:sms", 1, conversational)

	var commands [4][]string // twilio, sms, desk, keyword answers
	var stopped time.Time
	give := func(lane int, account string, c *handoffv1.Command) {
		p.turn.Lock()
		defer p.turn.Unlock()
		p.world.now = time.Now()
		commands[lane] = append(commands[lane], p.command(account, c))
	}
	give(2, number, create(1))
	for step := range 40 {
		time.Sleep(time.Duration(rnd(4000)) * time.Millisecond)
		switch rnd(8) {
		case 0, 1:
			words := 1 + 500*rnd(2)*rnd(2) // some leave in parts
			give(0, number, text(agent, strings.Repeat(fmt.Sprint("twilio ", step, " "), words)))
		case 2, 3:
			give(1, blindSMS, text(agent, fmt.Sprint("sms ", step)))
		case 4:
			give(2, number, appendTo(1, fmt.Sprint("desk ", step)))
		case 5:
			p.turn.Lock()
			p.world.now = time.Now()
			p.hint("zendesk", "T"+commands[2][0], 1)
			p.turn.Unlock()
		case 6:
			p.kill()
			time.Sleep(time.Duration(rnd(3000)) * time.Millisecond)
			p.start()
		case 7:
			if step > 25 && stopped.IsZero() {
				p.turn.Lock()
				p.world.now = time.Now()
				p.consent("channel:sms", 2, unsubscribed)
				stopped = time.Now()
				p.turn.Unlock()
				give(3, number, text(keyword, "You're unsubscribed."))
			}
		}
	}
	time.Sleep(8 * 24 * time.Hour)
	synctest.Wait()
	p.kill()
	stop()
	p.judge(t, commands, twilio, sms, desk, stopped)
}

// startPump commits what is posted, a moment later.
func startPump(p *plant) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-p.posted:
				time.Sleep(10 * time.Millisecond)
				p.pump()
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}

// judge compares receipts with what happened outside.
func (p *plant) judge(t *testing.T, commands [4][]string, twilio, sms, desk *remote, stopped time.Time) {
	receipts := map[string][]*handoffv1.Receipt{}
	for _, r := range p.take(schemas.TopicEscalate) {
		receipts[r.GetReceipt().GetCallId()] = append(receipts[r.GetReceipt().GetCallId()], r.GetReceipt())
	}
	if len(p.calls) != 0 {
		t.Errorf("%d calls never ended", len(p.calls))
	}
	for name := range p.entries {
		if strings.HasPrefix(name, callPrefix) || strings.HasPrefix(name, splitPrefix) {
			t.Errorf("entry %s is left over", name)
		}
	}
	for _, s := range []*remote{twilio, sms} {
		for id, n := range s.effects {
			if n > 1 {
				t.Errorf("text %s left %d times", id, n)
			}
		}
	}
	for lane, s := range []*remote{twilio, sms, desk, twilio} {
		var sent []string
		for _, id := range commands[lane] {
			if len(receipts[id]) != 1 {
				t.Errorf("call %s has %d receipts", id, len(receipts[id]))
				continue
			}
			status, n := receipts[id][0].GetOutcome().GetStatus(), s.effects[id]
			switch {
			case n > 1:
				t.Errorf("lane %d: call %s happened %d times", lane, id, n)
			case status == handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE && n != 1:
				t.Errorf("lane %d: call %s is done and did not happen", lane, id)
			case status == handoffv1.OutcomeStatus_OUTCOME_STATUS_UNKNOWN && s != sms:
				t.Errorf("lane %d: call %s is unknown at a system that can be asked", lane, id)
			case status != handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE && status != handoffv1.OutcomeStatus_OUTCOME_STATUS_UNKNOWN && n != 0 &&
				(!strings.HasPrefix(receipts[id][0].GetOutcome().GetMeaning(), "part ") ||
					strings.HasPrefix(receipts[id][0].GetOutcome().GetMeaning(), "part 1 of")):
				t.Errorf("lane %d: call %s is %v and happened", lane, id, status)
			}
			if status == handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE {
				sent = append(sent, id)
			}
		}
		var happened []string
		for _, id := range s.order {
			if slices.Contains(sent, id) {
				happened = append(happened, id)
			}
		}
		if !slices.Equal(happened, sent) {
			t.Errorf("lane %d: happened in the order %v, commanded %v", lane, happened, sent)
		}
		if lane == 3 || s == desk || stopped.IsZero() {
			continue
		}
		for _, st := range s.starts {
			if st.at.After(stopped) && slices.Contains(commands[lane], st.call) {
				t.Errorf("lane %d: call %s started %v after the opt-out was committed", lane, st.call, st.at.Sub(stopped))
			}
		}
	}
}
