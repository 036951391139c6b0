package shipped

import (
	_ "embed"
	"fmt"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/stages/classify/intent"
	"github.com/handoff-dev/handoff/stages/classify/model"
	"github.com/handoff-dev/handoff/stages/classify/words"
)

//go:embed optouts.tsv
var phrases string

// band is from which scores a message is taken: for an opt-out, or for one that a person has to look at.
type band struct{ clear, possible float32 }

// A plain-language opt-out is taken by the model's score together with a phrase that says it, with a pair of
// meanings that shows it, or by a higher score alone. Phrases alone never do: "stop sending me the wrong
// size" has one too. The bands were set on messages that were read by models trained without them, with the
// natural ones among them; decision 10 has the figures.
func bands() (b struct{ phrase, pair, alone, short, elsewhere, both, wrong, notName, wrongAlone band }) {
	b.phrase = band{-0.35, -0.9}
	b.pair = band{0.35, -0.65}
	b.alone, b.short = band{0.35, -0.2}, band{0.9, -0.2}
	// About something else: an order, e-mails. With a phrase that says an opt-out it may be both.
	b.elsewhere, b.both = band{0.7, -0.3}, band{0.1, -0.6}
	b.wrong, b.notName, b.wrongAlone = band{-0.3, -0.8}, band{0.25, -0.3}, band{0.5, 0}
	return b
}

// clauseClear is the score from which one clause of a message opts out that has a phrase which says so: "Please stop
// texting, I'll check the website" is one, whatever stands beside it.
const clauseClear = 0.3

// fewWords are so few that the score says little of them: "new messages" comes near "no messages".
const fewWords = 2

// shortName is how many words a message has at most that begins "I am not" and names who it is not.
const shortName = 6

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

// evidence finds what shows an opt-out or a wrong number.
type evidence struct {
	// then holds for each first meaning those that show an opt-out behind it; itself where it shows one alone.
	then [256]words.Set
	// rules are named for explanations.
	rules map[[2]words.Concept]string
	// phrases are those of optouts.tsv, frames those of frames.tsv.
	phrases                              *words.Table
	frames                               *frames
	optOut, wrong, notName, keep, others words.Concept
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
	var err error
	if e.phrases, err = words.Parse(phrases); err != nil {
		return nil, fmt.Errorf("phrases of opt-outs: %w", err)
	}
	for name, c := range map[string]*words.Concept{
		"OPTOUT": &e.optOut, "WRONG": &e.wrong, "NOTNAME": &e.notName, "KEEP": &e.keep, "ELSE": &e.others,
	} {
		var ok bool
		if *c, ok = e.phrases.Concept(name); !ok {
			return nil, fmt.Errorf("phrases of opt-outs: there are none of %s", name)
		}
	}
	if e.frames, err = readFrames(frameLines, e.phrases.Concept); err != nil {
		return nil, err
	}
	return e, nil
}

// pair returns the name of the first of the pairs that stand in a message; "" for none.
func (e *evidence) pair(m *words.Meanings) (name string) {
	m.Pairs(func(first, then words.Concept) bool {
		if e.then[first].Has(then) {
			name = e.rules[[2]words.Concept{first, then}]
		}
		return name == ""
	})
	return name
}

// said is what the phrases of a message say, and how many words it has.
type said struct {
	words.Set
	words int
}

func (e *evidence) said(folded []byte) said {
	var m words.Meanings
	e.phrases.Read(&m, folded)
	s := said{words: m.Words}
	for _, h := range m.Hits[:m.Found] {
		s.Add(h.Concept)
	}
	e.frames.find(&s.Set, folded)
	return s
}

// interesting is the score below which nothing shows an opt-out.
const interesting = -0.9

