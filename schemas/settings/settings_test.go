package settings

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

const least = `shop: acme
name: Acme Outdoors
support_contact: help@acme.example
accounts:
  - {channel: sms, account: "+15557770000", provider: twilio, user: AC1, secret: "env:TWILIO"}
`

func shopWith(t testing.TB, more string) *Shop {
	t.Helper()
	s, err := Parse([]byte(least + more))
	if err != nil {
		t.Fatalf("%s\n%v", more, err)
	}
	return s
}

func TestDefaults(t *testing.T) {
	s := shopWith(t, "")
	want := defaults()
	want.Shop, want.Name, want.SupportContact, want.Accounts = s.Shop, s.Name, s.SupportContact, s.Accounts
	if !reflect.DeepEqual(s, want) {
		t.Errorf("the least document gives\n%+v, want\n%+v", s, want)
	}
	h := s.Handoff
	for name, ok := range map[string]bool{
		"bot's name": s.Bot == "Shopper", "mode": s.Mode == ModeEscalate, "switches": s.Active && s.SupportDetails,
		"bot's time": s.AutoReply.Timeout == 10*time.Second, "unsure in a row": h.UnsureInARow == 2,
		"lapse": h.OfferLapses == 24*time.Hour, "again": h.OfferAgainAfter == 24*time.Hour, "pause": h.PauseFor == 24*time.Hour,
		"tag": h.Tag == "has_shopper_support_escalation", "on stop": h.OnStop == "close", "disclosure": h.Disclose,
		"credits": h.SegmentCredits == 1 && h.MMSCredits == 3 && h.MessageCredits == 1, "segments": h.SegmentsNoted == 3,
		"off":   !h.SayResumed && !h.AnswerAfterStop && !h.CloseOnThanks && !h.SkipOfferWhenAsked && h.AnswerGrace == 0,
		"scope": s.Consent.OptOutScope == "channel", "requires": s.Consent.ReplyRequires == "conversation",
		"conversational": s.Consent.ConversationalFor == 7*24*time.Hour, "intents": len(h.Intents) == 5,
	} {
		if !ok {
			t.Errorf("the default of %s is another", name)
		}
	}
}

