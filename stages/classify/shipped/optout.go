package shipped

import (
	"bytes"
	"fmt"

	"github.com/handoff-dev/handoff/stages/classify/intent"
	"github.com/handoff-dev/handoff/stages/classify/words"
)

// A plain-language opt-out is taken by one score of the model. The phrases of words/optouts.tsv, which say one or say
// something else that looks like one, are features of the model like any other: what each of them weighs is learned.
// The scores from which a message is taken, and from which a person looks at it, stand in the model: training chose
// them by what models had made of messages that they had not learned from. Decision 13 has the reasons.

// shows are the pairs of meanings, in the order of the message, that show an opt-out; one alone where it
// says it all. They name what a score rests on, for explanations.
func shows() [][2]string {
	return [][2]string{
		{"UNSUB"}, {"ALONE"},
		{"STOPV", "SENDV"}, {"STOPV", "MSG"}, {"STOPV", "LIST"}, {"STOPV", "AGAIN"}, {"MSG", "STOPV"},
		{"NEG", "SENDV"}, {"NEG", "MSG"}, {"SENDV", "NEG"}, {"MSG", "NEG"}, {"SENDV", "AGAIN"}, {"AGAIN", "SENDV"},
		{"AGAIN", "MSG"}, {"MSG", "AGAIN"}, {"REMOVEV", "LIST"}, {"LIST", "REMOVEV"}, {"REMOVEV", "MSG"}, {"MSG", "REMOVEV"},
		{"STOPV", "REMOVEV"}, {"NEG", "LIST"},
	}
}

// evidence names what shows an opt-out or a wrong number.
type evidence struct {
	// then holds for each first meaning those that show an opt-out behind it; itself where it shows one alone.
	then [256]words.Set
	// rules are named for explanations.
	rules map[[2]words.Concept]string
	// phrases of words/optouts.tsv.
	optOut, wrong words.Concept
	// alone is what one word by itself says that opts out: one of them at least.
	alone words.Set
	// goods are what a shop sells; texts what an opt-out says beside not wanting: one of them at least.
	goods, texts words.Set
	// wish is what stands in every wish for no more texts: one of them at least.
	wish words.Set
	// order is what stands in whatever is asked about an order: one of them at least.
	order words.Set
}

func newEvidence(t *words.Table) (*evidence, error) {
	e := &evidence{rules: map[[2]words.Concept]string{}}
	for _, pair := range shows() {
		name := "rule opt-out: " + pair[0]
		first, ok := t.Concept(pair[0])
		then := first
		if pair[1] != "" && ok {
			name += ">" + pair[1]
			then, ok = t.Concept(pair[1])
		}
		if !ok {
			return nil, fmt.Errorf("the words have no concepts %q", pair)
		}
		e.then[first].Add(then)
		e.rules[[2]words.Concept{first, then}] = name
	}
	for name, c := range map[string]*words.Concept{"OPTOUT": &e.optOut, "WRONG": &e.wrong} {
		var ok bool
		if *c, ok = t.Concept(name); !ok {
			return nil, fmt.Errorf("phrases of opt-outs: there are none of %s", name)
		}
	}
	for set, names := range map[*words.Set][]string{
		&e.alone: {"OPTOUT", "UNSUB", "STOPV", "ALONE"},
		&e.goods: {"ITEM"},
		&e.texts: {"OPTOUT", "UNSUB", "WRONG", "STOPV", "SENDV", "MSG", "LIST", "REMOVEV"},
		&e.wish:  {"OPTOUT", "UNSUB", "REMOVEV", "MSG"},
		&e.order: {"ORDER", "ITEM", "NOTARRIVED", "WHERE", "WHEN"},
	} {
		for _, name := range names {
			c, ok := t.Concept(name)
			if !ok {
				return nil, fmt.Errorf("the words have no concept %s", name)
			}
			set.Add(c)
		}
	}
	return e, nil
}

// asksBesides tells whether an intent of a message that opts out is about something else than its texts. "Cancel my text
// alerts" and "I no longer wish to receive these texts" have the words of who cancels an order, or asks where it is, and
// name none. A number may be an order's to cancel.
func (e *evidence) asksBesides(of string, m *words.Meanings, folded []byte) bool {
	switch of {
	case intent.OrderStatus:
		return hasOf(m, &e.order)
	case intent.CancelOrder:
		return hasOf(m, &e.order) || bytes.ContainsAny(folded, "0123456789")
	}
	return true
}

// hasOf tells whether a message has a meaning of a set.
func hasOf(m *words.Meanings, set *words.Set) bool {
	for _, h := range m.Hits[:m.Found] {
		if set.Has(h.Concept) {
			return true
		}
	}
	return false
}

// oneWord tells whether a message is one word that opts out by no meaning of its own. "Removed", "messages" and "out"
// score for the words that stand around them elsewhere; alone they answer or ask as well, and a person decides. In
// scripts without spaces every message would be one word.
func (e *evidence) oneWord(m *words.Meanings, folded []byte) bool {
	if folded[0] < 'a' || folded[0] > 'z' || bytes.ContainsAny(folded, " \n") || hasOf(m, &e.alone) {
		return false
	}
	return !bytes.ContainsFunc(folded, func(r rune) bool { return r >= unspaced })
}

// ofGoods tells whether a message names goods, and nothing that texts have to do with: who does not want shoes any more
// says so in the words of who wants no more texts.
func (e *evidence) ofGoods(m *words.Meanings) bool {
	return hasOf(m, &e.goods) && !hasOf(m, &e.texts)
}

// by names the strongest that a message shows: a phrase, else a pair of meanings, else the score alone.
func (e *evidence) by(m *words.Meanings, wrong bool) (name string) {
	phrase, named, alone := e.optOut, "phrase opt-out", "score opt-out"
	if wrong {
		phrase, named, alone = e.wrong, "phrase wrong number", "score wrong number"
	}
	for _, h := range m.Hits[:m.Found] {
		if h.Concept == phrase {
			return named
		}
	}
	if wrong {
		return alone
	}
	m.Pairs(func(first, then words.Concept) bool {
		if e.then[first].Has(then) {
			name = e.rules[[2]words.Concept{first, then}]
		}
		return name == ""
	})
	if name == "" {
		return alone
	}
	return name
}

// judgeOptOut decides whether the message opts out, and whether it does because someone else is written to.
func (c *Classifier) judgeOptOut(out *intent.Reading, scores []float32, m *words.Meanings, folded []byte) {
	out.OptOutScore = scores[c.optOut.from]
	switch {
	case out.OptOutScore >= c.optOut.head.Clear:
		out.OptOut = intent.OptOutClear
	case out.OptOutScore >= c.optOut.head.Possible:
		out.OptOut = intent.OptOutPossible
	default:
		return
	}
	out.WrongNumber = scores[c.wrong.from] >= c.wrong.head.Clear
	if c.evidence.oneWord(m, folded) || !out.WrongNumber && c.evidence.ofGoods(m) {
		out.OptOut = intent.OptOutPossible
	}
	out.OptOutBy = c.evidence.by(m, out.WrongNumber)
}
