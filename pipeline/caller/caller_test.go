package caller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

const (
	doneStatus = handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE
	failed     = handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED
	refused    = handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED
	expired    = handoffv1.OutcomeStatus_OUTCOME_STATUS_EXPIRED
	unknownEnd = handoffv1.OutcomeStatus_OUTCOME_STATUS_UNKNOWN
)

func TestConfigSaysWhatItNeeds(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("New succeeded without a gate")
	}
}

func TestLaneKeepsItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Idempotent)
		d.do = func(_ context.Context, a Attempt, try int) error {
			if a.CallID == "a2" && try < 3 {
				return &Error{Kind: Retryable, Meaning: "busy"}
			}
			return nil
		}
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		for i := 1; i <= 4; i++ {
			s.store(textCall(fmt.Sprint("a", i), "acme", "x", "a"), textCall(fmt.Sprint("b", i), "acme", "x", "b"))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, lane := range []string{"a", "b"} {
			var order []string
			for _, id := range d.requests() {
				if strings.HasPrefix(id, lane) && !slices.Contains(order, id) {
					order = append(order, id)
				}
			}
			if got := strings.Join(order, " "); got != fmt.Sprintf("%[1]s1 %[1]s2 %[1]s3 %[1]s4", lane) {
				t.Errorf("lane %s ran in the order %s", lane, got)
			}
		}
		if all := d.requests(); all[len(all)-1] != "a4" {
			t.Errorf("lane b waited for lane a: %v", d.requests())
		}
		if s.outcome("a2").GetStatus() != doneStatus {
			t.Errorf("a2 ended as %v", s.outcome("a2"))
		}
	})
}

func TestLaneGoesOnOnlyAfterTheCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Idempotent)
		s.keep = true
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		s.store(textCall("1", "acme", "x", "a"), textCall("2", "acme", "x", "a"))
		time.Sleep(time.Hour)
		synctest.Wait()
		if did, _ := d.count("1"); did != 1 {
			t.Errorf("the first call was made %d times", did)
		}
		if did, _ := d.count("2"); did != 0 {
			t.Error("the second call started before the first one's end was committed")
		}
		s.set(func() { s.keep = false })
		s.k.Committed(0, nil, ended("1"))
		synctest.Wait()
		if did, _ := d.count("2"); did != 1 {
			t.Errorf("the second call was made %d times", did)
		}
	})
}

func TestGateIsAskedAndObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Idempotent)
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		now := time.Now()
		s.say("no", Release{Verdict: Refuse, Reason: handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT, Meaning: "opted out", ConsentVersion: 7})
		s.say("late", Release{Verdict: Refuse, Expired: true, Reason: handoffv1.BlockReason_BLOCK_REASON_EXPIRED})
		s.say("soon", Release{Verdict: Wait, Until: now.Add(time.Minute)})
		s.say("shut", Release{Verdict: Wait})
		for _, id := range []string{"no", "late", "soon", "shut"} {
			s.store(textCall(id, "acme", "x", id))
		}
		synctest.Wait()
		if o := s.outcome("no"); o.GetStatus() != refused || o.GetBlockReason() != handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT || o.GetMeaning() != "opted out" {
			t.Errorf("refused: %v", o)
		}
		if o := s.outcome("late"); o.GetStatus() != expired {
			t.Errorf("expired: %v", o)
		}
		time.Sleep(59 * time.Second)
		s.say("soon", Release{})
		time.Sleep(time.Second)
		synctest.Wait()
		if did, _ := d.count("soon"); did != 1 {
			t.Errorf("made %d times at its time", did)
		}
		asked := s.askedFor("shut")
		time.Sleep(time.Hour)
		if n := s.askedFor("shut") - asked; n > 120 {
			t.Errorf("asked %d times in an hour without a commit", n)
		}
		s.say("shut", Release{})
		s.k.Committed(0, nil, nil)
		time.Sleep(recheckEvery)
		synctest.Wait()
		if did, _ := d.count("shut"); did != 1 {
			t.Errorf("made %d times after the commit", did)
		}
		again := textCall("again", "acme", "x", "again")
		s.say("again", Release{Verdict: Wait})
		s.store(again)
		time.Sleep(time.Second)
		s.say("again", Release{})
		s.k.Committed(0, []pipeline.PendingCall{again}, nil)
		synctest.Wait()
		if did, _ := d.count("again"); did != 1 {
			t.Errorf("made %d times after it was stored again", did)
		}
	})
}

func TestWaitingCallsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Idempotent)
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		s.say("shut", Release{Verdict: Wait, Reason: handoffv1.BlockReason_BLOCK_REASON_GATE_SHUT, Meaning: "shut"})
		s.store(textCall("shut", "acme", "x", "a"))
		time.Sleep(24*time.Hour + time.Second)
		synctest.Wait()
		if o := s.outcome("shut"); o.GetStatus() != expired || o.GetBlockReason() != handoffv1.BlockReason_BLOCK_REASON_GATE_SHUT {
			t.Errorf("ended as %v", o)
		}
	})
}

func TestTextsWaitWhileUnreadRecordsAreOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Idempotent)
		s.behind = 2001 * time.Millisecond
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		s.store(textCall("1", "acme", "x", "a"))
		time.Sleep(time.Minute)
		if did, _ := d.count("1"); did != 0 {
			t.Error("a text left while unread records were older than 2 s")
		}
		s.set(func() { s.behind = 2 * time.Second })
		time.Sleep(behindAgain)
		synctest.Wait()
		if did, _ := d.count("1"); did != 1 {
			t.Errorf("made %d times afterwards", did)
		}
	})
}

func TestNothingStartsWithoutLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Queryable)
		s.noLease = true
		s.stored = append(s.stored, textCall("old", "acme", "x", "old"))
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		s.store(textCall("1", "acme", "x", "a"))
		time.Sleep(time.Hour)
		if len(d.requests()) != 0 || len(d.lookedUp()) != 0 {
			t.Error("a request started without a lease")
		}
		s.set(func() { s.noLease = false })
		time.Sleep(time.Minute)
		if did, _ := d.count("1"); did != 1 {
			t.Errorf("made %d times afterwards", did)
		}
	})
}

func TestQueryableLooksUpBeforeASecondTry(t *testing.T) {
	for _, arrived := range []string{"arrived", ""} {
		synctest.Test(t, func(t *testing.T) {
			s, d := newStage(t), newDestination(Queryable)
			d.do = func(_ context.Context, _ Attempt, try int) error {
				if try == 1 {
					return &Error{Kind: Ambiguous, Code: arrived, Meaning: "time-out"}
				}
				return nil
			}
			defer begin(t, s, nil, map[string]Destination{"x": d})()
			begun := time.Now()
			s.say("1", Release{ConsentVersion: 4})
			s.store(textCall("1", "acme", "x", "a"))
			time.Sleep(time.Minute)
			synctest.Wait()
			if _, n := d.count("1"); n != 1 {
				t.Errorf("arrived %d times", n)
			}
			if len(d.lookedUp()) != 1 || d.lookedUp()[0].Sub(begun) < 5*time.Second {
				t.Errorf("looked up %d times", len(d.lookedUp()))
			}
			if o := s.outcome("1"); o.GetStatus() != doneStatus || o.GetFound() != (arrived != "") || o.GetConsentVersion() != 4 {
				t.Errorf("outcome %v", o)
			}
		})
	}
}

func TestARefusalDoesNotHideAnEarlierAttempt(t *testing.T) {
	for _, retry := range []Retry{Queryable, Idempotent} {
		synctest.Test(t, func(t *testing.T) {
			s, d := newStage(t), newDestination(retry)
			d.do = func(context.Context, Attempt, int) error {
				s.say("1", Release{Verdict: Refuse, Reason: handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT, ConsentVersion: 2})
				return &Error{Kind: Ambiguous, Code: "arrived"}
			}
			defer begin(t, s, nil, map[string]Destination{"x": d})()
			s.say("1", Release{ConsentVersion: 1})
			s.store(textCall("1", "acme", "x", "a"))
			time.Sleep(time.Minute)
			synctest.Wait()
			if o := s.outcome("1"); o.GetStatus() != doneStatus || o.GetConsentVersion() != 1 {
				t.Errorf("outcome %v, want done under what the gate read then", o)
			}
		})
	}
}

func TestIdempotentIsRepeatedWithinItsKeysLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Idempotent)
		d.keyLife = 2 * time.Hour
		begun := time.Now()
		d.do = func(context.Context, Attempt, int) error {
			if time.Since(begun) < 3*time.Hour {
				return &Error{Kind: Ambiguous, Meaning: "5xx"}
			}
			return nil
		}
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		s.store(textCall("1", "acme", "x", "a"))
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		if len(d.lookedUp()) == 0 || d.lookedUp()[0].Sub(begun) < 119*time.Minute {
			t.Errorf("looked up %d times, want none before two hours", len(d.lookedUp()))
		}
		// Each request beyond the key's life has a look-up before it.
		late := 0
		for _, at := range d.at {
			if at.Sub(begun) > 2*time.Hour {
				late++
			}
		}
		if late == 0 || len(d.lookedUp()) < late {
			t.Errorf("%d late requests, %d look-ups", late, len(d.lookedUp()))
		}
		if o := s.outcome("1"); o.GetStatus() != doneStatus {
			t.Errorf("outcome %v", o)
		}
	})
}

