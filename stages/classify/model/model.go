// Package model is the classifier's trained part at work: hashed features of a message, each with a row
// of small whole numbers, one per label; a label's score is the sum of its column, brought to the
// message's length. It reads a model's bytes and a message, and gives scores; package train makes the
// bytes. A row holds the labels of all heads (intents, opt-out, tone, language), so that a message is
// read once for all of them.
package model

import (
	"math"
	"math/bits"
)

// MaxLanes bounds the labels of all heads together, MaxRows the features of a model.
const (
	MaxLanes = 1023
	MaxRows  = 1 << 20
)

// Head is one question that a model answers: which of its labels a message has.
type Head struct {
	// Name of the head: "intent", "opt_out", "tone", "language".
	Name string `json:"name"`
	// Labels in the order of their scores.
	Labels []string `json:"labels"`
	// Scale turns a label's sum into its score, Bias is added; both as long as Labels.
	Scale []float32 `json:"scale"`
	Bias  []float32 `json:"bias"`
	// Trust turns the best score and its lead over the next into the share of such readings that are
	// right: logistic(Trust[0] + Trust[1]*best + Trust[2]*lead).
	Trust [3]float32 `json:"trust"`
	// Outside: a message whose energy is below belongs to none of the labels. The share of messages with
	// a label that this costs was 5% of those held back when the model was trained.
	Outside float32 `json:"outside"`
	// Clear and Possible, of a head with one label that is decided by its score: from which it is taken to be
	// so, and from which it may be. Zero in other heads.
	Clear    float32 `json:"clear,omitempty"`
	Possible float32 `json:"possible,omitempty"`
}

// Model is a trained model. It never changes and may be used by many goroutines at once.
type Model struct {
	name  string
	heads []Head
	// first lane of each head in the scores.
	first []int
	lanes int
	// squareScale turns the first lane's sum into the square of the message's length; unknown is what a
	// feature without a row adds to it.
	squareScale, unknown float32
	// slots find a feature's row: the upper bits of the hash and the row's number from one; the lower bits
	// of the hash are where to look first. Zero is an empty slot.
	slots   []uint32
	rowBits uint
	// stride is the length of a row in words of eight lanes.
	stride int
	rows   []uint64
	// hashes of the rows, ascending.
	hashes []uint32
}

// Name of the model with its version, e.g. "handoff/1".
func (m *Model) Name() string { return m.name }

// Heads of the model. The caller must not change them.
func (m *Model) Heads() []Head { return m.heads }

// Lanes is how many scores a message gets: the labels of all heads.
func (m *Model) Lanes() int { return m.lanes }

// Rows is how many features the model knows.
func (m *Model) Rows() int { return len(m.hashes) }

// Head returns the place of a head's first score, and the head; ok is false where there is none of the
// name.
func (m *Model) Head(name string) (first int, head *Head, ok bool) {
	for i := range m.heads {
		if m.heads[i].Name == name {
			return m.first[i], &m.heads[i], true
		}
	}
	return 0, nil, false
}

// index fills slots from hashes. Slots are at most half full.
func (m *Model) index() {
	n := len(m.hashes)
	m.rowBits = uint(bits.Len(uint(n)))
	m.slots = make([]uint32, 1<<max(bits.Len(uint(2*n)), int(m.rowBits)))
	mask := uint32(len(m.slots) - 1)
	for i, h := range m.hashes {
		at := h & mask
		for m.slots[at] != 0 {
			at = (at + 1) & mask
		}
		m.slots[at] = h>>m.rowBits<<m.rowBits | uint32(i+1)
	}
}

// find returns the number of a feature's row, from one; 0 for none. What little of the hash the slot
// does not tell takes one unknown feature in thousands for a known one.
func (m *Model) find(h uint32) uint32 {
	mask := uint32(len(m.slots) - 1)
	low := uint32(1)<<m.rowBits - 1
	for at := h & mask; ; at = (at + 1) & mask {
		s := m.slots[at]
		if s == 0 {
			return 0
		}
		if (s^h)&^low == 0 {
			return s & low
		}
	}
}

const (
	// every other byte of a word.
	alternate = 0x00ff00ff00ff00ff
	// most bytes that a lane of sixteen bits can sum.
	mostSummed = 257
	// zeroWeight is the byte of a weight of nothing.
	zeroWeight = 128
)

// maxStride is the words of the longest row.
const maxStride = (MaxLanes + 1) / 8

// Score fills scores, which has room for Lanes, with what the features of a message say. It allocates
// nothing.
func (m *Model) Score(scores []float32, features []uint32) {
	if m.stride == 4 {
		var sums [4 * 8]int32
		m.turn(scores, sums[:], m.sumFour(sums[:], features), len(features))
		return
	}
	var sums [MaxLanes + 1]int32
	m.turn(scores, sums[:], m.sum(sums[:], features), len(features))
}

// turn turns the sums of the known of all features into scores.
func (m *Model) turn(scores []float32, sums []int32, known, features int) {
	square := float32(sums[0])*m.squareScale + float32(features-known)*m.unknown
	norm := 1 / float32(math.Sqrt(float64(max(square, 1))))
	lane := 0
	for i := range m.heads {
		h := &m.heads[i]
		for k := range h.Scale {
			scores[lane] = float32(sums[lane+1]-zeroWeight*int32(known))*h.Scale[k]*norm + h.Bias[k]
			lane++
		}
	}
}

// sum adds up the rows of the features, lane by lane, and returns how many have one.
func (m *Model) sum(sums []int32, features []uint32) (known int) {
	var even, odd [maxStride]uint64
	summed := 0
	for _, f := range features {
		row := m.find(f)
		if row == 0 {
			continue
		}
		known++
		at := int(row-1) * m.stride
		for j, w := range m.rows[at : at+m.stride] {
			even[j] += w & alternate
			odd[j] += w >> 8 & alternate
		}
		if summed++; summed == mostSummed {
			spill(sums, even[:m.stride], odd[:m.stride])
			summed = 0
		}
	}
	spill(sums, even[:m.stride], odd[:m.stride])
	return known
}

// sumFour is sum for rows of four words, whose sums stay in registers.
func (m *Model) sumFour(sums []int32, features []uint32) (known int) {
	var e0, e1, e2, e3, o0, o1, o2, o3 uint64
	summed := 0
	for _, f := range features {
		row := m.find(f)
		if row == 0 {
			continue
		}
		known++
		w := (*[4]uint64)(m.rows[int(row-1)*4:])
		e0 += w[0] & alternate
		o0 += w[0] >> 8 & alternate
		e1 += w[1] & alternate
		o1 += w[1] >> 8 & alternate
		e2 += w[2] & alternate
		o2 += w[2] >> 8 & alternate
		e3 += w[3] & alternate
		o3 += w[3] >> 8 & alternate
		if summed++; summed == mostSummed {
			spill(sums, []uint64{e0, e1, e2, e3}, []uint64{o0, o1, o2, o3})
			e0, e1, e2, e3, o0, o1, o2, o3, summed = 0, 0, 0, 0, 0, 0, 0, 0, 0
		}
	}
	spill(sums, []uint64{e0, e1, e2, e3}, []uint64{o0, o1, o2, o3})
	return known
}

// spill moves sums out of lanes of sixteen bits, which are zeroed.
func spill(sums []int32, even, odd []uint64) {
	for j := range even {
		for k := range 4 {
			sums[8*j+2*k] += int32(even[j] >> (16 * k) & 0xffff)
			sums[8*j+2*k+1] += int32(odd[j] >> (16 * k) & 0xffff)
		}
		even[j], odd[j] = 0, 0
	}
}
