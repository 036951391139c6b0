package rules

import (
	"fmt"
	"math"

	"github.com/handoff-dev/handoff/stages/classify/words"
)

// tone reads sentiment from the words that carry it.
type tone struct{ strongNeg, mildNeg, pos, strongPos, intens words.Concept }

func toneOf(t *words.Table) (tone, error) {
	var out tone
	for name, c := range map[string]*words.Concept{
		"STRONGNEG": &out.strongNeg, "MILDNEG": &out.mildNeg, "POS": &out.pos, "STRONGPOS": &out.strongPos, "INTENS": &out.intens,
	} {
		var ok bool
		if *c, ok = t.Concept(name); !ok {
			return out, fmt.Errorf("the words have no concept %s", name)
		}
	}
	return out, nil
}

// of sums what the words weigh and squeezes it into -1 to 1: one strong word is about 0.6, two are 0.9;
// emphasis by word, capitals or exclamation marks adds a third. A negated praise is a mild blame; a
// negated blame is nearly nothing.
func (t tone) of(m *message, text string) float32 {
	var sum float64
	for i, h := range m.hits() {
		if i > 0 && m.Hits[i-1].Concept == h.Concept && m.Hits[i-1].From == h.From {
			continue
		}
		sum += t.weight(h.Concept, m.isNegated(i))
	}
	if sum == 0 {
		return 0 // whatever the emphasis
	}
	if m.plain.Has(t.intens) || emphatic(text) {
		sum *= 1.35
	}
	return float32(math.Tanh(sum * 0.36))
}

func (t tone) weight(c words.Concept, negated bool) float64 {
	var w float64
	switch c {
	case t.strongNeg:
		w = -2
	case t.mildNeg:
		w = -0.8
	case t.pos:
		w = 0.6
	case t.strongPos:
		w = 1.6
	}
	if negated {
		if w > 0 {
			return -0.9
		}
		return w * -0.1
	}
	return w
}

// emphatic tells whether a text shouts: two exclamation marks, or mostly capitals.
func emphatic(text string) bool {
	marks, upper, lower := 0, 0, 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == '!':
			marks++
		case 'A' <= c && c <= 'Z':
			upper++
		case 'a' <= c && c <= 'z':
			lower++
		}
	}
	return marks >= 2 || upper >= 12 && upper > 3*lower
}
