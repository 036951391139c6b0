package gorgias

import (
	"testing"
	"time"
)

func TestSnoozes(t *testing.T) {
	at := func(seconds int) moment { return moment{time.Date(2026, 11, 21, 21, 0, seconds, 0, time.UTC)} }
	until := at(3600)
	asleep, closed := ticket{Status: "closed", Snooze: &until}, ticket{Status: "closed"}
	closing := event{Type: "ticket-closed", Created: at(0)}
	for _, tt := range []struct {
		name  string
		t     ticket
		later []event
		want  bool
	}{
		{"closed and nothing more", closed, nil, false},
		{"sleeps now and nothing more is told", asleep, nil, true},
		{"snoozed at once", closed, []event{{Type: "ticket-tags-added"}, {Type: "ticket-snoozed", Created: at(1)}}, true},
		{"snoozed later", asleep, []event{{Type: "ticket-snoozed", Created: at(60)}}, false},
		{"reopened, then snoozed", asleep, []event{{Type: "ticket-reopened", Created: at(1)}, {Type: "ticket-snoozed", Created: at(2)}}, false},
	} {
		if got := snoozes(tt.t, closing, tt.later); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestCursor(t *testing.T) {
	for text, want := range map[string]cursor{
		"":                {state: "open"},
		"m12.e34.closed":  {message: 12, event: 34, state: "closed"},
		"m12.e34":         {state: "open"},
		"mx.e34.closed":   {state: "open"},
		"m1.e2.odd.state": {message: 1, event: 2, state: "odd.state"},
	} {
		if got := parseCursor(text); got != want {
			t.Errorf("parseCursor(%q) = %+v, want %+v", text, got, want)
		}
	}
	if c := (cursor{message: 1, event: 2, state: "open"}); parseCursor(c.String()) != c {
		t.Errorf("%v does not read back", c)
	}
}

func TestMoment(t *testing.T) {
	want := time.Date(2026, 11, 21, 20, 55, 0, 0, time.UTC)
	for _, text := range []string{`"2026-11-21T20:55:00.000000"`, `"2026-11-21T20:55:00"`, `"2026-11-21T20:55:00Z"`, `"2026-11-21T22:55:00+02:00"`, `"2026-11-21T20:55:00.000000+00:00"`} {
		var m moment
		if err := m.UnmarshalJSON([]byte(text)); err != nil || !m.Equal(want) {
			t.Errorf("%s: %v, %v", text, m, err)
		}
	}
	for _, text := range []string{`null`, `""`} {
		var m moment
		if err := m.UnmarshalJSON([]byte(text)); err != nil || !m.IsZero() {
			t.Errorf("%s: %v, %v", text, m, err)
		}
	}
	if err := new(moment).UnmarshalJSON([]byte(`"yesterday"`)); err == nil {
		t.Error("no error for yesterday")
	}
}
