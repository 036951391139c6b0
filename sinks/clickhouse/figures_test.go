package clickhouse_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/schemas/rows"
	"github.com/handoff-dev/handoff/sinks/clickhouse"
)

// again is the same facts emitted again: same ids, later places.
func again(b rows.Batch, by int64) rows.Batch {
	var c rows.Batch
	for _, m := range b.Messages {
		m.Offset += by
		c.Messages = append(c.Messages, m)
	}
	for _, e := range b.EpisodeEvents {
		e.Offset += by
		c.EpisodeEvents = append(c.EpisodeEvents, e)
	}
	for _, d := range b.Deliveries {
		d.Offset += by
		c.Deliveries = append(c.Deliveries, d)
	}
	for _, s := range b.ConsentChanges {
		s.Offset += by
		c.ConsentChanges = append(c.ConsentChanges, s)
	}
	for _, s := range b.ConsentEvents {
		s.Offset += by
		c.ConsentEvents = append(c.ConsentEvents, s)
	}
	for _, s := range b.RuleRuns {
		s.Offset += by
		c.RuleRuns = append(c.RuleRuns, s)
	}
	for _, s := range b.TicketEvents {
		s.Offset += by
		c.TicketEvents = append(c.TicketEvents, s)
	}
	return c
}

// insertMarch stores the story in one insert, transition by transition in
// several, the whole a second time under the same token, and then once more as
// facts that were emitted again. No figure may notice the difference.
func insertMarch(t *testing.T, db *clickhouse.DB) {
	t.Helper()
	s := march()
	insert := func(token string, b rows.Batch) {
		t.Helper()
		if err := db.Insert(t.Context(), token, b); err != nil {
			t.Fatal(err)
		}
	}
	half := s.batch
	half.EpisodeEvents = nil
	insert("facts/2/1-20", half)
	for _, e := range s.batch.EpisodeEvents {
		insert("facts/2/e"+e.ID, rows.Batch{EpisodeEvents: []rows.EpisodeEvent{e}})
	}
	insert("facts/2/1-20", half)
	insert("facts/2/again", again(s.batch, 1000))
}

// shared is the engine and the database that the tests of figures read.
func shared(t *testing.T) (*clickhouse.DB, clickhouse.Window) {
	t.Helper()
	db := connect(t, startEngine(t, ""))
	insertMarch(t, db)
	return db, clickhouse.LastDays(30, noon.Add(72*time.Hour))
}

// equal compares what a query returned with what was counted on paper.
func equal[T any](t *testing.T, name string, got []T, err error, want []T) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", name, err)
	} else if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
	}
}

func share(v float64) *float64 { return &v }

func TestFigures(t *testing.T) {
	db, w := shared(t)
	ctx := t.Context()
	day1, day2 := noon.Truncate(24*time.Hour), noon.Truncate(24*time.Hour).AddDate(0, 0, 1)

	days, err := db.Escalations(ctx, w)
	equal(t, "escalations", days, err, []clickhouse.EscalationDay{
		{Shop: "acme", Day: day1, Escalations: 1, EscalatedConversations: 1, Conversations: 3, Rate: share(1.0 / 3)},
		{Shop: "acme", Day: day2, Escalations: 1, EscalatedConversations: 1, Conversations: 2, Rate: share(0.5)},
		{Shop: "bolt", Day: day1, Conversations: 1, Rate: share(0)},
	})
	summary, err := db.ShopSummaries(ctx, w)
	equal(t, "summary", summary, err, []clickhouse.ShopSummary{
		{Shop: "acme", Escalations: 2, EscalatedConversations: 2, Conversations: 4, Rate: share(0.5), MessagesIn: 6, MessagesOut: 3,
			Automated: 2, AutomatedShare: share(0.5), Closed: 2, OneTouch: 1, OneTouchRate: share(0.5)},
		{Shop: "bolt", Conversations: 1, Rate: share(0), MessagesIn: 1, Automated: 1, AutomatedShare: share(1)},
	})
	reasons, err := db.Reasons(ctx, w)
	equal(t, "reasons", reasons, err, []clickhouse.Reason{
		{Shop: "acme", Signal: "intent", Intent: "order_issue", Escalations: 2, Conversations: 2, Texts: []string{"where is it"}},
	})
	times, err := db.Times(ctx, w)
	m := time.Minute
	equal(t, "times", times, err, []clickhouse.StepTimes{
		{Shop: "acme", Step: "offer", Episodes: 2, Median: 1 * m, P90: 1 * m, P99: 1 * m},
		{Shop: "acme", Step: "confirm", Episodes: 1, Median: 2 * m, P90: 2 * m, P99: 2 * m},
		{Shop: "acme", Step: "ticket", Episodes: 2, Median: 1 * m, P90: 1 * m, P99: 1 * m},
		{Shop: "acme", Step: "first_reply", Episodes: 2, Median: 5 * m, P90: 5 * m, P99: 5 * m},
		{Shop: "acme", Step: "resolution", Episodes: 2, Median: 79 * m, P90: 79 * m, P99: 79 * m},
		{Shop: "acme", Step: "paused", Episodes: 2, Median: 79 * m, P90: 79 * m, P99: 79 * m},
	})
	outcomes, err := db.Outcomes(ctx, w)
	equal(t, "outcomes", outcomes, err, []clickhouse.Outcome{
		{Shop: "acme", State: "closed", Episodes: 2, Reopened: 1}, {Shop: "acme", State: "declined", Episodes: 1},
	})
	blocked, err := db.BlockedTexts(ctx, w)
	equal(t, "blocked", blocked, err, []clickhouse.Blocked{{Shop: "bolt", TextClass: "agent", Reason: "opted_out", Texts: 1}})
	failures, err := db.DeliveryFailures(ctx, w)
	equal(t, "failures", failures, err, []clickhouse.Failure{{Shop: "acme", Destination: "twilio", Code: "30003", Outcome: "failed", Texts: 1}})
	credits, err := db.TextCredits(ctx, w)
	equal(t, "credits", credits, err, []clickhouse.Credits{
		{Shop: "acme", TextClass: "agent", Texts: 1, Segments: 2, Credits: 2}, {Shop: "acme", TextClass: "bot", Texts: 1, Segments: 1, Credits: 1},
	})
	windows(t, db, w)
	views(t, db)
}

