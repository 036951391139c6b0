package caller

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

func TestASlowShopDoesNotBlockAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Idempotent)
		d.do = func(ctx context.Context, a Attempt, _ int) error {
			if a.Record.GetShop() != "quick" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		workers := 64
		defer begin(t, s, func(c *Config) { c.Workers = workers }, map[string]Destination{"x": d})()
		for shop := range 5 {
			for i := range 100 {
				id := fmt.Sprintf("slow%d/%d", shop, i)
				s.store(textCall(id, fmt.Sprint("slow", shop), "x", id))
			}
		}
		begun := time.Now()
		for i := range 20 {
			id := fmt.Sprint("quick", i)
			s.store(textCall(id, "quick", "x", id))
		}
		for s.outcome("quick19") == nil && time.Since(begun) < time.Hour {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("the quick shop's calls took %v beside five slow shops", took)
		}
		d.mu.Lock()
		if d.running["slow0"] > 8 {
			t.Errorf("one slow shop has %d of %d workers", d.running["slow0"], workers)
		}
		d.mu.Unlock()
		time.Sleep(9 * time.Second) // time-outs; each slow shop is now tried with one request at a time
		d.mu.Lock()
		defer d.mu.Unlock()
		for shop, n := range d.running {
			if n > 8 {
				t.Errorf("%s has %d requests running", shop, n)
			}
		}
	})
}

func TestOneShopHasAtMostItsShareOfWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Idempotent)
		d.do = func(context.Context, Attempt, int) error { time.Sleep(time.Second); return nil }
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		for i := range 100 {
			s.store(textCall(fmt.Sprint(i), "acme", "x", fmt.Sprint(i)))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if d.most != 8 || len(d.requests()) != 100 {
			t.Errorf("%d at once, %d in all, want 8 and 100", d.most, len(d.requests()))
		}
	})
}

func TestLimitIsSharedByOwnedPartitions(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, d := newStage(t), newDestination(Idempotent)
				d.limit = Limit{Requests: 40, Window: 20 * time.Second, Burst: 8}
				defer begin(t, s, func(c *Config) { c.Partitions = partitions }, map[string]Destination{"x": d})()
				for i := range 400 {
					s.store(textCall(fmt.Sprint(i), "acme", "x", fmt.Sprint(i)))
				}
				// Another shop has a limit of its own.
				s.store(textCall("other", "other", "x", "other"))
				time.Sleep(20 * time.Second)
				synctest.Wait()
				want := 40/partitions + 8/partitions
				if n := len(d.requests()) - 1; n < want-2 || n > want {
					t.Errorf("%d requests in 20 s, want about %d", n, want)
				}
				if did, _ := d.count("other"); did != 1 {
					t.Error("another shop waited")
				}
			})
		})
	}
}

func TestTooManyRequestsStopsTheShopForAsLongAsItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Idempotent)
		d.do = func(_ context.Context, a Attempt, try int) error {
			if a.Record.GetShop() == "acme" && a.CallID == "1" && try == 1 {
				return &Error{Kind: Limited, RetryAfter: 30 * time.Second}
			}
			return nil
		}
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		begun := time.Now()
		s.store(textCall("1", "acme", "x", "1"))
		synctest.Wait()
		s.store(textCall("2", "acme", "x", "2"), textCall("3", "other", "x", "3"))
		time.Sleep(29 * time.Second)
		if did, _ := d.count("2"); did != 0 {
			t.Error("the shop was asked while it was limited")
		}
		if did, _ := d.count("3"); did != 1 {
			t.Error("another shop waited")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for _, id := range []string{"1", "2"} {
			if s.outcome(id).GetStatus() != doneStatus {
				t.Errorf("call %s after %v: %v", id, time.Since(begun), s.outcome(id))
			}
		}
	})
}

func TestARefusedTokenIsTriedSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Idempotent)
		good := false
		d.do = func(context.Context, Attempt, int) error {
			if good {
				return nil
			}
			return &Error{Kind: Unauthorized, Code: "401"}
		}
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		for i := range 5 {
			s.store(textCall(fmt.Sprint(i), "acme", "x", fmt.Sprint(i)))
			synctest.Wait()
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := len(d.requests()); n > 10*8+8 {
			t.Errorf("%d requests in 10 minutes with a refused token", n)
		}
		d.mu.Lock()
		good = true
		d.mu.Unlock()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for i := range 5 {
			if s.outcome(fmt.Sprint(i)).GetStatus() != doneStatus {
				t.Errorf("call %d: %v", i, s.outcome(fmt.Sprint(i)))
			}
		}
	})
}

func TestBreakerLeavesAFailingShopAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Idempotent)
		down := true
		d.do = func(_ context.Context, a Attempt, _ int) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			if down && a.Record.GetShop() == "acme" {
				return &Error{Kind: Retryable, Code: "503"}
			}
			return nil
		}
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		for i := range 200 {
			s.store(textCall(fmt.Sprint(i), "acme", "x", fmt.Sprint(i)))
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		d.mu.Lock()
		n := len(d.order)
		down = false
		d.mu.Unlock()
		if n > 16+2*60 {
			t.Errorf("%d requests in 10 minutes to a desk that is down", n)
		}
		s.store(textCall("other", "other", "x", "other"))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if s.outcome("other").GetStatus() != doneStatus {
			t.Error("another shop waited")
		}
		for i := range 200 {
			if s.outcome(fmt.Sprint(i)).GetStatus() != doneStatus {
				t.Fatalf("call %d did not end two minutes after the desk was back", i)
			}
		}
	})
}

func TestCallsWithLittleTimeGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Idempotent)
		d.limit = Limit{Requests: 1, Window: time.Second, Burst: 1}
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		for i := range 1000 {
			s.store(textCall(fmt.Sprint(i), "acme", "x", fmt.Sprint(i)))
		}
		soon := textCall("stop", "acme", "x", "keyword")
		soon.Call.GiveUpAt = soon.Call.Created.Add(5 * time.Minute)
		time.Sleep(3 * time.Second)
		s.store(soon)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if s.outcome("stop").GetStatus() != doneStatus {
			t.Errorf("a call with five minutes waits behind a thousand others: %v", s.outcome("stop"))
		}
	})
}

func TestRevokedStartsNothingAndLetsTheRestFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Idempotent)
		d.do = func(context.Context, Attempt, int) error { time.Sleep(8 * time.Second); return nil }
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		s.store(textCall("1", "acme", "x", "a"), textCall("2", "acme", "x", "a"))
		time.Sleep(time.Second)
		begun := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.k.Revoked(ctx, 0)
		if took := time.Since(begun); took != 5*time.Second {
			t.Errorf("waited %v for a request that runs on", took)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if s.outcome("1").GetStatus() != doneStatus {
			t.Errorf("the running request's result was not posted: %v", s.outcome("1"))
		}
		if did, _ := d.count("2"); did != 0 {
			t.Error("a request started after the partition was revoked")
		}
		begun = time.Now()
		s.k.Revoked(context.Background(), 0)
		if time.Since(begun) != 0 {
			t.Error("revoking what is not owned waits")
		}
	})
}

func TestComingBackDoesNotDoubleWhatStillRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Queryable)
		d.do = func(context.Context, Attempt, int) error { time.Sleep(9 * time.Second); return nil }
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		s.store(textCall("1", "acme", "x", "a"))
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.k.Revoked(ctx, 0)
		s.mu.Lock()
		inherited := s.stored
		s.mu.Unlock()
		s.k.Assigned(0, s, inherited)
		time.Sleep(time.Minute)
		synctest.Wait()
		if did, _ := d.count("1"); did != 1 || len(s.results) != 1 {
			t.Errorf("made %d times, %d results", did, len(s.results))
		}
	})
}

func TestCloseGivesUpWhatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Blind)
		d.do = func(ctx context.Context, _ Attempt, _ int) error { <-ctx.Done(); return ctx.Err() }
		end := begin(t, s, nil, map[string]Destination{"x": d})
		s.store(textCall("1", "acme", "x", "a"))
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		begun := time.Now()
		if err := s.k.Close(ctx); err == nil || time.Since(begun) != 3*time.Second {
			t.Errorf("Close: %v after %v", err, time.Since(begun))
		}
		end()
	})
}

func TestNoGoroutinePerWaitingCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Idempotent)
		defer begin(t, s, func(c *Config) { c.Held = 100_000 }, map[string]Destination{"x": d})()
		for i := range 20_000 {
			id := fmt.Sprint(i)
			s.say(id, Release{Verdict: Wait})
			s.store(textCall(id, fmt.Sprint("shop", i%100), "x", id))
		}
		synctest.Wait()
		s.k.mu.Lock()
		running, accounts := s.k.running, len(s.k.accounts)
		s.k.mu.Unlock()
		if running != 0 || accounts != 100 {
			t.Errorf("%d requests run for calls that wait, %d accounts", running, accounts)
		}
		s.mu.Lock()
		all := s.stored
		s.stored = nil
		s.mu.Unlock()
		s.k.Committed(0, nil, all)
		synctest.Wait()
		s.k.mu.Lock()
		defer s.k.mu.Unlock()
		if p := s.k.partitions[0]; len(p.lanes)+len(p.calls)+len(p.waiting)+len(s.k.timeline)+len(s.k.accounts) != 0 {
			t.Errorf("left over: %d lanes, %d calls, %d waiting, %d timed, %d accounts",
				len(p.lanes), len(p.calls), len(p.waiting), len(s.k.timeline), len(s.k.accounts))
		}
	})
}

// patient is a destination with a time-out of its own.
type patient struct{ *destination }

func (patient) RequestTimeout(*settings.Shop) time.Duration { return time.Minute }

func TestPatientDestinationsHaveLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Blind)
		d.do = func(ctx context.Context, _ Attempt, _ int) error {
			select {
			case <-time.After(50 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		defer begin(t, s, nil, map[string]Destination{"x": patient{d}})()
		s.store(textCall("1", "acme", "x", "a"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if o := s.outcome("1"); o.GetStatus() != doneStatus {
			t.Errorf("outcome %v", o)
		}
	})
}

func TestAnswersThatFitNoRecord(t *testing.T) {
	large := string(bytes.Repeat([]byte("x"), 300<<10))
	o := &handoffv1.Outcome{Status: doneStatus}
	for i := range 8 {
		o.Items = append(o.Items, &handoffv1.DeskItem{Cursor: fmt.Sprint(i), Reply: large})
	}
	fit(o)
	if len(o.Items) != 2 || !o.MoreItems || o.Items[1].GetCursor() != "1" {
		t.Errorf("%d items, more %v", len(o.Items), o.MoreItems)
	}
	one := &handoffv1.Outcome{Status: doneStatus, BotReply: &handoffv1.BotReply{Text: large + large + large + large}}
	fit(one)
	if one.GetStatus() != failed || one.GetBotReply() != nil {
		t.Errorf("status %v", one.GetStatus())
	}
	small := &handoffv1.Outcome{Status: doneStatus, Items: []*handoffv1.DeskItem{{Reply: "hi"}}}
	fit(small)
	if len(small.Items) != 1 || small.MoreItems {
		t.Error("a small answer was cut")
	}
}

// turncoat is a gate that changes its mind between two questions.
type turncoat struct {
	*stage
	after int
}

func (g *turncoat) Release(r pipeline.Reader, pc pipeline.PendingCall, now time.Time) (Release, error) {
	rel, err := g.stage.Release(r, pc, now)
	if g.askedFor(pc.Call.ID) > g.after {
		rel.Verdict, rel.Reason = Refuse, handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT
	}
	return rel, err
}

func TestATextStartsOnTheGatesLastWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Idempotent)
		defer begin(t, s, func(c *Config) { c.Gate = &turncoat{stage: s, after: 1} }, map[string]Destination{"x": d})()
		s.store(textCall("1", "acme", "x", "a"))
		synctest.Wait()
		if did, _ := d.count("1"); did != 0 || s.outcome("1").GetStatus() != refused {
			t.Errorf("made %d times, %v", did, s.outcome("1"))
		}
	})
}

