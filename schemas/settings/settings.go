// Package settings holds what a shop can set: one YAML document per shop, read strictly, checked
// whole, with every default filled in. A loaded Shop never changes; a change is a new version.
package settings

import (
	"reflect"
	"slices"
	"time"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/country"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings/rules"
)

// Shop is one version of a shop's settings.
type Shop struct {
	// Shop is the tenant's id: letters, digits, '-', '_' and '.', at most 64.
	Shop string `yaml:"shop"`
	// Name of the shop as customers know it; [shop name] in texts.
	Name string `yaml:"name"`
	// Bot is the bot's name; [bot] in texts. Default "Shopper".
	Bot string `yaml:"bot_name"`
	// SupportContact answers HELP (C4); required.
	SupportContact string `yaml:"support_contact"`
	// Language of the shop, BCP 47; default "en".
	Language string `yaml:"language"`
	// TimeZone is an IANA zone; default "UTC". Dates in notes and support hours are in it.
	TimeZone string `yaml:"time_zone"`
	// Mode is "escalate" (default) or "mirror" (M1).
	Mode Mode `yaml:"mode"`
	// Active is the desk's switch (H10): without it neither an episode nor a ticket is opened. Default true.
	Active bool `yaml:"active"`
	// SupportDetails is the handoff's switch (H10): without it no episode is opened; mirrored conversations get their
	// tickets all the same. Default true.
	SupportDetails bool `yaml:"support_details"`
	// SMSCountries are the countries whose numbers the shop texts, and from whose numbers, ISO 3166-1
	// (W9); default US, GB, CA.
	SMSCountries []string `yaml:"sms_countries"`
	// Accounts are the shop's sender identities.
	Accounts []Account `yaml:"accounts"`
	// Desk is the shop's help desk.
	Desk Desk `yaml:"desk"`
	// Platform is the messaging platform that the shop sends its campaigns with.
	Platform Platform `yaml:"platform"`
	// AutoReply is the bot.
	AutoReply Bot `yaml:"bot"`
	// Classifier is what reads the intents of messages beside the classifier that ships.
	Classifier Classifier `yaml:"classifier"`
	// Handoff tunes the episode.
	Handoff Handoff `yaml:"handoff"`
	// Consent tunes the gate.
	Consent Consent `yaml:"consent"`
	// Hours are the support hours; none means always.
	Hours Hours `yaml:"support_hours"`
	// Texts replace default texts, by language and text id.
	Texts map[string]map[TextID]string `yaml:"texts"`
	// Automation bounds rules and automated texts.
	Automation Automation `yaml:"automation"`
	// Rules are the shop's own rules, in order (R1); docs/rules.md is their page.
	Rules []rules.Rule `yaml:"rules"`

	compiled *rules.Set
}

// Mode of a shop.
type Mode string

// Modes.
const (
	ModeEscalate Mode = "escalate"
	ModeMirror   Mode = "mirror"
)

// Account is one sender identity on a channel.
type Account struct {
	// Channel name: "sms", …
	Channel string `yaml:"channel"`
	// Account is the identity: the E.164 number for SMS.
	Account string `yaml:"account"`
	// Provider is the connector: "twilio" or "sms" (signed generic webhook).
	Provider string `yaml:"provider"`
	// BaseURL of the provider's API; the vendor's own by default. For "sms" the URL that takes sends.
	BaseURL string `yaml:"base_url"`
	// User is the account SID at Twilio; unused at "sms".
	User string `yaml:"user"`
	// Secret is a reference: the auth token at Twilio, the signing secret at "sms".
	Secret SecretRef `yaml:"secret"`
	// MessagingService is Twilio's MessagingServiceSid, sent in place of From; optional.
	MessagingService string `yaml:"messaging_service"`
	// Request is how the generic provider takes a send; see connectors/sms. Optional.
	Request Request `yaml:"request"`
	// ProviderAnswers lists the keyword families ("stop", "start", "help") that the provider answers
	// itself: Handoff sends no second answer (C2).
	ProviderAnswers []string `yaml:"provider_answers"`
	// Nudge is the approved template that asks a person to answer, where a reply is parked outside the
	// channel's window (W3). Optional.
	Nudge Nudge `yaml:"nudge"`
	// Limit of sends.
	Limit Rate `yaml:"limit"`
}

// Nudge is a template that the channel approved.
type Nudge struct {
	// Template is the channel's name of it.
	Template string `yaml:"template"`
	// Language is the channel's code of its language, e.g. "en_US".
	Language string `yaml:"language"`
	// Text is what it says: agents see it in the thread.
	Text string `yaml:"text"`
}

