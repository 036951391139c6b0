package settings

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/country"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings/rules"
)

var (
	shopID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	e164   = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
)

// checker collects problems.
type checker struct{ problems []Problem }

func (c *checker) add(path, format string, args ...any) {
	c.problems = append(c.problems, Problem{Path: path, Reason: fmt.Sprintf(format, args...)})
}

func (c *checker) oneOf(path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.add(path, "%q is not known; use one of %s", value, strings.Join(allowed, ", "))
	}
}

func (c *checker) positive(path string, d time.Duration) {
	if d <= 0 {
		c.add(path, "must be longer than 0, e.g. 24h")
	}
}

// check returns everything wrong with a decoded shop.
func check(s *Shop) []Problem {
	c := &checker{}
	if !shopID.MatchString(s.Shop) {
		c.add("shop", "must be 1 to 64 letters, digits, '-', '_' or '.'")
	}
	if strings.TrimSpace(s.Name) == "" {
		c.add("name", "is missing: customers see it in texts")
	}
	if strings.TrimSpace(s.SupportContact) == "" {
		c.add("support_contact", "is missing: HELP must be answered with a way to reach support")
	}
	if strings.TrimSpace(s.Bot) == "" {
		c.add("bot_name", "must not be empty; leave it out for the default")
	}
	c.language("language", s.Language)
	// "Local" would be the machine's own zone.
	if _, err := time.LoadLocation(s.TimeZone); err != nil || s.TimeZone == "" || s.TimeZone == "Local" {
		c.add("time_zone", "%q is not an IANA time zone, e.g. America/New_York", s.TimeZone)
	}
	c.oneOf("mode", string(s.Mode), string(ModeEscalate), string(ModeMirror))
	c.countries(s)
	c.accounts(s.Accounts)
	c.desk(s.Desk)
	c.url("bot.url", s.AutoReply.URL)
	c.secret("bot.secret", s.AutoReply.Secret)
	c.secret("platform.secret", s.Platform.Secret)
	c.positive("bot.timeout", s.AutoReply.Timeout)
	if m := s.Classifier.Model; m != "" && !shopID.MatchString(m) {
		c.add("classifier.model", "%q is not a model's name: letters, digits, '-', '_' and '.', without \".model\"", m)
	}
	c.endpoint(s.Classifier.Endpoint)
	c.handoff(&s.Handoff)
	c.agentTimer(s)
	c.oneOf("consent.opt_out_scope", s.Consent.OptOutScope, "account", "channel", "shop")
	c.oneOf("consent.reply_requires", s.Consent.ReplyRequires, "conversation", "subscription")
	c.positive("consent.conversational_for", s.Consent.ConversationalFor)
	for class, span := range s.Consent.HoursAllowed {
		path := "consent.hours_allowed." + class
		c.oneOf(path, class, "agent", "bot", "rule", "system")
		if _, _, err := parseSpan(span); err != nil {
			c.add(path, "%v", err)
		}
	}
	if n := s.Consent.PossibleOptOutDays; n < 1 || n > 10 {
		c.add("consent.possible_opt_out_days", "must be 1 to 10: the law allows 10 business days to honour an opt-out")
	}
	if n := s.Consent.LedgerYears; n < 1 || n > 100 {
		c.add("consent.ledger_years", "must be 1 to 100: evidence of consent is kept for years after the last change")
	}
	c.hours(s.Hours)
	c.texts(s.Texts)
	c.automation(s.Automation)
	c.rules(s)
	return c.problems
}

// longestEndpoint is how long a channel's provider may be let wait for a classifier: they wait five seconds and more
// for an answer, of which Kafka may take four.
const longestEndpoint = 2 * time.Second

