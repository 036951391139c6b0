// Package rules is the language of a shop's own rules: WHEN something happens in a conversation, IF it is
// so and so, THEN that is to be done (R1). A shop writes them in its settings; they are read, checked and
// compiled once for each version of these, and asked for every event of a conversation.
//
// The package decides nothing but whether a rule matches: what an action does, and whether it may, is the
// stage's that asks. It is pure. docs/rules.md is the language's page for shops; its tables of conditions
// and actions are made from the comments here.
package rules

import (
	"slices"
	"time"
)

// Trigger is what a rule is asked at.
type Trigger string

// Triggers.
const (
	// TicketCreated: the desk has made the conversation's ticket.
	TicketCreated Trigger = "ticket_created"
	// TicketUpdated: the ticket's status, assignee or tags changed, and no rule's action did it.
	TicketUpdated Trigger = "ticket_updated"
	// MessageCreated: the customer wrote.
	MessageCreated Trigger = "message_created"
	// EpisodeOpened: people have the conversation, for the first time or again.
	EpisodeOpened Trigger = "episode_opened"
	// EpisodeClosed: an episode ended, whichever way.
	EpisodeClosed Trigger = "episode_closed"
	// Timer: `after` has passed since the last `since`.
	Timer Trigger = "timer"
)

// Triggers lists all of them.
func Triggers() []Trigger {
	return []Trigger{TicketCreated, TicketUpdated, MessageCreated, EpisodeOpened, EpisodeClosed, Timer}
}

// Since is what a timer rule waits from.
type Since string

// Moments that a timer counts from; each new one restarts it.
const (
	SinceMessage    Since = "last_message"
	SinceAgentReply Since = "last_agent_reply"
	SinceTicket     Since = "ticket_created"
	SinceOpened     Since = "episode_opened"
	SinceClosed     Since = "episode_closed"
)

func sinces() []Since {
	return []Since{SinceMessage, SinceAgentReply, SinceTicket, SinceOpened, SinceClosed}
}

// Rule is one rule as a shop writes it.
type Rule struct {
	// Name of the rule: small letters, digits and '-', at most 64. It shows in notes and figures.
	Name string `yaml:"name"`
	// Enabled switches the rule on; false keeps it in the settings without effect. Default true.
	Enabled *bool `yaml:"enabled"`
	// When lists what the rule is asked at: ticket_created, ticket_updated, message_created,
	// episode_opened, episode_closed, timer.
	When Words `yaml:"when"`
	// After is how long a timer rule waits, e.g. 2h.
	After time.Duration `yaml:"after"`
	// Since is what a timer rule waits from: last_message (default), last_agent_reply, ticket_created,
	// episode_opened, episode_closed. Each new one restarts it.
	Since Since `yaml:"since"`
	// If is what must hold; without it the rule always does.
	If Condition `yaml:"if"`
	// Then is what is done, in order.
	Then []Action `yaml:"then"`
}

// Action is one thing to do. Exactly one of its keys is set.
type Action struct {
	// AddTags gives the ticket tags; without a ticket, the next one gets them.
	AddTags Words `yaml:"add_tags"`
	// RemoveTags takes tags off the ticket.
	RemoveTags Words `yaml:"remove_tags"`
	// AssignTeam gives the ticket to a team (Gorgias) or group (Zendesk), by its name.
	AssignTeam string `yaml:"assign_team"`
	// AssignAgent gives the ticket to an agent, by e-mail address.
	AssignAgent string `yaml:"assign_agent"`
	// AutoReply texts the customer, if consent and the guards against loops allow it.
	AutoReply *Reply `yaml:"auto_reply"`
	// Note writes an internal note on the ticket.
	Note *Text `yaml:"note"`
	// SetStatus sets the ticket's status: open, solved, closed.
	SetStatus string `yaml:"set_status"`
	// SetPriority sets the ticket's priority: low, normal, high, urgent.
	SetPriority string `yaml:"set_priority"`
	// EscalateNow gives the conversation to people without asking the customer.
	EscalateNow bool `yaml:"escalate_now"`
	// AddToList puts the subscriber on a list of that name, kept with the conversation and counted in
	// analytics.
	AddToList string `yaml:"add_to_list"`
}

// Text is what a rule writes: one text for all languages, or one for each.
type Text struct {
	// Text in the shop's language, or one for each language: {en: …, es: …}.
	Text Texts `yaml:"text"`
	// TextID names one of the texts under `texts` in its place, e.g. rule_received.
	TextID string `yaml:"text_id"`
}

// Reply is a text to the customer.
type Reply struct {
	// Text in the shop's language, or one for each language: {en: …, es: …}.
	Text Texts `yaml:"text"`
	// TextID names one of the texts under `texts` in its place, e.g. rule_received.
	TextID string `yaml:"text_id"`
	// WhilePaused lets it leave although people have the conversation (H4). Default false.
	WhilePaused bool `yaml:"while_paused"`
	// Every is the least time between two replies of this rule in one conversation, beyond what
	// automation.reply_every asks of all rules together.
	Every time.Duration `yaml:"every"`
}

// Set is a shop's rules, compiled. It never changes and may be shared.
type Set struct {
	rules []*Compiled
	by    map[Trigger][]*Compiled
}

// Compiled is a rule that can be asked.
type Compiled struct {
	Rule
	condition node
}

// Compile checks and compiles rules. It returns everything wrong with them; then the set is nil. nil too
// where there are no rules. intents are those that messages can have; nil: any.
func Compile(list []Rule, intents []string) (*Set, []Problem) {
	if len(list) == 0 {
		return nil, nil
	}
	c := &checker{intents: intents}
	c.rules(list)
	s := &Set{by: map[Trigger][]*Compiled{}}
	for i, r := range list {
		c.conditions = 0
		compiled := &Compiled{Rule: r, condition: c.compile(r.If, at("rules[%d].if", i), 0)}
		if r.Enabled != nil && !*r.Enabled {
			continue
		}
		s.rules = append(s.rules, compiled)
		for _, when := range r.When {
			s.by[Trigger(when)] = append(s.by[Trigger(when)], compiled)
		}
	}
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	return s, nil
}

// On returns the rules that are asked at a trigger, in order.
func (s *Set) On(when Trigger) []*Compiled {
	if s == nil {
		return nil
	}
	return s.by[when]
}

// Named returns the enabled rule of that name, or nil.
func (s *Set) Named(name string) *Compiled {
	if s == nil {
		return nil
	}
	i := slices.IndexFunc(s.rules, func(r *Compiled) bool { return r.Name == name })
	if i < 0 {
		return nil
	}
	return s.rules[i]
}

// Match tells whether what the rule asks for holds.
func (r *Compiled) Match(e *Event) bool { return r.condition.match(e) }

// Explain returns the conditions that do not hold, each with what is so instead; none where the rule
// matches.
func (r *Compiled) Explain(e *Event) []string { return r.condition.explain(e, nil) }

// WaitsFrom is what a timer rule counts from.
func (r *Compiled) WaitsFrom() Since {
	if r.Since == "" {
		return SinceMessage
	}
	return r.Since
}

// String names an action with what it does it to, e.g. "add_tags reopened-sms".
func (a Action) String() string {
	key := ""
	if keys := a.keys(); len(keys) > 0 {
		key = keys[0]
	}
	for _, to := range []string{
		list(a.AddTags), list(a.RemoveTags), a.AssignTeam, a.AssignAgent, a.SetStatus, a.SetPriority, a.AddToList,
	} {
		if to != "" {
			return key + " " + to
		}
	}
	return key
}