// What is set in a section leaves the section's other defaults alone.
func TestSectionsKeepTheirDefaults(t *testing.T) {
	s := shopWith(t, "handoff: {say_resumed: true, pause_for: 90m}\nconsent: {opt_out_scope: shop}\nbot: {url: \"https://bot.example\"}\ndesk:\n")
	if h := s.Handoff; !h.SayResumed || h.PauseFor != 90*time.Minute || h.OfferLapses != 24*time.Hour || h.SentimentBelow != -0.8 || len(h.Intents) != 5 {
		t.Errorf("handoff is %+v", h)
	}
	if s.Consent.OptOutScope != "shop" || s.Consent.ReplyRequires != "conversation" || s.AutoReply.Timeout != 10*time.Second {
		t.Errorf("consent is %+v, bot %+v", s.Consent, s.AutoReply)
	}
	if s := shopWith(t, "handoff:\nconsent: ~\nbot: null\n"); !reflect.DeepEqual(s, shopWith(t, "")) {
		t.Errorf("empty sections change %+v", s)
	}
	if s := shopWith(t, "handoff: {intents: []}\n"); len(s.Handoff.Intents) != 0 {
		t.Errorf("an empty list of intents is %v", s.Handoff.Intents)
	}
	if s := shopWith(t, "handoff: {intents: [human]}\n"); len(s.Handoff.Intents) != 1 {
		t.Errorf("a list of one intent is %v", s.Handoff.Intents)
	}
	if s := shopWith(t, "desk: {kind: zendesk, subdomain: acme, user: a@b.example, token: env:T, webhook_secret: env:W, limit: {requests: 5}}\n"); s.Desk.Limit.Per != time.Second {
		t.Errorf("a limit without a window is %+v", s.Desk.Limit)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{"", "the document is empty"},
		{"# nothing\n", "the document is empty"},
		{least + "handof: {}\n", `line 6: handof: "handof" is not known; did you mean handoff?`},
		{least + "handoff:\n  pause: 1h\n", `line 7: handoff.pause: "pause" is not known; did you mean pause_for?`},
		{least + "shop: other\n", `line 6: "shop" stands here a second time, after line 1; leave one of them out`},
		{least + "handoff: {pause_for: soon}\n", `line 6: handoff.pause_for: "soon" is not a duration, e.g. 90m or 24h`},
		{least + "consent: {conversational_for: 7d}\n", `line 6: consent.conversational_for: "7d" is not a duration, e.g. 90m or 24h; a week is 168h`},
		{least + "consent: {conversational_for: \"60\"}\n", `line 6: consent.conversational_for: "60" is not a duration`},
		{least + "bot: {timeout: 5}\n", `line 6: bot.timeout: "5" is not a duration`},
		{least + "handoff: {unsure_in_a_row: many}\n", `line 6: handoff.unsure_in_a_row: "many" is not a whole number`},
		{least + "consent: {double_opt_in: \"yes\"}\n", `line 6: consent.double_opt_in: "yes" is not true or false`},
		{least + "consent: {double_opt_in: [true]}\n", "line 6: "},
		{least + "consent: [a]\n", `line 6: consent: a list stands where a section of keys is expected`},
		{least + "rules: [{name: a, when: message_created, if: {sentiment_below: low}, then: [{add_tags: x}]}]\n", `line 6: rules[0].if.sentiment_below: "low" is not a number`},
		{least + "rules: [{name: a, when: message_created, if: {intent: refund}, then: [{add_tags: x}]}]\n", `line 6: rules[0].if.intent[0]: no message has the intent "refund"; use one of cancel_order, complaint`},
		{least + "texts: {en: {stop_confirmed: \"[shopname]: bye\"}}\n", `line 6: texts.en.stop_confirmed: nothing fills in [shopname]; did you mean [shop name]?`},
		{least + "texts: {en: {stop_note: \"[Keyword]\"}}\n", `nothing fills in [Keyword]; did you mean [keyword]?`},
		{least + "texts: {en: {help: \"See [link]\"}}\n", `nothing fills in [link]; use one of [bot], [shop name], [support contact]`},
		{least + "rules: [{name: a, when: message_created, if: {any: []}, then: [{add_tags: x}]}]\n", `line 6: rules[0].if.any: is an empty list; leave it out, or name what must hold`},
		{least + "rules: [{name: a, when: message_created, if: {tags_contain: {vip: yes}}, then: [{add_tags: x}]}]\n", `line 6: rules[0].if.tags_contain: a word or a list of words is wanted here`},
		{least + "rules: [{name: a, when: message_created, if: {sentiment_below: .nan}, then: [{add_tags: x}]}]\n", "line 6: rules[0].if.sentiment_below: must be between -1 and 1"},
		{least + "rules: [{name: a, when: message_created, if: {sentiment_above: 0.5, sentiment_below: -0.5}, then: [{add_tags: x}]}]\n", "line 6: rules[0].if.sentiment_above: nothing is above 0.5 and below -0.5"},
		{least + "rules: [{name: a, when: message_created, if: {subscriber: {consent: maybe}}, then: [{add_tags: x}]}]\n", `line 6: rules[0].if.subscriber.consent[0]: "maybe" is no consent; use one of unknown, conversational`},
		{least + "rules: [{name: a, when: message_created, if: {subscriber: {name: []}}, then: [{add_tags: x}]}]\n", "line 6: rules[0].if.subscriber.name: is an empty list"},
		{least + "rules: [{name: a, when: message_created, if: {language: [fr, EN]}, then: [{add_tags: x}]}]\n", `line 6: rules[0].if.language[1]: "EN" is written en`},
		{least + "rules: [{name: a, when: message_created, then: [{auto_reply: {text: {pt-br: oi}}}]}]\n", `line 6: rules[0].then[0].auto_reply.text.pt-br: "pt-br" is written pt-BR`},
		{least + "texts: {FR: {offer: hi}}\n", `line 6: texts.FR: "FR" is written fr`},
		{least + "language: FR\n", `line 6: language: "FR" is written fr`},
		{least + "\thandoff: {}\n", "line 6: a tab stands here: indent with spaces"},
		{least + "handoff:\n    tag: a\n   on_stop: close\n", "line 8: does not fit what stands before it: indent what belongs together alike"},
		{least + "handoff: {pause_for: 0s}\n", "line 6: handoff.pause_for: must be longer than 0"},
		{least + "classifier: {model: ../brand.model}\n", `line 6: classifier.model: "../brand.model" is not a model's name`},
		{least + "mode: both\n", `line 6: mode: "both" is not known; use one of escalate, mirror`},
		{least + "time_zone: Mars\n", "line 6: time_zone:"},
		{least + "time_zone: Local\n", "line 6: time_zone:"},
		{least + "language: \"!\"\n", "line 6: language:"},
		{least + "bot_name: \"\"\n", "line 6: bot_name:"},
		{least + "support_hours:\n  weekly:\n    mon: [\"09:00-12:00\", \"17:00\"]\n", `line 8: support_hours.weekly.mon[1]: "17:00" is not a span`},
		{least + "support_hours: {weekly: {mon: [\"09:00-12:00\", \"11:00-13:00\"]}}\n", `mon[1]: "11:00-13:00" overlaps mon[0], "09:00-12:00"`},
		{least + "support_hours: {weekly: {mon: [\"22:00-06:00\"], tue: [\"05:59-13:00\"]}}\n", `tue[0]: "05:59-13:00" overlaps mon[0], "22:00-06:00"`},
		{least + "support_hours: {weekly: {sat: [\"22:00-06:00\"], sun: [\"05:59-13:00\"]}}\n", `sat[0]: "22:00-06:00" overlaps sun[0], "05:59-13:00"`},
		{least + "support_hours: {weekly: {mon: [\"09:00-09:00\"]}}\n", "or 22:00-06:00 into the next day"},
		{least + "support_hours: {weekly: {mon: [\"24:00-06:00\"]}}\n", "or 22:00-06:00 into the next day"},
		{least + "support_hours: {weekly: {monday: []}}\n", `"monday" is not a day`},
		{least + "support_hours: {holidays: [\"25.12.2026\"]}\n", "is not a date like 2026-12-25"},
		{least + "texts: {en: {offers: hi}}\n", `line 6: texts.en.offers: there is no text "offers"`},
		{least + "texts:\n  pt-BR:\n    offer: \" \"\n", "line 8: texts.pt-BR.offer: must not be empty"},
		{least + "desk: {kind: zendesk, subdomain: acme, user: a@b.example, token: s3cret, webhook_secret: env:W}\n", "desk.token: must be a reference"},
		{least + "desk: {kind: gorgias}\n", "desk.inbound_domain: is missing"},
		{least + "desk: {kind: freshdesk}\n", `desk.kind: "freshdesk" is not known; use one of zendesk, gorgias`},
		{least + "bot: {url: \"ftp://x\"}\n", "line 6: bot.url:"},
		{least + "consent: {opt_out_scope: world}\n", "line 6: consent.opt_out_scope:"},
		{least + "consent: {reply_requires: luck}\n", "line 6: consent.reply_requires:"},
		{least + "consent: {ledger_years: 0}\n", "line 6: consent.ledger_years:"},
		{least + "handoff: {sentiment_below: -2}\n", "line 6: handoff.sentiment_below:"},
		{least + "handoff: {sentiment_below: .nan}\n", "line 6: handoff.sentiment_below:"},
		{least + "handoff: {on_stop: shred}\n", "line 6: handoff.on_stop:"},
		{least + "handoff: {reopen_within: {fax: 1h}}\n", `line 6: handoff.reopen_within.fax: "fax" is not a channel`},
		{least + "handoff: {tag: \"\"}\n", "line 6: handoff.tag:"},
		{strings.Replace(least, "support_contact: help@acme.example\n", "", 1), "support_contact: is missing: HELP must be answered"},
		{strings.Replace(least, "Acme Outdoors", `""`, 1), "line 2: name: is missing"},
		{strings.Replace(least, "shop: acme", "shop: a|b", 1), "line 1: shop:"},
		{strings.Replace(least, "sms, account", "fax, account", 1), `line 5: accounts[0].channel: "fax" is not a channel; use one of sms, whatsapp, messenger`},
		{strings.Replace(least, "+15557770000", "555777", 1), "line 5: accounts[0].account:"},
		{strings.Replace(least, "provider: twilio", "provider: carrier-pigeon", 1), "line 5: accounts[0].provider:"},
		{strings.Replace(least, "user: AC1, ", "", 1), "line 5: accounts[0].user: is missing"},
		{strings.Replace(least, `, secret: "env:TWILIO"`, "", 1), "line 5: accounts[0].secret: is missing"},
		{strings.Replace(least, "env:TWILIO", "hunter2", 1), "line 5: accounts[0].secret: must be a reference"},
		{strings.Replace(least, "user: AC1", "user: AC1, provider_answers: [stop, yes]", 1), "line 5: accounts[0].provider_answers[1]:"},
		{least + "  - {channel: SMS, account: \"+15557770000\", provider: twilio, user: AC1, secret: \"env:TWILIO\"}\n", "line 6: accounts[1].account: +15557770000 is listed twice"},
		{least + "---\nshop: other\n", "more than one document"},
	} {
		_, err := Parse([]byte(c.doc))
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q\ngives %v\nwant an error with %q", strings.TrimPrefix(c.doc, least), err, c.want)
		}
	}
}