// TestFailuresOfADeskAreTold: deliver hears once that the calls of a lane fail, of lanes too that are not tried
// because the destination fails, again when a call joins them, and not of other destinations.
func TestFailuresOfADeskAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, desk, texts := newStage(t), newDestination(Idempotent), newDestination(Idempotent)
		var up atomic.Bool
		fail := func(context.Context, Attempt, int) error {
			if !up.Load() {
				return &Error{Kind: Retryable, Code: "503", Meaning: "busy"}
			}
			return nil
		}
		desk.do, texts.do = fail, fail
		defer begin(t, s, func(c *Config) { c.TellFailing = []string{"desk"} }, map[string]Destination{"desk": desk, "texts": texts})()
		s.store(textCall("text", "acme", "texts", "text"))
		for i := range 50 {
			id := fmt.Sprint(i)
			s.store(textCall(id, "acme", "desk", id))
		}
		s.store(textCall("behind", "acme", "desk", "7"))
		time.Sleep(15 * time.Second) // longer than the breaker leaves it alone
		told := map[string]int{}
		for _, f := range s.failing() {
			for _, id := range f.GetCallIds() {
				told[id]++
			}
			if f.GetMeaning() == "" {
				t.Errorf("%v: no reason", f)
			}
		}
		for i := range 50 {
			// Again where another call had joined its lane meanwhile.
			if id := fmt.Sprint(i); told[id] != 1 && (id != "7" || told[id] != 2) {
				t.Errorf("call %s was told of %d times", id, told[id])
			}
		}
		if told["behind"] != 1 || told["text"] != 0 {
			t.Errorf("told of %v", told)
		}
		// What joins a lane that was told of is told of too.
		before := len(s.failing())
		s.store(textCall("later", "acme", "desk", "7"))
		time.Sleep(time.Minute)
		if all := s.failing(); len(all) != before+1 || !slices.Equal(all[before].GetCallIds(), []string{"7", "behind", "later"}) {
			t.Errorf("told %d times after %d, the last of %v", len(all), before, all[len(all)-1].GetCallIds())
		}
		up.Store(true)
		time.Sleep(10 * time.Minute)
		if s.outcome("later") == nil || s.outcome("49") == nil {
			t.Error("not all calls were made")
		}
	})
}

// TestARefusedTokenIsTold: a token that the desk revoked is an outage like another (H11).
func TestARefusedTokenIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, desk := newStage(t), newDestination(Idempotent)
		desk.do = func(context.Context, Attempt, int) error {
			return &Error{Kind: Unauthorized, Code: "401", Meaning: "the token is refused"}
		}
		defer begin(t, s, func(c *Config) { c.TellFailing = []string{"desk"} }, map[string]Destination{"desk": desk})()
		for i := range 3 {
			s.store(textCall(fmt.Sprint(i), "acme", "desk", fmt.Sprint(i)))
		}
		time.Sleep(30 * time.Second)
		// Who waits while the desk is left alone is told of as well, with no answer of its own.
		refused := func(f *handoffv1.DeskFailing) bool { return f.GetCode() == "401" }
		if all := s.failing(); len(all) != 3 || !slices.ContainsFunc(all, refused) {
			t.Errorf("told of %v", all)
		}
	})
}