func TestBlindStartsOnlyAfterItsStartIsCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Blind)
		s.deaf = true
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		s.store(textCall("1", "acme", "x", "a"))
		time.Sleep(time.Second)
		if len(s.announced()) != 1 || s.announced()[0].GetAttempt() != 1 || len(d.requests()) != 0 {
			t.Fatalf("%d starts posted, %d requests, want 1 and 0", len(s.announced()), len(d.requests()))
		}
		s.set(func() { s.deaf = false })
		s.commit(&handoffv1.Record{Body: &handoffv1.Record_AttemptStarted{AttemptStarted: s.announced()[0]}})
		synctest.Wait()
		if did, _ := d.count("1"); did != 1 || s.outcome("1").GetStatus() != doneStatus {
			t.Errorf("made %d times, %v", did, s.outcome("1"))
		}
	})
}

func TestBlindIsStoppedByAStopDuringItsCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Blind)
		s.deaf = true
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		s.store(textCall("1", "acme", "x", "a"))
		synctest.Wait()
		s.say("1", Release{Verdict: Refuse, Reason: handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT})
		s.set(func() { s.deaf = false })
		s.commit(&handoffv1.Record{Body: &handoffv1.Record_AttemptStarted{AttemptStarted: s.announced()[0]}})
		synctest.Wait()
		if len(d.requests()) != 0 || s.outcome("1").GetStatus() != refused {
			t.Errorf("%d requests, %v", len(d.requests()), s.outcome("1"))
		}
	})
}

func TestBlindIsNeverRepeatedWhenUnanswered(t *testing.T) {
	tests := []struct {
		name  string
		kinds []ErrorKind
		want  handoffv1.OutcomeStatus
		did   int
	}{
		{"unanswered", []ErrorKind{Ambiguous}, unknownEnd, 1},
		{"certainly not arrived, then answered", []ErrorKind{Retryable, Limited}, doneStatus, 3},
		{"certainly not arrived, then unanswered", []ErrorKind{Retryable, Ambiguous}, unknownEnd, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, d := newStage(t), newDestination(Blind)
				d.do = func(_ context.Context, _ Attempt, try int) error {
					if try <= len(tt.kinds) {
						return &Error{Kind: tt.kinds[try-1]}
					}
					return nil
				}
				defer begin(t, s, nil, map[string]Destination{"x": d})()
				s.store(textCall("1", "acme", "x", "a"))
				time.Sleep(time.Hour)
				synctest.Wait()
				if did, _ := d.count("1"); did != tt.did || s.outcome("1").GetStatus() != tt.want {
					t.Errorf("made %d times, %v", did, s.outcome("1"))
				}
				if len(s.announced()) != tt.did {
					t.Errorf("%d starts posted for %d requests", len(s.announced()), tt.did)
				}
			})
		})
	}
}

func TestInheritedCalls(t *testing.T) {
	tests := []struct {
		name    string
		retry   Retry
		attempt uint32 // stored start of a blind attempt
		arrived bool
		want    handoffv1.OutcomeStatus
		did     int
		after   time.Duration // no end before
	}{
		{"queryable, arrived", Queryable, 0, true, doneStatus, 0, 15 * time.Second},
		{"queryable, not arrived", Queryable, 0, false, doneStatus, 1, 15 * time.Second},
		{"idempotent", Idempotent, 0, true, doneStatus, 1, 0},
		{"blind, never announced", Blind, 0, false, doneStatus, 1, 0},
		{"blind, announced", Blind, 2, false, unknownEnd, 0, 15 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, d := newStage(t), newDestination(tt.retry)
				old := textCall("old", "acme", "x", "a")
				old.Call.Attempt = tt.attempt
				if tt.attempt > 0 {
					old.Call.Incarnation = "zero/1"
				}
				s.stored = append(s.stored, old, textCall("next", "acme", "x", "a"))
				if tt.arrived {
					d.arrived["old"] = 1
				}
				defer begin(t, s, nil, map[string]Destination{"x": d})()
				if tt.after > 0 {
					time.Sleep(tt.after - time.Millisecond)
					synctest.Wait()
					if s.outcome("old") != nil || len(d.lookedUp()) != 0 {
						t.Error("told what came of it too soon")
					}
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if did, _ := d.count("old"); did != tt.did || s.outcome("old").GetStatus() != tt.want {
					t.Errorf("made %d times, %v", did, s.outcome("old"))
				}
				if did, _ := d.count("next"); did != 1 || len(d.lookedUp()) > 1 {
					t.Errorf("the next call, which nobody can have started, was made %d times after %d look-ups", did, len(d.lookedUp()))
				}
			})
		})
	}
}