// endpoint checks the classifier that is asked over HTTP.
func (c *checker) endpoint(e endpoint) {
	const path = "classifier.endpoint."
	c.url(path+"url", e.URL)
	c.secret(path+"key", e.Key)
	c.oneOf(path+"format", e.Format, "handoff", "openai")
	if e.URL != "" && e.Format == "openai" && e.Model == "" {
		c.add(path+"model", "is missing: chat completions name the model that answers")
	}
	if e.Timeout <= 0 || e.Timeout > longestEndpoint {
		c.add(path+"timeout", "must be above 0 and at most %s: the channel's provider waits meanwhile", longestEndpoint)
	}
	if !(e.SureFrom >= 0 && e.SureFrom <= 1) {
		c.add(path+"sure_from", "must be 0 to 1")
	}
	for i, intent := range e.Intents {
		if !shopID.MatchString(intent) {
			c.add(fmt.Sprintf("%sintents[%d]", path, i), "%q is not an intent's name: 1 to 64 letters, digits, '-', '_' or '.'", intent)
		}
	}
}

// countries checks the list, and that the shop's own numbers are from there (W9).
func (c *checker) countries(s *Shop) {
	if len(s.SMSCountries) == 0 {
		c.add("sms_countries", "must name at least one country; leave it out for US, GB, CA")
	}
	for i, name := range s.SMSCountries {
		if !country.Known(name) {
			c.add(fmt.Sprintf("sms_countries[%d]", i), "%q is not a country's two capital letters (ISO 3166-1) with numbers of its own, e.g. US", name)
		}
	}
	for i, a := range s.Accounts {
		if e164.MatchString(a.Account) && !s.Reaches(schemas.ChannelOf(a.Channel), a.Account) {
			c.add(fmt.Sprintf("accounts[%d].account", i), "%s is a number from %s; add that to sms_countries to text from it",
				a.Account, cmp.Or(country.Of(a.Account), "no known country"))
		}
	}
}

func (c *checker) accounts(accounts []Account) {
	if len(accounts) == 0 {
		c.add("accounts", "at least one account is needed: the number or page customers write to")
	}
	taken := map[string]bool{}
	for i, a := range accounts {
		at := func(field string) string { return fmt.Sprintf("accounts[%d].%s", i, field) }
		ch := schemas.ChannelOf(a.Channel)
		if ch == handoffv1.Channel_CHANNEL_UNSPECIFIED {
			c.add(at("channel"), "%q is not a channel; use one of %s", a.Channel, strings.Join(rules.Channels(), ", "))
		}
		if ch == handoffv1.Channel_CHANNEL_SMS && !e164.MatchString(a.Account) {
			c.add(at("account"), "%q is not an E.164 number, e.g. \"+15557770000\" (quoted)", a.Account)
		}
		identity := ch.String() + ":" + a.Account
		if taken[identity] {
			c.add(at("account"), "%s is listed twice", a.Account)
		}
		taken[identity] = true
		c.oneOf(at("provider"), a.Provider, "twilio", "sms")
		c.url(at("base_url"), a.BaseURL)
		if a.Provider == "sms" && a.BaseURL == "" {
			c.add(at("base_url"), "is missing: the URL of the provider that takes sends")
		}
		if a.Provider == "twilio" && a.User == "" {
			c.add(at("user"), "is missing: the Twilio account SID")
		}
		if a.Secret == "" {
			c.add(at("secret"), "is missing: webhooks are verified and sends signed with it")
		}
		c.secret(at("secret"), a.Secret)
		for j, family := range a.ProviderAnswers {
			c.oneOf(fmt.Sprintf("accounts[%d].provider_answers[%d]", i, j), family, "stop", "start", "help")
		}
		c.nudge(at("nudge"), a, ch)
		c.rate(at("limit"), a.Limit)
	}
}

// nudge checks a template: a channel without a window needs none, and the provider must be able to send it.
func (c *checker) nudge(path string, a Account, ch handoffv1.Channel) {
	switch n := a.Nudge; {
	case n == Nudge{}:
	case schemas.WindowOf(ch) == schemas.Window{}:
		c.add(path, "%s takes texts at any time: leave the template out", a.Channel)
	case a.Provider != "sms":
		c.add(path, "%s accounts cannot send templates here; use a provider behind the signed webhook (sms)", a.Provider)
	case n.Template == "" || n.Language == "" || strings.TrimSpace(n.Text) == "":
		c.add(path, "needs template, language and text: its name and language at the channel, and what it says")
	}
}

