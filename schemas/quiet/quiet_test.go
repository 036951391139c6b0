package quiet_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/quiet"
	"github.com/handoff-dev/handoff/schemas/settings"
)

const agent = handoffv1.TextClass_TEXT_CLASS_AGENT

func shop(own map[string]string) *settings.Shop {
	return &settings.Shop{TimeZone: "America/New_York", Consent: settings.Consent{QuietHours: true, HoursAllowed: own}}
}

func table(t testing.TB) *quiet.Table {
	t.Helper()
	table, err := quiet.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		at      string // UTC; 2026-03-02 is a Monday
		address string
		zone    string
		channel handoffv1.Channel
		own     map[string]string
		until   string // empty: it may leave
	}{
		"Los Angeles by day":                    {at: "2026-03-02T18:00", address: "+14155550001"},
		"Los Angeles before eight":              {at: "2026-03-02T15:59", address: "+14155550001", until: "2026-03-02T16:00"},
		"at eight":                              {at: "2026-03-02T16:00", address: "+14155550001"},
		"Los Angeles at nine in the evening":    {at: "2026-03-03T05:00", address: "+14155550001", until: "2026-03-03T16:00"},
		"a minute before":                       {at: "2026-03-03T04:59", address: "+14155550001"},
		"the clock goes forward in the night":   {at: "2026-03-08T06:00", address: "+14155550001", until: "2026-03-08T15:00"},
		"Florida's two zones: both must allow":  {at: "2026-03-02T13:30", address: "+18505550001", until: "2026-03-02T14:00"},
		"Florida ends at eight":                 {at: "2026-03-03T01:00", address: "+13055550001", until: "2026-03-03T13:00"},
		"Texas on Sunday":                       {at: "2026-03-01T16:00", address: "+12145550001", until: "2026-03-01T18:00"},
		"Texas in the week":                     {at: "2026-03-02T15:00", address: "+12145550001"},
		"Rhode Island at the weekend":           {at: "2026-02-28T22:30", address: "+14015550001", until: "2026-03-01T15:00"},
		"London":                                {at: "2026-03-02T07:30", address: "+447700900001", until: "2026-03-02T08:00"},
		"the zone that was told counts alone":   {at: "2026-03-02T10:00", address: "+14155550001", zone: "Europe/London"},
		"a zone that is none is as none":        {at: "2026-03-02T10:00", address: "+14155550001", zone: "Moon/Base", until: "2026-03-02T16:00"},
		"the state's hours in the zone told":    {at: "2026-03-03T04:30", address: "+13055550001", zone: "America/Los_Angeles", until: "2026-03-03T16:00"},
		"no number: the shop's zone":            {at: "2026-03-02T12:30", address: "U123", channel: handoffv1.Channel_CHANNEL_LINE, until: "2026-03-02T13:00"},
		"a number of no region: the shop's":     {at: "2026-03-02T12:30", address: "+9995550001", until: "2026-03-02T13:00"},
		"toll-free: all zones of the plan":      {at: "2026-03-02T12:30", address: "+18005550001", until: "2026-03-02T22:00"},
		"no hour in common: the shop's":         {at: "2026-03-02T12:30", address: "+18505550001", own: map[string]string{"agent": "12:00-13:00"}, until: "2026-03-02T17:00"},
		"the shop's own hours, everywhere":      {at: "2026-03-03T01:30", address: "+13055550001", own: map[string]string{"agent": "10:00-22:00"}},
		"the shop's own hours of other classes": {at: "2026-03-03T01:30", address: "+13055550001", own: map[string]string{"rule": "10:00-22:00"}, until: "2026-03-03T13:00"},
	} {
		t.Run(name, func(t *testing.T) {
			at, err := time.Parse("2006-01-02T15:04", c.at)
			if err != nil {
				t.Fatal(err)
			}
			if c.channel == 0 {
				c.channel = handoffv1.Channel_CHANNEL_SMS
			}
			q, ok := table(t).Judge(shop(c.own), quiet.Ask{At: at, Class: agent, Channel: c.channel, Address: c.address, Zone: c.zone})
			got := ""
			if !ok {
				got = q.Until.UTC().Format("2006-01-02T15:04")
			}
			if got != c.until || ok == (q.Why != "") {
				t.Errorf("until %q (%s), want %q", got, q.Why, c.until)
			}
		})
	}
}

func TestJudgeOnlyWhatItIsAskedFor(t *testing.T) {
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	ask := quiet.Ask{At: at, Class: handoffv1.TextClass_TEXT_CLASS_KEYWORD_ANSWER, Channel: handoffv1.Channel_CHANNEL_SMS, Address: "+14155550001"}
	if _, ok := table(t).Judge(shop(nil), ask); !ok {
		t.Error("an answer to a keyword is held back")
	}
	ask.Class = agent
	if _, ok := table(t).Judge(&settings.Shop{}, ask); !ok {
		t.Error("it is switched off and judges")
	}
}

// TestUntilIsTheFirstMoment: whatever the number and the moment, a text may leave when its quiet hours
// end, and not a minute before.
func TestUntilIsTheFirstMoment(t *testing.T) {
	tab := table(t)
	rapid.Check(t, func(rt *rapid.T) {
		ask := quiet.Ask{
			At:    time.Unix(rapid.Int64Range(1_750_000_000, 1_800_000_000).Draw(rt, "at"), 0),
			Class: agent, Channel: handoffv1.Channel_CHANNEL_SMS,
			Address: "+" + rapid.StringMatching(`[1-9][0-9]{9,12}`).Draw(rt, "number"),
		}
		q, ok := tab.Judge(shop(nil), ask)
		if ok {
			return
		}
		if !q.Until.After(ask.At) || q.Until.Sub(ask.At) > 4*24*time.Hour {
			rt.Fatalf("at %v until %v", ask.At, q.Until)
		}
		ask.At = q.Until
		if again, ok := tab.Judge(shop(nil), ask); !ok {
			rt.Fatalf("at its end %v until %v", ask.At, again.Until)
		}
		ask.At = q.Until.Add(-time.Minute)
		if _, ok := tab.Judge(shop(nil), ask); ok {
			rt.Fatalf("a minute before %v it may leave", q.Until)
		}
	})
}

func BenchmarkJudge(b *testing.B) {
	tab, s := table(b), shop(nil)
	ask := quiet.Ask{At: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC), Class: agent, Channel: handoffv1.Channel_CHANNEL_SMS, Address: "+14155550001"}
	for b.Loop() {
		tab.Judge(s, ask)
	}
}
