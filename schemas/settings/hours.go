package settings

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// weekday returns the day of a settings name, "mon" … "sun".
func weekday(name string) (time.Weekday, bool) {
	i := slices.Index([]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}, name)
	return time.Weekday(i), i >= 0
}

// parseSpan reads "09:00-17:30" as minutes of the day; "24:00" ends a day.
func parseSpan(s string) (from, to int, err error) {
	a, b, ok := strings.Cut(s, "-")
	from, okA := minuteOfDay(a)
	to, okB := minuteOfDay(b)
	if !ok || !okA || !okB || from >= to {
		return 0, 0, fmt.Errorf("%q is not a span like 09:00-17:30, its end after its start", s)
	}
	return from, to, nil
}

func minuteOfDay(s string) (int, bool) {
	if s == "24:00" {
		return 24 * 60, true
	}
	t, err := time.Parse("15:04", strings.TrimSpace(s))
	return t.Hour()*60 + t.Minute(), err == nil
}

// Location returns the shop's time zone. Parse checked it, so it loads.
func (s *Shop) Location() *time.Location {
	loc, err := time.LoadLocation(s.TimeZone)
	if err != nil {
		return time.UTC // a Shop that Parse did not make
	}
	return loc
}

// open returns the spans of support on the day that t falls on, in the shop's zone.
func (s *Shop) open(day time.Time) [][2]time.Time {
	y, m, d := day.Date()
	if slices.Contains(s.Hours.Holidays, day.Format(time.DateOnly)) {
		return nil
	}
	var spans [][2]time.Time
	for name, list := range s.Hours.Weekly {
		if wd, ok := weekday(name); !ok || wd != day.Weekday() {
			continue
		}
		for _, span := range list {
			from, to, err := parseSpan(span)
			if err != nil {
				continue // Parse refused it
			}
			spans = append(spans, [2]time.Time{
				time.Date(y, m, d, 0, from, 0, 0, day.Location()),
				time.Date(y, m, d, 0, to, 0, 0, day.Location()),
			})
		}
	}
	slices.SortFunc(spans, func(a, b [2]time.Time) int { return a[0].Compare(b[0]) })
	return spans
}

// SupportOpen tells whether t is within support hours.
func (s *Shop) SupportOpen(t time.Time) bool {
	if len(s.Hours.Weekly) == 0 {
		return true
	}
	t = t.In(s.Location())
	for _, span := range s.open(t) {
		if !t.Before(span[0]) && t.Before(span[1]) {
			return true
		}
	}
	return false
}

// horizon bounds the search through closed days: a year and a bit.
const horizon = 400

// NextOpen returns when support is open next, t itself when it is open then. ok is false when it never
// opens within 400 days.
func (s *Shop) NextOpen(t time.Time) (next time.Time, ok bool) {
	if s.SupportOpen(t) {
		return t, true
	}
	day := t.In(s.Location())
	for range horizon {
		for _, span := range s.open(day) {
			if span[0].After(t) {
				return span[0], true
			}
		}
		y, m, d := day.Date()
		day = time.Date(y, m, d+1, 0, 0, 0, 0, day.Location())
	}
	return time.Time{}, false
}

// AddSupportTime returns when d of support hours has passed since t; t+d when support is always open
// or never opens.
func (s *Shop) AddSupportTime(t time.Time, d time.Duration) time.Time {
	if len(s.Hours.Weekly) == 0 {
		return t.Add(d)
	}
	at := t.In(s.Location())
	left := d
	for range horizon {
		for _, span := range s.open(at) {
			from := span[0]
			if at.After(from) {
				from = at
			}
			if from.Before(span[1]) {
				run := span[1].Sub(from)
				if run >= left {
					return from.Add(left).UTC()
				}
				left -= run
			}
		}
		y, m, dd := at.Date()
		at = time.Date(y, m, dd+1, 0, 0, 0, 0, at.Location())
	}
	return t.Add(d)
}

// AddBusinessDays returns the same time of day n business days later, in the shop's zone: days with
// support hours, Monday to Friday where there are none set, holidays left out. A shop that has none
// within 400 days has Monday to Friday.
func (s *Shop) AddBusinessDays(t time.Time, n int) time.Time {
	day := t.In(s.Location())
	for range horizon {
		if n == 0 {
			return day.UTC()
		}
		day = day.AddDate(0, 0, 1)
		if s.businessDay(day) {
			n--
		}
	}
	return (&Shop{TimeZone: s.TimeZone}).AddBusinessDays(t, n)
}

func (s *Shop) businessDay(day time.Time) bool {
	if len(s.Hours.Weekly) > 0 {
		return len(s.open(day)) > 0
	}
	return day.Weekday() != time.Saturday && day.Weekday() != time.Sunday &&
		!slices.Contains(s.Hours.Holidays, day.Format(time.DateOnly))
}

// SupportTime returns how much of the time from a to b was within support hours.
func (s *Shop) SupportTime(a, b time.Time) time.Duration {
	if !a.Before(b) {
		return 0
	}
	if len(s.Hours.Weekly) == 0 {
		return b.Sub(a)
	}
	var sum time.Duration
	y, m, d := a.In(s.Location()).Date()
	for day := time.Date(y, m, d, 0, 0, 0, 0, s.Location()); day.Before(b); {
		for _, span := range s.open(day) {
			from, to := maxTime(span[0], a), minTime(span[1], b)
			if from.Before(to) {
				sum += to.Sub(from)
			}
		}
		y, m, d = day.Date()
		day = time.Date(y, m, d+1, 0, 0, 0, 0, day.Location())
	}
	return sum
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