// Request is the template of an outgoing call to a generic SMS provider. {{to}}, {{from}}, {{text}},
// {{id}} and {{secret}} are filled in, escaped for the content type.
type Request struct {
	// Method; default POST.
	Method string `yaml:"method"`
	// ContentType; default application/json.
	ContentType string `yaml:"content_type"`
	// Headers to send.
	Headers map[string]string `yaml:"headers"`
	// Body template; default {"id","from","to","text"} as JSON.
	Body string `yaml:"body"`
}

// Rate is a limit of requests.
type Rate struct {
	// Requests per window; 0 means the connector's default.
	Requests int `yaml:"requests"`
	// Per is the window; default 1s.
	Per time.Duration `yaml:"per"`
}

// Desk is the shop's help desk.
type Desk struct {
	// Kind is the connector: "zendesk", "gorgias", or empty for none.
	Kind string `yaml:"kind"`
	// Subdomain at the vendor.
	Subdomain string `yaml:"subdomain"`
	// BaseURL replaces the vendor's address made from the subdomain.
	BaseURL string `yaml:"base_url"`
	// User is the e-mail address that the token belongs to: Handoff's own user at the desk.
	User string `yaml:"user"`
	// Token is the API token.
	Token SecretRef `yaml:"token"`
	// WebhookSecret verifies the desk's webhooks.
	WebhookSecret SecretRef `yaml:"webhook_secret"`
	// InboundDomain makes the from address at Gorgias: phone@domain (H3).
	InboundDomain string `yaml:"inbound_domain"`
	// Poll is how often a ticket that is not closed is looked at when no webhook tells of it: desks lose
	// some. Default 10m; 0 never.
	Poll time.Duration `yaml:"poll"`
	// Tags every ticket carries, besides the channel's own.
	Tags []string `yaml:"tags"`
	// Limit of API requests; the connector's default from the vendor's documents.
	Limit Rate `yaml:"limit"`
}

// Platform is the messaging platform.
type Platform struct {
	// Secret signs what the platform reports (H13); without it nothing is taken.
	Secret SecretRef `yaml:"secret"`
}

// Bot is the automated agent.
type Bot struct {
	// URL that takes the conversation; empty: no bot, every message is a "cannot answer".
	URL string `yaml:"url"`
	// Secret signs requests; optional.
	Secret SecretRef `yaml:"secret"`
	// Timeout of an answer (H11); default 10s.
	Timeout time.Duration `yaml:"timeout"`
	// InMirrorMode lets the bot answer in mirror mode (M6); default false.
	InMirrorMode bool `yaml:"in_mirror_mode"`
}

// Classifier is the shop's own. It places messages only: what consent hangs on (keywords, opt-outs, wrong
// numbers), answers, sentiment and language are read by what ships.
type Classifier struct {
	// Model names a model that `handoff train` made: its file's name without ".model", in the directory
	// classifier.models of the process. Where it knows a message, its intent counts before that of what
	// ships. Empty, the default, for none.
	Model string `yaml:"model"`
	// Endpoint is a classifier of the shop's own that is asked over HTTP when a message comes in.
	Endpoint endpoint `yaml:"endpoint"`
}

// endpoint is a classifier that is asked over HTTP. What it says counts where it is sure enough; where it is not, or
// fails, the message is read as if there were none. It never decides on keywords, opt-outs or wrong numbers.
type endpoint struct {
	// URL that takes the message; empty, the default, for none.
	URL string `yaml:"url"`
	// Format of questions and answers: "handoff" (default) or "openai", chat completions.
	Format string `yaml:"format"`
	// Model that is named in the question; required for openai.
	Model string `yaml:"model"`
	// Key goes along as a bearer token; optional.
	Key SecretRef `yaml:"key"`
	// Timeout of an answer; default 800ms, at most 2s: the channel's provider waits meanwhile.
	Timeout time.Duration `yaml:"timeout"`
	// SureFrom is the confidence from which an answer counts, 0 to 1; default 0.6.
	SureFrom float64 `yaml:"sure_from"`
	// Intents that it may answer besides those that ship and those of handoff.intents.
	Intents []string `yaml:"intents"`
}

