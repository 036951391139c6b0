package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Window is what a figure is asked for.
type Window struct {
	// From and Until bound the time: from From on, before Until.
	From, Until time.Time
	// Shop, or all shops when empty.
	Shop string
}

// LastDays is the window of the last n times 24 hours before now, with the
// hour after it: an event's own clock may be a little ahead.
func LastDays(n int, now time.Time) Window {
	return Window{From: now.Add(-time.Duration(n) * 24 * time.Hour), Until: now.Add(time.Hour)}
}

// EscalationDay is one shop's day.
type EscalationDay struct {
	Shop string
	Day  time.Time
	// Escalations counts episodes that reached requested on that day.
	Escalations uint64
	// EscalatedConversations and Conversations count conversations: those
	// with such an episode, and those with an inbound message on that day.
	EscalatedConversations, Conversations uint64
	// Rate is the former over the latter; nil without inbound messages.
	Rate *float64
}

// Escalations are the days of a window that had an escalation or an inbound
// message, by shop and day.
func (db *DB) Escalations(ctx context.Context, w Window) ([]EscalationDay, error) {
	return figures(ctx, db, "escalations", "shop, day, escalations, escalated_conversations, conversations, rate", "shop, day", w,
		func(r driver.Rows, d *EscalationDay) error {
			err := r.Scan(&d.Shop, &d.Day, &d.Escalations, &d.EscalatedConversations, &d.Conversations, &d.Rate)
			d.Day = d.Day.UTC()
			return err
		})
}

// ShopSummary is one shop's whole window; a conversation that wrote on several
// days counts once.
type ShopSummary struct {
	Shop string
	// Escalations counts episodes that reached requested in the window.
	Escalations uint64
	// EscalatedConversations and Conversations count conversations, with an
	// escalation and with an inbound message; Rate is their quotient, nil
	// without any.
	EscalatedConversations, Conversations uint64
	Rate                                  *float64
	// MessagesIn and MessagesOut count messages. Out are those that were let
	// go; what became of them are deliveries.
	MessagesIn, MessagesOut uint64
	// Automated counts conversations with an inbound message and neither an
	// agent's reply nor an escalation; AutomatedShare is of Conversations.
	Automated      uint64
	AutomatedShare *float64
	// Closed counts escalations of the window that are closed at the desk,
	// OneTouch those after exactly one agent's reply and never reopened.
	Closed, OneTouch uint64
	OneTouchRate     *float64
}

// ShopSummaries are the shops that had anything in the window.
func (db *DB) ShopSummaries(ctx context.Context, w Window) ([]ShopSummary, error) {
	return figures(ctx, db, "shop_summary", "shop, escalations, escalated_conversations, conversations, rate, messages_in, messages_out, automated, automated_share, closed, one_touch, one_touch_rate", "shop", w,
		func(r driver.Rows, s *ShopSummary) error {
			return r.Scan(&s.Shop, &s.Escalations, &s.EscalatedConversations, &s.Conversations, &s.Rate, &s.MessagesIn, &s.MessagesOut,
				&s.Automated, &s.AutomatedShare, &s.Closed, &s.OneTouch, &s.OneTouchRate)
		})
}

// Reason is why a shop's conversations were escalated.
type Reason struct {
	Shop, Signal, Intent string
	// Escalations counts episodes, Conversations their conversations.
	Escalations, Conversations uint64
	// Texts are up to five of the messages behind them.
	Texts []string
}

// Reasons are a window's escalations by reason, the most frequent first.
func (db *DB) Reasons(ctx context.Context, w Window) ([]Reason, error) {
	return figures(ctx, db, "escalation_reasons", "shop, signal, intent, escalations, conversations, texts", "shop, escalations DESC, signal, intent", w,
		func(r driver.Rows, v *Reason) error {
			return r.Scan(&v.Shop, &v.Signal, &v.Intent, &v.Escalations, &v.Conversations, &v.Texts)
		})
}

// StepTimes is how long one step of the episodes took, on the wall clock.
type StepTimes struct {
	Shop string
	// Step is "offer" (from the signal), "confirm" (from the offer),
	// "ticket", "first_reply", "resolution" or "paused" (from the yes).
	Step string
	// Episodes counts those that took the step.
	Episodes         uint64
	Median, P90, P99 time.Duration
}

