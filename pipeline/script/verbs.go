package script

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/schemas/consentask"
	"github.com/handoff-dev/handoff/schemas/consentfile"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// verb is a command that scripts may give: how it is written, and what it does.
type verb struct {
	// words that may stand after the name, one of them; free is what other words there are.
	words []string
	free  string
	// args are the names of name=value; of has the values of those that take few, and blank those that may be
	// empty. Of alone at most one may be given, and the verb's words with none of them.
	args  []string
	of    map[string][]string
	blank string
	alone []string
	// text tells whether something may or must stand below it.
	text textRule
	// looks tells that it causes nothing, so that no time passes for it either.
	looks bool
	run   func(*World, Command) error
}

type textRule int

const (
	noText textRule = iota
	mayHaveText
	needsText
	textOrMedia // or both
)

// verbs are all commands by their names.
type verbs map[string]verb

// vocabulary is what docs/scripts.md teaches.
func vocabulary() verbs {
	return verbs{
		"settings":   {looks: true, text: needsText, run: (*World).settings},
		"rules":      {looks: true, free: "file", run: (*World).rules},
		"customer":   {args: []string{"from", "to", "name", "channel", "id", "media", "opt-out-type", "public"}, of: map[string][]string{"opt-out-type": {"stop", "start", "help"}, "public": yesNo()}, text: mayHaveText, run: (*World).customer},
		"bot":        {words: []string{"down", "up"}, args: []string{"cannot-answer"}, text: mayHaveText, run: (*World).bot},
		"bot-auto":   {looks: true, words: []string{"on", "off"}, run: (*World).botAuto},
		"classifier": {looks: true, words: []string{"silent", "unreachable", "open"}, args: []string{"intent", "confidence", "fails"}, blank: "intent", run: (*World).classifier},
		"agent":      {args: []string{"name", "ticket", "media"}, text: textOrMedia, run: (*World).desk},
		"note":       {args: []string{"ticket"}, text: needsText, run: (*World).desk},
		"desk":       {words: []string{"down", "up", "accept", "revoked"}, args: []string{"status", "ticket", "refuse", "assign", "merge", "tags", "clock"}, of: map[string][]string{"status": namesOf("TICKET_STATUS_", handoffv1.TicketStatus_name)}, alone: []string{"status", "refuse", "assign", "merge", "tags", "clock"}, run: (*World).desk},
		"provider":   {words: []string{"down", "up"}, args: []string{"fail"}, alone: []string{"fail"}, run: (*World).provider},
		"delivery":   {args: []string{"text", "status", "code", "from"}, of: map[string][]string{"status": namesOf("DELIVERY_STATUS_", handoffv1.DeliveryStatus_name)}, run: (*World).deliveryState},
		"decide":     {words: []string{consentask.OptOut, consentask.Keep}, args: []string{"from", "by", "reason", "id"}, run: askAbout(consentask.Decide)},
		"import":     {words: statuses(), args: []string{"from", "at", "source", "scope", "channel", "account", "zone", "by", "id"}, text: mayHaveText, run: (*World).importConsent},
		"platform":   {args: []string{"from", "to", "channel", "campaign", "asks", "id"}, of: map[string][]string{"asks": yesNo()}, text: needsText, run: (*World).platform},
		"echo":       {args: []string{"from", "to", "channel", "name", "text", "id", "media"}, text: textOrMedia, run: (*World).echo},
		"asks":       {looks: true, args: []string{"from"}, run: (*World).asks},
		"link":       {args: []string{"from", "other", "by", "id"}, run: (*World).link},
		"unlink":     {args: []string{"from", "by", "reason", "id"}, run: askAbout(consentask.Unlink)},
		"wait":       {free: "duration", run: (*World).wait},
		"hold":       {looks: true, words: []string{"answers"}, args: []string{"stage"}, run: (*World).hold},
		"release":    {words: []string{"answers"}, args: []string{"stage"}, run: (*World).letGo},
		"step":       {args: []string{"stage"}, run: (*World).stepStage},
		"restart":    {run: (*World).restart},
		"lose":       {args: []string{"stage"}, run: (*World).lose},
		"replay":     {args: []string{"letter"}, text: mayHaveText, run: (*World).resolve},
		"drop":       {args: []string{"letter"}, text: mayHaveText, run: (*World).resolve},
		"explain":    {looks: true, args: []string{"from", "conversation", "since"}, run: (*World).explain},
		"ledger":     {looks: true, args: []string{"from"}, run: (*World).ledger},
		"facts":      {looks: true, free: "words", run: (*World).printFacts},
	}
}

