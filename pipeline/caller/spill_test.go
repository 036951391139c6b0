package caller

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// outbox is a stage's runner in small, for many calls: what is stored of them, by key, and a Caller that is told of it.
type outbox struct {
	*stage
	k *Caller

	mu     sync.Mutex
	byKey  map[string][]pipeline.PendingCall // guarded by mu
	reads  int                               // guarded by mu; how often a key's calls were read
	ended  []string                          // guarded by mu
	during map[string]func()                 // guarded by mu; happens once, amid a reading of that key's calls
}

func newOutbox(t testing.TB) *outbox {
	return &outbox{stage: newStage(t), byKey: map[string][]pipeline.PendingCall{}}
}

// start begins a process with everything that is stored.
func (o *outbox) start(held int, d *destination, change func(*Config)) {
	cfg := Config{
		Gate: o.stage, Destinations: map[string]Destination{"x": d}, Poster: o, Partitions: 1, Incarnation: "one", Held: held,
		Log: slog.New(slog.DiscardHandler), Rand: func() float64 { return 1 },
	}
	if change != nil {
		change(&cfg)
	}
	k, err := New(cfg)
	if err != nil {
		o.t.Fatal(err)
	}
	o.mu.Lock()
	o.k = k
	o.mu.Unlock()
	k.Assigned(0, o, o.all())
}

func (o *outbox) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := o.k.Close(ctx); err != nil {
		o.t.Error(err)
	}
}

// all calls that are stored; those of a key in the order of their creation.
func (o *outbox) all() (all []pipeline.PendingCall) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, calls := range o.byKey {
		all = append(all, calls...)
	}
	return all
}

func (o *outbox) store(calls ...pipeline.PendingCall) {
	o.mu.Lock()
	for _, c := range calls {
		o.byKey[string(c.Key)] = append(o.byKey[string(c.Key)], c)
	}
	k := o.k
	o.mu.Unlock()
	if k != nil {
		k.Committed(0, calls, nil)
	}
}

// end commits a call's end. It is told only if told says so.
func (o *outbox) end(key []byte, id string, told bool) {
	o.mu.Lock()
	calls := o.byKey[string(key)]
	i := slices.IndexFunc(calls, func(c pipeline.PendingCall) bool { return c.Call.ID == id })
	if i < 0 {
		o.mu.Unlock()
		return
	}
	was := calls[i]
	o.byKey[string(key)] = slices.Delete(slices.Clone(calls), i, i+1)
	o.ended = append(o.ended, id)
	k := o.k
	o.mu.Unlock()
	if told {
		k.Committed(0, nil, []pipeline.PendingCall{was})
	}
}

// Calls implements pipeline.Reader.
func (o *outbox) Calls(_ int32, key []byte) ([]pipeline.PendingCall, error) {
	o.mu.Lock()
	o.reads++
	calls, during := slices.Clone(o.byKey[string(key)]), o.during[string(key)]
	delete(o.during, string(key))
	o.mu.Unlock()
	if during != nil {
		during()
	}
	return calls, nil
}

// Post implements Poster: what is posted is committed at once.
func (o *outbox) Post(_ context.Context, _ string, key, value []byte) error {
	r, err := schemas.Decode(key, value)
	if err != nil {
		return err
	}
	switch {
	case r.GetCallResult() != nil:
		o.stage.mu.Lock()
		o.results = append(o.results, r.GetCallResult())
		o.stage.mu.Unlock()
		o.end(key, r.GetCallResult().GetCallId(), true)
	case r.GetDeskFailing() != nil:
		o.stage.mu.Lock()
		o.fails = append(o.fails, r.GetDeskFailing())
		o.stage.mu.Unlock()
	}
	return nil
}

func (o *outbox) left() int { return len(o.all()) }

// of is the n-th call of one of many conversations, each under its own key.
func of(conversation, n int) pipeline.PendingCall {
	return ofShop(conversation, n, fmt.Sprint("shop", conversation%10))
}

func ofShop(conversation, n int, shop string) pipeline.PendingCall {
	c := textCall(fmt.Sprintf("%d.%d", conversation, n), shop, "x", "sms/x")
	c.Key = fmt.Appendf(nil, "%s|+1415%07d", shop, conversation)
	// The envelope of what is posted has the record's address.
	r := &handoffv1.Record{
		Shop: shop, Address: fmt.Sprintf("+1415%07d", conversation), Conversation: "sms:+15557770000",
		Body: &handoffv1.Record_Command{Command: &handoffv1.Command{Action: &handoffv1.Command_SendText{SendText: &handoffv1.SendText{}}}},
	}
	c.Call.Body, _ = schemas.Encode(r)
	return c
}