// Times are the steps of the episodes whose signal came in the window.
func (db *DB) Times(ctx context.Context, w Window) ([]StepTimes, error) {
	return figures(ctx, db, "episode_times", "shop, step, episodes, median, p90, p99", "shop, indexOf(['offer','confirm','ticket','first_reply','resolution','paused'], step)", w,
		func(r driver.Rows, t *StepTimes) error {
			var median, p90, p99 float64
			err := r.Scan(&t.Shop, &t.Step, &t.Episodes, &median, &p90, &p99)
			t.Median, t.P90, t.P99 = seconds(median), seconds(p90), seconds(p99)
			return err
		})
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

// Outcome is what became of episodes.
type Outcome struct {
	Shop, State string
	// Episodes counts those in that state now, Reopened those of them that
	// were reopened at least once.
	Episodes, Reopened uint64
}

// Outcomes are the episodes whose signal came in the window, by state.
func (db *DB) Outcomes(ctx context.Context, w Window) ([]Outcome, error) {
	return figures(ctx, db, "episode_outcomes", "shop, state, episodes, reopened_episodes", "shop, episodes DESC, state", w,
		func(r driver.Rows, o *Outcome) error { return r.Scan(&o.Shop, &o.State, &o.Episodes, &o.Reopened) })
}

// Blocked is texts that were not sent.
type Blocked struct {
	Shop, TextClass, Reason string
	// Texts counts distinct texts.
	Texts uint64
}

// BlockedTexts are a window's texts that were not sent, by class and reason.
func (db *DB) BlockedTexts(ctx context.Context, w Window) ([]Blocked, error) {
	return figures(ctx, db, "blocked_texts", "shop, text_class, block_reason, texts", "shop, texts DESC, text_class, block_reason", w,
		func(r driver.Rows, b *Blocked) error { return r.Scan(&b.Shop, &b.TextClass, &b.Reason, &b.Texts) })
}

// Failure is texts that failed, or of which nobody knows.
type Failure struct {
	Shop, Destination, Code string
	// Outcome is "failed" or "unknown".
	Outcome string
	// Texts counts distinct texts; Meaning is one of their reasons.
	Texts   uint64
	Meaning string
}

// DeliveryFailures are a window's texts that failed, by destination and code.
func (db *DB) DeliveryFailures(ctx context.Context, w Window) ([]Failure, error) {
	return figures(ctx, db, "delivery_failures", "shop, destination, code, outcome, texts, meaning", "shop, texts DESC, destination, code, outcome", w,
		func(r driver.Rows, f *Failure) error {
			return r.Scan(&f.Shop, &f.Destination, &f.Code, &f.Outcome, &f.Texts, &f.Meaning)
		})
}

// Credits is what texts that were sent cost.
type Credits struct {
	Shop, TextClass string
	// Texts counts distinct texts, Segments and Credits are their sums.
	Texts, Segments, Credits uint64
}

// TextCredits are a window's texts that were sent, by class.
func (db *DB) TextCredits(ctx context.Context, w Window) ([]Credits, error) {
	return figures(ctx, db, "text_credits", "shop, text_class, texts, segments, credits", "shop, text_class", w,
		func(r driver.Rows, c *Credits) error {
			return r.Scan(&c.Shop, &c.TextClass, &c.Texts, &c.Segments, &c.Credits)
		})
}

// TableAudit is one table's rows beside the places they came from.
type TableAudit struct {
	Table string
	// Rows of the table, distinct Places (partition and offset) among them,
	// and the difference, which is 0 when nothing was stored twice.
	Rows, Places uint64
	Repeated     int64
}

// Audit counts every fact table. The sum of Rows is the number of records of
// all intents that were written.
func (db *DB) Audit(ctx context.Context) ([]TableAudit, error) {
	rows, err := db.conn.Query(ctx, "SELECT table, rows, places, toInt64(repeated) FROM "+db.name("audit")+" ORDER BY table")
	if err != nil {
		return nil, fmt.Errorf("audit ClickHouse: %w", steer(err))
	}
	return collect(rows, "audit", func(r driver.Rows, a *TableAudit) error {
		return r.Scan(&a.Table, &a.Rows, &a.Places, &a.Repeated)
	})
}

// figures reads one of the views that take a window.
func figures[T any](ctx context.Context, db *DB, view, columns, order string, w Window, scan func(driver.Rows, *T) error) ([]T, error) {
	sql := fmt.Sprintf("SELECT %s FROM %s(from = {from:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}) WHERE {shop:String} = '' OR shop = {shop:String} ORDER BY %s",
		columns, db.name(view), order)
	rows, err := db.conn.Query(ctx, sql,
		clickhouse.DateNamed("from", w.From, clickhouse.MilliSeconds), clickhouse.DateNamed("until", w.Until, clickhouse.MilliSeconds),
		clickhouse.Named("shop", w.Shop))
	if err != nil {
		return nil, fmt.Errorf("ask ClickHouse for %s: %w", view, steer(err))
	}
	return collect(rows, view, scan)
}

// collect reads all rows of a result.
func collect[T any](rows driver.Rows, what string, scan func(driver.Rows, *T) error) ([]T, error) {
	var list []T
	for rows.Next() {
		var v T
		if err := scan(rows, &v); err != nil {
			return nil, fmt.Errorf("read %s from ClickHouse: %w", what, errors.Join(err, rows.Close()))
		}
		list = append(list, v)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("read %s from ClickHouse: %w", what, steer(err))
	}
	return list, nil
}