func (c *checker) desk(d Desk) {
	if d.Kind != "" {
		c.oneOf("desk.kind", d.Kind, "zendesk", "gorgias")
	}
	c.url("desk.base_url", d.BaseURL)
	c.secret("desk.token", d.Token)
	c.secret("desk.webhook_secret", d.WebhookSecret)
	c.rate("desk.limit", d.Limit)
	if d.Poll < 0 {
		c.add("desk.poll", "must not be negative")
	}
	if d.Kind == "" {
		return
	}
	if d.Subdomain == "" && d.BaseURL == "" {
		c.add("desk.subdomain", "is missing: the part before .%s.com", d.Kind)
	}
	if d.User == "" {
		c.add("desk.user", "is missing: the e-mail address that the API token belongs to")
	}
	if d.Token == "" {
		c.add("desk.token", "is missing: a reference to the API token, e.g. env:DESK_TOKEN")
	}
	if d.WebhookSecret == "" {
		c.add("desk.webhook_secret", "is missing: the desk's webhooks could not be verified")
	}
	if d.Kind == "gorgias" && d.InboundDomain == "" {
		c.add("desk.inbound_domain", "is missing: tickets come from [phonenumber]@ this domain")
	}
}

func (c *checker) handoff(h *Handoff) {
	if h.UnsureInARow < 1 {
		c.add("handoff.unsure_in_a_row", "must be 1 or more")
	}
	if !(h.SentimentBelow >= -1 && h.SentimentBelow <= 1) { // .nan is neither
		c.add("handoff.sentiment_below", "must be between -1 and 1")
	}
	c.positive("handoff.offer_lapses", h.OfferLapses)
	c.positive("handoff.pause_for", h.PauseFor)
	if h.OfferAgainAfter < 0 {
		c.add("handoff.offer_again_after", "must not be negative")
	}
	if h.AnswerGrace < 0 {
		c.add("handoff.answer_grace", "must not be negative")
	}
	for path, d := range map[string]time.Duration{
		"lookup": h.Pace.Lookup, "action": h.Pace.Action, "transition": h.Pace.Transition, "complaint": h.Pace.Complaint,
	} {
		if d < 0 || d > time.Minute {
			c.add("handoff.pace."+path, "must be between 0 and 1m: people think nobody is there")
		}
	}
	if strings.TrimSpace(h.Tag) == "" {
		c.add("handoff.tag", "must not be empty: escalations are found by it")
	}
	c.oneOf("handoff.on_stop", h.OnStop, "close", "leave_open")
	c.oneOf("handoff.outside_window", h.OutsideWindow, "drop", "park")
	for channel, d := range h.ReopenWithin {
		if schemas.ChannelOf(channel) == handoffv1.Channel_CHANNEL_UNSPECIFIED {
			c.add("handoff.reopen_within."+channel, "%q is not a channel; use one of %s", channel, strings.Join(rules.Channels(), ", "))
		}
		if d < 0 {
			c.add("handoff.reopen_within."+channel, "must not be negative")
		}
	}
	if h.SegmentsNoted < 1 {
		c.add("handoff.segments_noted", "must be 1 or more")
	}
	if h.SegmentCredits < 0 || h.MMSCredits < 0 || h.MessageCredits < 0 {
		c.add("handoff", "credits must not be negative")
	}
}

