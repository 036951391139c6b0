package gateway

import (
	"context"
	"sync"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// Reader asks a shop's own classifier outside. Read returns within the time-out of the shop's settings whatever the
// classifier does, and says in the reading why there is none; nil where the shop has no such classifier. It is safe for
// concurrent use.
type Reader interface {
	Read(ctx context.Context, shop *settings.Shop, text string) *handoffv1.OutsideReading
}

// mostAsked is how many messages of one request are asked about at once, and at all: the rest of a large one is read
// by what ships, so that a request takes no longer than one answer.
const mostAsked = 16

// askReaders puts what the shop's own classifier says onto the messages of a request, before they are written: no
// stage may ask, and every later reader of the record finds the same.
func (g *Gateway) askReaders(ctx context.Context, x *exchange, postings []posting) {
	if g.cfg.Reader == nil || x.req.Shop.Classifier.Endpoint.URL == "" {
		return
	}
	var asked sync.WaitGroup
	n := 0
	for _, p := range postings {
		m := p.record.GetCustomerMessage()
		if m.GetText() == "" || n == mostAsked {
			continue
		}
		n++
		asked.Go(func() { m.OutsideReading = g.cfg.Reader.Read(ctx, x.req.Shop, m.GetText()) })
	}
	asked.Wait()
}
