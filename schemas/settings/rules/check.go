package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/text/language"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// Problem is one thing wrong with rules.
type Problem struct {
	// Path from the settings' root, e.g. "rules[0].if.all[1].expr".
	Path string
	// Offset is how far into the value it is wrong, in characters from its beginning; 0 for the whole.
	Offset int
	// Reason, with what to do.
	Reason string
}

// mostRules is how many rules a shop may have.
const mostRules = 100

// nothing is the word for no value in lists of values.
const nothing = "none"

func statuses() []string {
	return []string{"new", "open", "pending", "on_hold", "solved", "closed", "spam", "deleted", nothing}
}

func episodes() []string {
	return []string{"offered", "requested", "open", "closed", "expired", "declined", "lapsed", "failed", "opted_out", nothing}
}

func authors() []string { return []string{"customer", "agent", nothing} }

func consents() []string {
	return []string{"unknown", "conversational", "pending", "subscribed", "unsubscribed"}
}

func priorities() []string { return []string{"low", "normal", "high", "urgent"} }

// Channels are the names of all channels.
func Channels() []string {
	var names []string
	for n := int32(1); handoffv1.Channel_name[n] != ""; n++ {
		names = append(names, schemas.ChannelName(handoffv1.Channel(n)))
	}
	return names
}