func TestAStartOfAnotherProcessThatWeCommitWasNeverMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Blind)
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		// The other's word is in the log before ours.
		s.inbox <- &handoffv1.Record{Body: &handoffv1.Record_AttemptStarted{AttemptStarted: &handoffv1.AttemptStarted{CallId: "1", Attempt: 1, Incarnation: "zero/9"}}}
		s.store(textCall("1", "acme", "x", "a"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if did, _ := d.count("1"); did != 1 || s.outcome("1").GetStatus() != doneStatus {
			t.Errorf("made %d times, %v", did, s.outcome("1"))
		}
	})
}

func TestGivingUp(t *testing.T) {
	tests := []struct {
		name  string
		retry Retry
		err   *Error
		find  error
		want  handoffv1.OutcomeStatus
	}{
		{"down", Idempotent, &Error{Kind: Retryable, Code: "503", Meaning: "down"}, nil, expired},
		{"a revoked token is the desk's refusal", Idempotent, &Error{Kind: Unauthorized, Code: "401", Meaning: "token"}, nil, failed},
		{"unanswered and not to be asked", Queryable, &Error{Kind: Ambiguous}, errors.New("down"), unknownEnd},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, d := newStage(t), newDestination(tt.retry)
				d.do = func(context.Context, Attempt, int) error { return tt.err }
				if tt.find != nil {
					d.find = func(Attempt) error { return tt.find }
				}
				defer begin(t, s, nil, map[string]Destination{"x": d})()
				s.store(textCall("1", "acme", "x", "a"))
				time.Sleep(23 * time.Hour)
				if s.outcome("1") != nil {
					t.Fatalf("gave up early: %v", s.outcome("1"))
				}
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				if o := s.outcome("1"); o.GetStatus() != tt.want || o.GetCode() != tt.err.Code {
					t.Errorf("outcome %v, want %v", o, tt.want)
				}
			})
		})
	}
}

func TestPermanentFailuresCarryWhatTheProviderSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Queryable)
		d.do = func(context.Context, Attempt, int) error {
			return &Error{Kind: Permanent, Code: "21610", Meaning: "opted out", OptedOut: true, TicketGone: true}
		}
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		s.store(textCall("1", "acme", "x", "a"), textCall("2", "acme", "nowhere", "b"))
		synctest.Wait()
		if o := s.outcome("1"); o.GetStatus() != failed || o.GetCode() != "21610" || !o.GetProviderOptedOut() || !o.GetTicketGone() || o.GetStartedAt() == nil {
			t.Errorf("outcome %v", o)
		}
		if o := s.outcome("2"); o.GetStatus() != failed || !strings.Contains(o.GetMeaning(), "nowhere") {
			t.Errorf("of a destination that is not there: %v", o)
		}
	})
}

func TestPanicsAndTimeoutsAreUnansweredRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Blind)
		d.do = func(ctx context.Context, a Attempt, _ int) error {
			if a.CallID == "panics" {
				panic("a bug")
			}
			<-ctx.Done()
			return ctx.Err()
		}
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		begun := time.Now()
		s.store(textCall("panics", "acme", "x", "a"), textCall("hangs", "acme", "x", "b"))
		time.Sleep(11 * time.Second)
		synctest.Wait()
		for _, id := range []string{"panics", "hangs"} {
			if o := s.outcome(id); o.GetStatus() != unknownEnd {
				t.Errorf("%s: %v", id, o)
			}
		}
		if took := s.outcome("hangs").GetEndedAt().AsTime().Sub(begun); took != 10*time.Second {
			t.Errorf("hung for %v", took)
		}
	})
}

func TestResultsArePostedUntilAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Idempotent)
		s.postFail = 20
		defer begin(t, s, nil, map[string]Destination{"x": d})()
		s.store(textCall("1", "acme", "x", "a"))
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if did, _ := d.count("1"); did != 1 || s.outcome("1").GetStatus() != doneStatus {
			t.Errorf("made %d times, %v", did, s.outcome("1"))
		}
	})
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := newStage(t), newDestination(Idempotent)
		r := prometheus.NewRegistry()
		end := begin(t, s, func(c *Config) { c.Registerer = r }, map[string]Destination{"x": d})
		s.say("shut", Release{Verdict: Wait})
		s.store(textCall("shut", "acme", "x", "a"), textCall("2", "acme", "x", "b"))
		time.Sleep(time.Minute)
		synctest.Wait()
		for name, want := range map[string]float64{"handoff_calls_open": 1, "handoff_calls_held": 1, "handoff_calls_oldest_seconds": 60, "handoff_calls_outcomes_total": 1} {
			if got := value(t, r, name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		end()
		if left, err := r.Gather(); err != nil || len(left) != 0 {
			t.Errorf("metrics are left after Close: %v, %v", left, err)
		}
	})
}

// value sums a metric over its labels.
func value(t *testing.T, r *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