// Problems come in the order of lines, the same every time.
func TestProblemsAreInOrder(t *testing.T) {
	doc := []byte(least + "texts:\n  fr: {offre: a}\n  en: {hi: a, ho: b}\n  de: {x: y}\nhandoff: {tag: \"\", pause_for: 0s}\nmode: x\n")
	_, err := Parse(doc)
	if err == nil {
		t.Fatal("no error")
	}
	last := 0
	for line := range strings.SplitSeq(err.Error(), "\n") {
		var n int
		if _, scanErr := fmt.Sscanf(line, "line %d:", &n); scanErr != nil || n < last {
			t.Fatalf("out of order:\n%v", err)
		}
		last = n
	}
	for range 20 {
		if _, again := Parse(doc); again.Error() != err.Error() {
			t.Fatalf("first\n%v\nthen\n%v", err, again)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(least))
	f.Add([]byte(least + "texts: {en: {offer: hi}}\nsupport_hours: {weekly: {mon: [\"09:00-12:00\"]}}\n"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("? : -"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		s, err := Parse(doc)
		var e *Error
		if err != nil && (!errors.As(err, &e) || len(e.Problems) == 0) {
			t.Fatalf("the error %v names no problem", err)
		}
		if err == nil && (s.SupportContact == "" || len(s.Accounts) == 0) {
			t.Fatalf("accepted %+v", s)
		}
	})
}

func TestAccount(t *testing.T) {
	s := shopWith(t, "")
	if a := s.Account(handoffv1.Channel_CHANNEL_SMS, "+15557770000"); a == nil || a.User != "AC1" {
		t.Errorf("the account is %+v", a)
	}
	if s.Account(handoffv1.Channel_CHANNEL_WHATSAPP, "+15557770000") != nil || s.Account(handoffv1.Channel_CHANNEL_SMS, "+1") != nil {
		t.Error("an account is found that is not there")
	}
}

// The shipped texts are the product's, to the letter.
func TestDefaultTexts(t *testing.T) {
	want := map[TextID]string{
		TextOffer:              "Since I'm not able to help with that, do you want me to connect you directly with our support team? They will continue the conversation over text. Please confirm with a yes.",
		TextResumed:            "Our support team has closed this conversation. Shopper is back to help.",
		TextExpiredNote:        "No close within 24 hours: Shopper answers again. Your replies are still delivered.",
		TextDeskDown:           "We're having trouble reaching our support team. Your message is saved and they will reply here.",
		TextFailed:             "We couldn't connect you with our support team. Please contact help@acme.example.",
		TextDisclosure:         "This is Shopper, Acme Outdoors's automated assistant.",
		TextTakenOver:          "You're now connected with our support team.",
		TextReturned:           "Shopper is back to help.",
		TextAgentLate:          "Sorry for the wait, our team will be with you soon.",
		TextOutsideHours:       "Our team is back Monday, 9:00 AM.",
		TextStopConfirmed:      "Acme Outdoors: You're unsubscribed and will get no more texts. Reply START to resubscribe.",
		TextStopNote:           "Customer texted STOP and is unsubscribed from SMS.",
		TextStartConfirmed:     "Acme Outdoors: You're subscribed. Msg frequency varies. Msg & data rates may apply. Reply HELP for help, STOP to opt out.",
		TextHelp:               "Acme Outdoors support: help@acme.example. Msg frequency varies. Msg & data rates may apply. Reply STOP to opt out.",
		TextOptIn:              "Acme Outdoors: Reply YES to get our answer by text. Msg & data rates may apply. Reply HELP for help, STOP to opt out.",
		TextBlockedOptedOut:    "Not sent: the customer opted out on Mar 2, 2026.",
		TextBlockedUnconfirmed: "Not sent: the customer never confirmed their subscription.",
		TextBlockedNoRecord:    "Not sent: there is no subscriber record for this address.",
		TextOptOutNote:         "Unsubscribed by #optout. Your reply was not sent.",
		TextOptOutAlready:      "Not changed: the customer is already unsubscribed.",
		TextOptOutUnconfirmed:  "Not changed: the customer never confirmed their subscription.",
		TextOptOutNoRecord:     "Not changed: there is no subscriber record.",
		textRuleReceived:       "Got it! We're on it and will text you back here shortly.",
		textRuleReopened:       "Thanks for following up! We've received your message and will get back to you shortly.",
		textRuleFollowUpNote:   "Hi! Just so you know, this could be a follow-up to a recent ticket. It may be worth checking this customer's history.",
		TextStoppedNote:        "Automated replies are stopped for this conversation: 3 same. They start again when its ticket is closed, or when the customer writes something else after 1 hour.",
		TextOptedOutWroteNote:  "Opted out on Mar 2, 2026: can't be texted until they send START. Answer another way.",
		TextUnconfirmedNote:    "Asked to confirm and hasn't: can't be texted until they reply YES. Answer another way.",
		TextPossibleOptOut:     "Possible opt-out: reply #optout to confirm",
		TextBlockedWindow:      "Not sent: outside WhatsApp's 24-hour window, the customer last wrote Mar 2, 2026, 10:00.",
	}
	s := shopWith(t, "")
	ids := map[TextID]bool{}
	for _, id := range TextIDs() {
		ids[id] = true
		channel := "SMS"
		if id == TextBlockedWindow {
			channel = "WhatsApp"
		}
		got := s.Text(id, "en", "24-hour", "24-hour", "time", s.Moment(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)), "hours", Span(24*time.Hour), "day, time", "Monday, 9:00 AM", "reason", "3 same", "span", Span(time.Hour), "keyword", "STOP", "channel", channel,
			"date", s.Date(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)))
		if got != want[id] || got == "" {
			t.Errorf("%s is %q, want %q", id, got, want[id])
		}
	}
	if len(ids) != len(want) {
		t.Errorf("%d texts can be set, want %d", len(ids), len(want))
	}
	if TextID("nothing").Default() != "" {
		t.Error("an unknown text has a default")
	}
}

