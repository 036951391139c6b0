// Package quiet tells when texts may leave for whom (C11): which time zones a number may be in, and which
// hours count there. Both are data with their sources, in the files beside this one.
package quiet

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a machine without a zone database must not text at night

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/tsv"
)

//go:embed zones.tsv
var zonesData string

//go:embed regions.tsv
var regionsData string

//go:embed hours.tsv
var hoursData string

// anywhere is the region whose hours count where no other has some.
const anywhere = "*"

// longestPrefix of a number in the tables, in digits.
const longestPrefix = 4

// Table is the data, read. It never changes.
type Table struct {
	zones   map[string][]*time.Location
	regions map[string]string
	// hours by class, region and day of the week.
	hours map[string]map[string][7]span
}

// span is when texts may leave on a day, in minutes; the zero value says nothing.
type span struct{ from, to int }

// Shipped reads the tables that ship.
func Shipped() (*Table, error) {
	t := &Table{zones: map[string][]*time.Location{}, regions: map[string]string{}, hours: map[string]map[string][7]span{}}
	loaded := map[string]*time.Location{}
	for fields, err := range rows(zonesData, 2) {
		if err != nil {
			return nil, fmt.Errorf("zones.tsv: %w", err)
		}
		var zones []*time.Location
		for _, name := range strings.Fields(fields[0]) {
			if loaded[name] == nil {
				if loaded[name], err = time.LoadLocation(name); err != nil {
					return nil, fmt.Errorf("zones.tsv: %w", err)
				}
			}
			zones = append(zones, loaded[name])
		}
		for _, prefix := range strings.Fields(fields[1]) {
			t.zones[prefix] = zones
		}
	}
	for fields, err := range rows(regionsData, 2) {
		if err != nil {
			return nil, fmt.Errorf("regions.tsv: %w", err)
		}
		for _, prefix := range strings.Fields(fields[1]) {
			t.regions[prefix] = fields[0]
		}
	}
	for fields, err := range rows(hoursData, 6) {
		if err == nil {
			err = t.addHours(fields)
		}
		if err != nil {
			return nil, fmt.Errorf("hours.tsv: %w", err)
		}
	}
	return t, nil
}

// rows yields the lines of a table that are no comment, split at tabs.
func rows(data string, columns int) func(func([]string, error) bool) {
	return func(yield func([]string, error) bool) {
		for line, fields := range tsv.Rows(data) {
			var err error
			if len(fields) != columns {
				err = fmt.Errorf("line %d has %d fields, want %d", line, len(fields), columns)
			}
			if !yield(fields, err) {
				return
			}
		}
	}
}

// addHours adds a line of hours.tsv.
func (t *Table) addHours(fields []string) error {
	days, err := daysOf(fields[2])
	if err != nil {
		return err
	}
	from, err := time.Parse("15:04", fields[3])
	if err != nil {
		return err
	}
	to, err := time.Parse("15:04", fields[4])
	if err != nil {
		return err
	}
	for _, class := range strings.Split(fields[0], ",") {
		if t.hours[class] == nil {
			t.hours[class] = map[string][7]span{}
		}
		week := t.hours[class][fields[1]]
		for _, d := range days {
			week[d] = span{minutes(from), minutes(to)}
		}
		t.hours[class][fields[1]] = week
	}
	return nil
}

// minutes of the day.
func minutes(t time.Time) int { return t.Hour()*60 + t.Minute() }

// daysOf reads "mon-sat" or "sun".
func daysOf(s string) (days []time.Weekday, err error) {
	names := []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
	first, last, ok := strings.Cut(s, "-")
	if !ok {
		last = first
	}
	a, b := slices.Index(names, first), slices.Index(names, last)
	if a < 0 || b < a {
		return nil, fmt.Errorf("%q are no days", s)
	}
	for i := a; i <= b; i++ {
		days = append(days, time.Weekday((i+1)%7))
	}
	return days, nil
}

