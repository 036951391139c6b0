package rules

import (
	"iter"
	"math/bits"

	"github.com/handoff-dev/handoff/stages/classify/words"
)

// negationReach is how many words after a negation it turns around.
const negationReach = 3

// message is what stands in a message, for the conditions of rules.
type message struct {
	*words.Meanings
	// negated has a bit for each hit after a negation of its clause.
	negated [(words.MaxHits + 63) / 64]uint64
	// plain holds concepts that stand unnegated somewhere, any those that stand at all.
	plain, any words.Set
}

func (m *message) hits() []words.Hit { return m.Hits[:m.Found] }

func (m *message) isNegated(i int) bool { return m.negated[i>>6]&(1<<(i&63)) != 0 }

// negate marks hits after a negation of their clause and fills the sets.
func (m *message) negate(neg words.Concept) {
	var negations [words.MaxHits]uint8
	found := 0
	for i := range m.hits() {
		m.any.Add(m.Hits[i].Concept)
		if m.Hits[i].Concept == neg {
			negations[found] = uint8(i)
			found++
		}
	}
	if found == 0 {
		m.plain = m.any
		return
	}
	for i := range m.hits() {
		h := &m.Hits[i]
		for _, at := range negations[:found] {
			if n := &m.Hits[at]; h.Concept != neg && n.Clause == h.Clause && n.To < h.From && h.From-n.To <= negationReach {
				m.negated[i>>6] |= 1 << (i & 63)
			}
		}
		if !m.isNegated(i) {
			m.plain.Add(h.Concept)
		}
	}
}

// needs are the concepts without which the rule never holds.
func (r *rule) needs() iter.Seq[words.Concept] {
	return func(yield func(words.Concept) bool) {
		for i := range r.plain {
			for left := r.plain[i] | r.any[i]; left != 0; left &= left - 1 {
				if !yield(words.Concept(64*i + bits.TrailingZeros64(left))) {
					return
				}
			}
		}
	}
}

// holds tells whether all conditions of the rule hold.
func (r *rule) holds(m *message, neg words.Concept) bool {
	if r.most > 0 && m.Words > r.most {
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

// follows tells whether the second concept stands after the first, near and in its clause; both stand. What is
// negated counts only where the negation is the condition.
func (m *message) follows(o order, neg words.Concept) bool {
	for i, a := range m.hits() {
		if a.Concept != o.first || m.isNegated(i) {
			continue
		}
		for k, b := range m.hits() {
			if b.Concept == o.then && b.Clause == a.Clause && b.From > a.To && b.From-a.To <= reach && (!m.isNegated(k) || o.first == neg) {
				return true
			}
		}
	}
	return false
}