// Handoff tunes episodes.
type Handoff struct {
	// Intents that signal (H1); default cancel_order, order_issue, return_refund, complaint, human.
	Intents []string `yaml:"intents"`
	// UnsureInARow is how many unplaced messages in a row signal (H1); default 2.
	UnsureInARow int `yaml:"unsure_in_a_row"`
	// SentimentBelow signals (H1), -1 to 1; default -0.8.
	SentimentBelow float64 `yaml:"sentiment_below"`
	// OfferLapses after this (H2); default 24h.
	OfferLapses time.Duration `yaml:"offer_lapses"`
	// OfferAgainAfter a decline or lapse (H2); default 24h.
	OfferAgainAfter time.Duration `yaml:"offer_again_after"`
	// SkipOfferWhenAsked: whoever asks for a person is not asked back (H2); default false.
	SkipOfferWhenAsked bool `yaml:"skip_offer_when_asked"`
	// PauseFor is how long people have the conversation without a reply (H7); default 24h.
	PauseFor time.Duration `yaml:"pause_for"`
	// PauseFromOpening counts always from opening, not from the last agent reply (H7); default false.
	PauseFromOpening bool `yaml:"pause_from_opening"`
	// PauseInSupportHours counts only support hours (H7); default false.
	PauseInSupportHours bool `yaml:"pause_in_support_hours"`
	// Tag of the subscriber (H8); default has_shopper_support_escalation.
	Tag string `yaml:"tag"`
	// OnStop is what happens to the open ticket (C2): "close" (default) or "leave_open".
	OnStop string `yaml:"on_stop"`
	// AnswerAfterStop lets an agent answer a message of an opted-out person within 24h (C13); default
	// false.
	AnswerAfterStop bool `yaml:"answer_after_stop"`
	// ReopenWithin by channel (M4); default 24h everywhere.
	ReopenWithin map[string]time.Duration `yaml:"reopen_within"`
	// AnswerGrace: a message this soon after an agent's last reply goes to the ticket (M4); default off.
	AnswerGrace time.Duration `yaml:"answer_grace"`
	// CloseOnThanks closes an open ticket whose last message was an agent's (M5); default false.
	CloseOnThanks bool `yaml:"close_on_thanks"`
	// SegmentsNoted: a note is written when an agent's reply has more segments (H5); default 3.
	SegmentsNoted int `yaml:"segments_noted"`
	// SegmentCredits is the credits of one SMS segment, MMSCredits of one MMS, MessageCredits of a
	// message elsewhere (H5); defaults 1, 3, 1.
	SegmentCredits int `yaml:"segment_credits"`
	MMSCredits     int `yaml:"mms_credits"`
	MessageCredits int `yaml:"message_credits"`
	// SayResumed sends the resumed text on close (H6); default false.
	SayResumed bool `yaml:"say_resumed"`
	// AgentTimer is what is done where no agent replies in time (X4); default nothing.
	AgentTimer AgentTimer `yaml:"agent_timer"`
	// OutsideWindow is what becomes of an agent's reply outside the channel's window (W3): "drop" (default)
	// or "park", which sends it when the subscriber answers, and the account's nudge meanwhile.
	OutsideWindow string `yaml:"outside_window"`
	// SayTakenOver tells the subscriber when people have the conversation (H12); default false.
	SayTakenOver bool `yaml:"say_taken_over"`
	// SayReturned tells the subscriber when the bot is back, on time as well as on a close that say_resumed
	// does not speak of (H12); default false.
	SayReturned bool `yaml:"say_returned"`
	// Pace has automated replies wait, by what they follow (H12).
	Pace Pace `yaml:"pace"`
	// Disclose opens the bot's first text with the disclosure (H12); default true.
	Disclose bool `yaml:"disclose"`
}

// AgentTimer is what is done while no agent replies, in steps (X4).
type AgentTimer struct {
	// InSupportHours counts only support hours; default false.
	InSupportHours bool `yaml:"in_support_hours"`
	// Steps, each once in a wait, in the order of their times.
	Steps []AgentStep `yaml:"steps"`
}

// AgentStep is one step.
type AgentStep struct {
	// After the handoff, or the first message since that no agent has answered.
	After time.Duration `yaml:"after"`
	// Do is "tell" the subscriber, "reroute" the ticket to a team, or "return" to the bot, which is the last.
	Do string `yaml:"do"`
	// Team to reroute to, by its name at the desk.
	Team string `yaml:"team"`
}

// Pace is how long automated replies wait, at most a minute; default 0, at once (H12).
type Pace struct {
	// Lookup: something is looked up (order_status, product_question).
	Lookup time.Duration `yaml:"lookup"`
	// Action: something is done to an order (cancel_order, return_refund, order_issue).
	Action time.Duration `yaml:"action"`
	// Transition: the conversation moves between the bot and people.
	Transition time.Duration `yaml:"transition"`
	// Complaint: the person complains.
	Complaint time.Duration `yaml:"complaint"`
}

