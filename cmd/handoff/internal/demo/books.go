package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/handoff-dev/handoff/schemas"
)

// Books compares what people did and saw with what ClickHouse says.
type Books struct {
	// Sent is the number of texts the gateway acknowledged; Counted those of them that ClickHouse has.
	Sent, Counted int
	// Handoffs is the number of confirmed episodes in ClickHouse, Tickets of tickets at the desks.
	Handoffs, Tickets int
	// Wrong lists everything that does not balance, in words.
	Wrong []string
}

// Balanced tells whether nothing is wrong.
func (b *Books) Balanced() bool { return len(b.Wrong) == 0 }

func (b *Books) wrong(format string, args ...any) {
	b.Wrong = append(b.Wrong, fmt.Sprintf(format, args...))
}

// Balance waits until ClickHouse has every message that was acknowledged, at most for the given time,
// and then compares everything. An error means that ClickHouse could not be asked.
func Balance(ctx context.Context, log *Ledger, shops []*Shop, ch driver.Conn, wait time.Duration) (*Books, error) {
	deadline := time.Now().Add(wait)
	for {
		b, err := balance(ctx, log, shops, ch)
		if err != nil || b.Balanced() || time.Now().After(deadline) {
			return b, err
		}
		select {
		case <-ctx.Done():
			return b, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func balance(ctx context.Context, log *Ledger, shops []*Shop, ch driver.Conn) (*Books, error) {
	b := &Books{}
	for _, check := range []func(context.Context, *Ledger, []*Shop, driver.Conn) error{b.messages, b.handoffs} {
		if err := check(ctx, log, shops, ch); err != nil {
			return nil, err
		}
	}
	b.phones(log, shops)
	return b, nil
}

// messages checks that every acknowledged text is in ClickHouse once, and nothing else is.
func (b *Books) messages(ctx context.Context, log *Ledger, _ []*Shop, ch driver.Conn) error {
	rows, err := ch.Query(ctx, `SELECT shop, native_id, count() FROM handoff.messages WHERE direction = 'in' GROUP BY shop, native_id`)
	if err != nil {
		return fmt.Errorf("count messages: %w", err)
	}
	defer rows.Close()
	log.mu.Lock()
	defer log.mu.Unlock()
	missing := map[string]map[string]bool{}
	for shop, ids := range log.messages {
		missing[shop] = map[string]bool{}
		for id := range ids {
			missing[shop][id] = true
			b.Sent++
		}
	}
	for rows.Next() {
		var shop, id string
		var n uint64
		if err := rows.Scan(&shop, &id, &n); err != nil {
			return fmt.Errorf("count messages: %w", err)
		}
		switch {
		case n != 1:
			b.wrong("message %s of %s is in ClickHouse %d times", id, shop, n)
		case !log.messages[shop][id] && !log.unanswered[id]:
			b.wrong("message %s of %s is in ClickHouse, but nobody sent it", id, shop)
		default:
			b.Counted++
		}
		delete(missing[shop], id)
	}
	for shop, ids := range missing {
		for id := range ids {
			b.wrong("message %s of %s is missing in ClickHouse", id, shop)
		}
	}
	return rows.Err()
}

// handoffs checks that every confirmed episode has exactly one ticket, and every ticket an episode.
func (b *Books) handoffs(ctx context.Context, _ *Ledger, shops []*Shop, ch driver.Conn) error {
	tickets := map[string]int{} // by shop and id
	for _, s := range shops {
		byExternal := map[string]int{}
		for _, t := range s.Desk.Tickets() {
			b.Tickets++
			tickets[fmt.Sprintf("%s/%d", s.ID, t.ID)]++
			if byExternal[t.ExternalID]++; byExternal[t.ExternalID] > 1 {
				b.wrong("%s has %d tickets for one episode, %s", s.ID, byExternal[t.ExternalID], t.ExternalID)
			}
		}
	}
	rows, err := ch.Query(ctx, `SELECT shop, address, conversation, episode, max(ticket_id), countIf(to_state = 'requested')
		FROM handoff.episode_events GROUP BY shop, address, conversation, episode HAVING countIf(to_state = 'requested') > 0`)
	if err != nil {
		return fmt.Errorf("count episodes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var shop, address, conversation, ticket string
		var episode, requested uint64
		if err := rows.Scan(&shop, &address, &conversation, &episode, &ticket, &requested); err != nil {
			return fmt.Errorf("count episodes: %w", err)
		}
		b.Handoffs++
		if requested != 1 {
			b.wrong("episode %d of %s at %s was requested %d times", episode, address, shop, requested)
		}
		if tickets[shop+"/"+ticket] == 0 {
			b.wrong("episode %d of %s at %s has no ticket (%q)", episode, address, shop, ticket)
		}
		tickets[shop+"/"+ticket]--
	}
	for name, left := range tickets {
		if left > 0 {
			b.wrong("ticket %s belongs to no confirmed episode", name)
		}
	}
	return rows.Err()
}

// phones checks what reached customers: nothing that must not, and no agent's line twice.
func (b *Books) phones(log *Ledger, shops []*Shop) {
	log.mu.Lock()
	customers := slices.Clone(log.customers)
	log.mu.Unlock()
	for _, c := range customers {
		seen := map[string]bool{}
		for _, t := range c.shop.Carrier.Texts(c.address) {
			if strings.Contains(t.Body, NotForTheCustomer) {
				b.wrong("%s got a text after opting out: %q", c.address, t.Body)
			}
			if strings.Contains(t.Body, "(#") && seen[t.Body] {
				b.wrong("%s got a text twice: %q", c.address, t.Body)
			}
			seen[t.Body] = true
		}
	}
	for _, s := range shops {
		for _, t := range s.Desk.Tickets() {
			if _, err := schemas.ParseExternalID(t.ExternalID); err != nil {
				b.wrong("ticket %d of %s: %v", t.ID, s.ID, err)
			}
		}
	}
}