// inOrder reports calls of a conversation that were first asked for before one that came earlier. refused is never asked
// for.
func inOrder(t *testing.T, d *destination, refused string) {
	t.Helper()
	last := map[int]int{}
	for _, id := range d.requests() {
		var conversation, n int
		if _, err := fmt.Sscanf(id, "%d.%d", &conversation, &n); err != nil {
			t.Fatal(err)
		}
		at, seen := last[conversation]
		if seen && refused == fmt.Sprintf("%d.%d", conversation, at+1) && n > at {
			at++
		}
		if seen && n != at && n != at+1 || !seen && n != 0 {
			t.Fatalf("call %s left when %d was the last of its conversation", id, at)
		}
		last[conversation] = n
	}
}

// holds reports more calls in memory than may be.
func holds(t *testing.T, k *Caller, most int) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for _, p := range k.partitions {
		n += len(p.calls)
		for _, l := range p.lanes {
			if len(l.calls) > 0 && l.spilled > 0 {
				t.Fatalf("%s holds %d of its calls and not the other %d", l.name, len(l.calls), l.spilled)
			}
		}
	}
	if n != k.held || n > most {
		t.Fatalf("%d calls are held and %d counted, of at most %d", n, k.held, most)
	}
}

// away is a provider that answers nothing until it is back.
type away struct {
	mu   sync.Mutex
	back bool // guarded by mu
}

func (a *away) do(context.Context, Attempt, int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.back {
		return nil
	}
	return &Error{Kind: Retryable, Code: "503", Meaning: "away"}
}

func (a *away) come() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.back = true
}

// TestManyWait: while their provider is away few calls are held, and what was told of them once need not be
// held for it; a restart and a rebalance amid change nothing, what must not leave any more does not, and when the
// provider is back all others leave, in the order of their conversation, once.
func TestManyWait(t *testing.T) {
	conversations, held := 2000, 100
	if os.Getenv("HANDOFF_TEST_MANY") != "" {
		conversations, held = 20_000, 1000
	}
	synctest.Test(t, func(t *testing.T) {
		const each = 5
		o, d, outage := newOutbox(t), newDestination(Idempotent), &away{}
		d.do = outage.do
		tells := func(c *Config) { c.TellFailing = []string{"x"} }
		o.start(held, d, tells)
		for n := range each - 1 {
			for i := 0; i < conversations; i += 500 {
				var calls []pipeline.PendingCall
				for c := i; c < i+500; c++ {
					calls = append(calls, of(c, n))
				}
				o.store(calls...)
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				holds(t, o.k, held+1024*each)
			}
		}
		time.Sleep(time.Minute)
		o.close() // a restart
		o.start(held, d, tells)
		synctest.Wait()
		holds(t, o.k, held)
		time.Sleep(time.Minute)
		o.k.Revoked(t.Context(), 0) // a rebalance, and back
		time.Sleep(time.Minute)
		o.k.Assigned(0, o, o.all())
		for c := range conversations {
			o.store(of(c, each-1))
		}
		time.Sleep(time.Minute)
		inOrder(t, d, "7.2")
		holds(t, o.k, held+1024*each)
		told := map[string]bool{}
		for _, f := range o.failing() {
			for _, id := range f.GetCallIds() {
				told[id] = true
			}
		}
		if len(told) != conversations*each {
			t.Errorf("deliver was told that %d calls wait, of %d", len(told), conversations*each)
		}
		o.say("7.2", Release{Verdict: Refuse, Reason: handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT})
		outage.come()
		for began := time.Now(); o.left() > 0 && time.Since(began) < time.Hour; {
			time.Sleep(time.Second)
			holds(t, o.k, held+1024*each)
		}
		if n := o.left(); n > 0 {
			t.Fatalf("%d calls have not left an hour after the provider is back", n)
		}
		inOrder(t, d, "7.2")
		d.mu.Lock()
		for id, n := range d.arrived {
			if n != 1 {
				t.Errorf("%s left %d times", id, n)
			}
		}
		if n := len(d.arrived); n != conversations*each-1 || d.arrived["7.2"] != 0 {
			t.Errorf("%d calls left, the one that was refused %d times", n, d.arrived["7.2"])
		}
		d.mu.Unlock()
		synctest.Wait()
		if p := o.k.partitions[0]; len(p.lanes)+len(p.calls)+len(p.kept)+o.k.held+o.k.spilled != 0 || o.k.HeapBytes() != 0 {
			t.Errorf("left over: %d lanes, %d calls, %d kept, %d held, %d spilled", len(p.lanes), len(p.calls), len(p.kept), o.k.held, o.k.spilled)
		}
		o.close()
	})
}

