package settings

import (
	"strings"
	"testing"
	"time"
)

// languages are those that classify reads.
func languages() []string {
	return []string{"en", "es", "fr", "de", "pt", "it", "nl", "pl", "tr", "ja", "zh"}
}

func TestEveryLanguageHasACalendar(t *testing.T) {
	if len(calendars) != len(languages()) {
		t.Errorf("there are %d calendars, want one for each of %v", len(calendars), languages())
	}
	monday := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	for _, language := range languages() {
		c, ok := calendars[language]
		if !ok {
			t.Errorf("%s has no calendar", language)
			continue
		}
		seen := map[string]bool{}
		for i, name := range c.days {
			if name == "" || seen[name] {
				t.Errorf("%s: %s is %q", language, time.Weekday(i), name)
			}
			seen[name] = true
			for _, other := range languages() {
				if other != language && language != "en" && i == int(time.Wednesday) && name == calendars[other].days[i] {
					t.Errorf("%s and %s both say %q for Wednesday", language, other, name)
				}
			}
		}
		for month := time.January; month <= time.December; month++ {
			at := time.Date(2027, month, 14, 9, 5, 0, 0, time.UTC)
			said := sayTime(language, monday, at)
			if strings.ContainsAny(said, "[]") || !strings.Contains(said, "14") || !strings.Contains(said, "09:05") || !strings.Contains(said, c.days[at.Weekday()]) || seen[said] {
				t.Errorf("%s says %q for %s", language, said, at)
			}
			seen[said] = true
		}
	}
}

func TestSayTime(t *testing.T) {
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC) // a Monday
	for _, c := range []struct {
		language string
		at       time.Time
		want     string
	}{
		{"en", now.Add(23 * time.Hour), "Tuesday, 09:00"},
		{"en", now.Add(7*24*time.Hour - time.Hour), "Monday, 09:00"}, // today's 09:00 is over
		{"en", now.Add(8*24*time.Hour - time.Hour), "Tuesday, March 10, 09:00"},
		{"es-MX", now.Add(47 * time.Hour), "miércoles, 09:00"},
		{"es", now.Add(9*24*time.Hour - time.Hour), "miércoles, 11 de marzo, 09:00"},
		{"fr", now.Add(9*24*time.Hour - time.Hour), "mercredi 11 mars, 09:00"},
		{"de", now.Add(9*24*time.Hour - time.Hour), "Mittwoch, 11. März, 09:00"},
		{"pt-BR", now.Add(9*24*time.Hour - time.Hour), "quarta-feira, 11 de março, 09:00"},
		{"it", now.Add(9*24*time.Hour - time.Hour), "mercoledì 11 marzo, 09:00"},
		{"nl", now.Add(9*24*time.Hour - time.Hour), "woensdag 11 maart, 09:00"},
		{"pl", now.Add(9*24*time.Hour - time.Hour), "środa, 11 marca, 09:00"},
		{"tr", now.Add(9*24*time.Hour - time.Hour), "11 Mart Çarşamba, 09:00"},
		{"ja", now.Add(23 * time.Hour), "火曜日 09:00"},
		{"ja", now.Add(9*24*time.Hour - time.Hour), "3月11日水曜日 09:00"},
		{"zh-Hant", now.Add(9*24*time.Hour - time.Hour), "3月11日星期三 09:00"},
		{"xx", now.Add(23 * time.Hour), "2026-03-03, 09:00"},
	} {
		if got := sayTime(c.language, now, c.at); got != c.want {
			t.Errorf("in %s %s is %q, want %q", c.language, c.at, got, c.want)
		}
	}
}

func TestTeamBack(t *testing.T) {
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	hours := "support_hours: {weekly: {tue: [\"09:00-17:00\"]}}\n"
	own := "texts:\n  es: {outside_hours: \"Volvemos el [day, time].\"}\n  de: {outside_hours: \"Ab [day, time] sind wir wieder da.\"}\n"
	for _, c := range []struct{ settings, language, want string }{
		{hours, "en", "Our team is back Tuesday, 09:00."},
		{hours, "es", "Our team is back Tuesday, 09:00."}, // the day in the language that the text is in
		{hours + own, "es-AR", "Volvemos el martes, 09:00."},
		{hours + own, "de", "Ab Dienstag, 09:00 sind wir wieder da."},
		{hours + own, "en", "Our team is back Tuesday, 09:00."},
		{hours + own, "fr", "Our team is back Tuesday, 09:00."},
		{hours + own + "language: de\n", "fr", "Ab Dienstag, 09:00 sind wir wieder da."},
		{hours + "time_zone: America/Los_Angeles\n", "en", "Our team is back Tuesday, 09:00."},
		{"support_hours: {weekly: {mon: [\"09:00-17:00\"]}}\n", "en", ""}, // open
		{"", "en", ""},
	} {
		if got := shopWith(t, c.settings).TeamBack(c.language, now); got != c.want {
			t.Errorf("with %q in %s: %q, want %q", c.settings, c.language, got, c.want)
		}
	}
}
