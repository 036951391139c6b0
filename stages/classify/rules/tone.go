package rules

import (
	"fmt"
	"math"
)

// tone reads sentiment from the words that carry it.
type tone struct{ strongNeg, mildNeg, pos, strongPos, intens concept }

func toneOf(l *lexicon) (tone, error) {
	var t tone
	for name, c := range map[string]*concept{
		"STRONGNEG": &t.strongNeg, "MILDNEG": &t.mildNeg, "POS": &t.pos, "STRONGPOS": &t.strongPos, "INTENS": &t.intens,
	} {
		var ok bool
		if *c, ok = l.concept(name); !ok {
			return t, fmt.Errorf("the lexicon has no concept %s", name)
		}
	}
	return t, nil
}

// of sums what the words weigh and squeezes it into -1 to 1: one strong word is about 0.6, two are 0.9;
// emphasis by word, capitals or exclamation marks adds a third. A negated praise is a mild blame; a
// negated blame is nearly nothing.
func (t tone) of(m *message, text string) float32 {
	var sum float64
	for i, h := range m.hits[:m.found] {
		if i > 0 && m.hits[i-1].concept == h.concept && m.hits[i-1].at == h.at {
			continue
		}
		sum += t.weight(h)
	}
	if m.plain.has(t.intens) || emphatic(text) {
		sum *= 1.35
	}
	return float32(math.Tanh(sum * 0.36))
}

func (t tone) weight(h hit) float64 {
	var w float64
	switch h.concept {
	case t.strongNeg:
		w = -2
	case t.mildNeg:
		w = -0.8
	case t.pos:
		w = 0.6
	case t.strongPos:
		w = 1.6
	}
	if h.negated {
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