func TestTextLanguage(t *testing.T) {
	s := shopWith(t, "language: fr\ntexts:\n  fr: {offer: \"Oui ?\", help: \"[shop name] aide [Nothing]\"}\n  pt: {offer: \"Sim?\"}\n  pt-BR: {offer: \"Sim, né?\"}\n")
	for _, c := range []struct {
		id             TextID
		language, want string
	}{
		{TextOffer, "fr", "Oui ?"}, {TextOffer, "fr-CA", "Oui ?"}, {TextOffer, "pt-BR", "Sim, né?"}, {TextOffer, "pt-PT", "Sim?"},
		{TextOffer, "de", "Oui ?"}, {TextOffer, "", "Oui ?"}, {TextHelp, "de", "Acme Outdoors aide [Nothing]"},
		{TextOffer, "en", TextOffer.Default()}, {TextOffer, "en-GB", TextOffer.Default()}, {TextStopNote, "fr", TextStopNote.Default()},
	} {
		if got := s.Text(c.id, c.language); got != c.want {
			t.Errorf("%s in %q is %q, want %q", c.id, c.language, got, c.want)
		}
	}
	own := shopWith(t, "language: fr\ntexts: {en: {offer: \"Yes?\"}}\n")
	for _, language := range []string{"en", "de", "fr"} {
		if got := own.Text(TextOffer, language); got != "Yes?" {
			t.Errorf("the offer in %q is %q", language, got)
		}
	}
	if got := shopWith(t, "").Text(TextStopNote, "en", "keyword", "[bot]", "channel", "SMS"); got != "Customer texted [bot] and is unsubscribed from SMS." {
		t.Errorf("what is filled in is filled in again: %q", got)
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		24 * time.Hour: "24 hours", time.Hour: "1 hour", 90 * time.Minute: "90 minutes", time.Minute: "1 minute", 20 * time.Second: "20 seconds",
		90 * time.Second: "90 seconds", time.Second: "1 second", 0: "0 seconds", 1499 * time.Millisecond: "1 second",
	} {
		if got := Span(d); got != want {
			t.Errorf("Span(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestHours(t *testing.T) {
	s := shopWith(t, `time_zone: America/New_York
support_hours:
  weekly:
    mon: ["09:00-12:00", "13:00-17:00"]
    tue: ["09:00-17:00"]
    fri: ["22:00-24:00"]
    sat: ["00:00-02:00"]
  holidays: ["2026-03-10"]
`)
	at := func(text string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04", text, s.Location())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for text, open := range map[string]bool{
		"2026-03-02 08:59": false, "2026-03-02 09:00": true, "2026-03-02 12:00": false, "2026-03-02 13:00": true, "2026-03-02 17:00": false,
		"2026-03-04 10:00": false, "2026-03-06 23:59": true, "2026-03-07 00:00": true, "2026-03-07 02:00": false, "2026-03-10 10:00": false,
	} {
		if got := s.SupportOpen(at(text).UTC()); got != open {
			t.Errorf("open at %s: %v, want %v", text, got, open)
		}
	}
	for from, want := range map[string]string{
		"2026-03-02 08:00": "2026-03-02 09:00", "2026-03-02 10:00": "2026-03-02 10:00", "2026-03-02 12:30": "2026-03-02 13:00",
		"2026-03-03 18:00": "2026-03-06 22:00", "2026-03-09 17:00": "2026-03-13 22:00",
	} {
		if got, ok := s.NextOpen(at(from).UTC()); !ok || !got.Equal(at(want)) {
			t.Errorf("next open after %s is %v, want %s", from, got, want)
		}
	}
	for _, c := range []struct {
		from string
		add  time.Duration
		want string
	}{
		{"2026-03-02 10:00", time.Hour, "2026-03-02 11:00"},
		{"2026-03-02 10:00", 3 * time.Hour, "2026-03-02 14:00"},
		{"2026-03-02 20:00", 8 * time.Hour, "2026-03-03 17:00"},
		{"2026-03-03 16:00", 4 * time.Hour, "2026-03-07 01:00"},
		{"2026-03-09 16:00", 2 * time.Hour, "2026-03-13 23:00"}, // over the clocks' change and a holiday
	} {
		got := s.AddSupportTime(at(c.from).UTC(), c.add)
		if !got.Equal(at(c.want)) {
			t.Errorf("%v of support after %s is %v, want %s", c.add, c.from, got, c.want)
		}
		if sum := s.SupportTime(at(c.from).UTC(), got); sum != c.add {
			t.Errorf("support time back from there is %v, want %v", sum, c.add)
		}
	}
	if s.SupportTime(at("2026-03-03 10:00"), at("2026-03-02 10:00")) != 0 {
		t.Error("support time runs backwards")
	}
}

func TestHoursThatNeverEndOrNeverCome(t *testing.T) {
	always, now := shopWith(t, ""), time.Date(2026, 3, 2, 3, 0, 0, 0, time.UTC)
	if next, ok := always.NextOpen(now); !ok || !next.Equal(now) || !always.SupportOpen(now) || !always.AddSupportTime(now, time.Hour).Equal(now.Add(time.Hour)) ||
		always.SupportTime(now, now.Add(time.Hour)) != time.Hour {
		t.Error("a shop without hours is not always open")
	}
	never := shopWith(t, "support_hours: {weekly: {mon: []}}\n")
	if _, ok := never.NextOpen(now); ok || never.SupportOpen(now) || !never.AddSupportTime(now, time.Hour).Equal(now.Add(time.Hour)) {
		t.Error("a shop that never opens does, or its pause never ends")
	}
}

// Adding support time and measuring it agree, wherever the clocks change.
func TestSupportTimeAddsUp(t *testing.T) {
	s := shopWith(t, "time_zone: Europe/Berlin\nsupport_hours: {weekly: {sun: [\"01:00-04:00\"], mon: [\"09:00-17:30\"], wed: [\"00:00-24:00\"]}, holidays: [\"2026-04-01\"]}\n")
	rapid.Check(t, func(t *rapid.T) {
		from := time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 400*24*60).Draw(t, "minute")) * time.Minute)
		d := time.Duration(rapid.IntRange(1, 100*60).Draw(t, "minutes")) * time.Minute
		to := s.AddSupportTime(from, d)
		if got := s.SupportTime(from, to); got != d {
			t.Fatalf("from %v, %v of support ends at %v, which measures %v", from, d, to, got)
		}
		if next, ok := s.NextOpen(from); !ok || !s.SupportOpen(next) || next.Before(from) || s.SupportTime(from, next) != 0 {
			t.Fatalf("next open after %v is %v", from, next)
		}
	})
}

