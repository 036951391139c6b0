package caller

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
)

// tried is a call that is tried for ten seconds, made an hour ago by a stage that was down since.
func tried(id string) pipeline.PendingCall {
	pc := textCall(id, "acme", "x", id)
	pc.Call.Created, pc.Call.GiveUpAt, pc.Call.TryFor = time.Now().Add(-time.Hour), time.Now().Add(23*time.Hour), 10*time.Second
	return pc
}

func TestTriedForAWhileFromTheFirstTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Idempotent)
		d.do = func(ctx context.Context, a Attempt, _ int) error {
			if a.CallID == "silent" {
				<-ctx.Done()
				return &Error{Kind: Retryable, Meaning: "no answer"}
			}
			time.Sleep(9 * time.Second)
			return nil
		}
		defer begin(t, s, func(c *Config) { c.RequestTimeout = time.Minute }, map[string]Destination{"x": d})()
		began := time.Now()
		s.store(tried("answers"), tried("silent"))
		for s.outcome("silent") == nil && time.Since(began) < time.Hour {
			time.Sleep(10 * time.Millisecond)
		}
		if got := s.outcome("answers").GetStatus(); got != doneStatus {
			t.Errorf("answered after nine seconds: %v", got)
		}
		if took := time.Since(began).Round(100 * time.Millisecond); s.outcome("silent").GetStatus() != expired || took != 10*time.Second {
			t.Errorf("a silent one is %v after %v", s.outcome("silent"), took)
		}
	})
}

// TestTriedForAWhileThoughNothingIsAnswered: calls end in time while their destination is left alone, and though one
// request at a time is made of a failing one.
func TestTriedForAWhileThoughNothingIsAnswered(t *testing.T) {
	for name, fail := range map[string]func(context.Context) error{
		"down":    func(context.Context) error { return &Error{Kind: Retryable, Code: "503", Meaning: "down"} },
		"hanging": func(ctx context.Context) error { <-ctx.Done(); return &Error{Kind: Retryable, Meaning: "no answer"} },
		"limits": func(context.Context) error {
			return &Error{Kind: Limited, Code: "429", Meaning: "too many", RetryAfter: 15 * time.Minute}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, d := newStage(t), newDestination(Idempotent)
				d.do = func(ctx context.Context, _ Attempt, _ int) error { return fail(ctx) }
				defer begin(t, s, func(c *Config) { c.RequestTimeout, c.BreakerFor = time.Minute, 5*time.Minute }, map[string]Destination{"x": d})()
				s.store(tried("first"))
				time.Sleep(11 * time.Second) // it fails from now on
				began := time.Now()
				for i := range 50 {
					s.store(tried(fmt.Sprint(i)))
				}
				for s.outcome("49") == nil && time.Since(began) < time.Hour {
					time.Sleep(10 * time.Millisecond)
				}
				if took := time.Since(began); took > 12*time.Second {
					t.Errorf("the last of them ended after %v", took)
				}
				if got := s.outcome("49").GetStatus(); got != expired {
					t.Errorf("it ended as %v", got)
				}
			})
		})
	}
}

// TestPassesWhatWaitsForItsTime: a call that passes others leaves before those of its lane that wait, in the order of
// its like, and behind none that is under way.
func TestPassesWhatWaitsForItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Idempotent)
		d.do = func(context.Context, Attempt, int) error { time.Sleep(time.Second); return nil }
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		call := func(id string, after time.Duration, passes bool) pipeline.PendingCall {
			pc := textCall(id, "acme", "x", "lane")
			if after > 0 {
				pc.Call.NotBefore = time.Now().Add(after)
				s.say(id, Release{Verdict: Wait, Until: pc.Call.NotBefore})
				time.AfterFunc(after, func() { s.say(id, Release{}) })
			}
			pc.Call.Passes = passes
			return pc
		}
		s.store(call("bot1", 0, false))
		time.Sleep(time.Millisecond)
		s.store(call("bot2", time.Minute, false), call("bot3", 0, false), call("agent1", 0, true), call("agent2", 0, true))
		time.Sleep(30 * time.Second)
		s.store(call("agent3", 0, true))
		time.Sleep(time.Minute)
		synctest.Wait()
		if got, want := fmt.Sprint(d.requests()), "[bot1 agent1 agent2 agent3 bot2 bot3]"; got != want {
			t.Errorf("they left as %s, want %s", got, want)
		}
	})
}
