package caller

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/handoff-dev/handoff/schemas"
)

// Poster puts records into mailboxes. Post returns when the record is acknowledged by all that must
// hold it, or with an error; it may be called again with the same record. It is safe for concurrent
// use and respects ctx.
type Poster interface {
	Post(ctx context.Context, topic string, key, value []byte) error
}

// Config of a Caller. Gate, Destinations, Poster, Partitions and Incarnation are needed; the rest has
// defaults.
type Config struct {
	// Gate is asked just before each request.
	Gate Gate
	// Destinations by the name that calls carry.
	Destinations map[string]Destination
	// Poster takes results and attempts to the stage's mailbox.
	Poster Poster
	// Topic of results; default deliver's mailbox.
	Topic string
	// TellFailing are the destinations whose failures deliver is told of while calls wait for them: help desks
	// (H11), and those of texts, which ask nothing before they have left (H2).
	TellFailing []string
	// Partitions of that topic: the owned share of them is the owned share of every limit.
	Partitions int
	// Incarnation names this process, and no earlier one: what another incarnation started this one
	// never continues.
	Incarnation string

	// RequestTimeout bounds each request and look-up; default 10 s.
	RequestTimeout time.Duration
	// Settle is how long after its time-out a request may still take effect at the other side. Nothing
	// is looked up sooner. Default 5 s.
	Settle time.Duration
	// BehindLimit: no text starts while the partition's oldest unread record is older. Default 2 s.
	BehindLimit time.Duration
	// BackoffFirst and BackoffMost bound the pause before a retry: it is drawn evenly between 0 and
	// BackoffFirst doubled with every failure, at most BackoffMost. Defaults 500 ms and 30 s.
	BackoffFirst, BackoffMost time.Duration
	// OutageRetry is the pause after a refused token; default 1 min.
	OutageRetry time.Duration
	// BreakerAfter failures in a row of one shop's destination it is left alone for BreakerFor, then
	// tried with one request. Defaults 5 and 10 s.
	BreakerAfter uint
	BreakerFor   time.Duration
	// Workers is how many requests run at once, those included whose result is being posted; PerShop how
	// many for one shop's destination, without those.
	// A failing shop gets one; when half of the workers are busy any shop gets at most two, when three
	// quarters are one, so that slow shops leave room for the others. Defaults 1024 and 8.
	Workers, PerShop int

	// Held is how many calls are held in memory before lanes that wait give theirs up, which are then read back
	// from the partition's state when the lane's turn comes; default 10,000.
	Held int

	// Log of outages; default slog.Default.
	Log *slog.Logger
	// Registerer of the metrics; nil registers none.
	Registerer prometheus.Registerer
	// Now is the wall clock; default time.Now. Waiting uses the process's timers.
	Now func() time.Time
	// Rand draws evenly from [0, 1) for the jitter; default math/rand.
	Rand func() float64
}

func (c *Config) complete() error {
	switch {
	case c.Gate == nil:
		return errors.New("caller: Config.Gate is needed")
	case c.Poster == nil:
		return errors.New("caller: Config.Poster is needed")
	case c.Partitions <= 0:
		return errors.New("caller: Config.Partitions must be the mailbox's partition count")
	case c.Incarnation == "":
		return errors.New("caller: Config.Incarnation is needed")
	}
	orElse(&c.Topic, schemas.TopicDeliver)
	orElse(&c.RequestTimeout, 10*time.Second)
	orElse(&c.Settle, 5*time.Second)
	orElse(&c.BehindLimit, 2*time.Second)
	orElse(&c.BackoffFirst, 500*time.Millisecond)
	orElse(&c.BackoffMost, 30*time.Second)
	orElse(&c.OutageRetry, time.Minute)
	orElse(&c.BreakerAfter, 5)
	orElse(&c.BreakerFor, 10*time.Second)
	orElse(&c.Workers, 1024)
	orElse(&c.PerShop, 8)
	orElse(&c.Held, 10_000)
	orElse(&c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	return nil
}

func orElse[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// backoff is the pause before the next try after a number of failures in a row: exponential with full
// jitter, so that calls that failed together do not come back together.
func (c *Config) backoff(failures int) time.Duration {
	most := c.BackoffMost
	if shift := max(failures-1, 0); shift < 30 {
		most = min(most, c.BackoffFirst<<shift)
	}
	return time.Duration(c.Rand() * float64(most))
}