// windows: a shop's window holds only that shop, and a window's bounds are the
// first instant in and the first one out.
func windows(t *testing.T, db *clickhouse.DB, w clickhouse.Window) {
	t.Helper()
	w.Shop = "bolt"
	days, err := db.Escalations(t.Context(), w)
	if err != nil || len(days) != 1 || days[0].Shop != "bolt" {
		t.Errorf("bolt's days: %+v, %v", days, err)
	}
	w = clickhouse.Window{From: noon.Add(time.Millisecond), Until: noon.Add(24 * time.Hour)}
	summary, err := db.ShopSummaries(t.Context(), w)
	if err != nil || len(summary) != 1 || summary[0].MessagesIn != 1 || summary[0].Escalations != 1 {
		t.Errorf("without the first and the second noon: %+v, %v", summary, err)
	}
	w.Shop = "' OR 1 --"
	if days, err := db.Escalations(t.Context(), w); err != nil || len(days) != 0 {
		t.Errorf("a shop that is no shop: %+v, %v", days, err)
	}
}

// views: those that are not behind a method can be read too.
func views(t *testing.T, db *clickhouse.DB) {
	t.Helper()
	for _, name := range []string{"escalations_30d", "shop_summary_30d", "escalation_reasons_30d", "episode_times_30d", "episode_outcomes_30d",
		"blocked_texts_30d", "delivery_failures_30d", "text_credits_30d", "consent_daily_30d", "episodes", "texts"} {
		_ = one[uint64](t, db, "SELECT count() FROM (SELECT * FROM handoff."+name+")")
	}
	if n := one[uint64](t, db, "SELECT count() FROM handoff.texts"); n != 3 {
		t.Errorf("%d outbound texts, expected 3", n)
	}
	if got := one[string](t, db, "SELECT concat(outcome, ' ', delivery, ' ', toString(segments)) FROM handoff.texts WHERE author = 'agent'"); got != "done delivered 2" {
		t.Errorf("the agent's reply: %s", got)
	}
	if n := one[uint64](t, db, "SELECT count() FROM handoff.episodes"); n != 3 {
		t.Errorf("%d episodes, expected 3", n)
	}
	// A keyword is one however it was written: "stop" and "Stop" (A5).
	if got := one[string](t, db, "SELECT toString(groupArray((keyword, changes, subscribers))) FROM handoff.consent_daily(from = toDateTime64(0, 3, 'UTC'), until = now64(3, 'UTC')) WHERE shop = 'bolt'"); got != "[('STOP',2,2)]" {
		t.Errorf("consent by keyword: %s", got)
	}
	if got := one[string](t, db, "SELECT concat(state, ' ', toString(reopened), ' ', toString(agent_replies)) FROM handoff.episodes WHERE address = 'dot'"); got != "closed 1 2" {
		t.Errorf("Dot's episode: %s", got)
	}
}
