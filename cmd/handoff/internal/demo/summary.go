package demo

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// table is one block of the summary: a title, and a query whose columns are printed as they come.
type table struct {
	title string
	query string
}

// tables are what the summary asks ClickHouse.
func tables() []table {
	return []table{
		{"Messages", `SELECT shop, countIf(direction = 'in') AS texts_in, countIf(author = 'agent') AS by_agents, countIf(author = 'bot') AS by_bot, countIf(author = 'system') AS by_handoff
			FROM handoff.messages GROUP BY shop ORDER BY shop`},
		{"Escalations of the last 30 days, by shop", `SELECT shop, uniqExactIf((address, conversation, episode), to_state = 'requested') AS escalations, uniqExactIf((address, conversation), to_state = 'requested') AS conversations
			FROM handoff.episode_events WHERE time >= now() - INTERVAL 30 DAY GROUP BY shop ORDER BY shop`},
		{"Escalations by reason", `SELECT signal, intent, count() AS episodes FROM handoff.episode_events WHERE to_state = 'requested' GROUP BY signal, intent ORDER BY episodes DESC, signal, intent LIMIT 12`},
		{"Outcomes", `SELECT to_state AS outcome, count() AS episodes FROM handoff.episode_events WHERE to_state NOT IN ('offered', 'requested', 'open') GROUP BY outcome ORDER BY episodes DESC`},
		{"Blocked replies by reason", `SELECT block_reason, text_class, count() AS replies FROM handoff.deliveries WHERE block_reason != '' GROUP BY block_reason, text_class ORDER BY replies DESC`},
		{"Outside calls", `SELECT destination, action, status, count() AS calls, sum(attempts) AS attempts, sum(segments) AS segments FROM handoff.deliveries WHERE status != '' AND destination != '' GROUP BY destination, action, status ORDER BY destination, action, status`},
		{"Times, in seconds", `SELECT shop,
			round(quantileExactIf(0.5)(dateDiff('millisecond', signalled_at, offered_at) / 1000, to_state = 'offered'), 2) AS to_offer,
			round(quantileExactIf(0.5)(dateDiff('millisecond', offered_at, requested_at) / 1000, to_state = 'requested' AND toUnixTimestamp64Milli(offered_at) > 0), 2) AS to_confirm,
			round(quantileExactIf(0.5)(dateDiff('millisecond', requested_at, opened_at) / 1000, from_state = 'requested' AND to_state = 'open'), 2) AS to_ticket,
			round(quantileExactIf(0.5)(dateDiff('millisecond', requested_at, first_reply_at) / 1000, to_state = 'closed' AND toUnixTimestamp64Milli(first_reply_at) > 0), 2) AS to_first_reply,
			round(quantileExactIf(0.5)(dateDiff('millisecond', requested_at, ended_at) / 1000, to_state = 'closed'), 2) AS to_close
			FROM handoff.episode_events GROUP BY shop ORDER BY shop`},
	}
}

// Summarize prints what ClickHouse says of the play, how long customers waited for automated answers,
// and whether the books balance.
func Summarize(ctx context.Context, out io.Writer, log *Ledger, b *Books, ch driver.Conn) error {
	for _, t := range tables() {
		if err := printTable(ctx, out, t, ch); err != nil {
			return err
		}
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	fmt.Fprintf(out, "\nFrom a customer's text to the answer at the phone: p50 %s, p99 %s (%d answers)\n", quantile(log.answers, 0.5), quantile(log.answers, 0.99), len(log.answers))
	if len(log.trouble) > 0 {
		fmt.Fprintf(out, "\n%d conversations did not go as planned, the first: %v\n", len(log.trouble), log.trouble[0])
	}
	fmt.Fprintf(out, "\nBooks: %d texts acknowledged, %d in ClickHouse; %d confirmed handoffs, %d tickets.\n", b.Sent, b.Counted, b.Handoffs, b.Tickets)
	if b.Balanced() {
		fmt.Fprintln(out, "The books balance.")
		return nil
	}
	fmt.Fprintf(out, "The books do NOT balance (%d):\n  %s\n", len(b.Wrong), strings.Join(b.Wrong[:min(20, len(b.Wrong))], "\n  "))
	return nil
}

func printTable(ctx context.Context, out io.Writer, t table, ch driver.Conn) error {
	rows, err := ch.Query(ctx, t.query)
	if err != nil {
		return fmt.Errorf("%s: %w", t.title, err)
	}
	defer rows.Close()
	fmt.Fprintf(out, "\n%s\n", t.title)
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "  %s\n", strings.Join(rows.Columns(), "\t"))
	for rows.Next() {
		values := make([]any, len(rows.Columns()))
		for i, c := range rows.ColumnTypes() {
			values[i] = newOf(c)
		}
		if err := rows.Scan(values...); err != nil {
			return fmt.Errorf("%s: %w", t.title, err)
		}
		cells := make([]string, len(values))
		for i, v := range values {
			cells[i] = cell(v)
		}
		fmt.Fprintf(w, "  %s\n", strings.Join(cells, "\t"))
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%s: %w", t.title, err)
	}
	return w.Flush()
}

// quantile of durations, to the millisecond; 0 when there are none.
func quantile(of []time.Duration, q float64) time.Duration {
	if len(of) == 0 {
		return 0
	}
	sorted := slices.Clone(of)
	slices.Sort(sorted)
	return sorted[int(q*float64(len(sorted)-1))].Round(time.Millisecond)
}

// newOf makes a value to scan a column into.
func newOf(c driver.ColumnType) any { return reflect.New(c.ScanType()).Interface() }

// cell prints a scanned value.
func cell(v any) string {
	e := reflect.ValueOf(v).Elem()
	if e.Kind() == reflect.Pointer {
		if e.IsNil() {
			return "-"
		}
		e = e.Elem()
	}
	if s := fmt.Sprint(e.Interface()); s != "" && s != "NaN" {
		return s
	}
	return "-"
}
