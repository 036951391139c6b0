package escalate

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/evidence"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings/rules"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// RuleAsked is what came of one rule at one moment; see Config.Asked.
type RuleAsked struct {
	// Rule is its name, When what it was asked at.
	Rule string
	When rules.Trigger
	// Failed are the conditions that do not hold, each with what is so instead; none where it matched.
	Failed []string
	// Did is what it did, Refused what it did not do, with the reason.
	Did, Refused []string
}

// stood is what rules compare with what is so after a turn.
type stood struct {
	ticket, episode uint64
	status          string
	state           State
}

// happening is something that rules are asked at.
type happening struct {
	when rules.Trigger
	// by is the rule that it is the later effect of, "" for none: the one whose escalation the ticket or the episode came
	// of. Others may escalate anew before all are asked.
	by string
}

// asking is the part of a turn in which rules are asked.
type asking struct {
	// before is how the conversation was when the turn began.
	before stood
	// happened since the turn began, in order.
	happened []happening
	// acted are the rules that matched: each acts once a record, so no effect triggers its own rule.
	acted []string
	// actions that were taken, of all rules.
	actions int
	// answered is the rule that answered the message; "" for none.
	answered string
	// read is the message of this turn; nil for none.
	read *statev1.LastReading
	// public tells that the message is a post that everybody can read.
	public bool
	// mute says why the message may get no automated text; "" for one that may.
	mute string
}

// happen notes what rules are asked at, and restarts the timers that count from it. The rules are asked
// when the turn has done everything else, see runRules.
func (c *conversation) happen(when rules.Trigger) {
	if c.shop.RuleSet() == nil {
		return
	}
	by := ""
	switch when {
	case rules.MessageCreated:
		c.restartTimers(rules.SinceMessage, by)
	case rules.TicketCreated:
		by = c.episode.GetSignal().GetRule()
		c.restartTimers(rules.SinceTicket, by)
	case rules.EpisodeOpened:
		by = c.episode.GetSignal().GetRule()
		c.restartTimers(rules.SinceOpened, by)
	case rules.EpisodeClosed:
		c.restartTimers(rules.SinceClosed, by)
	case rules.TicketUpdated, rules.Timer:
	}
	c.rules.happened = append(c.rules.happened, happening{when, by})
}

// runRules asks every rule about what happened in this turn, in the rules' order for each happening (R1).
// What a rule's effects make happen other rules are asked about too; one that acted is not asked again.
func (c *conversation) runRules() {
	c.askRules(func(*rules.Compiled) bool { return true })
	c.rules.happened = nil
}

// escalates tells which rules give the conversation to people: they are asked before the customer is.
func escalates(r *rules.Compiled) bool {
	return slices.ContainsFunc(r.Then, func(a rules.Action) bool { return a.EscalateNow })
}

// askRules asks those rules that are meant.
func (c *conversation) askRules(meant func(*rules.Compiled) bool) {
	set := c.shop.RuleSet()
	for i := 0; i < len(c.rules.happened); i++ { // grows while rules act
		h := c.rules.happened[i]
		asked := set.On(h.when)
		if len(asked) == 0 {
			continue
		}
		event := c.event(h.when)
		for _, r := range asked {
			if meant(r) && r.Name != h.by && c.askRule(r, h.when, event) {
				event = c.event(h.when) // with what it did
			}
		}
	}
}

// askRule asks one rule, and does what it says where it matches. It tells whether it did.
func (c *conversation) askRule(r *rules.Compiled, when rules.Trigger, event *rules.Event) bool {
	if slices.Contains(c.rules.acted, r.Name) {
		return false
	}
	if !r.Match(event) {
		if c.stage.asked != nil {
			c.stage.asked(RuleAsked{Rule: r.Name, When: when, Failed: r.Explain(event)})
		}
		return false
	}
	c.rules.acted = append(c.rules.acted, r.Name)
	asked := RuleAsked{Rule: r.Name, When: when}
	fact := &handoffv1.RuleFact{Rule: r.Name, When: string(when), Episode: c.liveEpisode()}
	for _, a := range r.Then {
		what := a.String()
		why := c.tooMany()
		if why == "" {
			why = c.act(r, when, a)
		}
		if why != "" {
			asked.Refused = append(asked.Refused, what+": "+why)
			continue
		}
		asked.Did = append(asked.Did, what)
		if a.AddToList != "" {
			fact.Lists = append(fact.Lists, a.AddToList)
		}
	}
	fact.Did, fact.Refused, fact.TicketId = asked.Did, asked.Refused, c.ticket.GetTicketId()
	c.t.Fact(c.at, &handoffv1.Fact{Reason: "rule " + r.Name, Kind: &handoffv1.Fact_Rule{Rule: fact}})
	if c.stage.asked != nil {
		c.stage.asked(asked)
	}
	return true
}

// tooMany tells that the record's actions are used up (R1).
func (c *conversation) tooMany() string {
	if c.rules.actions >= c.shop.Automation.ActionsPerRecord {
		return "too many actions for one record (automation.actions_per_record)"
	}
	c.rules.actions++
	return ""
}