// judgeOptOut decides whether the message opts out, from the two scores, its phrases and the meanings of its
// words.
func (c *Classifier) judgeOptOut(out *intent.Reading, scores []float32, m *words.Meanings, folded []byte) {
	optOut, wrong := scores[c.optOut.from], scores[c.optOut.from+1]
	out.OptOutScore = max(optOut, wrong)
	if out.OptOutScore < interesting {
		return
	}
	s := c.evidence.said(folded)
	b := bands()
	if s.Has(c.evidence.keep) {
		return // "don't stop", "sign me up"
	}
	from, by := b.alone, "score opt-out"
	switch name := c.evidence.pair(m); {
	case s.Has(c.evidence.optOut):
		from, by = b.phrase, "phrase opt-out"
	case name != "":
		from, by = b.pair, name
	case s.words <= fewWords && folded[0] < utf8.RuneSelf:
		from = b.short
	}
	if s.Has(c.evidence.others) {
		from = b.elsewhere
		if s.Has(c.evidence.optOut) {
			from = b.both
		}
	}
	if c.judgeWrongNumber(out, s, wrong) && (out.OptOut == intent.OptOutClear || optOut < from.clear) {
		return
	}
	if optOut < from.clear && s.Has(c.evidence.optOut) && c.clause(folded) >= clauseClear {
		optOut, from = clauseClear, band{clauseClear, clauseClear}
	}
	if decide(out, optOut, from, by) {
		out.WrongNumber = false
	}
}

// clause returns the highest opt-out score of the clauses of a message; of a message of one clause none that counts.
// Clauses end where the writer ended them, and where the next is joined by an "and".
func (c *Classifier) clause(folded []byte) float32 {
	best := float32(interesting)
	if one, rest := firstClause(folded); len(rest) == 0 || len(one) == 0 {
		return best
	}
	var room [4*shortest + 64 + words.Most]uint32
	var scores [maxScores]float32
	for len(folded) > 0 {
		var one []byte
		if one, folded = firstClause(folded); len(one) == 0 || len(one) > shortest {
			continue
		}
		var m words.Meanings
		c.words.Read(&m, one)
		c.model.Score(scores[:], c.words.Features(model.Features(room[:0], one, ""), &m))
		best = max(best, scores[c.optOut.from])
	}
	return best
}

// firstClause cuts a folded message behind its first clause.
func firstClause(folded []byte) (first, rest []byte) {
	begin := 0
	for i, b := range folded {
		switch b {
		case '\n':
			return folded[:i], folded[i+1:]
		case ' ':
			if begin > 0 && joins(folded[begin:i]) {
				return folded[:begin-1], folded[i+1:]
			}
			begin = i + 1
		}
	}
	return folded, nil
}

// joins tells the words that join clauses, in the languages that write them by themselves.
func joins(word []byte) bool {
	switch string(word) {
	case "and", "but", "y", "pero", "et", "mais", "und", "aber", "e", "mas", "ma", "en", "maar", "i", "ale", "ve", "ama":
		return true
	}
	return false
}

// judgeWrongNumber decides whether the message says that someone else is written to, and tells whether it may.
func (c *Classifier) judgeWrongNumber(out *intent.Reading, s said, score float32) bool {
	from, by := bands().wrongAlone, "score wrong number"
	switch {
	case s.Has(c.evidence.wrong):
		from, by = bands().wrong, "phrase wrong number"
	case s.Has(c.evidence.notName) && s.words <= shortName:
		from, by = bands().notName, "phrase wrong number: not a name"
	case s.words < 2:
		return false // a bare name comes near one
	}
	if s.Has(c.evidence.others) {
		from.clear = max(from.clear, bands().elsewhere.clear)
	}
	if !decide(out, score, from, by) {
		return false
	}
	out.WrongNumber = true
	return true
}

// decide takes a score from a band on for an opt-out, clear or possible, and tells whether it did.
func decide(out *intent.Reading, score float32, from band, by string) bool {
	switch {
	case score >= from.clear:
		out.OptOut = intent.OptOutClear
	case score >= from.possible:
		out.OptOut = intent.OptOutPossible
	default:
		return false
	}
	out.OptOutBy = by
	return true
}
