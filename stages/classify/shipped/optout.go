package shipped

import (
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

// evidence maps the features of those meanings to the names of their rules.
func evidence() map[uint32]shown {
	out := map[uint32]shown{}
	for _, pair := range shows() {
		out[words.Feature(pair[0], pair[1])] = shown{rule: ruleName("opt-out", pair)}
	}
	for _, pair := range wrongNumber() {
		out[words.Feature(pair[0], pair[1])] = shown{rule: ruleName("wrong number", pair), wrongNumber: true}
	}
	return out
}

// shown is what a pair of meanings shows.
type shown struct {
	// rule is its name, for explanations.
	rule string
	// wrongNumber: that someone else is written to.
	wrongNumber bool
}

func ruleName(of string, pair [2]string) string {
	if pair[1] == "" {
		return "rule " + of + ": " + pair[0]
	}
	return "rule " + of + ": " + pair[0] + ">" + pair[1]
}

// judgeOptOut decides whether the message opts out, from the two scores and the meanings of its words.
func (c *Classifier) judgeOptOut(out *intent.Reading, scores []float32, meanings []uint32) {
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
	for _, f := range meanings {
		found, ok := c.evidence[f]
		if !ok {
			continue
		}
		out.OptOut, out.OptOutBy, out.WrongNumber = intent.OptOutPossible, found.rule, found.wrongNumber
		if score >= clearWith {
			out.OptOut = intent.OptOutClear
		}
		return
	}
	if score >= alone {
		out.OptOut, out.OptOutBy, out.WrongNumber = intent.OptOutClear, by, wrong
	}
}
