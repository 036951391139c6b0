// Package rules is the classifier that ships first, "rules/1": words mean concepts, and combinations of
// concepts mean intents. Both are data: lexicon.tsv in the languages Handoff speaks, rules.tsv common to
// all of them. It is honest about what it cannot place, says which rule placed the rest, and allocates
// nothing for short ASCII messages.
package rules

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"

	"github.com/handoff-dev/handoff/stages/classify/fold"
	"github.com/handoff-dev/handoff/stages/classify/intent"
)

//go:embed rules.tsv
var shippedRules string

// Name of the classifier and its version; grows when the tables or the code change what is read.
const Name = "rules/1"

const (
	// placed is the confidence from which a message counts as placed.
	placed = 0.5
	// reach is how many words may lie between the two concepts of an ordered condition.
	reach = 6
	// personRule names rules that mean a person is asked for outright.
	personRule = "person"
)

// Classifier reads messages by rules. It never changes and may be used by many goroutines at once.
type Classifier struct {
	lexicon *lexicon
	intents []string
	rules   []rule
	neg     concept
	tone    tone
}

var _ intent.Classifier = (*Classifier)(nil)

// rule is one line of rules.tsv.
type rule struct {
	// intent is an index into Classifier.intents.
	intent int
	person bool
	share  float32
	// conditions, all of which must hold.
	plain, any, absent set
	orders             []order
	// most words of the message; 0 for any.
	most int
	// text of the conditions, for explanations.
	text string
}

// order is the condition that one concept follows another.
type order struct{ first, then concept }

// New returns the classifier with the tables that ship.
func New() (*Classifier, error) { return parse(shippedLexicon, shippedRules) }

func parse(words, rules string) (*Classifier, error) {
	l, err := parseLexicon(words)
	if err != nil {
		return nil, err
	}
	c := &Classifier{lexicon: l, intents: intent.All()}
	var ok bool
	if c.neg, ok = l.concept("NEG"); !ok {
		return nil, fmt.Errorf("the lexicon has no concept NEG")
	}
	if c.tone, err = toneOf(l); err != nil {
		return nil, err
	}
	for n, line := range strings.Split(rules, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		r, err := c.rule(strings.Split(line, "\t"))
		if err != nil {
			return nil, fmt.Errorf("rules line %d: %w", n+1, err)
		}
		c.rules = append(c.rules, r)
	}
	return c, nil
}

func (c *Classifier) rule(columns []string) (rule, error) {
	if len(columns) != 3 {
		return rule{}, fmt.Errorf("%d columns, want intent, share, conditions", len(columns))
	}
	r := rule{intent: -1, person: columns[0] == personRule, text: columns[0] + ": " + columns[2]}
	name := columns[0]
	if r.person {
		name = intent.Human
	}
	for i, known := range c.intents {
		if known == name {
			r.intent = i
		}
	}
	if r.intent < 0 {
		return rule{}, fmt.Errorf("unknown intent %q", name)
	}
	share, err := strconv.ParseFloat(columns[1], 32)
	if err != nil || share <= 0 || share >= 1 {
		return rule{}, fmt.Errorf("share %q is not between 0 and 1", columns[1])
	}
	r.share = float32(share)
	for _, condition := range strings.Fields(columns[2]) {
		if err := c.condition(&r, condition); err != nil {
			return rule{}, err
		}
	}
	return r, nil
}

func (c *Classifier) condition(r *rule, text string) error {
	if n, ok := strings.CutPrefix(text, "<"); ok {
		most, err := strconv.Atoi(n)
		if err != nil || most < 1 {
			return fmt.Errorf("%q does not end in a number of words", text)
		}
		r.most = most
		return nil
	}
	first, then, ordered := strings.Cut(text, ">")
	if ordered {
		a, okA := c.lexicon.concept(first)
		b, okB := c.lexicon.concept(then)
		if !okA || !okB {
			return fmt.Errorf("unknown concept in %q", text)
		}
		r.orders = append(r.orders, order{a, b})
		return nil
	}
	in := &r.plain
	name := text
	switch text[0] {
	case '!':
		in, name = &r.absent, text[1:]
	case '~':
		in, name = &r.any, text[1:]
	}
	k, ok := c.lexicon.concept(name)
	if !ok {
		return fmt.Errorf("unknown concept %q", name)
	}
	in.add(k)
	return nil
}

// Name returns "rules/1".
func (c *Classifier) Name() string { return Name }

// longest is how many bytes of a folded message are read: what it is about stands in its beginning.
const longest = 2048

// Read places one message; see intent.Classifier.
func (c *Classifier) Read(text, language string) intent.Reading {
	var buf [longest]byte
	folded := fold.Append(buf[:0], text)
	if len(folded) > longest {
		folded = folded[:longest]
	}
	m := message{folded: folded}
	m.take(c.lexicon, c.neg)
	out := c.place(&m)
	out.Language = m.speaks(c.lexicon, language)
	out.Sentiment = c.tone.of(&m, text)
	return out
}

// place weighs the rules that hold: several for one intent strengthen it, an intent beside it weakens
// the confidence in the best.
func (c *Classifier) place(m *message) intent.Reading {
	var doubt, strongest [16]float32
	var because [16]int
	for i := range doubt {
		doubt[i] = 1
	}
	out := intent.Reading{}
	for i := range c.rules {
		r := &c.rules[i]
		if !r.holds(m, c.neg) {
			continue
		}
		doubt[r.intent] *= 1 - r.share
		if r.share > strongest[r.intent] {
			strongest[r.intent], because[r.intent] = r.share, i
		}
		out.AsksForPerson = out.AsksForPerson || r.person
	}
	best, second := 0, 1
	for i := range c.intents {
		switch {
		case i == best:
		case doubt[i] < doubt[best]:
			best, second = i, best
		case i == second || doubt[i] < doubt[second]:
			second = i
		}
	}
	confidence := (1 - doubt[best]) * (1 - (1-doubt[second])*doubt[best])
	if confidence < placed {
		out.Unsure = true
		return out
	}
	out.Intent, out.Confidence, out.Because = c.intents[best], confidence, c.rules[because[best]].text
	return out
}

// holds tells whether all conditions of the rule hold.
func (r *rule) holds(m *message, neg concept) bool {
	if r.most > 0 && m.count > r.most {
		return false
	}
	for i := range r.plain {
		if m.plain[i]&r.plain[i] != r.plain[i] || m.any[i]&r.any[i] != r.any[i] || m.any[i]&r.absent[i] != 0 {
			return false
		}
	}
	for _, o := range r.orders {
		if !m.follows(o, neg) {
			return false
		}
	}
	return true
}

// follows tells whether the second concept stands after the first, near and in its clause. What is
// negated counts only where the negation is the condition.
func (m *message) follows(o order, neg concept) bool {
	if !m.any.has(o.first) || !m.any.has(o.then) {
		return false
	}
	for _, a := range m.hits[:m.found] {
		if a.concept != o.first || a.negated {
			continue
		}
		for _, b := range m.hits[:m.found] {
			if b.concept == o.then && b.clause == a.clause && b.at > a.end && b.at-a.end <= reach && (!b.negated || o.first == neg) {
				return true
			}
		}
	}
	return false
}
