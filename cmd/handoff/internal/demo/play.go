package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Options of a play.
type Options struct {
	// Conversations to play.
	Conversations int
	// Spread is the time over which they begin.
	Spread time.Duration
	// Pace is a person's smallest pause; most are a few of it.
	Pace time.Duration
	// Patience is how long people wait for anything before they give up.
	Patience time.Duration
	// Seed of the choice of scenes: the same seed plays the same conversations.
	Seed uint64
	// Progress is called as conversations end; may be nil.
	Progress func(ended, all int)
}

// Play plays conversations at all shops and returns when the last has ended. The error is ctx's; what
// went wrong in single conversations is in the ledger.
func Play(ctx context.Context, shops []*Shop, opt Options) (*Ledger, error) {
	log := newLedger()
	all := weighted(scenes())
	random := rand.New(rand.NewPCG(opt.Seed, opt.Seed))
	var wg sync.WaitGroup
	var ended int
	var mu sync.Mutex
	for i := range opt.Conversations {
		sc, shop := all[i%len(all)], shops[random.IntN(len(shops))]
		begin := time.Duration(float64(opt.Spread) * float64(i) / float64(max(1, opt.Conversations)))
		c := &customer{shop: shop, address: fmt.Sprintf("+1415555%04d", i+1), log: log, pace: opt.Pace, patience: opt.Patience, number: i + 1}
		log.customers = append(log.customers, c)
		r := rand.New(rand.NewPCG(opt.Seed, uint64(i)+1))
		wg.Go(func() {
			if c.wait(ctx, begin) != nil {
				return
			}
			log.ended(sc.name, c, sc.play(ctx, c, r))
			mu.Lock()
			defer mu.Unlock()
			ended++
			if opt.Progress != nil {
				opt.Progress(ended, opt.Conversations)
			}
		})
	}
	wg.Wait()
	return log, ctx.Err()
}

// weighted lists every scene as often as its weight, evenly mixed.
func weighted(of []scene) []scene {
	var out []scene
	for round := 0; ; round++ {
		before := len(out)
		for _, s := range of {
			if round < s.weight {
				out = append(out, s)
			}
		}
		if len(out) == before {
			return out
		}
	}
}

// wait lets time pass.
func (c *customer) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
