// Package rules places messages by rules: combinations of the concepts of package words mean intents. They
// are data, rules.tsv, common to all languages. They are honest about what they cannot place, say which
// rule placed the rest, and allocate nothing.
package rules

import (
	_ "embed"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/handoff-dev/handoff/schemas/tsv"
	"github.com/handoff-dev/handoff/stages/classify/intent"
	"github.com/handoff-dev/handoff/stages/classify/words"
)

//go:embed rules.tsv
var shippedRules string

const (
	// placed is the confidence from which a message counts as placed.
	placed = 0.5
	// reach is how many words may lie between the two concepts of an ordered condition.
	reach = 6
	// personRule names rules that mean a person is asked for outright.
	personRule = "person"
)

// Rules place messages. They never change and may be used by many goroutines at once.
type Rules struct {
	words   *words.Table
	intents []string
	rules   []rule
	// asked are the rules that a concept is asked of, each by one of those that it needs: what stands in no message
	// together with it need not be looked at. always are those that need none.
	asked  [1 << 8]ruleSet
	always ruleSet
	neg    words.Concept
	tone   tone
}

// rule is one line of rules.tsv.
type rule struct {
	// intent is an index into Rules.intents.
	intent int
	person bool
	share  float32
	// conditions, all of which must hold.
	plain, any, absent words.Set
	orders             []order
	// most words of the message; 0 for any.
	most int
	// text of the conditions, for explanations.
	text string
}

// maxRules is how many a ruleSet holds.
const maxRules = 256

// ruleSet is a set of rules, by their places.
type ruleSet [maxRules / 64]uint64

func (s *ruleSet) add(rule int) { s[rule>>6] |= 1 << (rule & 63) }

// order is the condition that one concept follows another.
type order struct{ first, then words.Concept }

// New returns the rules that ship, over the concepts of a table.
func New(t *words.Table) (*Rules, error) { return parse(t, shippedRules) }

func parse(t *words.Table, rules string) (*Rules, error) {
	c := &Rules{words: t, intents: intent.All()}
	var ok bool
	var err error
	if c.neg, ok = t.Concept("NEG"); !ok {
		return nil, fmt.Errorf("the words have no concept NEG")
	}
	if c.tone, err = toneOf(t); err != nil {
		return nil, err
	}
	for line, columns := range tsv.Rows(rules) {
		r, err := c.rule(columns)
		if err != nil {
			return nil, fmt.Errorf("rules line %d: %w", line, err)
		}
		if len(c.rules) == maxRules {
			return nil, fmt.Errorf("rules line %d: more than %d rules", line, maxRules)
		}
		c.rules = append(c.rules, r)
	}
	c.index()
	return c, nil
}

// index has each rule asked by the concept that the fewest rules need of those that it needs.
func (c *Rules) index() {
	var needed [len(c.asked)]int
	for i := range c.rules {
		for k := range c.rules[i].needs() {
			needed[k]++
		}
	}
	for i := range c.rules {
		by := &c.always
		fewest := maxRules + 1
		for k := range c.rules[i].needs() {
			if needed[k] < fewest {
				by, fewest = &c.asked[k], needed[k]
			}
		}
		by.add(i)
	}
}

// may are the rules that can hold in a message: the others lack a concept.
func (c *Rules) may(m *message) ruleSet {
	may := c.always
	for _, h := range m.hits() {
		for i, of := range c.asked[h.Concept] {
			may[i] |= of
		}
	}
	return may
}

func (c *Rules) rule(columns []string) (rule, error) {
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

func (c *Rules) condition(r *rule, text string) error {
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
		a, okA := c.words.Concept(first)
		b, okB := c.words.Concept(then)
		if !okA || !okB {
			return fmt.Errorf("unknown concept in %q", text)
		}
		r.orders = append(r.orders, order{a, b})
		r.any.Add(a)
		r.any.Add(b)
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
	k, ok := c.words.Concept(name)
	if !ok {
		return fmt.Errorf("unknown concept %q", name)
	}
	in.Add(k)
	return nil
}

// Read places one message of these meanings, to which it adds those of words with typing errors, and weighs
// its words of praise and blame. folded is the message as fold.Append leaves it, text as it was written.
func (c *Rules) Read(m *words.Meanings, folded []byte, text string) intent.Reading {
	c.words.Mend(m, folded)
	in := message{Meanings: m}
	in.negate(c.neg)
	out := c.place(&in)
	out.Sentiment = c.tone.of(&in, text)
	return out
}

// place weighs the rules that hold: several for one intent strengthen it, an intent beside it weakens
// the confidence in the best.
func (c *Rules) place(m *message) intent.Reading {
	var doubt, strongest [16]float32
	var because [16]int
	for i := range doubt {
		doubt[i] = 1
	}
	out := intent.Reading{}
	for at, left := range c.may(m) {
		for ; left != 0; left &= left - 1 {
			i := 64*at + bits.TrailingZeros64(left)
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
