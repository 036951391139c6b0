package demo

import (
	"context"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/dev"
)

// HouseShops are the shops of a development house as people know them.
func HouseShops(o *dev.Outside) []*Shop {
	shop := func(id, number, solved string, desk Desk) *Shop {
		return &Shop{ID: id, Number: number, Carrier: carrier{o, number}, Desk: desk, Solved: solved}
	}
	return []*Shop{
		shop("acme", dev.AcmeNumber, "solved", o.Zendesk),
		shop("bloom", dev.BloomNumber, "closed", o.Gorgias),
		shop("cobalt", dev.CobaltNumber, "solved", o.Zendesk2),
	}
}

// carrier is the outside's channels as customers of one number know them.
type carrier struct {
	outside *dev.Outside
	number  string
}

// Text implements Carrier.
func (c carrier) Text(ctx context.Context, from, to, body string) (string, error) {
	return c.outside.Text(ctx, from, to, body)
}

// Texts implements Carrier.
func (c carrier) Texts(to string) []Received {
	texts := c.outside.TextsTo(to, c.number)
	out := make([]Received, len(texts))
	for i, t := range texts {
		out[i] = Received{Body: t.Body, At: t.At}
	}
	return out
}
