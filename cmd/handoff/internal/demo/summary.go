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
		{"Escalations of the last 30 days (escalations_30d)", `SELECT * FROM handoff.escalations_30d ORDER BY shop, day`},
		{"Escalations by reason (escalation_reasons_30d)", `SELECT * FROM handoff.escalation_reasons_30d ORDER BY shop, escalations DESC`},
		{"Times in seconds (episode_times_30d)", `SELECT * FROM handoff.episode_times_30d ORDER BY shop, step`},
		{"Outcomes (episode_outcomes_30d)", `SELECT * FROM handoff.episode_outcomes_30d ORDER BY shop, episodes DESC`},
		{"Blocked replies (blocked_texts_30d)", `SELECT * FROM handoff.blocked_texts_30d ORDER BY shop`},
		{"Outside calls", `SELECT destination, action, status, count() AS calls, sum(attempts) AS attempts, sum(segments) AS segments FROM handoff.deliveries WHERE status != '' AND destination != '' GROUP BY destination, action, status ORDER BY destination, action, status`},
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

// cell prints a scanned value: a day without its hours, a fraction to three places.
func cell(v any) string {
	e := reflect.ValueOf(v).Elem()
	if e.Kind() == reflect.Pointer {
		if e.IsNil() {
			return "-"
		}
		e = e.Elem()
	}
	var text string
	switch x := e.Interface().(type) {
	case time.Time:
		text = x.Format(time.DateOnly)
	case float64:
		text = strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.3f", x), "0"), ".")
	case []string:
		text = strings.Join(x, "; ")
	default:
		text = fmt.Sprint(x)
	}
	if text == "" || text == "NaN" {
		return "-"
	}
	return text
}