// TestWhatIsKeptOfSpilledCalls: a spilled call's attempts are not forgotten: it goes on with the next number, an earlier
// attempt that may have arrived is looked up, and what went wrong is what is said in the end.
func TestWhatIsKeptOfSpilledCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, d := newOutbox(t), newDestination(Queryable)
		d.do = func(_ context.Context, a Attempt, try int) error {
			switch {
			case a.CallID == "1.0" && try == 1:
				return &Error{Kind: Ambiguous, Code: "arrived", Meaning: "no answer"}
			case a.CallID == "2.0" && try < 3:
				return &Error{Kind: Retryable, Code: "503", Meaning: "busy"}
			case a.CallID == "3.0":
				return &Error{Kind: Retryable, Code: "777", Meaning: "never"}
			}
			return nil
		}
		late := of(3, 0)
		late.Call.GiveUpAt = late.Call.Created.Add(10 * time.Minute)
		o.start(1, d, nil)
		o.store(of(1, 0), of(2, 0), late, of(4, 0), of(5, 0))
		time.Sleep(time.Hour)
		synctest.Wait()
		attempts := map[string]uint32{}
		for _, r := range o.results {
			attempts[r.GetCallId()] = r.GetAttempt()
		}
		if _, arrived := d.count("1.0"); arrived != 1 || o.outcome("1.0").GetProviderId() != "P1.0" || attempts["1.0"] != 1 {
			t.Errorf("the unanswered one left %d times, and ended as %v after attempt %d", arrived, o.outcome("1.0"), attempts["1.0"])
		}
		if did, _ := d.count("2.0"); did != 3 || attempts["2.0"] != 3 {
			t.Errorf("the one that failed was made %d times; its last attempt is %d", did, attempts["2.0"])
		}
		if got := o.outcome("3.0"); got.GetStatus() != expired || got.GetCode() != "777" {
			t.Errorf("the one whose time ran out ended as %v", got)
		}
		if o.reads == 0 {
			t.Error("nothing was read back")
		}
		o.close()
	})
}

// TestEndedAndJoinedWhileReadBack: what is committed of a lane while its calls are being read back, or before it is told,
// neither comes back nor is lost.
func TestEndedAndJoinedWhileReadBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, d := newOutbox(t), newDestination(Idempotent)
		o.start(1, d, nil)
		o.stage.set(func() { o.stage.noLease = true })
		o.store(of(0, 0), of(1, 0), of(1, 1), of(2, 0), of(2, 1), of(3, 0))
		time.Sleep(time.Second)
		o.mu.Lock()
		o.during = map[string]func(){
			string(of(1, 0).Key): func() {
				o.end(of(1, 0).Key, "1.0", true) // as an earlier owner's result does
				o.store(of(1, 2))
			},
			string(of(2, 0).Key): func() { o.end(of(2, 0).Key, "2.0", false) },
			string(of(3, 0).Key): func() { o.end(of(3, 0).Key, "3.0", true) },
		}
		o.mu.Unlock()
		o.stage.set(func() { o.stage.noLease = false })
		time.Sleep(time.Minute)
		o.k.Committed(0, nil, []pipeline.PendingCall{of(2, 0)}) // told late
		o.store(of(2, 2))
		time.Sleep(time.Hour)
		synctest.Wait()
		for _, id := range []string{"0.0", "1.1", "1.2", "2.1", "2.2"} {
			if did, _ := d.count(id); did != 1 {
				t.Errorf("%s was made %d times", id, did)
			}
		}
		if o.left() != 0 || o.k.HeapBytes() != 0 {
			t.Errorf("%d calls are left, %d bytes", o.left(), o.k.HeapBytes())
		}
		o.close()
	})
}

// TestAnEndToldLateLosesNoCall: a lane that was read back before an end was told, and gave its calls up again, still has
// its other calls when the end is told.
func TestAnEndToldLateLosesNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, d := newOutbox(t), newDestination(Idempotent)
		o.start(1, d, nil)
		o.say("1.1", Release{Verdict: Wait, Until: time.Now().Add(time.Hour)})
		o.say("0.0", Release{Verdict: Wait, Until: time.Now().Add(24 * time.Hour)})
		o.stage.set(func() { o.stage.noLease = true })
		o.store(of(0, 0), of(1, 0), of(1, 1))
		o.end(of(1, 0).Key, "1.0", false)
		o.stage.set(func() { o.stage.noLease = false })
		time.Sleep(time.Minute) // 1.1 was read back alone, waits, and is spilled
		o.k.Committed(0, nil, []pipeline.PendingCall{of(1, 0)})
		o.say("1.1", Release{})
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if did, _ := d.count("1.1"); did != 1 {
			t.Errorf("what was left of the lane was made %d times", did)
		}
		o.close()
	})
}
