package settings

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A shift into the next day is what the two halves of it are.
func TestShiftsOverMidnight(t *testing.T) {
	const zone = "time_zone: America/New_York\nsupport_hours:\n  holidays: [\"2026-03-11\"]\n  weekly: "
	whole := shopWith(t, zone+"{mon: [\"09:00-12:00\"], tue: [\"22:00-06:00\"], sat: [\"20:00-04:00\"], thu: [\"21:30-00:00\"]}\n")
	halves := shopWith(t, zone+"{mon: [\"09:00-12:00\"], tue: [\"22:00-24:00\"], wed: [\"00:00-06:00\"], sat: [\"20:00-24:00\"], sun: [\"00:00-04:00\"], thu: [\"21:30-24:00\"]}\n")
	rapid.Check(t, func(t *rapid.T) {
		from := time.Date(2026, 2, 26, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 20*24*60).Draw(t, "minute")) * time.Minute)
		d := time.Duration(rapid.IntRange(1, 60*60).Draw(t, "minutes")) * time.Minute
		to := whole.AddSupportTime(from, d)
		if whole.SupportOpen(from) != halves.SupportOpen(from) || !to.Equal(halves.AddSupportTime(from, d)) {
			t.Fatalf("at %v the shift and its halves differ", from)
		}
		a, _ := whole.NextOpen(from)
		if b, _ := halves.NextOpen(from); !a.Equal(b) || whole.SupportTime(from, to) != d || halves.SupportTime(from, to) != d {
			t.Fatalf("at %v the shift opens at %v, its halves at %v", from, a, b)
		}
	})
}

// What the clock shows, read in UTC, through nights in which it is put forward or back.
func TestShiftsWhileTheClocksChange(t *testing.T) {
	for _, c := range []struct{ zone, weekly, from, want string }{
		// New York, March 8: 02:00 is 03:00. The night of 8 hours on the clock has 7.
		{"America/New_York", `sat: ["22:00-06:00"]`, "2026-03-07T22:00Z", "7h0m0s from 03:00Z to 10:00Z"},
		{"America/New_York", `sat: ["22:00-02:30"]`, "2026-03-07T22:00Z", "4h0m0s from 03:00Z to 07:00Z"},
		{"America/New_York", `sun: ["02:30-05:00"]`, "2026-03-08T00:00Z", "2h0m0s from 07:00Z to 09:00Z"},
		// November 1: 02:00 is 01:00 again.
		{"America/New_York", `sat: ["22:00-06:00"]`, "2026-10-31T22:00Z", "9h0m0s from 02:00Z to 11:00Z"},
		{"America/New_York", `sun: ["01:30-03:00"]`, "2026-11-01T00:00Z", "2h30m0s from 05:30Z to 08:00Z"},
		// Berlin, east of Greenwich.
		{"Europe/Berlin", `sat: ["22:00-06:00"]`, "2026-03-28T12:00Z", "7h0m0s from 21:00Z to 04:00Z"},
		{"Europe/Berlin", `sun: ["02:30-05:00"]`, "2026-10-24T23:00Z", "3h30m0s from 00:30Z to 04:00Z"},
		// Santiago and Beirut leave out midnight itself.
		{"America/Santiago", `sat: ["22:00-06:00"]`, "2026-09-05T12:00Z", "7h0m0s from 02:00Z to 09:00Z"},
		{"America/Santiago", `sun: ["00:00-06:00"]`, "2026-09-05T12:00Z", "5h0m0s from 04:00Z to 09:00Z"},
		{"America/Santiago", `mon: ["09:00-10:00"]`, "2026-09-05T12:00Z", "1h0m0s from 12:00Z to 13:00Z"},
		{"Asia/Beirut", `mon: ["09:00-10:00"]`, "2026-03-28T12:00Z", "1h0m0s from 06:00Z to 07:00Z"},
	} {
		s := shopWith(t, "time_zone: "+c.zone+"\nsupport_hours: {weekly: {"+c.weekly+"}}\n")
		from, err := time.Parse("2006-01-02T15:04Z", c.from)
		if err != nil {
			t.Fatal(err)
		}
		opens, ok := s.NextOpen(from)
		open := s.SupportTime(from, from.Add(72*time.Hour))
		ends := s.AddSupportTime(from, open)
		got := strings.Join([]string{open.String(), "from", opens.UTC().Format("15:04Z"), "to", ends.Format("15:04Z")}, " ")
		if !ok || got != c.want {
			t.Errorf("%s in %s: %s, want %s", c.weekly, c.zone, got, c.want)
		}
	}
}

// A night shift's morning makes no business day of the day after it.
func TestBusinessDaysOfNightShifts(t *testing.T) {
	s := shopWith(t, `support_hours: {weekly: {thu: ["22:00-06:00"], fri: ["22:00-06:00"]}}`+"\n")
	thursday := time.Date(2026, 3, 5, 10, 0, 0, 0, time.UTC)
	if got := s.AddBusinessDays(thursday, 2); !got.Equal(thursday.AddDate(0, 0, 7)) {
		t.Errorf("two business days after a Thursday are over on %v", got)
	}
}
