package e2e

import (
	"context"
	"regexp"
	"testing"
	"time"
)

var aCustomer = regexp.MustCompile(`\+1415\d{7}`)

// tell logs what ClickHouse has of the customer whom an error names, in order, so that a failure can be
// understood from the test's output alone.
func (h *house) tell(ctx context.Context, t *testing.T, problem string) {
	t.Helper()
	customer := aCustomer.FindString(problem)
	if customer == "" {
		return
	}
	rows, err := h.db.Conn().Query(ctx, `SELECT * FROM (
		SELECT time, concat('message ', direction, ' ', author) AS what, text FROM handoff.messages WHERE address = ?
		UNION ALL SELECT time, concat('episode ', toString(episode), ' ', from_state, ' → ', to_state), reason FROM handoff.episode_events WHERE address = ?
		UNION ALL SELECT time, concat('call ', action, ' ', destination, ' ', status, state, ' ', block_reason), concat(code, ' ', reason) FROM handoff.deliveries WHERE address = ?
	) ORDER BY time`, customer, customer, customer)
	if err != nil {
		t.Logf("what happened to %s: %v", customer, err)
		return
	}
	defer rows.Close()
	for rows.Next() {
		var at time.Time
		var what, text string
		if err := rows.Scan(&at, &what, &text); err != nil {
			t.Logf("what happened to %s: %v", customer, err)
			return
		}
		t.Logf("%s %s %s: %s", customer, at.Format("15:04:05.000"), what, text)
	}
	if err := rows.Err(); err != nil {
		t.Logf("what happened to %s: %v", customer, err)
	}
}
