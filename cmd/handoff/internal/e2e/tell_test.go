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

// withPerson tells whether the last text of the customer whom an error names is on a ticket of theirs.
func (h *house) withPerson(ctx context.Context, t *testing.T, problem string) bool {
	t.Helper()
	customer := aCustomer.FindString(problem)
	var last string
	row := h.db.Conn().QueryRow(ctx, `SELECT argMax(text, time) FROM handoff.messages WHERE address = ? AND direction = 'in'`, customer)
	if err := row.Scan(&last); err != nil || last == "" {
		t.Logf("last text of %s: %v", customer, err)
		return false
	}
	for _, shop := range h.shops() {
		k := talk{h: h, shop: shop, customer: customer}
		if k.entries("", last) > 0 {
			return true
		}
	}
	return false
}