func (c *checker) agentTimer(s *Shop) {
	before := time.Duration(0)
	for i, step := range s.Handoff.AgentTimer.Steps {
		at := func(field string) string { return fmt.Sprintf("handoff.agent_timer.steps[%d].%s", i, field) }
		if step.After <= before {
			c.add(at("after"), "must be longer than 0 and than the step before, e.g. 30m")
		}
		before = step.After
		c.oneOf(at("do"), step.Do, "tell", "reroute", "return")
		if (step.Do == "reroute") != (strings.TrimSpace(step.Team) != "") {
			c.add(at("team"), "names the team to reroute to; it goes with reroute, and only with that")
		}
		if step.Do == "return" && i < len(s.Handoff.AgentTimer.Steps)-1 {
			c.add(at("do"), "return must be the last step: nobody waits for an agent after it")
		}
		if step.Do == "return" && s.Mode == ModeMirror && !s.AutoReply.InMirrorMode {
			c.add(at("do"), "there is no bot to return to: bot.in_mirror_mode is off")
		}
	}
}

func (c *checker) hours(h Hours) {
	for day := range h.Weekly {
		if _, ok := weekday(day); !ok {
			c.add("support_hours.weekly."+day, "%q is not a day; use mon, tue, wed, thu, fri, sat, sun", day)
		}
	}
	c.shifts(h.Weekly)
	for i, day := range h.Holidays {
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			c.add(fmt.Sprintf("support_hours.holidays[%d]", i), "%q is not a date like 2026-12-25", day)
		}
	}
}

// shifts checks the spans of a week: each readable, none over another, or time would count twice. One that goes on into
// the next day may meet that day's, and Saturday's Sunday's.
func (c *checker) shifts(weekly map[string][]string) {
	type shift struct {
		at, text string
		from, to int // minutes of the week
	}
	const week = 7 * dayMinutes
	var taken []shift
	for i, day := range weekdays() {
		for n, text := range weekly[day] {
			s := shift{at: fmt.Sprintf("support_hours.weekly.%s[%d]", day, n), text: text}
			from, to, err := parseShift(text)
			if err != nil {
				c.add(s.at, "%v", err)
				continue
			}
			s.from, s.to = from+i*dayMinutes, to+i*dayMinutes
			for _, other := range taken {
				if s.from < other.to && other.from < s.to || other.from+week < s.to {
					c.add(s.at, "%q overlaps %s, %q", text, strings.TrimPrefix(other.at, "support_hours.weekly."), other.text)
				}
			}
			taken = append(taken, s)
		}
	}
}

func (c *checker) language(path, tag string) {
	if why := rules.BadLanguage(tag); why != "" {
		c.add(path, "%s", why)
	}
}

// noText says that a text is none, and which one is meant or can be.
func (c *checker) noText(path string, id TextID) {
	var all []string
	for _, known := range TextIDs() {
		all = append(all, string(known))
	}
	if near := nearest(string(id), all); near != "" {
		c.add(path, "there is no text %q; did you mean %s?", id, near)
		return
	}
	c.add(path, "there is no text %q; use one of %s", id, strings.Join(all, ", "))
}

func (c *checker) texts(texts map[string]map[TextID]string) {
	for lang, byID := range texts {
		c.language("texts."+lang, lang)
		for id, text := range byID {
			path := "texts." + lang + "." + string(id)
			if id.Default() == "" {
				c.noText(path, id)
			}
			if strings.TrimSpace(text) == "" {
				c.add(path, "must not be empty; leave it out to use the default")
			}
			c.placeholders(path, text, placeholdersIn(id.Default())...)
		}
	}
}

func (c *checker) url(path, value string) {
	if value == "" {
		return
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		c.add(path, "%q is not an http or https URL", value)
	}
}

func (c *checker) secret(path string, ref SecretRef) {
	if ref == "" {
		return
	}
	scheme, rest, _ := strings.Cut(string(ref), ":")
	if (scheme != "env" && scheme != "file") || rest == "" {
		c.add(path, "must be a reference, env:NAME or file:/path; a secret itself never stands in settings")
	}
}

func (c *checker) rate(path string, r Rate) {
	if r.Requests < 0 || r.Per < 0 {
		c.add(path, "must not be negative")
	}
}