// What cannot be read hides nothing else that is wrong.
func TestParseTellsAllAtOnce(t *testing.T) {
	_, err := Parse([]byte(least+`nam: Acme
active: perhaps
handoff: {pause_for: soon, unsure_in_a_row: 0}
rules:
  - 5
  - {name: ok, when: message_created, then: [{fly: away}]}
  - {name: Bad, when: message_created, then: [{note: hi}]}
  - {name: words, when: message_created, if: {tags_contain: {a: b}, status: {c: d}}, then: [{note: hi}]}
`), func(*Shop) []Problem { return []Problem{{Path: "rules[2].then[0].note", Reason: "is too short"}} })
	want := []string{
		`line 6: nam: "nam" is not known; did you mean name?`,
		`line 7: active: "perhaps" is not true or false`,
		`line 8: handoff.pause_for: "soon" is not a duration, e.g. 90m or 24h; a week is 168h`,
		`line 8: handoff.unsure_in_a_row: must be 1 or more`,
		`line 10: rules[0]: a number stands where a section of keys is expected`,
		`line 11: rules[1].then[0].fly: "fly" is not known; known here: add_tags`,
		`line 12: rules[2].name: must be 1 to 64 small letters, digits or '-'`,
		`line 12: rules[2].then[0].note: is too short`,
		`line 13: rules[3].if.status: a word or a list of words is wanted here`,
		`line 13: rules[3].if.tags_contain: a word or a list of words is wanted here`,
	}
	if err == nil {
		t.Fatal("taken")
	}
	got := strings.Split(err.Error(), "\n")
	for i, line := range got {
		if i >= len(want) || !strings.HasPrefix(line, want[i]) {
			t.Errorf("unexpected: %s", line)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d problems, want %d", len(got), len(want))
	}
}
