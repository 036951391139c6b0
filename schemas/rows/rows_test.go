package rows_test

import (
	"testing"
	"time"

	"github.com/handoff-dev/handoff/schemas/rows"
)

func TestEventTime(t *testing.T) {
	received := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct{ event, want time.Time }{
		"the source told none":        {time.Time{}, received},
		"a moment ago":                {received.Add(-time.Second), received.Add(-time.Second)},
		"late by days: its own day":   {received.Add(-rows.MaxLate), received.Add(-rows.MaxLate)},
		"later than ids are kept":     {received.Add(-rows.MaxLate - 1), received},
		"a clock a little ahead":      {received.Add(rows.MaxEarly), received.Add(rows.MaxEarly)},
		"a clock that is wrong":       {received.Add(rows.MaxEarly + 1), received},
		"a clock that was never set":  {time.Unix(0, 0), received},
		"a clock in the next century": {received.AddDate(100, 0, 0), received},
	} {
		if got := rows.EventTime(c.event, received); !got.Equal(c.want) {
			t.Errorf("%s: %s, expected %s", name, got, c.want)
		}
	}
}

func TestLenCountsEveryTable(t *testing.T) {
	b := rows.Batch{
		Messages: make([]rows.Message, 1), EpisodeEvents: make([]rows.EpisodeEvent, 2), ConsentChanges: make([]rows.ConsentChange, 3),
		Deliveries: make([]rows.Delivery, 4), Rejected: make([]rows.Rejected, 5), ConsentEvents: make([]rows.ConsentEvent, 6), RuleRuns: make([]rows.RuleRun, 7),
		TicketEvents: make([]rows.TicketEvent, 8),
	}
	if b.Len() != 36 {
		t.Errorf("%d", b.Len())
	}
}
