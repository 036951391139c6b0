package caller

import (
	"slices"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"golang.org/x/time/rate"
)

// account is one shop's access to one destination: what is limited, fails and recovers together. The
// Caller's lock guards it, but for breaker and bucket, which guard themselves.
type account struct {
	destination, shop string
	breaker           circuitbreaker.CircuitBreaker[any]
	bucket            *rate.Limiter
	// of is the limit the bucket was made for, and share the owned share of it.
	of    Limit
	share float64
	// slower is what the destination's word made of the rate, 0.1 to 1: less after each "too many
	// requests", slowly more after each answer.
	slower float64
	// until is when the account may be asked again after it said so.
	until time.Time
	// soon and ready are the lanes whose head is due, those with little time first; queued is how many both are.
	soon, ready turns
	queued      int
	// tells: deliver is told of what fails.
	tells    bool
	inFlight int
	// claims are the started attempts that have not taken their token yet.
	claims int
	// failing since its last answer; refused: the shop's token was, since then.
	failing, refused bool
	// active: in the Caller's round of accounts. parked: in its list of accounts that wait for a time.
	active bool
	parked time.Time
	lanes  int
}

// probeAgain is when a half-open breaker, whose probe is running, is asked again.
const probeAgain = 250 * time.Millisecond

func (k *Caller) newAccount(destination, shop string) *account {
	return &account{
		destination: destination, shop: shop, slower: 1, tells: slices.Contains(k.cfg.TellFailing, destination),
		breaker: circuitbreaker.NewBuilder[any]().
			WithFailureThreshold(k.cfg.BreakerAfter).WithSuccessThreshold(1).WithDelay(k.cfg.BreakerFor).
			OnOpen(func(circuitbreaker.StateChangedEvent) {
				k.cfg.Log.Warn("destination fails again and again; leaving it alone for a while",
					"destination", destination, "shop", shop, "for", k.cfg.BreakerFor)
			}).
			OnClose(func(circuitbreaker.StateChangedEvent) {
				k.cfg.Log.Info("destination answers again", "destination", destination, "shop", shop)
			}).Build(),
	}
}

// out tells that the destination is known to answer nothing, or nothing to this shop.
func (a *account) out() bool { return a.refused || a.failing && !a.breaker.IsClosed() }

// closedUntil tells until when no request can start anyway; zero when one may, beside those that claim
// a token already.
func (a *account) closedUntil(now time.Time, claims int) time.Time {
	if a.until.After(now) {
		return a.until
	}
	if a.breaker.IsOpen() {
		if d := a.breaker.RemainingDelay(); d > 0 {
			return now.Add(d)
		}
	}
	if a.bucket != nil {
		if missing := float64(1+claims) - a.bucket.TokensAt(now); missing > 0 && a.bucket.Limit() > 0 {
			return now.Add(time.Millisecond + time.Duration(missing/float64(a.bucket.Limit())*float64(time.Second)))
		}
	}
	return time.Time{}
}

// acquire takes what a request needs: a token and the breaker's permit. Otherwise it tells when to try
// again. An acquired permit is given back by answered or failed.
func (a *account) acquire(now time.Time) (again time.Time, ok bool) {
	if until := a.closedUntil(now, 0); !until.IsZero() {
		return until, false
	}
	if !a.breaker.TryAcquirePermit() {
		return now.Add(max(a.breaker.RemainingDelay(), probeAgain)), false
	}
	if a.bucket != nil {
		a.bucket.AllowN(now, 1)
	}
	return time.Time{}, true
}

// limit makes the bucket follow the destination's limit and the owned share of it.
func (a *account) limit(l Limit, share float64, now time.Time) {
	if l == a.of && share == a.share {
		return
	}
	a.of, a.share = l, share
	if l.Requests <= 0 || l.Window <= 0 {
		a.bucket = nil
		return
	}
	burst := max(1, int(float64(max(l.Burst, 1))*share))
	if a.bucket == nil {
		a.bucket = rate.NewLimiter(a.rate(), burst)
		return
	}
	a.bucket.SetLimitAt(now, a.rate())
	a.bucket.SetBurstAt(now, burst)
}

func (a *account) rate() rate.Limit {
	return rate.Limit(float64(a.of.Requests) / a.of.Window.Seconds() * a.share * a.slower)
}

// limited notes that the destination said "too many requests".
func (a *account) limited(now, until time.Time) {
	if until.After(a.until) {
		a.until = until
	}
	a.slow(now, max(0.1, a.slower*0.7))
}

// failed notes a request that was not answered as it should.
func (a *account) failed() {
	a.breaker.RecordFailure()
	a.failing = true
}

// answered notes an answer that is none of too many requests.
func (a *account) answered(now time.Time) {
	a.breaker.RecordSuccess()
	a.failing, a.refused = false, false
	if a.slower < 1 {
		a.slow(now, min(1, a.slower+0.02))
	}
}

func (a *account) slow(now time.Time, factor float64) {
	a.slower = factor
	if a.bucket != nil {
		a.bucket.SetLimitAt(now, a.rate())
	}
}
