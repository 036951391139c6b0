// Package demo plays live traffic through a running development house: customers who text several
// shops through the providers' stand-ins, and agents who answer at the desks' stand-ins. It then
// balances the books: every inbound message must be in ClickHouse exactly once, and every confirmed
// handoff must have exactly one ticket.
package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
	"github.com/handoff-dev/handoff/schemas"
)

// Carrier is a channel's stand-in as customers see it.
type Carrier interface {
	// Text sends a customer's text to a shop's number through the gateway, and returns the provider's
	// id of it.
	Text(ctx context.Context, from, to, body string) (id string, err error)
	// Texts returns what the shop's texts to a customer were so far, in order.
	Texts(to string) []Received
}

// Received is one text as it reached a customer.
type Received struct {
	Body string
	At   time.Time
}

// Desk is a help desk's stand-in as agents see it.
type Desk interface {
	Tickets() []standin.Ticket
	Act(a standin.Action) (int64, error)
}

// Shop is one shop of the demo.
type Shop struct {
	ID      string
	Number  string
	Carrier Carrier
	Desk    Desk
	// Solved is the desk's word for a ticket that is done.
	Solved string
}

// errPatience ends a customer's wait for something that did not come in time.
var errPatience = errors.New("waited in vain")

// customer is one person in one conversation.
type customer struct {
	shop    *Shop
	address string
	log     *Ledger
	pace    time.Duration
	// patience with anything that is waited for.
	patience time.Duration
	// number of the conversation: it makes texts unlike each other.
	number int
	read   int       // texts read so far
	asked  time.Time // of the text whose answer is awaited; zero when none is
}

// say sends a text and records it.
func (c *customer) say(ctx context.Context, text string) error {
	c.asked = time.Now()
	id, err := c.shop.Carrier.Text(ctx, c.address, c.shop.Number, text)
	c.log.sent(c.shop.ID, id, err)
	if err != nil {
		return fmt.Errorf("%s texts %s: %w", c.address, c.shop.ID, err)
	}
	return nil
}

// hear waits for the next text that holds any of the words (any text when there are none), and returns
// it. Texts before it are passed over.
func (c *customer) hear(ctx context.Context, words ...string) (string, error) {
	var found string
	err := c.until(ctx, c.patience, func() bool {
		texts := c.shop.Carrier.Texts(c.address)
		for ; c.read < len(texts); c.read++ {
			if len(words) == 0 || holdsAny(texts[c.read].Body, words) {
				found = texts[c.read].Body
				if !c.asked.IsZero() {
					c.log.heard(texts[c.read].At.Sub(c.asked))
				}
				c.asked = time.Time{}
				c.read++
				return true
			}
		}
		return false
	})
	if err != nil {
		return "", fmt.Errorf("%s at %s waits for %q: %w", c.address, c.shop.ID, words, err)
	}
	return found, nil
}

// until polls a condition of the stand-ins.
func (c *customer) until(ctx context.Context, within time.Duration, done func() bool) error {
	limit := time.NewTimer(within)
	defer limit.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			return errPatience
		case <-tick.C:
		}
	}
	return nil
}

// pause is the time a person takes.
func (c *customer) pause(ctx context.Context, times int) error {
	return c.wait(ctx, time.Duration(times)*c.pace)
}

func holdsAny(text string, words []string) bool {
	for _, w := range words {
		if strings.Contains(strings.ToLower(text), strings.ToLower(w)) {
			return true
		}
	}
	return false
}

// ticket waits for this customer's open ticket at the desk.
func (c *customer) ticket(ctx context.Context) (standin.Ticket, error) {
	var found standin.Ticket
	err := c.until(ctx, c.patience, func() bool {
		for _, t := range c.shop.Desk.Tickets() {
			ref, err := schemas.ParseExternalID(t.ExternalID)
			if err == nil && ref.Key.Address == c.address && ref.Key.Shop == c.shop.ID {
				found = t
			}
		}
		return found.ID != 0
	})
	if err != nil {
		return found, fmt.Errorf("ticket of %s at %s: %w", c.address, c.shop.ID, err)
	}
	return found, nil
}

// agent acts on a ticket.
func (c *customer) agent(t standin.Ticket, kind, text string) error {
	c.asked = time.Time{} // what comes next is an agent's doing, not an answer to the last text
	a := standin.Action{Kind: kind, Ticket: t.ID, Text: text}
	if kind == "status" {
		a.Text, a.Status = "", text
	}
	if _, err := c.shop.Desk.Act(a); err != nil {
		return fmt.Errorf("agent of %s: %s on ticket %d: %w", c.shop.ID, kind, t.ID, err)
	}
	return nil
}

// Ledger is the demo's own account of what it did, against which the books are balanced.
type Ledger struct {
	mu       sync.Mutex
	messages map[string]map[string]bool // shop, provider's id of an acknowledged message
	failed   []error                    // texts that the gateway did not take
	// unanswered are texts of which the provider does not know whether the gateway took them.
	unanswered map[string]bool
	customers  []*customer
	answers    []time.Duration // from a customer's text to the answer at the phone
	trouble    []error         // scenes that did not go as they should
	scenes     map[string]int
}

func newLedger() *Ledger {
	return &Ledger{messages: map[string]map[string]bool{}, unanswered: map[string]bool{}, scenes: map[string]int{}}
}

// Trouble lists the conversations that did not go as planned.
func (l *Ledger) Trouble() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.trouble)
}

func (l *Ledger) sent(shop, id string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed = append(l.failed, err)
		l.unanswered[id] = true
		return
	}
	if l.messages[shop] == nil {
		l.messages[shop] = map[string]bool{}
	}
	l.messages[shop][id] = true
}

func (l *Ledger) heard(after time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after > 0 {
		l.answers = append(l.answers, after)
	}
}

func (l *Ledger) ended(scene string, c *customer, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.scenes[scene]++
	if err != nil {
		l.trouble = append(l.trouble, fmt.Errorf("%s at %s, conversation %d: %w", scene, c.shop.ID, c.number, err))
	}
}
