package caller

import (
	"time"

	"github.com/handoff-dev/handoff/schemas/settings"
)

// AccountLimit is the limit of the slowest of a shop's accounts at a provider, else otherwise where none
// of them sets one. Its burst is a whole window's requests.
func AccountLimit(shop *settings.Shop, provider string, otherwise Limit) Limit {
	slowest, set := otherwise, false
	for _, a := range shop.Accounts {
		if a.Provider != provider || a.Limit.Requests <= 0 || a.Limit.Per <= 0 {
			continue
		}
		own := Limit{Requests: a.Limit.Requests, Window: a.Limit.Per, Burst: a.Limit.Requests}
		if !set || own.perSecond() < slowest.perSecond() {
			slowest, set = own, true
		}
	}
	return slowest
}

// DeskLimit is the limit set for a shop's help desk, over a second at least, else otherwise, also for
// no shop. Its burst is a whole window's requests.
func DeskLimit(shop *settings.Shop, otherwise Limit) Limit {
	if shop == nil || shop.Desk.Limit.Requests <= 0 {
		return otherwise
	}
	own := shop.Desk.Limit
	return Limit{Requests: own.Requests, Window: max(own.Per, time.Second), Burst: own.Requests}
}

func (l Limit) perSecond() float64 { return float64(l.Requests) / l.Window.Seconds() }
