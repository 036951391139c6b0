package settings

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// weekdays are the days' names in settings, Sunday first, as in time.Weekday.
func weekdays() [7]string { return [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} }

// weekday returns the day of a settings name.
func weekday(name string) (time.Weekday, bool) {
	days := weekdays()
	i := slices.Index(days[:], name)
	return time.Weekday(i), i >= 0
}

// dayMinutes is how many minutes the clock shows from one midnight to the next.
const dayMinutes = 24 * 60

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

// parseShift reads a span of support hours, which may go on into the next day: "22:00-06:00" ends at minute 1800.
func parseShift(s string) (from, to int, err error) {
	a, b, ok := strings.Cut(s, "-")
	from, okA := minuteOfDay(a)
	to, okB := minuteOfDay(b)
	if !ok || !okA || !okB || from == to || from == dayMinutes {
		return 0, 0, fmt.Errorf("%q is not a span like 09:00-17:30, or 22:00-06:00 into the next day", s)
	}
	if to < from {
		to += dayMinutes
	}
	return from, to, nil
}

func minuteOfDay(s string) (int, bool) {
	if s == "24:00" {
		return dayMinutes, true
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

// open returns the spans of support on the day that t falls on, in the shop's zone: those that begin on it, up to
// midnight, and what is left of those that began the day before. A holiday is closed from midnight to midnight.
func (s *Shop) open(day time.Time) [][2]time.Time {
	if slices.Contains(s.Hours.Holidays, day.Format(time.DateOnly)) {
		return nil
	}
	var spans [][2]time.Time
	add := func(from, to int) {
		if from < to {
			spans = append(spans, [2]time.Time{clock(day, from), clock(day, to)})
		}
	}
	days := weekdays()
	for _, span := range s.Hours.Weekly[days[day.Weekday()]] {
		if from, to, err := parseShift(span); err == nil { // Parse refused others
			add(from, min(to, dayMinutes))
		}
	}
	for _, span := range s.Hours.Weekly[days[(day.Weekday()+6)%7]] {
		if _, to, err := parseShift(span); err == nil {
			add(0, to-dayMinutes)
		}
	}
	slices.SortFunc(spans, func(a, b [2]time.Time) int { return a[0].Compare(b[0]) })
	return spans
}

// clock is when the clock of a day's zone shows a minute of that day. Where that minute is left out, in spring, it is
// when the clock is put forward; where it comes twice, in autumn, the first time.
func clock(day time.Time, minute int) time.Time {
	y, m, d := day.Date()
	want := time.Date(y, m, d, 0, minute, 0, 0, time.UTC).Unix() // as seconds that the clock has shown
	at := time.Date(y, m, d, 0, minute, 0, 0, day.Location())
	start, end := at.ZoneBounds()
	_, offset := at.Zone()
	switch shows := at.Unix() + int64(offset); {
	case shows > want:
		return start
	case shows < want:
		return end
	case !start.IsZero():
		_, before := start.Add(-time.Second).Zone()
		if first := time.Unix(want-int64(before), 0); first.Before(start) {
			return first.In(day.Location())
		}
	}
	return at
}

// nextDay is when the day after a time's begins: not at midnight where that is left out.
func nextDay(t time.Time) time.Time {
	y, m, d := t.Date()
	return clock(time.Date(y, m, d+1, 12, 0, 0, 0, t.Location()), 0)
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
		day = nextDay(day)
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
		at = nextDay(at)
	}
	return t.Add(d)
}

// AddBusinessDays returns the same time of day n business days later, in the shop's zone: days on which
// support hours begin, Monday to Friday where there are none set, holidays left out. A shop that has none
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
	if slices.Contains(s.Hours.Holidays, day.Format(time.DateOnly)) {
		return false
	}
	if len(s.Hours.Weekly) > 0 {
		return len(s.Hours.Weekly[weekdays()[day.Weekday()]]) > 0
	}
	return day.Weekday() != time.Saturday && day.Weekday() != time.Sunday
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
	for day := a.In(s.Location()); day.Before(b); day = nextDay(day) {
		for _, span := range s.open(day) {
			from, to := maxTime(span[0], a), minTime(span[1], b)
			if from.Before(to) {
				sum += to.Sub(from)
			}
		}
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