// Consent tunes the gate.
type Consent struct {
	// OptOutScope of a STOP: "account", "channel" (default) or "shop" (C2).
	OptOutScope string `yaml:"opt_out_scope"`
	// ReplyRequires is "conversation" (default) or "subscription" (C7).
	ReplyRequires string `yaml:"reply_requires"`
	// ConversationalFor is how long after the person's last message answers may leave without a
	// subscription (C7); default 168h.
	ConversationalFor time.Duration `yaml:"conversational_for"`
	// DoubleOptIn asks an unknown or conversational person to confirm before anything else is texted (C6);
	// default false.
	DoubleOptIn bool `yaml:"double_opt_in"`
	// PossibleOptOutDays is how many business days people have to decide a possible opt-out, before it
	// counts as one (C5); 1 to 10, default 5.
	PossibleOptOutDays int `yaml:"possible_opt_out_days"`
	// LedgerYears is how long after an address's last change of consent the evidence of its changes is kept,
	// before it is reduced to a keyed hash and the state (C9); 1 to 100 years, default 5. consent.ledger_key of
	// the process makes the hash; without it evidence is kept.
	LedgerYears int `yaml:"ledger_years"`
	// QuietHours keeps texts from leaving at night, by the recipient's time (C11); default true. Answers to
	// keywords, and replies while the person's last message is at most 24 h old, are never held back.
	QuietHours bool `yaml:"quiet_hours"`
	// HoursAllowed replaces the shipped hours of a class, "agent", "bot", "rule" or "system", everywhere
	// and every day: "09:00-20:00".
	HoursAllowed map[string]string `yaml:"hours_allowed"`
}

// Automation bounds rules and automated texts, so that two machines cannot talk to each other for ever.
type Automation struct {
	// ActionsPerRecord is how many actions all rules together may take for one thing that happens (R1);
	// default 10.
	ActionsPerRecord int `yaml:"actions_per_record"`
	// ReplyEvery is the least time between two auto-replies of rules in one conversation (R4); default 1h.
	ReplyEvery time.Duration `yaml:"reply_every"`
	// AnswerOnceWithin: of messages that come this close together, rules answer one (R4); default 5s.
	AnswerOnceWithin time.Duration `yaml:"answer_once_within"`
	// StopAfterTexts is how many automated texts within stop_within stop automation for the conversation
	// (R4); default 10.
	StopAfterTexts int `yaml:"stop_after_texts"`
	// StopWithin is the time in which they are counted (R4); default 10m.
	StopWithin time.Duration `yaml:"stop_within"`
	// StopAfterSame identical messages in a row, within 24 hours, stop it too (R4); default 3.
	StopAfterSame int `yaml:"stop_after_same"`
	// ResumeAfter is how long after a stop a message with other words starts automation again; a closed
	// ticket does at once (R4). Default 1h.
	ResumeAfter time.Duration `yaml:"resume_after"`
}

// Hours are the weekly support hours.
type Hours struct {
	// Weekly maps "mon" … "sun" to spans "09:00-17:30" of that day, or "22:00-06:00" from its evening into the next
	// morning; a missing day is closed. Empty: always open.
	Weekly map[string][]string `yaml:"weekly"`
	// Holidays are days that are closed from midnight to midnight, "2026-12-25".
	Holidays []string `yaml:"holidays"`
}

// TextHours returns what HoursAllowed says of a class, in minutes of the day; ok is false where it says
// nothing.
func (c *Consent) TextHours(class string) (from, to int, ok bool) {
	span, ok := c.HoursAllowed[class]
	if !ok {
		return 0, 0, false
	}
	from, to, err := parseSpan(span)
	return from, to, err == nil
}

// SecretRef is where a secret is found, "env:NAME" or "file:/path"; never the secret itself.
type SecretRef string

// Account returns the shop's account of that channel and identity, or nil.
func (s *Shop) Account(channel handoffv1.Channel, account string) *Account {
	for i := range s.Accounts {
		if a := &s.Accounts[i]; a.Account == account && schemas.ChannelOf(a.Channel) == channel {
			return a
		}
	}
	return nil
}

// RuleSet returns the shop's rules, compiled; nil where there are none.
func (s *Shop) RuleSet() *rules.Set { return s.compiled }

// Same tells whether two shops' settings say the same.
func (s *Shop) Same(other *Shop) bool {
	a, b := *s, *other
	a.compiled, b.compiled = nil, nil // made of the rules, which are compared
	return reflect.DeepEqual(a, b)
}

// Reaches tells whether the shop texts an address on a channel, by the country of its number (W9).
func (s *Shop) Reaches(channel handoffv1.Channel, address string) bool {
	return channel != handoffv1.Channel_CHANNEL_SMS || slices.Contains(s.SMSCountries, country.Of(address))
}
