package settings

import (
	"strconv"
	"strings"
	"time"
)

// calendar is how a language names the days and months within a sentence.
type calendar struct {
	days   [7]string // Sunday first, as in time.Weekday
	months [12]string
	// date is a day of another week, clock puts the time of day behind a day: with [weekday], [day], [month],
	// [month number], [date] and [time].
	date, clock string
}

// calendars by language, those that classify reads: words and order of Unicode CLDR 48, the wide forms of
// dates/calendars/gregorian and the pattern of MMMMEEEEd. A month has the case that it has behind a day.
var calendars = map[string]calendar{
	"en": {
		days:   [7]string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"},
		months: [12]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
		date:   "[weekday], [month] [day]", clock: "[date], [time]",
	},
	"es": {
		days:   [7]string{"domingo", "lunes", "martes", "miércoles", "jueves", "viernes", "sábado"},
		months: [12]string{"enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"},
		date:   "[weekday], [day] de [month]", clock: "[date], [time]",
	},
	"fr": {
		days:   [7]string{"dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"},
		months: [12]string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"},
		date:   "[weekday] [day] [month]", clock: "[date], [time]",
	},
	"de": {
		days:   [7]string{"Sonntag", "Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag"},
		months: [12]string{"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"},
		date:   "[weekday], [day]. [month]", clock: "[date], [time]",
	},
	"pt": {
		days:   [7]string{"domingo", "segunda-feira", "terça-feira", "quarta-feira", "quinta-feira", "sexta-feira", "sábado"},
		months: [12]string{"janeiro", "fevereiro", "março", "abril", "maio", "junho", "julho", "agosto", "setembro", "outubro", "novembro", "dezembro"},
		date:   "[weekday], [day] de [month]", clock: "[date], [time]",
	},
	"it": {
		days:   [7]string{"domenica", "lunedì", "martedì", "mercoledì", "giovedì", "venerdì", "sabato"},
		months: [12]string{"gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno", "luglio", "agosto", "settembre", "ottobre", "novembre", "dicembre"},
		date:   "[weekday] [day] [month]", clock: "[date], [time]",
	},
	"nl": {
		days:   [7]string{"zondag", "maandag", "dinsdag", "woensdag", "donderdag", "vrijdag", "zaterdag"},
		months: [12]string{"januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september", "oktober", "november", "december"},
		date:   "[weekday] [day] [month]", clock: "[date], [time]",
	},
	"pl": {
		days:   [7]string{"niedziela", "poniedziałek", "wtorek", "środa", "czwartek", "piątek", "sobota"},
		months: [12]string{"stycznia", "lutego", "marca", "kwietnia", "maja", "czerwca", "lipca", "sierpnia", "września", "października", "listopada", "grudnia"},
		date:   "[weekday], [day] [month]", clock: "[date], [time]",
	},
	"tr": {
		days:   [7]string{"Pazar", "Pazartesi", "Salı", "Çarşamba", "Perşembe", "Cuma", "Cumartesi"},
		months: [12]string{"Ocak", "Şubat", "Mart", "Nisan", "Mayıs", "Haziran", "Temmuz", "Ağustos", "Eylül", "Ekim", "Kasım", "Aralık"},
		date:   "[day] [month] [weekday]", clock: "[date], [time]",
	},
	"ja": {
		days: [7]string{"日曜日", "月曜日", "火曜日", "水曜日", "木曜日", "金曜日", "土曜日"},
		date: "[month number]月[day]日[weekday]", clock: "[date] [time]",
	},
	"zh": {
		days: [7]string{"星期日", "星期一", "星期二", "星期三", "星期四", "星期五", "星期六"},
		date: "[month number]月[day]日[weekday]", clock: "[date] [time]",
	},
}

// sayTime says when something to come is in a language, seen from now: "Tuesday, 09:00", and more than a week
// ahead, where that would be taken for an earlier Tuesday, with its date: "Tuesday, March 17, 09:00". A language
// without a calendar gets digits, which need none: "2026-03-17, 09:00".
func sayTime(language string, now, at time.Time) string {
	day, clock := at.Format(time.DateOnly), at.Format("15:04")
	c, ok := calendars[base(language)]
	if !ok {
		return day + ", " + clock
	}
	day = c.days[at.Weekday()]
	if at.After(now.In(at.Location()).AddDate(0, 0, 7)) {
		day = strings.NewReplacer(
			"[weekday]", c.days[at.Weekday()], "[day]", strconv.Itoa(at.Day()),
			"[month]", c.months[at.Month()-1], "[month number]", strconv.Itoa(int(at.Month())),
		).Replace(c.date)
	}
	return strings.NewReplacer("[date]", day, "[time]", clock).Replace(c.clock)
}

// TeamBack is what the offer adds outside support hours (H15): when the team is back, in the language that the
// text itself is in. "" where support is open at now, or never opens.
func (s *Shop) TeamBack(language string, now time.Time) string {
	if s.SupportOpen(now) {
		return ""
	}
	next, ok := s.NextOpen(now)
	if !ok {
		return ""
	}
	text, in := s.textIn(TextOutsideHours, language)
	return s.Fill(text, "day, time", sayTime(in, now, next.In(s.Location())))
}