// event is the conversation as rules see it now.
func (c *conversation) event(when rules.Trigger) *rules.Event {
	read, k := c.state.GetAutomation().GetRead(), c.ticket
	if when == rules.MessageCreated {
		read = c.rules.read
	}
	e := &rules.Event{
		When: string(when), Channel: schemas.ChannelName(c.at.Channel),
		Status: statusWord(k), Subject: k.GetSubject(), FollowUp: k.GetFollowUp(),
		Text: read.GetText(), Intent: read.GetIntent(), Sentiment: float64(read.GetSentiment()),
		Language: c.state.GetLanguage(), Name: c.state.GetName(), Address: c.t.Key.Address,
		Consent:     evidence.Status(c.state.GetConsent().GetStatus()),
		SupportOpen: c.shop.SupportOpen(c.t.At()), Episode: episodeWord(c.episode.GetState()),
		PublicPost: c.rules.public && when == rules.MessageCreated,
	}
	if c.rules.before.ticket == k.GetEpisode() {
		e.StatusBefore = c.rules.before.status
	}
	if k.GetEpisode() != 0 {
		e.LastAuthor = word(k.GetLastAuthor().String(), "AUTHOR_KIND_")
	}
	for _, tags := range [][]string{k.GetTags(), c.state.GetTags(), c.state.GetAutomation().GetTags()} {
		for _, tag := range tags {
			e.Tags = append(e.Tags, strings.ToLower(tag))
		}
	}
	return e
}

func statusWord(k *statev1.Ticket) string {
	if k.GetEpisode() == 0 {
		return ""
	}
	return word(k.GetStatus().String(), "TICKET_STATUS_")
}

func episodeWord(s State) string { return word(s.String(), "EPISODE_STATE_") }

// word is an enum value's name in settings: in small letters, without its type's prefix; "" for none.
func word(name, prefix string) string {
	short := strings.ToLower(strings.TrimPrefix(name, prefix))
	if short == "unspecified" {
		return ""
	}
	return short
}

// auto is what the conversation remembers for rules and against loops, made where it is missing.
func (c *conversation) auto() *statev1.Automation {
	if c.state.Automation == nil {
		c.state.Automation = turn.Zero[statev1.Automation](c.t)
	}
	return c.state.Automation
}

// remarked keeps of a message what rules may be asked about later, and why it may get no automated text.
func (c *conversation) remarked(m inbound) {
	if c.shop.RuleSet() == nil {
		return
	}
	c.rules.read = &statev1.LastReading{Text: rules.Cut(m.GetText()), Sentiment: m.read.GetSentiment()}
	if !m.read.GetUnsure() {
		c.rules.read.Intent = m.read.GetIntent()
	}
	bare := m.read.GetDirective() != handoffv1.Directive_DIRECTIVE_UNSPECIFIED && !m.read.GetMoreText()
	if !bare && !m.read.GetThanksOnly() { // a ticket is about what was said before the yes
		c.auto().Read = c.rules.read
	}
	c.rules.public = m.GetPublicPost()
	if m.read.GetThanksOnly() { // classify reads a reaction to a message so too
		c.rules.mute = onlyThanks
	}
	c.happen(rules.MessageCreated)
}

// onlyThanks says why a message gets no automated text, whatever it makes happen: a ticket that it opens or closes.
const onlyThanks = "the message only thanks, or reacts to another (M5, W11)"

// restartTimers starts the timers of rules that count from something that just happened. Thanks and reactions start
// none that waits from the last message, since its reply would be theirs (M5, W11); one that runs begins anew. but is
// a rule that caused it, "" for none.
func (c *conversation) restartTimers(since rules.Since, but string) {
	for _, r := range c.shop.RuleSet().On(rules.Timer) {
		if since == rules.SinceMessage && c.rules.mute != "" && ruleMoment(c.state.GetAutomation().GetWaiting(), r.Name) == nil {
			continue
		}
		if r.WaitsFrom() != since || r.Name == but {
			continue
		}
		a := c.auto()
		a.Waiting = setMoment(a.Waiting, r.Name, c.received())
		c.setTimer(timerRule+r.Name, c.t.At().Add(r.After))
	}
}

// onRuleTimer asks a timer rule. The settings may have changed since the timer was set: the current ones
// say how long it waits.
func (c *conversation) onRuleTimer(name string) {
	from := ruleMoment(c.state.GetAutomation().GetWaiting(), name)
	if from == nil {
		return
	}
	r := c.shop.RuleSet().Named(name)
	if r == nil || !slices.Contains(r.When, string(rules.Timer)) {
		c.auto().Waiting = forget(c.auto().Waiting, name)
		return
	}
	if due := from.AsTime().Add(r.After); due.After(c.t.Now) {
		c.setTimer(timerRule+name, due)
		return
	}
	c.auto().Waiting = forget(c.auto().Waiting, name)
	c.askRule(r, rules.Timer, c.event(rules.Timer))
}

// within tells whether less than d has passed from a moment to another; a missing one is long ago.
func within(from *timestamppb.Timestamp, to time.Time, d time.Duration) bool {
	return from != nil && to.Before(from.AsTime().Add(d))
}

// ruleMoment returns a rule's moment, or nil.
func ruleMoment(of []*statev1.RuleMoment, rule string) *timestamppb.Timestamp {
	for _, m := range of {
		if m.GetRule() == rule {
			return m.GetAt()
		}
	}
	return nil
}

// setMoment puts a rule's moment in place of an earlier one; the oldest of too many is forgotten.
func setMoment(of []*statev1.RuleMoment, rule string, at *timestamppb.Timestamp) []*statev1.RuleMoment {
	of = append(forget(of, rule), &statev1.RuleMoment{Rule: rule, At: at})
	return of[max(0, len(of)-mostKept):]
}

func forget(of []*statev1.RuleMoment, rule string) []*statev1.RuleMoment {
	return slices.DeleteFunc(of, func(m *statev1.RuleMoment) bool { return m.GetRule() == rule })
}