func yesNo() []string { return []string{"yes", "no"} }

// namesOf are an enumeration's values as scripts write them, but for the one that says nothing.
func namesOf(prefix string, values map[int32]string) (names []string) {
	for _, number := range slices.Sorted(maps.Keys(values)) {
		if number != 0 {
			names = append(names, strings.ReplaceAll(short(values[number], prefix), " ", "-"))
		}
	}
	return names
}

// Commands are all commands of scripts by their names, with how each may be written.
func Commands() map[string]string {
	all := map[string]string{}
	for name, v := range vocabulary() {
		all[name] = v.allowed(name)
	}
	return all
}

// check finds a command's verb and tells whether the command is written as that verb may be.
func (v verbs) check(c Command) (verb, error) {
	is, ok := v[c.Name]
	if !ok {
		return verb{}, v.unknown(c.Name)
	}
	if len(c.Words) > 0 && is.free == "" && !slices.Contains(is.words, c.word()) {
		return verb{}, fmt.Errorf("%q is not understood after %s; allowed: %s", c.word(), c.Name, is.allowed(c.Name))
	}
	if err := is.checkArgs(c); err != nil {
		return verb{}, err
	}
	switch {
	case is.text == noText && c.Input != "":
		return verb{}, fmt.Errorf("nothing may stand between %s and the ---- below it; allowed: %s", c.Name, is.allowed(c.Name))
	case is.text == textOrMedia && c.Input == "" && c.arg("media", "") == "":
		return verb{}, fmt.Errorf("%s needs a text below it, or media=; allowed: %s", c.Name, is.allowed(c.Name))
	case is.text == needsText && c.Input == "":
		return verb{}, fmt.Errorf("%s needs a text below it; allowed: %s", c.Name, is.allowed(c.Name))
	}
	return is, nil
}

// checkArgs tells whether the command's arguments are the verb's, and their values such as they take.
func (v verb) checkArgs(c Command) error {
	alone := ""
	if len(c.Words) > 0 && v.free == "" {
		alone = c.word()
	}
	for _, name := range slices.Sorted(maps.Keys(c.Args)) {
		value, few := c.Args[name], v.of[name]
		switch {
		case !slices.Contains(v.args, name):
			return fmt.Errorf("%s has no %s=; allowed: %s", c.Name, name, v.allowed(c.Name))
		case value == "" && name != v.blank:
			return fmt.Errorf("%s= has no value: write one behind it, or leave %s= out", name, name)
		case few != nil && !slices.Contains(few, value):
			return fmt.Errorf("%s=%s is not understood after %s; allowed: %s", name, value, c.Name, strings.Join(few, ", "))
		case (name == "from" || name == "other") && strings.HasPrefix(value, "+"):
			if why := consentfile.NoAddress(handoffv1.Channel_CHANNEL_SMS, value); why != "" {
				return fmt.Errorf("%s=: %s", name, why)
			}
		case alone != "" && slices.Contains(v.alone, name):
			return fmt.Errorf("%s says one thing at a time: %s or %s=", c.Name, alone, name)
		case slices.Contains(v.alone, name):
			alone = name + "="
		}
	}
	return nil
}

func (v verbs) unknown(name string) error {
	return fmt.Errorf("there is no command %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(v)), ", "))
}

// allowed is how the command may be written.
func (v verb) allowed(name string) string {
	var b strings.Builder
	b.WriteString(name)
	words := v.words
	if v.free != "" {
		words = append(slices.Clone(words), "<"+v.free+">")
	}
	if len(words) > 0 {
		b.WriteString(" [" + strings.Join(words, "|") + "]")
	}
	for _, a := range v.args {
		b.WriteString(" [" + a + "=]")
	}
	switch v.text {
	case noText:
	case mayHaveText:
		b.WriteString(", with a text below it or none")
	case textOrMedia:
		b.WriteString(", with a text below it, media= or both")
	case needsText:
		b.WriteString(", with a text below it")
	}
	return b.String()
}

func (w *World) botAuto(c Command) error {
	w.outside.botAuto = c.word() == "on"
	return w.ok()
}

func (w *World) wait(c Command) error {
	d, err := time.ParseDuration(c.word())
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is not a duration; write it like 90s, 30m or 24h", c.word())
	}
	return w.advance(d)
}
