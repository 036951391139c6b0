package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/demo"
	"github.com/handoff-dev/handoff/connectors/desktest/standin"
	"github.com/handoff-dev/handoff/schemas"
)

// talk is one conversation of one customer with one shop.
type talk struct {
	h        *house
	shop     *demo.Shop
	customer string
	// marker is in every text of it, so that its requests can be told from others.
	marker string
}

// patience with anything that a talk waits for.
const patience = 45 * time.Second

func (k *talk) say(ctx context.Context, text string) error {
	_, err := k.shop.Carrier.Text(ctx, k.customer, k.shop.Number, text)
	return err
}

// heard counts the texts at the customer's phone that hold the words.
func (k *talk) heard(words string) int {
	n := 0
	for _, t := range k.shop.Carrier.Texts(k.customer) {
		if strings.Contains(t.Body, words) {
			n++
		}
	}
	return n
}

// hears waits for a text that holds the words.
func (k *talk) hears(ctx context.Context, words string) error {
	return k.until(ctx, fmt.Sprintf("text %q", words), func() bool { return k.heard(words) > 0 })
}

func (k *talk) until(ctx context.Context, what string, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s waits for %s: %w", k.customer, what, ctx.Err())
		case <-time.After(20 * time.Millisecond): // polls an observable condition, bounded by ctx
		}
	}
	return nil
}

// tickets are the conversation's tickets.
func (k *talk) tickets() []standin.Ticket {
	var out []standin.Ticket
	for _, t := range k.shop.Desk.Tickets() {
		if ref, err := schemas.ParseExternalID(t.ExternalID); err == nil && ref.Key.Address == k.customer && ref.Key.Shop == k.shop.ID {
			out = append(out, t)
		}
	}
	return out
}

// entries counts the lines of a kind of its tickets that hold the words; every kind when empty.
func (k *talk) entries(kind, words string) int {
	n := 0
	for _, t := range k.tickets() {
		for _, e := range t.Thread {
			if (kind == "" || e.Kind == kind) && strings.Contains(e.Text, words) {
				n++
			}
		}
	}
	return n
}

// complain brings the conversation to the offer of a handoff.
func (k *talk) complain(ctx context.Context) error {
	if err := k.say(ctx, "I want to cancel my order "+k.marker); err != nil {
		return err
	}
	return k.hears(ctx, "connect you directly")
}

// accept brings it from the offer to the ticket.
func (k *talk) accept(ctx context.Context) error {
	if err := k.say(ctx, "yes"); err != nil {
		return err
	}
	return k.until(ctx, "a ticket", func() bool { return len(k.tickets()) > 0 })
}

// handOver brings it to a ticket, answered once.
func (k *talk) handOver(ctx context.Context) error {
	if err := k.complain(ctx); err != nil {
		return err
	}
	if err := k.accept(ctx); err != nil {
		return err
	}
	if err := k.reply("Hello, Kim here for " + k.marker); err != nil {
		return err
	}
	return k.hears(ctx, "Kim here for "+k.marker)
}

// reply lets an agent answer on its ticket.
func (k *talk) reply(text string) error {
	tickets := k.tickets()
	if len(tickets) == 0 {
		return errors.New(k.customer + " has no ticket to reply on")
	}
	_, err := k.shop.Desk.Act(standin.Action{Kind: "reply", Ticket: tickets[0].ID, Text: text})
	return err
}

// goesOn proves that the conversation is alive and in order: two replies arrive, the first one first.
func (k *talk) goesOn(ctx context.Context) error {
	first, second := "First, "+k.marker+" is settled.", "Then, "+k.marker+" is closed."
	for _, line := range []string{first, second} {
		if err := k.reply(line); err != nil {
			return err
		}
	}
	if err := k.hears(ctx, second); err != nil {
		return err
	}
	var order []string
	for _, t := range k.shop.Carrier.Texts(k.customer) {
		if t.Body == first || t.Body == second {
			order = append(order, t.Body)
		}
	}
	if len(order) != 2 || order[0] != first {
		return fmt.Errorf("%s got the replies as %q", k.customer, order)
	}
	return nil
}