// Ask is a text that is to leave.
type Ask struct {
	// At is when.
	At time.Time
	// Class of the text.
	Class handoffv1.TextClass
	// Channel and Address of the recipient.
	Channel handoffv1.Channel
	Address string
	// Zone of the recipient where the platform told it; else empty.
	Zone string
}

// Quiet is why a text may not leave now.
type Quiet struct {
	// Until is when it may.
	Until time.Time
	// Why in words that fit behind "Parked until [time]: ".
	Why string
}

// searchDays bounds the search for a time that all zones allow.
const searchDays = 8

// Judge tells whether a text may leave, by the recipient's time: ok is true when it may. The zone is the
// recipient's where it is known; else each of those that the number may be in must allow it; where they
// have no hour in common, or nothing is known, the shop's zone counts.
func (t *Table) Judge(shop *settings.Shop, a Ask) (q Quiet, ok bool) {
	class := strings.ToLower(strings.TrimPrefix(a.Class.String(), "TEXT_CLASS_"))
	if !shop.Consent.QuietHours || t.hours[class] == nil {
		return Quiet{}, true
	}
	prefix := digits(a)
	week := t.week(shop, class, prefix)
	zones, whose := t.zonesOf(a.Zone, prefix)
	until, found := free(zones, week, a.At)
	if len(zones) == 0 || !found {
		zones, whose = []*time.Location{shop.Location()}, "where the shop is"
		until, _ = free(zones, week, a.At)
	}
	if !until.After(a.At) {
		return Quiet{}, true
	}
	return Quiet{Until: until, Why: "quiet hours " + whose}, false
}

// digits is what a phone's address says of its region; empty on other channels.
func digits(a Ask) string {
	if a.Channel != handoffv1.Channel_CHANNEL_SMS && a.Channel != handoffv1.Channel_CHANNEL_WHATSAPP {
		return ""
	}
	d := strings.TrimPrefix(a.Address, "+")
	if _, err := strconv.ParseUint(d, 10, 64); err != nil {
		return ""
	}
	return d[:min(len(d), longestPrefix)]
}

// zonesOf lists the zones that count, and says whose they are.
func (t *Table) zonesOf(own, prefix string) ([]*time.Location, string) {
	if own != "" {
		if z, err := time.LoadLocation(own); err == nil {
			return []*time.Location{z}, "where the customer is (" + own + ")"
		}
	}
	for n := len(prefix); n > 0; n-- {
		if z, ok := t.zones[prefix[:n]]; ok {
			return z, "where the customer's number is from"
		}
	}
	return nil, ""
}

// week is when texts of a class may leave: what the shop set, else what the number's region has, else
// what counts anywhere.
func (t *Table) week(shop *settings.Shop, class, prefix string) (week [7]span) {
	if from, to, ok := shop.Consent.TextHours(class); ok {
		for d := range week {
			week[d] = span{from, to}
		}
		return week
	}
	week = t.hours[class][anywhere]
	for d, s := range t.hours[class][t.regions[prefix]] {
		if s != (span{}) {
			week[d] = s
		}
	}
	return week
}

// free returns the first moment from at that every zone allows; found is false when there is none within
// days.
func free(zones []*time.Location, week [7]span, at time.Time) (moment time.Time, found bool) {
	moment = at
	for end := at.AddDate(0, 0, searchDays); moment.Before(end); {
		next := moment
		for _, z := range zones {
			next = allowed(z, week, next)
		}
		if next.Equal(moment) {
			return moment, true
		}
		moment = next
	}
	return at, false
}

// allowed returns the first moment from at that a zone allows.
func allowed(z *time.Location, week [7]span, at time.Time) time.Time {
	local := at.In(z)
	for range searchDays {
		s := week[local.Weekday()]
		y, m, d := local.Date()
		from, to := time.Date(y, m, d, 0, s.from, 0, 0, z), time.Date(y, m, d, 0, s.to, 0, 0, z)
		if !at.Before(from) && at.Before(to) {
			return at
		}
		if from.After(at) && from.Before(to) {
			return from.UTC()
		}
		local = time.Date(y, m, d+1, 0, 0, 0, 0, z)
	}
	return at
}