// validName tells whether a rule may have that name, which is part of its timers' names too.
func validName(name string) bool {
	return regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`).MatchString(name)
}

// checker collects problems.
type checker struct {
	problems   []Problem
	intents    []string // that messages can have; nil: any
	conditions int      // of the rule that is being compiled
}

func at(format string, args ...any) string { return fmt.Sprintf(format, args...) }

func (c *checker) add(path, format string, args ...any) { c.addAt(path, 0, format, args...) }

func (c *checker) addAt(path string, offset int, format string, args ...any) {
	c.problems = append(c.problems, Problem{Path: path, Offset: offset, Reason: fmt.Sprintf(format, args...)})
}

func (c *checker) oneOf(path, value string, known []string, what string) {
	if !slices.Contains(known, value) {
		c.add(path, "%q %s; use one of %s", value, what, strings.Join(known, ", "))
	}
}

// words checks a list of words against those that are known; nil knows all.
func (c *checker) words(path string, words, known []string) {
	if len(words) == 0 {
		c.add(path, "is an empty list; leave it out, or name what is meant")
	}
	for i, w := range words {
		switch {
		case strings.TrimSpace(w) == "":
			c.add(at("%s[%d]", path, i), "is empty")
		case known != nil:
			c.oneOf(at("%s[%d]", path, i), w, known, "is not known")
		}
	}
}

// intentsOf refuses intents that no message can have: the rule would never act.
func (c *checker) intentsOf(path string, intents []string) {
	for i, name := range intents {
		if c.intents != nil && !slices.Contains(c.intents, name) {
			c.add(at("%s[%d]", path, i), "no message has the intent %q; use one of %s, or name those of a classifier of your own in classifier.model, classifier.endpoint.intents or handoff.intents",
				name, strings.Join(c.intents, ", "))
		}
	}
}

func (c *checker) tags(path string, tags []string) {
	c.words(path, tags, nil)
	for i, tag := range tags {
		if strings.ContainsAny(tag, " \t\n,") {
			c.add(at("%s[%d]", path, i), "%q holds a space or comma, which desks take for two tags; use - or _", tag)
		}
	}
}

func (c *checker) languages(path string, tags []string) {
	c.words(path, tags, nil)
	for i, tag := range tags {
		if why := BadLanguage(tag); why != "" {
			c.add(at("%s[%d]", path, i), "%s", why)
		}
	}
}

// BadLanguage says what is wrong with a language's tag, "" where nothing is. Tags are compared as they stand: "EN"
// would be nobody's language.
func BadLanguage(tag string) string {
	switch known, err := language.Raw.Parse(tag); {
	case err != nil:
		return fmt.Sprintf("%q is not a language tag, e.g. en or pt-BR", tag)
	case known.String() != tag:
		return fmt.Sprintf("%q is written %s", tag, known)
	}
	return ""
}

func (c *checker) rules(list []Rule) {
	if len(list) > mostRules {
		c.add("rules", "%d rules, at most %d are taken", len(list), mostRules)
	}
	names := map[string]bool{}
	for i, r := range list {
		path := at("rules[%d]", i)
		if !validName(r.Name) {
			c.add(path+".name", "must be 1 to 64 small letters, digits or '-'")
		}
		if names[r.Name] {
			c.add(path+".name", "%q is the name of another rule too", r.Name)
		}
		names[r.Name] = true
		c.when(path, r)
		if len(r.Then) == 0 {
			c.add(path+".then", "is missing: what the rule does")
		}
		for j, a := range r.Then {
			c.action(at("%s.then[%d]", path, j), a)
		}
	}
}

func (c *checker) when(path string, r Rule) {
	if len(r.When) == 0 {
		c.add(path+".when", "is missing: what the rule is asked at")
	}
	known := c.wordsOf("when")
	for i, w := range r.When {
		at := at("%s.when[%d]", path, i)
		c.oneOf(at, w, known, "is nothing that rules are asked at")
		if slices.Index(r.When, w) < i {
			c.add(at, "%s stands here twice", w)
		}
	}
	timer := slices.Contains(r.When, string(Timer))
	switch {
	case timer && r.After < 0:
		c.add(path+".after", "must be longer than 0, e.g. 2h")
	case timer && r.After == 0:
		c.add(path+".after", "is missing: how long the timer waits, e.g. 2h")
	case !timer && (r.After != 0 || r.Since != ""):
		c.add(path, "after and since are for rules with when: timer")
	}
	if r.Since != "" && !slices.Contains(sinces(), r.Since) {
		c.add(path+".since", "%q is not known; use one of last_message, last_agent_reply, ticket_created, episode_opened, episode_closed", r.Since)
	}
}

func (c *checker) action(path string, a Action) {
	names := a.keys()
	switch {
	case len(names) == 0:
		c.add(path, "has no action; name one, e.g. add_tags")
	case len(names) > 1:
		c.add(path, "has %d actions (%s), want one; each action is an item of its own", len(names), strings.Join(names, ", "))
	}
	if a.AddTags != nil {
		c.tags(path+".add_tags", a.AddTags)
	}
	if a.RemoveTags != nil {
		c.tags(path+".remove_tags", a.RemoveTags)
	}
	if a.AssignAgent != "" && !strings.Contains(a.AssignAgent, "@") {
		c.add(path+".assign_agent", "%q is not an e-mail address", a.AssignAgent)
	}
	if a.SetStatus != "" {
		c.oneOf(path+".set_status", a.SetStatus, []string{"open", "solved", "closed"}, "is no status that can be set")
	}
	if a.SetPriority != "" {
		c.oneOf(path+".set_priority", a.SetPriority, priorities(), "is not a priority")
	}
	if a.AutoReply != nil {
		c.text(path+".auto_reply", a.AutoReply.Text, a.AutoReply.TextID)
		if a.AutoReply.Every < 0 {
			c.add(path+".auto_reply.every", "must not be negative")
		}
	}
	if a.Note != nil {
		c.text(path+".note", a.Note.Text, a.Note.TextID)
	}
}

func (c *checker) text(path string, texts Texts, id string) {
	if (len(texts) == 0) == (id == "") {
		c.add(path, "needs text or text_id, and not both")
	}
	for lang, text := range texts {
		where := path + ".text"
		if lang != "" {
			where += "." + lang
			if why := BadLanguage(lang); why != "" {
				c.add(where, "%s", why)
			}
		}
		if strings.TrimSpace(text) == "" {
			c.add(where, "must not be empty")
		}
	}
}

// keys lists the actions that are set.
func (a Action) keys() []string {
	var keys []string
	for _, k := range []struct {
		name string
		set  bool
	}{
		{"add_tags", a.AddTags != nil}, {"remove_tags", a.RemoveTags != nil}, {"assign_team", a.AssignTeam != ""},
		{"assign_agent", a.AssignAgent != ""}, {"auto_reply", a.AutoReply != nil}, {"note", a.Note != nil},
		{"set_status", a.SetStatus != ""}, {"set_priority", a.SetPriority != ""}, {"escalate_now", a.EscalateNow},
		{"add_to_list", a.AddToList != ""},
	} {
		if k.set {
			keys = append(keys, k.name)
		}
	}
	return keys
}
