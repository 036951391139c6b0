package dlq

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas/deadletter"
)

func TestSince(t *testing.T) {
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	for s, want := range map[string]string{
		"90m": "2026-03-02T08:30:00Z", "3d": "2026-02-27T10:00:00Z", "0s": "2026-03-02T10:00:00Z",
		"2026-03-01": "2026-03-01T00:00:00Z", "2026-03-01T12:00:00+02:00": "2026-03-01T10:00:00Z", "2026-03-01 09:30": "2026-03-01T09:30:00Z",
	} {
		if got, err := Since(s, now); err != nil || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s is %v (%v), want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"yesterday", "-5m", "-2d", "d", "2026-13-01"} {
		if got, err := Since(s, now); !errors.Is(err, ErrSince) {
			t.Errorf("%q is %v, want it refused", s, got)
		}
	}
	if got, err := Since("", now); err != nil || !got.IsZero() {
		t.Errorf("nothing is %v %v", got, err)
	}
}

func letters() []kafka.DeadLetter {
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	return []kafka.DeadLetter{
		{Partition: 0, Offset: 1, Stage: "consent", Reason: "first\nstack", Key: []byte("acme|+1"), Time: at.Add(-time.Hour), Failed: at},
		{Partition: 1, Offset: 2, Stage: "classify", Reason: "\x1b[31mred\x1b[0m", Key: []byte("bloom|\x00+2"), Time: at, Resolution: &kafka.Resolution{How: deadletter.Dropped}},
		{Partition: 2, Offset: 3, Stage: "consent", Reason: "late", Key: []byte("no key"), Timer: "answers/sms:+1", Time: at.Add(time.Hour)},
	}
}

func TestPick(t *testing.T) {
	all := letters()
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		f    Filter
		want string
	}{
		"all":      {Filter{}, "0/1 1/2 2/3"},
		"stage":    {Filter{Stage: "consent"}, "0/1 2/3"},
		"shop":     {Filter{Shop: "bloom"}, "1/2"},
		"since":    {Filter{Since: at.Add(time.Minute)}, "2/3"},
		"by entry": {Filter{Since: at}, "0/1 1/2 2/3"},
		"open":     {Filter{Open: true}, "0/1 2/3"},
	} {
		var got []string
		for _, l := range c.f.Pick(all) {
			got = append(got, l.Place())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
	if got := Last(Filter{}.Pick(all), 2); len(got) != 2 || got[0].Place() != "1/2" {
		t.Errorf("the last two: %v", got)
	}
}

// TestTable: what comes from outside cannot write to the terminal, and a stack stays out of the line.
func TestTable(t *testing.T) {
	var out bytes.Buffer
	if err := Table(&out, Filter{}.Pick(letters())); err != nil {
		t.Fatal(err)
	}
	s := out.String()
	if strings.ContainsAny(s, "\x1b\x00") || strings.Contains(s, "stack") || strings.Count(s, "\n") != 4 {
		t.Errorf("%q", s)
	}
	for _, want := range []string{"timer answers/sms:+1", "dropped", "open"} {
		if !strings.Contains(s, want) {
			t.Errorf("%q is not in %q", want, s)
		}
	}
}
