package shipped

import (
	"fmt"

	"github.com/handoff-dev/handoff/stages/classify/intent"
	"github.com/handoff-dev/handoff/stages/classify/words"
)

// A plain-language opt-out is taken by the model's score together with words that show it, or by a high
// score alone. Words alone never do: "stop sending me the wrong size" has them too.
const (
	// clearAlone is the score of an opt-out that needs no words, wrongAlone that of a wrong number, which a
	// bare name comes near; clearWith is the score that counts with words.
	clearAlone = 0.2
	wrongAlone = 0.5
	clearWith  = -0.35
	// possibleWith is the score from which, with them, a person is asked.
	possibleWith = -0.75
)

// shows are the pairs of meanings, in the order of the message, that show an opt-out; one alone where it
// says it all.
func shows() [][2]string {
	return [][2]string{
		{"UNSUB"}, {"ALONE"},
		{"STOPV", "SENDV"}, {"STOPV", "MSG"}, {"STOPV", "LIST"}, {"STOPV", "AGAIN"}, {"MSG", "STOPV"},
		{"NEG", "SENDV"}, {"NEG", "MSG"}, {"SENDV", "NEG"}, {"MSG", "NEG"}, {"SENDV", "AGAIN"}, {"AGAIN", "SENDV"},
		{"AGAIN", "MSG"}, {"MSG", "AGAIN"}, {"REMOVEV", "LIST"}, {"LIST", "REMOVEV"}, {"REMOVEV", "MSG"}, {"MSG", "REMOVEV"},
		{"STOPV", "REMOVEV"}, {"NEG", "LIST"},
	}
}

// wrongNumber are the meanings that show that someone else is written to.
func wrongNumber() [][2]string { return [][2]string{{"WRONGNO"}, {"WRONG", "LIST"}} }

// shown tells what pairs of meanings show.
type shown struct {
	// then holds for each first meaning those that show something behind it; itself where it shows something
	// alone.
	then [256]words.Set
	// rules are named for explanations.
	rules map[[2]words.Concept]rule
}

// rule is what a pair of meanings shows.
type rule struct {
	name string
	// wrongNumber: that someone else is written to.
	wrongNumber bool
}

// evidence indexes the pairs that show an opt-out or a wrong number.
func evidence(t *words.Table) (*shown, error) {
	s := &shown{rules: map[[2]words.Concept]rule{}}
	add := func(pairs [][2]string, of string, wrong bool) error {
		for _, pair := range pairs {
			name := "rule " + of + ": " + pair[0]
			first, ok := t.Concept(pair[0])
			then := first
			if pair[1] != "" && ok {
				name += ">" + pair[1]
				then, ok = t.Concept(pair[1])
			}
			if !ok {
				return fmt.Errorf("the words have no concepts %q", pair)
			}
			s.then[first].Add(then)
			s.rules[[2]words.Concept{first, then}] = rule{name, wrong}
		}
		return nil
	}
	if err := add(shows(), "opt-out", false); err != nil {
		return nil, err
	}
	return s, add(wrongNumber(), "wrong number", true)
}

// in returns the first of the pairs that stand in a message; ok is false for none.
func (s *shown) in(m *words.Meanings) (r rule, ok bool) {
	m.Pairs(func(first, then words.Concept) bool {
		if ok = s.then[first].Has(then); ok {
			r = s.rules[[2]words.Concept{first, then}]
		}
		return !ok
	})
	return r, ok
}

// judgeOptOut decides whether the message opts out, from the two scores and the meanings of its words.
func (c *Classifier) judgeOptOut(out *intent.Reading, scores []float32, m *words.Meanings) {
	score, by, alone := scores[c.optOut.from], "score opt-out", float32(clearAlone)
	other := scores[c.optOut.from+1]
	wrong := other > score
	if wrong {
		score, by, alone = other, "score wrong number", wrongAlone
	}
	out.OptOutScore = score
	if score < possibleWith {
		return
	}
	if r, ok := c.evidence.in(m); ok {
		out.OptOut, out.OptOutBy, out.WrongNumber = intent.OptOutPossible, r.name, r.wrongNumber
		if score >= clearWith {
			out.OptOut = intent.OptOutClear
		}
		return
	}
	if score >= alone {
		out.OptOut, out.OptOutBy, out.WrongNumber = intent.OptOutClear, by, wrong
	}
}
